"""CIFAR-10 from small made folders, and from the file beside the repository."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caches import not_asked
from made_colour import make_batches, old_pickle
from PIL import Image

from oneshot import data
from oneshot.data import by_hash, cifar10
from oneshot.paths import DataError
from oneshot.sweep.point import data_fingerprint


def test_cifar10_reads_the_official_batches_of_both_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, labels = make_batches(tmp_path / "data" / "cifar10")
    data = cifar10.load("fixed", 32)
    assert data.images.shape == (660, 3, 32, 32) and np.array_equal(
        np.bincount(data.label), np.full(10, 66)
    )
    assert np.array_equal(data.images, np.concatenate([pixels[labels == c] for c in range(10)]))
    order = by_hash(data.class_names)
    assert (set(data.test), set(data.validation), set(data.train)) == (
        set(order[:2]),
        set(order[2:4]),
        set(order[4:]),
    )
    assert data.fingerprint == data_fingerprint("cifar10") != "absent-1"
    halves = cifar10.load("fixed", 16).images
    blocks = data.images.reshape(660, 3, 16, 2, 16, 2).sum((3, 5), dtype=int)
    assert np.array_equal(halves, (blocks + 2) // 4)
    monkeypatch.setattr(cifar10, "read", not_asked)
    # both files are in the cache
    assert np.array_equal(cifar10.load("fixed", 32).label, data.label)


@pytest.mark.parametrize(
    "place", ["data", "named", "named/cifar10", "named/cifar10/cifar-10-batches-py"]
)
def test_cifar10_below_a_root_or_in_the_folder_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / place))
    make_batches(tmp_path / place.removesuffix("/cifar-10-batches-py"))
    assert (
        len(cifar10.load("fixed", 32).images) == 660
        and data.missing("cifar10", {"image_size": 32}) is None
    )


@pytest.mark.parametrize("outer", ["cifar-10-batches-py", "cifar-10-python"])
def test_cifar10_in_a_folder_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outer: str
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named"))
    make_batches(tmp_path / "named" / outer)
    nested = cifar10.load("fixed", 32)
    assert len(nested.images) == 660
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named" / outer))
    assert cifar10.load("fixed", 32).fingerprint == nested.fingerprint


class Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch was-run",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            pickle.dumps({b"data": Evil(), b"labels": []}),
            "it asks for posix.system, which no batch of CIFAR-10 does",
        ),
        (
            pickle.dumps({b"data": np.zeros((5, 3072), np.uint8), b"labels": [0] * 4}, protocol=3),
            "its labels are not 5 numbers in 0 .. 9",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, protocol=3),
            "its labels are not 1 numbers",
        ),
        (
            pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [1]}, protocol=3),
            "its data are not uint8",
        ),
        (pickle.dumps({b"labels": [1]}), "is no batch of CIFAR-10: b'data'"),
        (pickle.dumps([1, 2]), "is no batch of CIFAR-10"),
        (old_pickle(np.zeros((1, 3072), np.uint8), [1])[:2000], "is no batch of CIFAR-10"),
        (b"", "is no batch of CIFAR-10"),
    ],
)
def test_a_batch_with_anything_else_in_it_is_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    make_batches(tmp_path / "data" / "cifar10")
    (tmp_path / "data" / "cifar10" / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError) as caught:
        cifar10.load("fixed", 32)
    assert (
        "data_batch_3" in str(caught.value)
        and words in str(caught.value)
        and "\n  help: " in str(caught.value)
    )
    assert not (tmp_path / "was-run").exists() and not list((tmp_path / "cache").glob("*.npy"))


def test_a_missing_batch_and_a_poor_class_are_named(tmp_path: Path) -> None:
    make_batches(tmp_path / "data" / "cifar10")
    folder = tmp_path / "data" / "cifar10" / "cifar-10-batches-py"
    (folder / "test_batch").write_bytes(old_pickle(np.zeros((5, 3072), np.uint8), [1] * 5))
    with pytest.raises(
        DataError,
        match=(
            "cifar-10-batches-py has fewer than 60 images of: airplane, bird, cat, deer, dog, frog,"
            " horse, ship, truck"
        ),
    ):
        cifar10.load("fixed", 32)
    (folder / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch is missing"):
        cifar10.load("fixed", 32)
    assert "test_batch is missing" in str(data.missing("cifar10", {"image_size": 32}))


def save_npz(path: Path, side: int = 32, names: tuple[str, ...] = cifar10.CLASSES) -> None:
    """600 grey pictures, 60 a class, in the form of the file of JPEGs."""
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 128, np.uint8)).save(file, "png")
    one = np.frombuffer(file.getvalue(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        jpeg=np.tile(one, 600),
        offsets=len(one) * np.arange(601),
        label=np.arange(600) % 10,
        class_names=np.array(names),
    )


def test_the_npz_is_read_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cifar10" / "cifar10_jpeg_subset.npz"
    save_npz(path)
    colours, label = cifar10.read(path)
    assert (
        colours.shape == (600, 3, 32, 32)
        and (colours == 128).all()
        and np.array_equal(label, np.arange(600) % 10)
    )
    save_npz(path, side=30)
    with pytest.raises(DataError, match="picture 0 has 30 x 30 pixels, not 32 x 32"):
        cifar10.load("fixed", 32)
    save_npz(path, names=("boat", *cifar10.CLASSES[1:]))
    with pytest.raises(DataError, match="its classes or labels are other ones"):
        cifar10.load("fixed", 32)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="is damaged"):
        cifar10.load("fixed", 32)


def test_the_real_cifar10_file(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shared_data / "cifar10_jpeg_subset.npz").is_file():
        pytest.skip(f"needs cifar10_jpeg_subset.npz, not in {shared_data}")
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    data = cifar10.load("fixed", 32)
    assert data.images.shape == (6000, 3, 32, 32) and np.array_equal(
        np.bincount(data.label), np.full(10, 600)
    )
    sky, frog = (
        data.images[data.label == data.class_names.index(name)].mean((0, 2, 3))
        for name in ("airplane", "frog")
    )
    assert sky[2] > sky[0] + 5 and frog[2] < frog[0] - 5  # skies are bluer than frogs: red is first
    assert len(data.rows(data.train)) == 3600
