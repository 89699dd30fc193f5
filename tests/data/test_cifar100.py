"""CIFAR-100 from a small made folder."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caches import not_asked
from made_classes import in_published_order, write_cifar100

from oneshot import data
from oneshot.data import cifar100
from oneshot.paths import DataError
from oneshot.types import Kind

NOVEL = (
    "bottle bridge chimpanzee couch hamster house keyboard lizard man maple_tree pickup_truck"
    " possum rabbit ray rose streetcar sweet_pepper television tiger willow_tree"
)


@pytest.mark.parametrize("place", ["data", "data/cifar100", "named", "cache/cifar100"])
def test_the_official_folder_is_read_and_the_published_classes_are_novel(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named"))
    images, label = write_cifar100(tmp_path / place)
    assert data.missing("cifar100", {"image_size": 32}) is None
    found = data.load("cifar100", "classes_0", 32)
    assert " ".join(found.class_names[c] for c in found.test) == NOVEL
    assert np.array_equal(found.images, in_published_order(images, label))
    assert np.array_equal(found.label, np.repeat(np.arange(100), 25))
    assert found.kind == Kind.COLOUR and len(found.train) == 80
    halves = data.load("cifar100", "classes_1", 16).images
    blocks = found.images.reshape(2500, 3, 16, 2, 16, 2).sum((3, 5), dtype=int)
    assert np.array_equal(halves, (blocks + 2) // 4)
    monkeypatch.setattr(cifar100, "read", not_asked)
    again = data.load("cifar100", "classes_2", 32)
    assert isinstance(again.images, np.memmap) and np.array_equal(again.images, found.images)


def test_the_folder_may_lie_in_one_of_its_own_name(tmp_path: Path) -> None:
    write_cifar100(tmp_path / "data" / "cifar-100-python")
    assert data.missing("cifar100", {"image_size": 32}) is None
    assert len(data.load("cifar100", "classes_0", 32).images) == 2500


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch was-run",)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({b"data": Evil(), b"fine_labels": []}, "asks for posix.system, which no batch of CIFAR-1"),
        (
            {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [100]},
            r"its labels are not 1 numbers in 0 \.\. 99",
        ),
        # a batch of CIFAR-10
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1]}, "CIFAR-100: b'fine_labels'"),
        ({b"data": np.zeros((1, 3072)), b"fine_labels": [1]}, "its data are not uint8"),
    ],
)
def test_a_file_with_anything_else_in_it_is_named(
    batch: dict[bytes, object], words: str, tmp_path: Path
) -> None:
    write_cifar100(tmp_path / "data")
    path = Path("data/cifar-100-python/test")
    path.write_bytes(pickle.dumps(batch, protocol=3))
    with pytest.raises(DataError, match=f"{path} is no batch of(.|\n)*{words}(.|\n)*help: "):
        data.load("cifar100", "classes_0", 32)
    assert not (tmp_path / "was-run").exists() and not list((tmp_path / "cache").glob("*.npy"))


def test_missing_files_and_poor_classes_are_named(tmp_path: Path) -> None:
    write_cifar100(tmp_path / "data", train=16, test=3)
    with pytest.raises(DataError, match=r"fewer than 20 images of: apple, .* and 90 more"):
        data.load("cifar100", "classes_0", 32)
    (tmp_path / "data" / "cifar-100-python" / "train").unlink()
    with pytest.raises(DataError, match=r"cifar-100-python/train is missing(.|\n)*help: "):
        data.load("cifar100", "classes_0", 32)
    assert "train is missing" in str(data.missing("cifar100", {"image_size": 32}))


def test_an_absent_folder_is_asked_for_and_other_folders_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)  # of another data set
    words = "CIFAR-100 is not here(.|\n)*help: put the folder cifar-100-python into"
    with pytest.raises(DataError, match=f"{words}(.|\n)*./data/cifar100"):
        data.load("cifar100", "classes_0", 32)
    assert data.fingerprint("cifar100").startswith("absent-")
