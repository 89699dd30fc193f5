"""Quick, Draw!: 345 kinds of things drawn by players of a game; embedded, 28 x 28, 1 bit.

80 drawings of each, made in under 20 seconds. Made by `build_quickdraw.py`; licence, attribution
and changes in QUICKDRAW.md (CC BY 4.0, Google, Inc.). Ha and Eck (2017), A Neural Representation of
Sketch Drawings, arXiv:1704.03477.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from oneshot.data import VERSION, by_hash
from oneshot.data.images import greys as area_average
from oneshot.data.images import resize_bits, unpacked_chunks
from oneshot.paths import DataError
from oneshot.store.machine_cache import cached
from oneshot.types import DataSet

SPLITS = ("fixed",)
DRAWINGS_PER_CLASS = 80
TRAIN_IMAGES = {"fixed": 19_360}  # read without importing this file, for estimates of cost
TEST_CLASSES = {"fixed": 69}  # likewise, for checks
FINGERPRINT = "39a7899d7907"

CLASSES, DRAWINGS, SIDE = 345, 80, 28
TEST, VALIDATION = 69, 34  # classes; the remaining 242 are for training
FILE = Path(__file__).with_name(f"quickdraw_{CLASSES}x{DRAWINGS}.npz")


def load(split: str, image_size: int) -> DataSet:
    """Quick, Draw! with 80 images a class; 28 pixels are their own size, others are resized.

    Args:
        split: "fixed" orders the classes by the SHA-256 of their names: the first 69 are test
            classes, the next 34 validation.
        image_size: S, height and width in pixels.

    Returns:
        Images uint8 [N, S, S] of 0 and 1 (`resize_bits`) and the classes of the split.

    Raises:
        DataError: the embedded file is absent or damaged.
    """

    def prepared() -> Iterator[np.ndarray]:
        packed, names = read_file()
        if content_hash(packed, names)[: len(FINGERPRINT)] != FINGERPRINT:
            raise DataError(
                f"{FILE} is damaged: its content does not have the fingerprint {FINGERPRINT}\n "
                " help: install oneshot again"
            )
        return (resize_bits(bits, image_size) for bits in unpacked_chunks(packed, SIDE))

    shape = (CLASSES * DRAWINGS, image_size, image_size)
    images = cached(f"quickdraw-{image_size}-{FINGERPRINT}-v{VERSION}.npy", shape, prepared)
    names = class_names()
    train, validation, test = class_split(names)
    label = np.repeat(np.arange(CLASSES), DRAWINGS)
    return DataSet(
        "quickdraw",
        split,
        f"{FINGERPRINT}-{VERSION}",
        images,
        label,
        names,
        train,
        validation,
        test,
    )


def check(image_size: int, greys: bool) -> None:
    """Make sure that the embedded file is here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed; they can be made.

    Raises:
        DataError: it is absent.
    """
    if not FILE.is_file():
        raise DataError(f"{FILE} is absent\n  help: install oneshot again")


def greys(image_size: int) -> np.ndarray:
    """The images of `load` as exact averages over the area of each pixel: uint8 [N, S, S].

    255 is full ink.
    """

    def prepared() -> Iterator[np.ndarray]:
        return (area_average(bits, image_size) for bits in unpacked_chunks(read_file()[0], SIDE))

    shape = (CLASSES * DRAWINGS, image_size, image_size)
    return cached(f"quickdraw-grey-{image_size}-{FINGERPRINT}-v{VERSION}.npy", shape, prepared)


def class_split(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The train, validation and test classes: sorted int64 ids, disjoint, together every class."""
    order = by_hash(names)
    return (
        np.sort(order[TEST + VALIDATION :]),
        np.sort(order[TEST : TEST + VALIDATION]),
        np.sort(order[:TEST]),
    )


def content_hash(packed: np.ndarray, names: Sequence[str]) -> str:
    """The SHA-256 of class names and images, in hex.

    Args:
        packed: uint8 [N, 98], sorted by class.
        names: the class names.

    Returns:
        64 hex digits.
    """
    return hashlib.sha256("\n".join(names).encode() + packed.tobytes()).hexdigest()


def class_names() -> tuple[str, ...]:
    """The 345 class names, sorted by code point.

    Raises:
        DataError: the embedded file is absent or damaged.
    """
    return tuple(_member("class_names").tolist())


def read_file() -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the embedded drawings and their class names.

    Returns:
        uint8 [27600, 98], packed and sorted by class, and the 345 names.

    Raises:
        DataError: the embedded file is absent or damaged.
    """
    return _member("packed"), class_names()


def _member(name: str) -> np.ndarray:
    try:
        with np.load(FILE, allow_pickle=False) as file:
            array: np.ndarray = file[name]
            return array
    except Exception as error:
        # a damaged npz raises nearly anything: BadZipFile, zlib.error, KeyError, ValueError,
        # OSError
        raise DataError(
            f"{FILE} is absent or damaged: {error}\n  help: install oneshot again"
        ) from error
