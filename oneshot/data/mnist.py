"""MNIST: handwritten digits in grey; a split may leave one of them out.

LeCun et al. 1998. Looked for in the places of `paths.user_folders`: the four official files, plain
or with .gz, or `mnist_10k.npz` (10,000 of the training digits). Which images are for training and
which for tests, `grey_parts.py` says. No image of it is part of this package.
"""

from __future__ import annotations

from pathlib import Path

from oneshot.data import grey_parts
from oneshot.data.content import Contents
from oneshot.data.idx_files import MNIST
from oneshot.types import DataSet

KIND = "greys"
CLASSES = 10
# fmt: off
SPLITS = (
    "all", "without_0", "without_1", "without_2", "without_3", "without_4", "without_5",
    "without_6", "without_7", "without_8", "without_9",
)
# Of the official files; the npz has 8,000. Read without importing this file, for estimates of cost.
TRAIN_IMAGES = {
    "all": 55_000, "without_0": 49_577, "without_1": 48_758, "without_2": 49_542,
    "without_3": 49_369, "without_4": 49_658, "without_5": 50_079, "without_6": 49_582,
    "without_7": 49_235, "without_8": 49_649, "without_9": 49_551,
}
# fmt: on
DRAWINGS_PER_CLASS = 690  # the fewest that are for training, of the npz
FINGERPRINT = "folder"
FINGERPRINT_FILES = grey_parts.names(MNIST)
CLASS_NAMES = tuple(map(str, range(CLASSES)))


def load(split: str, image_size: int) -> DataSet:
    """MNIST in grey, ink bright.

    Args:
        split: "all", or "without_3" and its like, which leaves that digit out of training.
        image_size: S, height and width in pixels; others than 28 are exact averages over areas.

    Returns:
        Images uint8 [N, 1, S, S] of 0 .. 255, their classes and parts.

    Raises:
        DataError: the images are absent or damaged.
    """
    return grey_parts.load(MNIST, CLASS_NAMES, SPLITS, split, image_size)


def check(image_size: int, greys: bool) -> None:
    """Make sure that images and labels are here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed, which there always are.

    Raises:
        DataError: they are not.
    """
    grey_parts.contents(MNIST)


def contents(source: Path) -> Contents:
    """The files that count, and how classes are cut; wherever one of them was found."""
    return grey_parts.contents(MNIST)
