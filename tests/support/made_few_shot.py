"""Made data with a class split: images of each class fall into clusters, each easily told."""

from __future__ import annotations

import functools

import numpy as np

from oneshot.data.few_shot import cut
from oneshot.types import DataSet

CLASSES, IMAGES, SIDE, CLUSTERS = 8, 60, 16, 3
NOVEL = np.array([1, 4, 6])


@functools.cache
def clusters(channels: int = 1) -> DataSet:
    """Classes of 60 images in three clusters, so that one image of a class does not tell of all.

    Args:
        channels: 1 for greys, 3 for colour.

    Returns:
        Eight classes, three of them novel: 48 images for shots and pool, 12 for tests.
    """
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (CLASSES, CLUSTERS, channels, SIDE // 4, SIDE // 4))
    middles = coarse.repeat(4, axis=3).repeat(4, axis=4)
    label = np.arange(CLASSES).repeat(IMAGES)
    images = middles[label, rng.integers(CLUSTERS, size=len(label))]
    images = np.clip(images + rng.normal(0, 25, images.shape), 0, 255).astype(np.uint8)
    base = np.setdiff1d(np.arange(CLASSES), NOVEL)
    names = tuple(f"class {c}" for c in range(CLASSES))
    nothing = NOVEL[:0]
    return DataSet(
        "made", "classes_0", "0", images, label, names, base, nothing, NOVEL, cut(label, NOVEL)
    )
