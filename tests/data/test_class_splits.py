"""What data sets with novel classes say before images are read, and the order of their images."""

from __future__ import annotations

import numpy as np
import pytest
from made_classes import in_published_order

from oneshot import data
from oneshot.data import cifar100, class_splits, emnist, few_shot, omniglot
from oneshot.paths import DataError
from oneshot.sweep import families
from oneshot.sweep.point import kind_of
from oneshot.sweep.settings import COMMON
from oneshot.types import Kind

# by name: kind, classes, novel ones, images of a class
SETS = {
    "emnist": (Kind.GREYS, 47, 10, 2800),
    "omniglot_rgb": (Kind.COLOUR, 1623, 212, 20),
    "cifar100": (Kind.COLOUR, 100, 20, 600),
}


@pytest.mark.parametrize("name", SETS)
def test_what_is_said_before_images_are_read(name: str) -> None:
    def told(variable: str) -> object:
        return families.constant("data", name, variable)

    kind, classes, novel, images = SETS[name]
    assert kind_of(name) == kind and told("CLASSES") == classes
    assert data.splits(name) == told("SPLITS") == few_shot.SPLITS
    assert told("TRAIN_IMAGES") == dict.fromkeys(few_shot.SPLITS, (classes - novel) * images)
    fewest = 300 if name == "emnist" else images  # the npz of EMNIST has 300
    assert told("DRAWINGS_PER_CLASS") == fewest * 4 // 5
    assert name in COMMON["dataset"].metadata["choices"]
    assert set(few_shot.SPLITS) <= set(COMMON["split"].metadata["choices"])


def test_class_names_are_the_official_ones() -> None:
    assert "".join(emnist.CLASS_NAMES) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    assert len(emnist.BY_CLASS) == 62 and emnist.BY_CLASS[61] == "z"
    small = {c: emnist.CLASS_NAMES[i] for c, i in zip(emnist.BY_CLASS, emnist.MERGED)}
    assert "".join(c for c in small if small[c] != c) == "cijklmopsuvwxyz"
    assert small["c"] == "C" and small["t"] == "t" and small["T"] == "T"
    names = cifar100.CLASS_NAMES
    assert len(set(names)) == 100 and list(names) == sorted(names)
    assert len(omniglot.PUBLISHED.class_names) == 1623


def test_images_stand_class_after_class_in_the_published_order() -> None:
    label = np.array([2, 0, 1, 2, 2, 0, 1, 2, 0, 0, 2])
    order = class_splits.shuffled(label)
    assert np.array_equal(order, in_published_order(np.arange(11), label))


def test_poor_classes_are_named() -> None:
    sizes = np.full(47, 20)
    sizes[[3, 40]] = 19, 0
    label = np.repeat(np.arange(47), sizes)
    with pytest.raises(DataError, match=r"there has fewer than 20 images of: 3, f; help"):
        emnist.EMNIST.demand_images(label, "there", "; help")
    with pytest.raises(DataError, match=r"of: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 37 more"):
        emnist.EMNIST.demand_images(np.array([], np.int64), "there", "")


def test_splits_and_shares_enter_the_fingerprint() -> None:
    rules = emnist.EMNIST.rules()
    assert rules[0] == list(emnist.CLASS_NAMES) and rules[2:] == [90, 80]
    assert rules[1]["classes_2"] == [7, 8, 11, 15, 18, 22, 31, 34, 40, 46]
