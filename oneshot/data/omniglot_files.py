"""Reading Omniglot from two official zips, their unzipped folders, or one packed npz.

All give the same array.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from oneshot.data.images import pack, read_npz_arrays
from oneshot.paths import DataError

SETS = ("images_background", "images_evaluation")
PACKED = "omniglot_105_packed.npz"
SIDE = 105  # pixels
DRAWERS = 20  # each character was drawn once by each of 20 people

Key = tuple[str, int, int]  # alphabet, character 1 .., drawer 1 .. 20
T = TypeVar("T")  # a path, or the name of an entry of a zip


@dataclass(frozen=True)
class Release:
    """What a copy of Omniglot has to hold, and where it is published.

    background, evaluation: the number of characters of each alphabet, alphabets sorted. sha256: of
    the packed images in canonical order (background, then evaluation; in each by alphabet,
    character, drawer). url: the folder with the zips. md5: of the two zips.
    """

    background: Mapping[str, int]
    evaluation: Mapping[str, int]
    sha256: str
    url: str
    md5: tuple[str, str]

    @cached_property
    def characters(self) -> tuple[tuple[str, int], ...]:
        """Every class in canonical order, as (alphabet, character)."""
        alphabets = [*self.background.items(), *self.evaluation.items()]
        return tuple((name, number) for name, count in alphabets for number in range(1, count + 1))

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Every class in canonical order, as Alphabet.characterNN."""
        return tuple(f"{alphabet}.character{number:02d}" for alphabet, number in self.characters)


def read(folder: Path, release: Release) -> np.ndarray | None:
    """Read the images in a folder, packed.

    Args:
        folder: where any form of the data set may lie.
        release: the edition that it must be.

    Returns:
        uint8 [20 x classes, 1379] in canonical order; None if no form of the data set is complete
        there.

    Raises:
        DataError: a file is unreadable, an image missing, or other content than the published; the
            file is named.
    """
    try:
        if (folder / PACKED).is_file():
            packed, source = _read_npz(folder / PACKED, release), folder / PACKED
        elif all(_place(folder, name) for name in SETS):
            packed, source = (
                np.concatenate([_read_set(folder, name, release) for name in SETS]),
                folder,
            )
        else:
            return None
    except OSError as error:
        raise DataError(
            f"cannot read {error.filename or folder}: {error.strerror or error}"
        ) from error
    digest = hashlib.sha256(packed.tobytes()).hexdigest()
    if digest != release.sha256:
        hashes = f"the SHA-256 of its images is {digest[:12]}..., not {release.sha256[:12]}..."
        raise DataError(f"{source} is not the published Omniglot: {hashes}")
    return packed


def complete(folder: Path) -> bool:
    """Whether a form of the data set seems to be complete in this folder. Reads no image."""
    return (folder / PACKED).is_file() or all(_place(folder, name) for name in SETS)


def describe(folder: Path) -> str:
    """In words, what a folder lacks of the data set."""
    if not folder.is_dir():
        return "no such folder"
    missing = [f"{name}.zip" for name in SETS if not _place(folder, name)]
    return f"has no {' and no '.join(missing)}" if missing else "complete"


def _place(folder: Path, name: str) -> Path | None:
    """Where one of the two sets lies: as a folder, else as a zip, else None."""
    return next(
        (
            p
            for p, there in ((folder / name, Path.is_dir), (folder / f"{name}.zip", Path.is_file))
            if there(p)
        ),
        None,
    )


def _read_set(folder: Path, name: str, release: Release) -> np.ndarray:
    """One of the two sets, packed and in canonical order."""
    place = _place(folder, name)
    assert place is not None, "the caller has looked"
    alphabets = release.background if name == SETS[0] else release.evaluation
    wanted = [
        (a, c, d)
        for a, count in alphabets.items()
        for c in range(1, count + 1)
        for d in range(1, DRAWERS + 1)
    ]
    if place.is_dir():
        found = _keyed(
            {str(p.relative_to(folder).as_posix()): p for p in place.rglob("*.png")}, name
        )
        return _decode_all(wanted, found, lambda path: path.read_bytes(), place)
    try:
        with zipfile.ZipFile(place) as archive:
            return _decode_all(
                wanted,
                _keyed({entry: entry for entry in archive.namelist()}, name),
                archive.read,
                place,
            )
    except (DataError, OSError):
        raise
    except Exception as error:  # damaged archives raise nearly anything
        raise DataError(
            f"{place} is damaged: {error}\n  help: put a whole one there, or delete it to have it"
            " downloaded"
        ) from error


def _keyed(paths: Mapping[str, T], name: str) -> dict[Key, T]:
    """The images among these paths of a set, by alphabet, character and drawer. Other files (of
    macOS, say) are passed over.
    """
    form = re.compile(rf"(?:.*/)?{name}/([^/]+)/character(\d+)/\d+_(\d+)\.png")
    matches = ((form.fullmatch(path), value) for path, value in paths.items())
    return {(m[1], int(m[2]), int(m[3])): value for m, value in matches if m}


def _decode_all(
    wanted: list[Key], found: Mapping[Key, T], read_bytes: Callable[[T], bytes], place: Path
) -> np.ndarray:
    missing = [
        f"{a}/character{c:02d} drawer {d:02d}" for a, c, d in wanted if (a, c, d) not in found
    ]
    if missing:
        more = f" and {len(missing) - 3} more images" if len(missing) > 3 else ""
        raise DataError(f"{place} lacks {', '.join(missing[:3])}{more}")
    images = np.empty((len(wanted), SIDE * SIDE // 8 + 1), np.uint8)
    for i, key in enumerate(wanted):
        images[i] = _decode(read_bytes(found[key]), f"{place}: {found[key]}")
    return images


def _decode(png: bytes, where: str) -> np.ndarray:
    """A PNG with black strokes -> uint8 [1379], ink 1."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png)) as image:
            grey = np.asarray(image.convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        # what PIL raises for files that are no images, or cut short
        raise DataError(f"{where} is not a readable image: {error}") from error
    if grey.shape != (SIDE, SIDE):
        raise DataError(
            f"{where} has {grey.shape[1]} x {grey.shape[0]} pixels, not {SIDE} x {SIDE}"
        )
    return pack((grey < 128)[None])[0]


def _read_npz(path: Path, release: Release) -> np.ndarray:
    """The packed file: images sorted as `Release` says, and the names of their classes, which must
    be the published ones.
    """
    wanted = {
        "packed": (2, "u"),
        "label": (1, "iu"),
        "alphabet_names": (1, "U"),
        "class_alphabet": (1, "iu"),
        "class_character": (1, "iu"),
    }
    arrays = read_npz_arrays(path, wanted, "\n  help: put a whole one there")
    packed, label, places = arrays["packed"], arrays["label"], arrays["class_alphabet"]
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < len(
        arrays["alphabet_names"]
    ):
        raise DataError(
            f"{path} is damaged: a class has no alphabet\n  help: put a whole one there"
        )
    characters = tuple(
        zip(arrays["alphabet_names"][places].tolist(), arrays["class_character"].tolist())
    )
    if characters != release.characters or not np.array_equal(
        label, np.repeat(np.arange(len(characters)), DRAWERS)
    ):
        raise DataError(
            f"{path} is not the published Omniglot: it has other classes, or another order"
        )
    return np.ascontiguousarray(packed, dtype=np.uint8)
