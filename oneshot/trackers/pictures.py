"""The drawings of a point as one image, and the orderly sheets of families that make some."""

from __future__ import annotations

import numpy as np

from oneshot.scoring import sample, sheet_files
from oneshot.store.store import DamagedFile, Store, Unavailable
from oneshot.types import Drawings

CLASSES, DRAWINGS = 10, 10
SHORTEST_SIDE = 48  # of an image in a sheet; smaller ones are enlarged by a whole number
GAP, PAPER, GROUND = 2, 255, 200
POINTS_SIDE, POINTS_SPREAD = 256, 1.1


def sheets_of(store: Store, sample_id: str) -> dict[str, np.ndarray]:
    """The sheets of a point; those that are absent or damaged are left out.

    Args:
        store: holds drawings and sheets.
        sample_id: of the point.

    Returns:
        By name, uint8 [H, W, 3].
    """
    found = {}
    key = f"store/drawings/{sample_id}/drawings.npz"
    try:
        drawings = sample.from_bytes(store.read(key), store.path(key))
        if len(drawings.images):
            found["drawings"] = sheet(drawings)
    except (OSError, DamagedFile):
        pass
    for key in _orderly(store, sample_id):
        try:
            images = sheet_files.from_bytes(store.read(key), store.path(key))
        except (OSError, DamagedFile):
            continue
        found[key.rpartition("/")[2].removesuffix(".npz")] = _tiled(images)
    return found


def sheet(drawings: Drawings) -> np.ndarray:
    """Drawings as an image: a line a class, its exemplar, then the first that were drawn for it.

    Drawings that are points of the plane become one image of all of them. Classes are evenly
    spaced, so not chosen; drawings for no class fill the lines.

    Args:
        drawings: of a point; at least one.

    Returns:
        uint8 [H, W, 3].
    """
    images = np.asarray(drawings.images)
    if images.ndim == 2:
        return _scattered(images)
    names = list(drawings.class_names)
    if not len(drawings.exemplars) or len(names) < 2:
        count = min(len(images), CLASSES * DRAWINGS)
        return _tiled(_filled(_colour(images[:count])))
    chosen = np.unique(np.linspace(0, len(names) - 1, CLASSES).round().astype(int))
    lines = []
    for label in chosen:
        drawn = _colour(images[drawings.label == label][:DRAWINGS])
        line = np.full((DRAWINGS + 1, *drawn.shape[1:]), GROUND, np.uint8)
        line[0] = _colour(np.asarray(drawings.exemplars)[label : label + 1])[0]
        line[1 : 1 + len(drawn)] = drawn
        lines.append(line)
    return _tiled(np.stack(lines), first_apart=True)


def _orderly(store: Store, sample_id: str) -> list[str]:
    """The keys of the sheets that a family made of a point."""
    try:
        return store.keys(f"{sheet_files.FOLDER}/{sample_id}")
    except (FileNotFoundError, Unavailable):
        return []


def _colour(images: np.ndarray) -> np.ndarray:
    """Images as uint8 [N, H, W, 3]: bits as dark ink on paper, greys and colours as they are."""
    if images.ndim == 3:
        images = np.where(images, 0, PAPER)[..., None].astype(np.uint8)
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _filled(images: np.ndarray) -> np.ndarray:
    """Images in lines of DRAWINGS, the last one filled up."""
    lines = -(-len(images) // DRAWINGS)
    full = np.full((lines * DRAWINGS, *images.shape[1:]), GROUND, np.uint8)
    full[: len(images)] = images
    return full.reshape(lines, DRAWINGS, *images.shape[1:])


def _tiled(images: np.ndarray, first_apart: bool = False) -> np.ndarray:
    """Images in rows and columns as one image, with gaps; a wider one behind the first column.

    Args:
        images: uint8 [rows, columns, H, W, C].
        first_apart: whether the first column stands apart.

    Returns:
        uint8 [H, W, 3].
    """
    rows, columns, height, width = images.shape[:4]
    times = max(-(-SHORTEST_SIDE // max(min(height, width), 1)), 1)
    large = images.repeat(times, axis=2).repeat(times, axis=3)
    down, right = height * times + GAP, width * times + GAP
    extra = 4 * GAP if first_apart else 0
    out = np.full((rows * down + GAP, columns * right + GAP + extra, 3), GROUND, np.uint8)
    for r in range(rows):
        for c in range(columns):
            top, left = GAP + r * down, GAP + c * right + (extra if c else 0)
            out[top : top + down - GAP, left : left + right - GAP] = large[r, c]
    return out


def _scattered(points: np.ndarray) -> np.ndarray:
    """Points of the plane as dark dots on paper; the origin is in the middle."""
    finite = points[np.isfinite(points).all(axis=1)]
    image = np.full((POINTS_SIDE, POINTS_SIDE, 3), PAPER, np.uint8)
    if len(finite):
        limit = POINTS_SPREAD * max(float(np.abs(finite).max()), 1e-9)
        cells = ((finite / limit + 1) / 2 * (POINTS_SIDE - 1)).astype(int)
        image[POINTS_SIDE - 1 - cells[:, 1], cells[:, 0]] = 0
    return image
