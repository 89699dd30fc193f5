"""The drawings of points as pixels in compressed blocks: of bits, or of bytes where in grey.

A sample is what one `sample_id` names: the drawings that several points may share. A kind is what
many samples share: the shape of their images, the classes shown, and the exemplars of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oneshot.report.analysis.drawings import Drawings, read_drawings
from oneshot.report.page.blocks import CHUNK, compressed, inline
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced

NO_CLASS = [""]  # the class names of drawings that were asked by nothing
RASTER = 64  # pixels a side of an image of drawings that are points of the plane


@dataclass(frozen=True)
class Extent:
    """How much of the drawings is shown: so many classes, and so many drawings of each."""

    classes: int
    drawings: int


# the most first; what fits into the page is shown
EXTENTS = (Extent(12, 8), Extent(6, 8), Extent(4, 8), Extent(2, 8), Extent(1, 8), Extent(1, 4))


@dataclass
class Collected:
    """Drawings of points in blocks.

    Attributes:
        extent: How much of them is shown.
        kinds: What samples share, as a page reads it.
        point_sample: The sample of each point; -1 of a point without drawings.
        sample_kind: The kind of each sample.
        blocks: Compressed pixels, CHUNK samples each.
        damaged: Ids of samples whose file is there and cannot be read.
        absent: Ids of samples of points that are done, whose file is not there.
        kept: The most classes and drawings of a class that a sample has.
    """

    extent: Extent
    kinds: list[dict[str, Any]] = field(default_factory=list)
    point_sample: list[int] = field(default_factory=list)
    sample_kind: list[int] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    kept: tuple[int, int] = (0, 0)

    @property
    def size(self) -> int:
        """The bytes of all blocks, and of the exemplars."""
        exemplars = sum(len(kind["exemplars"]) * 3 // 4 for kind in self.kinds)
        return sum(len(block) for block in self.blocks) + exemplars

    def description(self) -> dict[str, Any]:
        """What a page has to know to find the images of a point in the blocks."""
        return {
            "chunk": CHUNK,
            "kinds": self.kinds,
            "pointSample": self.point_sample,
            "sampleKind": self.sample_kind,
            "blocks": len(self.blocks),
            "damaged": len(self.damaged),
            "absent": len(self.absent),
            "keptClasses": self.kept[0],
            "keptDrawings": self.kept[1],
            "drawings": self.extent.drawings,
        }


@dataclass(frozen=True, eq=False)
class Shown:
    """What is shown of one sample.

    Attributes:
        names: Its classes.
        counts: The drawings of each.
        images: uint8 [N, H, W, C]: the drawings, class after class.
        exemplars: uint8 [classes, H, W, C]; none of drawings for no class.
        bits: Bits of a pixel: 1 where values are 0 and 1, else 8.
        points: How many points of the plane its one image shows; 0 where drawings are images.
    """

    names: list[str]
    counts: list[int]
    images: np.ndarray
    exemplars: np.ndarray
    bits: int
    points: int = 0

    def kind(self) -> tuple[Any, ...]:
        """What it shares with others, as a key."""
        shape = self.images.shape[1:]
        return (*shape, self.bits, self.points, *self.names, *self.counts, self.exemplars.tobytes())


def collect(
    results: Results,
    parts: Sequence[Results],
    extent: Extent,
    rows: Sequence[int] | None = None,
) -> Collected:
    """The drawings of points, in blocks.

    Args:
        results: The results.
        parts: The results that were joined, beside whose folders the drawings lie.
        extent: How much of the drawings.
        rows: The numbers of the points whose drawings are read; all by default.

    Returns:
        The blocks; damaged and missing files are counted, and cost nothing else.
    """
    out = Collected(extent)
    numbers: dict[str, int] = {}
    kinds: dict[tuple[Any, ...], int] = {}
    pixels: list[bytes] = []
    for sample_id in wanted_samples(results, rows):
        number = numbers.get(sample_id, -1)
        if sample_id and sample_id not in numbers:
            drawings = find_drawings(parts, sample_id)
            if drawings is None:
                there = any(drawings_file(part, sample_id).is_file() for part in parts)
                (out.damaged if there else out.absent).append(sample_id)
            else:
                part = shown(results, drawings, extent)
                of_class = np.bincount(drawings.label) if drawings.label.size else np.zeros(1)
                out.kept = (
                    max(out.kept[0], len(drawings.class_names)),
                    max(out.kept[1], int(of_class.max())),
                )
                number = len(out.sample_kind)
                if part.kind() not in kinds:
                    kinds[part.kind()] = len(out.kinds)
                    out.kinds.append(_described(part))
                out.sample_kind.append(kinds[part.kind()])
                pixels.append(packed(part.images, part.bits))
                if len(pixels) == CHUNK:
                    out.blocks.append(compressed(b"".join(pixels)))
                    pixels = []
            numbers[sample_id] = number
        out.point_sample.append(number)
    if pixels:
        out.blocks.append(compressed(b"".join(pixels)))
    return out


def wanted_samples(results: Results, rows: Sequence[int] | None = None) -> list[str]:
    """The sample whose drawings each point shows.

    Args:
        results: The results.
        rows: The numbers of the points whose drawings are wanted; all by default.

    Returns:
        One id a point; empty for points that have, or are to show, no drawings.
    """
    points = results.points
    if "sample_id" not in points:
        return [""] * len(points)
    done = (points["status"] == "done") & points["sample_id"].notna()
    ids = points["sample_id"].astype(object).where(done, "").tolist()
    if rows is None:
        return ids
    chosen = set(rows)
    return [name if i in chosen else "" for i, name in enumerate(ids)]


def find_drawings(parts: Sequence[Results], sample_id: str) -> Drawings | None:
    """The drawings of a sample, from the first of several results that has them.

    Args:
        parts: The results.
        sample_id: The sample.

    Returns:
        The drawings; None if none of the results has them whole.
    """
    read = (read_drawings(part, sample_id) for part in parts)
    return next((drawings for drawings in read if drawings is not None), None)


def drawings_file(results: Results, sample_id: str) -> Path:
    """The file of the drawings of a sample.

    Args:
        results: The results.
        sample_id: The sample.

    Returns:
        Its path, whether it is there or not.
    """
    return Path(results.folder).parent / "store" / "drawings" / sample_id / "drawings.npz"


def shown(results: Results, drawings: Drawings, extent: Extent) -> Shown:
    """What is shown of the drawings of a sample.

    Classes are evenly spaced in the order of their names, so not chosen, and the same for all
    samples that were drawn for the same classes. Of each class the first drawings are shown.

    Args:
        results: The results.
        drawings: The drawings.
        extent: How much of them.

    Returns:
        The images; of drawings that are points of the plane, one image of all of them.
    """
    if drawings.images.ndim == 2:
        image = _rasterised(results, drawings.images)
        one = image[None, :, :, None]
        return Shown([""], [1], one, one[:0], 1, points=len(drawings.images))
    bits = 8 if drawings.images.ndim == 4 else 1
    every = drawings.images if bits == 8 else drawings.images[..., None]
    if drawings.class_names == NO_CLASS:
        images = every[: extent.classes * extent.drawings]
        counts = [len(images[i : i + extent.drawings]) for i in _starts(images, extent)]
        return Shown([""] * len(counts), counts, images, every[:0], bits)
    exemplars = drawings.exemplars if bits == 8 else drawings.exemplars[..., None]
    names = evenly_spaced(sorted(drawings.class_names), extent.classes)
    labels = [drawings.class_names.index(name) for name in names]
    of_class = [every[drawings.label == label][: extent.drawings] for label in labels]
    return Shown(
        names, [len(part) for part in of_class], np.concatenate(of_class), exemplars[labels], bits
    )


def _starts(images: np.ndarray, extent: Extent) -> range:
    """Where each group of drawings for no class begins; groups are shown as classes are."""
    return range(0, len(images), extent.drawings)


def packed(images: np.ndarray, bits: int) -> bytes:
    """Images as bytes: eight pixels in a byte, the first in its highest bit, or one.

    Args:
        images: uint8 [N, H, W, C].
        bits: Bits of a pixel.

    Returns:
        The bytes; pixels of bits are filled up to a whole byte at the end of all images.
    """
    flat = np.ascontiguousarray(images).reshape(-1)
    return (np.packbits(flat) if bits == 1 else flat).tobytes()


def _described(part: Shown) -> dict[str, Any]:
    """A kind as a page reads it."""
    height, width, channels = part.images.shape[1:]
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "bits": part.bits,
        "names": part.names,
        "counts": part.counts,
        "points": part.points,
        "exemplars": inline(compressed(packed(part.exemplars, part.bits)))
        if len(part.exemplars)
        else "",
    }


def _rasterised(results: Results, points: np.ndarray) -> np.ndarray:
    """Points of the plane as an image of 0 and 1, with all modes of the data inside it."""
    limit = 1.5
    if {"x", "y", "sigma"} <= set(results.modes) and len(results.modes):
        places = results.modes[["x", "y"]].abs().to_numpy(float)
        limit = float(np.nanmax(places) + 6 * np.nanmax(results.modes["sigma"].to_numpy(float)))
    finite = points[np.isfinite(points).all(axis=1)]
    cells = np.floor((finite / limit + 1) / 2 * RASTER).astype(int)
    cells = cells[((cells >= 0) & (cells < RASTER)).all(axis=1)]
    image = np.zeros((RASTER, RASTER), np.uint8)
    image[RASTER - 1 - cells[:, 1], cells[:, 0]] = 1
    return image
