"""MNIST and Fashion-MNIST in grey: packagings, parts of classes, splits, damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caches import not_asked
from made_greys import OFFICIAL, write_npz, write_official
from mnist_files import idx

from oneshot import data, paths
from oneshot.data import fashion_mnist, grey_parts, mnist
from oneshot.data.idx_files import FASHION_MNIST, MNIST
from oneshot.paths import DataError
from oneshot.sweep import families
from oneshot.sweep.point import data_fingerprint, kind_of
from oneshot.types import DataSet, Kind, Part

FILES = {"mnist": MNIST, "fashion_mnist": FASHION_MNIST}
NAMES = tuple(FILES)


def by_part(found: DataSet) -> np.ndarray:
    """How many images each class has of each part, [classes, parts]."""
    assert found.part is not None
    return np.array([[(found.part[found.label == c] == p).sum() for p in Part] for c in range(10)])


def pictures(images: np.ndarray) -> list[bytes]:
    """The images as values that can be sorted."""
    return sorted(image.tobytes() for image in images)


@pytest.mark.parametrize("name", NAMES)
def test_official_files_keep_their_parts(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / name
    grey, label = write_official(folder, "train", 60)
    tests, test_label = write_official(folder, "test", 30, seed=1)
    found = data.load(name, "all", 28)
    assert found.kind == Kind.GREYS and found.images.shape == (900, 1, 28, 28)
    assert np.array_equal(found.label, np.arange(10).repeat(90))
    assert by_part(found).tolist() == [[54, 6, 30]] * 10
    assert found.part is not None and found.class_names[3] == {"mnist": "3"}.get(name, "dress")
    for c in range(10):
        rows = found.rows_of_part(np.array([c]), Part.TEST)
        assert np.array_equal(found.images[rows, 0], tests[test_label == c])
        of_class = found.images[found.label == c, 0]
        assert pictures(of_class[:60]) == pictures(grey[label == c])
        # within a part in the order of the file
        assert [
            p.tobytes() for p in grey[label == c] if p.tobytes() in pictures(of_class[:54])
        ] == [p.tobytes() for p in of_class[:54]]
    half = data.load(name, "all", 14).images
    blocks = found.images.reshape(900, 1, 14, 2, 14, 2).sum((3, 5), dtype=int)
    assert np.array_equal(half, (blocks + 2) // 4)
    assert data.load(name, "all", 40).images.shape == (900, 1, 40, 40)


@pytest.mark.parametrize("name", NAMES)
def test_a_split_leaves_one_class_out(name: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "data" / FILES[name].packed, 20)
    everything = data.load(name, "all", 16)
    assert everything.train.tolist() == list(range(10)) and not len(everything.test)
    for c in (0, 3, 9):
        found = data.load(name, f"without_{c}", 16)
        assert found.test.tolist() == [c] and found.test.dtype == np.int64
        assert found.train.tolist() == [i for i in range(10) if i != c]
        assert not len(found.validation)
        # labels and images are those of all classes, whatever is left out
        assert np.array_equal(found.label, everything.label)
        assert np.array_equal(found.images, everything.images)
        assert found.fingerprint == everything.fingerprint == data_fingerprint(name)
    with pytest.raises(DataError, match="no split 'without_10'"):
        data.load(name, "without_10", 16)


def test_one_part_alone_is_cut_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey, label = write_npz(tmp_path / "data" / "mnist_10k.npz", 60)
    found = data.load("mnist", "all", 28)
    assert by_part(found).tolist() == [[48, 3, 9]] * 10
    assert "of MNIST only mnist_10k.npz is here" in capsys.readouterr().err
    assert pictures(found.images) == pictures(grey)
    for c in range(10):
        assert pictures(found.images[found.label == c]) == pictures(grey[label == c])
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "other"))
    again = data.load("mnist", "without_2", 28)
    assert np.array_equal(found.images, again.images) and np.array_equal(found.part, again.part)
    # the cut is a shuffle, and another one for each class
    first = [
        np.flatnonzero(grey_parts.cut(np.zeros(60), True, c) == Part.TEST).tolist()
        for c in range(2)
    ]
    assert first[0] != first[1] and first[0] != list(range(9))
    monkeypatch.setattr(grey_parts, "_ordered", not_asked)
    assert np.array_equal(data.load("mnist", "all", 28).images, found.images)


def test_of_large_classes_five_hundred_images_choose_epochs() -> None:
    given = np.repeat([0, 1], [6000, 1000])
    part = grey_parts.cut(given, False, 4)
    assert np.bincount(part).tolist() == [5500, 500, 1000] and (part[6000:] == Part.TEST).all()
    assert np.bincount(grey_parts.cut(np.zeros(4999), False, 4)).tolist() == [4500, 499]


def test_what_is_said_before_images_are_read_fits_them() -> None:
    counts = {
        # of the official training images
        "mnist": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        "fashion_mnist": [6000] * 10,
    }
    for name, sizes in counts.items():
        assert kind_of(name) == Kind.GREYS and families.constant("data", name, "CLASSES") == 10
        splits = families.constant("data", name, "SPLITS")
        assert splits == ("all", *(f"without_{c}" for c in range(10)))
        expected = [sum(sizes) - 5000, *(sum(sizes) - 5000 - (size - 500) for size in sizes)]
        told = families.constant("data", name, "TRAIN_IMAGES")
        assert [told[split] for split in splits] == expected
    assert len(set(fashion_mnist.CLASS_NAMES)) == 10 and mnist.CLASS_NAMES[7] == "7"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", "data/mnist"),
        ("mnist", "named/MNIST/raw"),
        ("mnist", "named"),
        ("fashion_mnist", "data/fashion_mnist"),
        ("fashion_mnist", "named/FashionMNIST/raw"),
        ("fashion_mnist", "named/fashion-mnist/data/fashion"),
        ("fashion_mnist", "cache/fashion_mnist"),
        ("fashion_mnist", "system/fashion-mnist"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_packaging_is_read(
    name: str, place: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named"))
    monkeypatch.setattr(paths, "SYSTEM_FOLDER", tmp_path / "system")
    assert data_fingerprint(name) == "absent-1"
    assert "is not here" in str(data.missing(name, {"image_size": 28}))
    for part, seed in (("train", 0), ("test", 1)):
        write_official(tmp_path / place, part, 20, seed, packed)
    assert data.missing(name, {"image_size": 28}) is None
    found = data.load(name, "all", 16)
    assert by_part(found).tolist() == [[18, 2, 20]] * 10
    assert found.fingerprint == data_fingerprint(name) != "absent-1"
    other = {"mnist": "fashion_mnist"}.get(name, "mnist")
    assert data_fingerprint(other) == "absent-1"  # the files have the same names


def test_official_files_come_before_an_npz_and_users_before_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SYSTEM_FOLDER", tmp_path / "system")
    write_npz(tmp_path / "data" / "fashion_mnist_test_10k.npz", 40)
    assert len(data.load("fashion_mnist", "all", 16).label) == 400
    write_official(tmp_path / "system" / "fashion-mnist", "test", 30)
    assert len(data.load("fashion_mnist", "all", 16).label) == 300
    write_official(tmp_path / "data" / "fashion_mnist", "test", 20)
    assert len(data.load("fashion_mnist", "all", 16).label) == 200
    write_official(tmp_path / "data" / "fashion_mnist", "train", 50)
    assert by_part(data.load("fashion_mnist", "all", 16)).tolist() == [[45, 5, 20]] * 10


def test_other_files_are_other_data(tmp_path: Path) -> None:
    path = tmp_path / "data" / "mnist_10k.npz"
    write_npz(path, 20)
    first = data_fingerprint("mnist")
    write_npz(path, 20, seed=5)
    assert data_fingerprint("mnist") != first


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (0, lambda c: c[:-1], "train-images-idx3-ubyte is damaged"),
        (0, lambda c: idx(np.zeros((200, 20, 20), np.uint8)), r"is not Fashion-MNIST: uint8"),
        (1, lambda c: c[:-1] + b"\x0a", "is not Fashion-MNIST"),
        (1, lambda c: idx(np.arange(200, dtype=np.uint8) % 9), "fewer than 20 images of .* 9"),
        (1, None, "has train-images-idx3-ubyte, but no train-labels-idx1-ubyte"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, file: int, change: Callable[[bytes], bytes] | None, words: str
) -> None:
    folder = tmp_path / "data" / "fashion_mnist"
    write_official(folder, "train", 20, packed=False)
    path = folder / OFFICIAL["train"][file]
    if change is None:
        path.unlink()
        assert words.split()[-1] in str(data.missing("fashion_mnist", {"image_size": 28}))
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=words):
        data.load("fashion_mnist", "all", 28)


@pytest.mark.parametrize("name", NAMES)
def test_each_of_the_two_is_not_taken_for_the_other(name: str, tmp_path: Path) -> None:
    each = np.full(10, 1000) if name == "mnist" else np.array([980, 1020, *[1000] * 8])
    folder = tmp_path / "data" / name
    folder.mkdir(parents=True)
    (folder / OFFICIAL["test"][0]).write_bytes(idx(np.zeros((10_000, 28, 28), np.uint8)))
    (folder / OFFICIAL["test"][1]).write_bytes(idx(np.arange(10, dtype=np.uint8).repeat(each)))
    words = f"t10k-images-idx3-ubyte is not {FILES[name].title}"
    with pytest.raises(DataError, match=words):
        data.load(name, "all", 16)


def test_the_real_files(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    sizes = {"mnist": [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]}
    for name in NAMES:
        packed = FILES[name].packed
        if not (shared_data / packed).is_file():
            pytest.skip(f"needs {packed}, not in {shared_data}")
        found = data.load(name, "without_1", 28)
        counts = by_part(found)
        size = np.array(sizes.get(name, [1000] * 10))
        assert np.array_equal(counts.sum(1), size)
        assert np.array_equal(counts[:, 2], size * 15 // 100)
        assert np.array_equal(counts[:, 1], size * 5 // 100)
        fewest = families.constant("data", name, "DRAWINGS_PER_CLASS")
        assert counts[:, 0].min() >= fewest
