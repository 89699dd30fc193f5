"""Quick, Draw!: 345 kinds of things drawn by players of a game; embedded, 28 x 28, 1 bit.

80 drawings of each, made in under 20 seconds. Made by `build_quickdraw.py`; licence, attribution
and changes in QUICKDRAW.md (CC BY 4.0, Google, Inc.). Ha and Eck (2017), A Neural Representation of
Sketch Drawings, arXiv:1704.03477. `quickdraw_clusters.py` has drawings that are more alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oneshot.data import by_hash
from oneshot.data.embedded import Embedded
from oneshot.types import DataSet

SPLITS = ("fixed",)
DRAWINGS_PER_CLASS = 80
TRAIN_IMAGES = {"fixed": 19_360}  # read without importing this file, for estimates of cost
TEST_CLASSES = {"fixed": 69}  # likewise, for checks
FINGERPRINT = "39a7899d7907"

CLASSES, DRAWINGS = 345, 80
TEST, VALIDATION = 69, 34  # classes; the remaining 242 are for training
FILE = Path(__file__).with_name(f"quickdraw_{CLASSES}x{DRAWINGS}.npz")
EMBEDDED = Embedded("quickdraw", FILE, FINGERPRINT, CLASSES, DRAWINGS)


def load(split: str, image_size: int) -> DataSet:
    """Quick, Draw! with 80 images a class; 28 pixels are their own size, others are resized.

    Args:
        split: "fixed" orders the classes by the SHA-256 of their names: the first 69 are test
            classes, the next 34 validation.
        image_size: S, height and width in pixels.

    Returns:
        Images uint8 [N, S, S] of 0 and 1 and the classes of the split.

    Raises:
        DataError: the embedded file is absent or damaged.
    """
    return EMBEDDED.load(split, image_size, class_split(EMBEDDED.class_names()))


def check(image_size: int, greys: bool) -> None:
    """Make sure that the embedded file is here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed; they can be made.

    Raises:
        DataError: it is absent.
    """
    EMBEDDED.check()


def greys(image_size: int) -> np.ndarray:
    """The images of `load` as exact averages over the area of each pixel: uint8 [N, S, S].

    255 is full ink.
    """
    return EMBEDDED.greys(image_size)


def class_split(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The train, validation and test classes: sorted int64 ids, disjoint, together every class."""
    order = by_hash(names)
    return (
        np.sort(order[TEST + VALIDATION :]),
        np.sort(order[TEST : TEST + VALIDATION]),
        np.sort(order[:TEST]),
    )
