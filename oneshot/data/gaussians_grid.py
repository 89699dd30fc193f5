"""25 Gaussians on a grid of 5 x 5: how many modes does a model cover, and what of a missing one?

Neighbours are sqrt 2 apart, the standard deviation is 0.05 / sqrt 2.
"""

from __future__ import annotations

import math

import numpy as np

from oneshot.data.points import Modes, PointSet
from oneshot.types import DataSet

KIND = "points"
CLASSES = 25
SPLITS = (
    "all",
    "without_0",
    "without_1",
    "without_2",
    "without_3",
    "without_4",
    "without_5",
    "without_6",
    "without_7",
    "without_8",
    "without_9",
    "without_10",
    "without_11",
    "without_12",
    "without_13",
    "without_14",
    "without_15",
    "without_16",
    "without_17",
    "without_18",
    "without_19",
    "without_20",
    "without_21",
    "without_22",
    "without_23",
    "without_24",
)
DRAWINGS_PER_CLASS = 1200
TRAIN_IMAGES = {
    "all": 20_000,
    "without_0": 19_200,
    "without_1": 19_200,
    "without_2": 19_200,
    "without_3": 19_200,
    "without_4": 19_200,
    "without_5": 19_200,
    "without_6": 19_200,
    "without_7": 19_200,
    "without_8": 19_200,
    "without_9": 19_200,
    "without_10": 19_200,
    "without_11": 19_200,
    "without_12": 19_200,
    "without_13": 19_200,
    "without_14": 19_200,
    "without_15": 19_200,
    "without_16": 19_200,
    "without_17": 19_200,
    "without_18": 19_200,
    "without_19": 19_200,
    "without_20": 19_200,
    "without_21": 19_200,
    "without_22": 19_200,
    "without_23": 19_200,
    "without_24": 19_200,
}
FINGERPRINT = "0cd757dd2498"

SIDE = 5


def _modes() -> Modes:
    """Row after row from the top, each from the left."""
    row, column = np.divmod(np.arange(CLASSES), SIDE)
    places = np.stack([column - SIDE // 2, SIDE // 2 - row], 1)
    names = tuple(f"row {r + 1}, column {c + 1}" for r, c in zip(row.tolist(), column.tolist()))
    return Modes(names, math.sqrt(2) * places, np.arange(CLASSES), 0.05 / math.sqrt(2))


POINTS = PointSet("gaussians_grid", FINGERPRINT, _modes(), (DRAWINGS_PER_CLASS,) * CLASSES)


def load(split: str, image_size: int) -> DataSet:
    """The points, 1,200 a class.

    Args:
        split: "all", or "without_k": class k is left out of training, row after row from the top.
        image_size: of images; points have none.

    Returns:
        float32 [30000, 2].
    """
    return POINTS.load(split)
