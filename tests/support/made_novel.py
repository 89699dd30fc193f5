"""Made greys split into base and novel classes: each class is a bar of its own, and noise."""

from __future__ import annotations

import numpy as np

from oneshot.data import few_shot
from oneshot.types import DataSet

CLASSES, NOVEL, IMAGES, SIDE = 8, 3, 30, 16


def made(
    split: str = "classes_0",
    classes: int = CLASSES,
    novel: int = NOVEL,
    images: int = IMAGES,
    side: int = SIDE,
) -> DataSet:
    """Images [N, 1, S, S] whose class is the place of a bright bar.

    Args:
        split: which of the classes are novel.
        classes: their number.
        novel: how many of them are novel.
        images: of a class.
        side: S, in pixels.

    Returns:
        The data, cut into parts as data sets of the package are.
    """
    rng = np.random.default_rng(0)
    label = np.arange(classes).repeat(images)
    pixels = rng.integers(0, 120, (len(label), 1, side, side), np.uint8)
    for row, c in enumerate(label):
        place = 1 + c * (side - 2) // classes + rng.integers(0, 2)
        pixels[row, 0, 2:-2, place : place + 2] = rng.integers(180, 256)
    base, left = few_shot.class_split(classes, novel, split)
    part = few_shot.cut(label, left)
    names = tuple(f"class {c}" for c in range(classes))
    return DataSet("made", split, "0", pixels, label, names, base, left[:0], left, part)
