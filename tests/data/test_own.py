"""Images of data sets of the user's: checked, sorted and split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from own_data_files import forgotten_data, write

from oneshot import data as datasets
from oneshot.paths import DataError
from oneshot.sweep import own_data

__all__ = ["forgotten_data"]
pytestmark = pytest.mark.usefixtures("forgotten_data")
LAST = "return np.stack(images), np.array(label),"


def test_images_are_sorted_and_classes_split_by_their_names(tmp_path: Path) -> None:
    own_data.use_file(str(write(tmp_path)), None)
    data = datasets.load("crosses", "fixed", 16)
    own_data.use_file(
        str(write(tmp_path, old=LAST, new="return np.stack(images)[::-1], np.array(label)[::-1],")),
        None,
    )
    other = datasets.load("crosses", "fixed", 16)
    assert (np.diff(data.label) >= 0).all() and (other.label == data.label).all()
    assert other.images.reshape(100, 20, -1).sum() == data.images.sum()
    assert (len(data.train), len(data.validation), len(data.test)) == (70, 10, 20)
    together = np.concatenate([data.train, data.validation, data.test])
    assert sorted(together) == list(range(100)) and data.fingerprint == "v1-1"
    assert (data.test == other.test).all() and data.class_names[3] == "cross 03"
    assert not data.images.flags.writeable
    with pytest.raises(DataError, match="crosses has no split 'weak'"):
        datasets.load("crosses", "weak", 16)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("return np.stack(images) * 2, np.array(label),", "images hold 2; bits are 0"),
        ("return np.stack(images) / 1, np.array(label),", "images are float64 [2000, 16, 16]"),
        ("return np.stack(images)[:, 1:], np.array(label),", "wanted uint8 [N, 16, 16]"),
        ("return np.stack(images), np.array(label) / 2,", "labels are no whole numbers"),
        ("return np.stack(images), np.array(label) + 1,", "labels go from 1 to 100"),
        ("return np.stack(images)[1:], np.array(label)[1:],", "class cross 00 has 19 images"),
        ("return np.stack(images), np.array(label), [],", "load must return images, labels"),
    ],
)
def test_what_is_wrong_with_images_is_told(new: str, told: str, tmp_path: Path) -> None:
    own_data.use_file(str(write(tmp_path, old=LAST, new=new)), None)
    with pytest.raises(DataError) as wrong:
        datasets.load("crosses", "fixed", 16)
    assert told in str(wrong.value) and "crosses.py: " in str(wrong.value)


def test_class_names_must_be_as_many_as_the_file_says(tmp_path: Path) -> None:
    own_data.use_file(str(write(tmp_path, old='f"cross {c:02}"', new='"cross"')), None)
    with pytest.raises(DataError, match="1 different names of classes, and CLASSES = 100"):
        datasets.load("crosses", "fixed", 16)
