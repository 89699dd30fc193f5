"""A data set of the user's in the form of those of the package: checked, sorted and split."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from oneshot.data import by_hash
from oneshot.paths import DataError
from oneshot.sweep import own_data
from oneshot.sweep.own_data import OwnData
from oneshot.types import DataSet, Kind


class OwnDataSet:
    """What a file of a data set is to `oneshot.data`, of one of the user's.

    Attributes:
        SPLITS: its splits.
        FINGERPRINT: what stands for its images in ids.
    """

    def __init__(self, own: OwnData, fingerprint: str):
        self.own, self._fingerprint = own, fingerprint
        self.SPLITS = own.constants["SPLITS"]
        self.FINGERPRINT = own.constants["FINGERPRINT"]

    def load(self, split: str, image_size: int) -> DataSet:
        """The images, sorted by class, with the class split.

        Args:
            split: the only one.
            image_size: height and width in pixels.

        Returns:
            The data set.

        Raises:
            DataError: the file returns what is no data set of its CLASSES.
            Exception: whatever it raises.
        """
        images, label, names = _loaded(self.own, image_size)
        order = by_hash(names)
        test, validation = self.own.test, self.own.validation
        return DataSet(
            self.own.name,
            split,
            self._fingerprint,
            images,
            label,
            names,
            np.sort(order[test + validation :]),
            np.sort(order[test : test + validation]),
            np.sort(order[:test]),
        )


@functools.lru_cache(maxsize=2)  # a process asks for the same images again and again
def _loaded(own: OwnData, image_size: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images sorted by label, labels and class names, as the file of the user's makes them."""
    given: Any = own_data.module(own).load(image_size)
    try:
        images, label, names = given
        images, label = np.asarray(images), np.asarray(label)
        names = tuple(map(str, names))
    except (TypeError, ValueError):
        raise _wrong(own, "load must return images, labels and class names") from None
    kind, count = own.constants["KIND"], len(images)
    shape = (image_size, image_size) if kind == Kind.BITS else (3, image_size, image_size)
    if images.dtype != np.uint8 or images.shape != (count, *shape):
        wanted = f"uint8 [N, {', '.join(map(str, shape))}]"
        raise _wrong(own, f"images are {images.dtype} {list(images.shape)}, wanted {wanted}")
    if kind == Kind.BITS and count and images.max() > 1:
        raise _wrong(own, f"images hold {images.max()}; bits are 0 (paper) and 1 (ink)")
    if label.shape != (count,) or label.dtype.kind not in "iu":
        raise _wrong(own, "labels are no whole numbers, one an image")
    if len(set(names)) < len(names) or len(names) != own.constants["CLASSES"]:
        different = f"{len(set(names))} different names"
        raise _wrong(own, f"{different} of classes, and CLASSES = {own.constants['CLASSES']}")
    if count and not 0 <= label.min() <= label.max() < len(names):
        raise _wrong(own, f"labels go from {label.min()} to {label.max()}, beyond the class names")
    each = np.bincount(label.astype(np.int64), minlength=len(names))
    if each.min() < own.constants["DRAWINGS_PER_CLASS"]:
        text = f"class {names[int(each.argmin())]} has {each.min()} images"
        raise _wrong(own, f"{text}; IMAGES_PER_CLASS = {own.constants['DRAWINGS_PER_CLASS']}")
    order = np.argsort(label, kind="stable")
    images, label = np.ascontiguousarray(images[order]), label[order].astype(np.int64)
    images.flags.writeable = label.flags.writeable = False
    return images, label, names


def _wrong(own: OwnData, text: str) -> DataError:
    """The error of a file that returns something else."""
    return DataError(f"{own.file.shown}: {text}")
