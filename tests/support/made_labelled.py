"""Made data whose classes are cut into parts: greys, and points of the plane."""

from __future__ import annotations

import numpy as np

from oneshot.types import DataSet, Part

CLASSES, IMAGES, SIDE = 5, 30, 16


def made(
    kind: str, without: int | None = None, classes: int = CLASSES, side: int = SIDE
) -> DataSet:
    """Classes of 30 items: 20 for training, 4 for selection, 6 for tests.

    Args:
        kind: "greys" or "points".
        without: the class that is left out of training.
        classes: their number.
        side: of a grey image, in pixels.

    Returns:
        The data; a grey image has its class and number in two pixels, a point lies near (class, 0).
    """
    rng = np.random.default_rng(0)
    label = np.arange(classes).repeat(IMAGES)
    part = np.tile(np.repeat(np.array([*Part], np.uint8), (20, 4, 6)), classes)
    if kind == "points":
        items = rng.normal(0, 0.05, (len(label), 2)).astype(np.float32)
        items[:, 0] += label
    else:
        items = rng.integers(0, 256, (len(label), 1, side, side), np.uint8)
        items[:, 0, 0, 0], items[:, 0, 0, 1] = label, np.tile(np.arange(IMAGES), classes)
    kept = np.array([c for c in range(classes) if c != without])
    left = np.array([] if without is None else [without], np.int64)
    names = tuple(f"class {c}" for c in range(classes))
    return DataSet("made", "all", "0", items, label, names, kept, left[:0], left, part)
