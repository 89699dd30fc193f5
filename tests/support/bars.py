"""Images small enough to learn from in seconds."""

from __future__ import annotations

import numpy as np

from oneshot.types import DataSet

SIZE = 16


def bars() -> DataSet:
    """16 classes of 6 images: a speckled bar at a place of the class's own."""
    rng = np.random.default_rng(0)
    images = np.zeros((96, SIZE, SIZE), np.uint8)
    for i in range(96):
        y, x = divmod(i // 6, 4)
        images[i, 3 * y : 3 * y + 6, 3 * x : 3 * x + 5] = rng.random((6, 5)) < 0.9
    parts = np.arange(10), np.arange(10, 13), np.arange(13, 16)
    return DataSet(
        "made", "fixed", "0", images, np.arange(16).repeat(6), tuple(map(str, range(16))), *parts
    )
