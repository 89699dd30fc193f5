"""Eight Gaussians on a circle, far apart: which of them does a model draw that never saw one?

The usual toy data of papers on adversarial training, as in Yurdakul (2019), Creativity in
generative adversarial networks, with radius sqrt 2 (there 2 / 1.414) and standard deviation
0.05 / sqrt 2. Neighbours are 30.6 standard deviations apart.
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
DRAWINGS_PER_CLASS = 3000
TRAIN_IMAGES = {
    "all": 16_000,
    "without_0": 14_000,
    "without_1": 14_000,
    "without_2": 14_000,
    "without_3": 14_000,
    "without_4": 14_000,
    "without_5": 14_000,
    "without_6": 14_000,
    "without_7": 14_000,
}
FINGERPRINT = "7f881cc903f3"

POINTS = PointSet(
    "gaussians",
    FINGERPRINT,
    eight_on_a_circle(0.05 / math.sqrt(2)),
    (DRAWINGS_PER_CLASS,) * CLASSES,
)


def load(split: str, image_size: int) -> DataSet:
    """The points, 3,000 a class.

    Args:
        split: "all", or "without_k": class k is left out of training, clockwise from the top.
        image_size: of images; points have none.

    Returns:
        float32 [24000, 2].
    """
    return POINTS.load(split)
