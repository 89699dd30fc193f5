"""A spiral of one and a half turns in eight arcs: does a model go on across a gap in a curve?

(t cos t, t sin t) / 7.5 for t from 1.5 pi to 4.5 pi, each arc an eighth of the range of t, with
noise of standard deviation 0.25 / 7.5 along either axis. An arc is 200 Gaussians in line, at most a
third of a standard deviation apart.
"""

from __future__ import annotations

import math

import numpy as np

from oneshot.data.points import Modes, PointSet
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
FINGERPRINT = "7fea908b3030"

OF_ARC = 200  # Gaussians
SCALE = 7.5


def _modes() -> Modes:
    """The arcs from the inside to the outside, the middle of each Gaussian's share of t."""
    count = OF_ARC * CLASSES
    t = 1.5 * math.pi + 3 * math.pi * (np.arange(count) + 0.5) / count
    centres = np.stack([t * np.cos(t), t * np.sin(t)], 1) / SCALE
    names = tuple(f"arc {arc + 1}" for arc in range(CLASSES))
    return Modes(names, centres, np.arange(CLASSES).repeat(OF_ARC), 0.25 / SCALE)


POINTS = PointSet("swiss_roll", FINGERPRINT, _modes(), (DRAWINGS_PER_CLASS,) * CLASSES)


def load(split: str, image_size: int) -> DataSet:
    """The points, 3,000 an arc.

    Args:
        split: "all", or "without_k": arc k is left out of training, from the inside.
        image_size: of images; points have none.

    Returns:
        float32 [24000, 2].
    """
    return POINTS.load(split)
