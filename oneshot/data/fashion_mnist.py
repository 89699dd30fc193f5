"""Fashion-MNIST: photographs of clothes in grey, ten kinds; a split may leave one of them out.

Xiao, Rasul and Vollgraf 2017, MIT licence, copyright (c) 2017 Zalando SE. Looked for in the places
of `paths.user_folders`: the four official files in a folder `fashion_mnist`, or as Debian's package
`dataset-fashion-mnist` or other packages lay them; or `fashion_mnist_test_10k.npz` (the official
test images). Which images are for training and which for tests, `grey_parts.py` says. No image of
it is part of this package.
"""

from __future__ import annotations

from pathlib import Path

from oneshot.data import grey_parts
from oneshot.data.content import Contents
from oneshot.data.idx_files import FASHION_MNIST
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
    "all": 55_000, "without_0": 49_500, "without_1": 49_500, "without_2": 49_500,
    "without_3": 49_500, "without_4": 49_500, "without_5": 49_500, "without_6": 49_500,
    "without_7": 49_500, "without_8": 49_500, "without_9": 49_500,
}
# fmt: on
DRAWINGS_PER_CLASS = 800  # the fewest that are for training, of the npz
FINGERPRINT = "folder"
FINGERPRINT_FILES = grey_parts.names(FASHION_MNIST)
# fmt: off
CLASS_NAMES = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)
# fmt: on


def load(split: str, image_size: int) -> DataSet:
    """Fashion-MNIST in grey, on black.

    Args:
        split: "all", or "without_3" and its like, which leaves class 3 out of training.
        image_size: S, height and width in pixels; others than 28 are exact averages over areas.

    Returns:
        Images uint8 [N, 1, S, S] of 0 .. 255, their classes and parts.

    Raises:
        DataError: the images are absent or damaged.
    """
    return grey_parts.load(FASHION_MNIST, CLASS_NAMES, SPLITS, split, image_size)


def check(image_size: int, greys: bool) -> None:
    """Make sure that images and labels are here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed, which there always are.

    Raises:
        DataError: they are not.
    """
    grey_parts.contents(FASHION_MNIST)


def contents(source: Path) -> Contents:
    """The files that count, and how classes are cut; wherever one of them was found."""
    return grey_parts.contents(FASHION_MNIST)
