"""Quick, Draw! in clusters: of each of its categories two groups of 20 drawings that are alike.

A category of Quick, Draw! holds many ways to draw a thing, so that one drawing of it says little
about the others. Here each of 690 concepts, `door.1` and `door.2` and so on, is one way, as in
Boutin et al. (2023), Diffusion models as artists, arXiv:2301.11722, who cut the categories into
clusters as well. `drawing_clusters.py` finds them; embedded, 28 x 28, 1 bit. Licence, attribution
and changes in QUICKDRAW.md (CC BY 4.0, Google, Inc.).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from oneshot.data import quickdraw
from oneshot.data.embedded import Embedded
from oneshot.types import DataSet

SPLITS = ("fixed",)
DRAWINGS_PER_CLASS = 20
TRAIN_IMAGES = {"fixed": 9_680}  # read without importing this file, for estimates of cost
TEST_CLASSES = {"fixed": 138}  # likewise, for checks
FINGERPRINT = "590a5c7d728d"

CLUSTERS = 2  # of each category
CLASSES, DRAWINGS = 345 * CLUSTERS, 20
FILE = Path(__file__).with_name(f"quickdraw_clusters_{CLASSES}x{DRAWINGS}.npz")
EMBEDDED = Embedded("quickdraw_clusters", FILE, FINGERPRINT, CLASSES, DRAWINGS)


def load(split: str, image_size: int) -> DataSet:
    """The clusters, 20 images each; 28 pixels are their own size, others are resized.

    Args:
        split: "fixed" has the categories of the split of `quickdraw`, with both clusters of each.
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
    """The train, validation and test classes: sorted int64 ids, disjoint, together every class.

    The clusters of a category are in the same part, so that no model has learnt from drawings of
    the things that it is tested on.
    """
    categories = list(dict.fromkeys(map(category, names)))
    number = {name: i for i, name in enumerate(categories)}
    category_of = np.array([number[category(name)] for name in names])
    train, validation, test = (
        np.flatnonzero(np.isin(category_of, part)) for part in quickdraw.class_split(categories)
    )
    return train, validation, test


def category(name: str) -> str:
    """The category of a concept: "door" of "door.2"."""
    return name.rpartition(".")[0]
