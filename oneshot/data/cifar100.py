"""CIFAR-100: small colour photographs of a hundred kinds of things; a split makes 20 novel.

Krizhevsky 2009. Looked for in the places of `paths.user_folders`: the official folder
`cifar-100-python`. Training and test images of a class are one class here, 600 images. No image of
it is part of this package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oneshot.data.cifar_files import Batches
from oneshot.data.class_splits import ClassSplits, Content
from oneshot.data.content import Contents
from oneshot.paths import DataError, locate
from oneshot.sweep.point import data_fingerprint
from oneshot.types import DataSet

CHANNELS = 3
CLASSES = 100
SPLITS = ("classes_0", "classes_1", "classes_2", "classes_3", "classes_4")
# of base classes; read without importing this file, for estimates of cost
TRAIN_IMAGES = {
    "classes_0": 48_000,
    "classes_1": 48_000,
    "classes_2": 48_000,
    "classes_3": 48_000,
    "classes_4": 48_000,
}
DRAWINGS_PER_CLASS = 480  # that shots of a novel class are chosen from
FINGERPRINT = "folder"
# not `train` alone, as folders of other data have that name
FINGERPRINT_FILES = (
    *("cifar-100-python/train", "cifar-100-python/test"),
    "cifar-100-python/cifar-100-python/train",  # as archives of other sites unpack
)

FILES = ("train", "test")
HELP = "\n  help: put the official folder cifar-100-python there again"
BATCH = Batches("CIFAR-100", b"fine_labels", CLASSES, HELP)
# fmt: off
CLASS_NAMES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
    "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
    "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
    "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
    "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
    "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
    "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone",
    "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)
# fmt: on
CIFAR100 = ClassSplits("cifar100", CLASS_NAMES, CHANNELS, novel=20)


def load(split: str, image_size: int) -> DataSet:
    """CIFAR-100 in colour, averaged over areas unless the size is 32.

    Args:
        split: "classes_0" .. "classes_4": which 20 classes are novel.
        image_size: S, height and width in pixels.

    Returns:
        Images uint8 [N, 3, S, S], their classes and parts.

    Raises:
        DataError: the images are absent or damaged.
    """
    source = located()
    return CIFAR100.load(split, image_size, data_fingerprint("cifar100"), lambda: read(source))


def located() -> Path:
    """A file of the official folder. Raises DataError if there is none."""
    return locate("CIFAR-100", "cifar100", FINGERPRINT_FILES, "the folder cifar-100-python")


def check(image_size: int, greys: bool) -> None:
    """Make sure that both files of the official folder are here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed; photographs have none.

    Raises:
        DataError: they are not.
    """
    contents(located())


def contents(source: Path) -> Contents:
    """The files that `read` reads, and the splits. Raises DataError if one is missing."""
    files = {name: source.parent / name for name in FILES}
    missing = next((path for path in files.values() if not path.is_file()), None)
    if missing is not None:
        raise DataError(f"{missing} is missing{HELP}")
    return Contents(files, CIFAR100.rules())


def read(source: Path) -> Content:
    """Read every image and its class, training images first.

    Returns:
        Images uint8 [N, 3, 32, 32] and classes int64 [N].

    Raises:
        DataError: a file is missing or damaged; it is named.
    """
    parts = [BATCH.read(source.parent / name) for name in FILES]
    images, label = (np.concatenate(arrays) for arrays in zip(*parts))
    CIFAR100.demand_images(label, source.parent, HELP)
    return images, label
