"""Eight Gaussians on a circle, of which two hold half of all points; else as `gaussians`.

Top and bottom have three times as many points as each of the others: does a model that covers all
modes still do so where some are rare?
"""

from __future__ import annotations

import math

from oneshot.data.points import PointSet, eight_on_a_circle
from oneshot.types import DataSet

KIND = "points"
CLASSES = 8
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
)
DRAWINGS_PER_CLASS = 1998  # of the rare ones
TRAIN_IMAGES = {
    "all": 15_984,
    "without_0": 11_988,
    "without_1": 14_652,
    "without_2": 14_652,
    "without_3": 14_652,
    "without_4": 11_988,
    "without_5": 14_652,
    "without_6": 14_652,
    "without_7": 14_652,
}
FINGERPRINT = "da675f0515c0"

FAVOURED = (0, 4)
POINTS = PointSet(
    "gaussians_uneven",
    FINGERPRINT,
    eight_on_a_circle(0.05 / math.sqrt(2)),
    tuple(DRAWINGS_PER_CLASS * (3 if mode in FAVOURED else 1) for mode in range(CLASSES)),
)


def load(split: str, image_size: int) -> DataSet:
    """The points, 5,994 of top and bottom, 1,998 of each other class.

    Args:
        split: "all", or "without_k": class k is left out of training, clockwise from the top.
        image_size: of images; points have none.

    Returns:
        float32 [23976, 2].
    """
    return POINTS.load(split)
