"""EMNIST from made files of every form, and from the file beside the repository."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from caches import not_asked
from made_classes import in_published_order, write_emnist, write_emnist_npz
from mnist_files import idx

from oneshot import data
from oneshot.data import emnist
from oneshot.data.few_shot import few_shot_parts
from oneshot.paths import DataError
from oneshot.types import Kind, Part

Made = dict[str, tuple[np.ndarray, np.ndarray]]
START = "emnist-balanced-"


def whole(made: Made) -> tuple[np.ndarray, np.ndarray]:
    """Both parts, training images first."""
    images, label = zip(made["train"], made["test"])
    return np.concatenate(images), np.concatenate(label)


@pytest.mark.parametrize(
    ("place", "packed"),
    [
        ("data/emnist", True),
        ("data/emnist", False),
        ("named/EMNIST/raw", False),
        ("named/gzip", True),
        ("named", True),
        ("cache/emnist", True),
    ],
)
def test_official_files_are_read_upright_wherever_they_lie(
    place: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named"))
    made = write_emnist(tmp_path / place, "balanced", 47, 16, 4, packed)
    assert data.missing("emnist", {"image_size": 28}) is None
    found = data.load("emnist", "classes_3", 28)
    images, label = whole(made)
    assert np.array_equal(found.images[:, 0], in_published_order(images, label))
    assert np.array_equal(found.label, np.repeat(np.arange(47), 20))
    assert found.kind == Kind.GREYS and found.class_names[36] == "a"
    assert found.test.tolist() == [0, 3, 8, 10, 19, 21, 24, 39, 41, 42]
    assert np.array_equal(found.train, np.setdiff1d(np.arange(47), found.test))
    assert found.fingerprint == data.fingerprint("emnist")


def test_images_are_averaged_once_and_mapped_for_every_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_emnist(tmp_path / "data" / "emnist", "balanced", 47, 16, 4)
    whole_size, half = (data.load("emnist", "classes_0", size) for size in (28, 14))
    blocks = whole_size.images.reshape(940, 1, 14, 2, 14, 2).sum((3, 5), dtype=int)
    assert np.array_equal(half.images, (blocks + 2) // 4)
    monkeypatch.setattr(emnist, "read", not_asked)
    other = data.load("emnist", "classes_4", 14)
    assert isinstance(other.images, np.memmap) and np.array_equal(other.images, half.images)
    assert other.test.tolist() != half.test.tolist()
    assert len(list((tmp_path / "cache").glob("emnist-14-*.npy"))) == 1


def test_by_class_files_are_merged_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emnist, "MOST", {"train": 20, "test": 6})
    made = write_emnist(tmp_path / "data" / "emnist", "byclass", 62, 18, 5)
    found = data.load("emnist", "classes_0", 28)
    sizes = np.bincount(found.label)
    own = [c in "0123456789ABDEFGHNQRTabdefghnqrt" for c in emnist.CLASS_NAMES]
    assert np.array_equal(sizes, np.where(own, 18 + 5, 20 + 6))
    place = emnist.CLASS_NAMES.index("K")
    chosen = []
    for part, most in (("train", 20), ("test", 6)):
        images, label = made[part]
        both = [i for i, c in enumerate(label) if emnist.BY_CLASS[c] in "Kk"]
        chosen.append(images[both[:most]])
    expected = np.concatenate(chosen)[list(np.random.RandomState(place).permutation(26))]
    assert np.array_equal(found.images[found.label == place, 0], expected)


def test_the_official_form_of_47_classes_is_preferred() -> None:
    folder = Path("data/emnist")
    write_emnist_npz(folder / emnist.PACKED, 20)
    assert emnist.located() == folder / emnist.PACKED
    write_emnist(folder, "byclass", 62, 2, 1)
    assert "-byclass-" in emnist.located().name
    write_emnist(folder, "balanced", 47, 2, 1)
    assert emnist.located() == folder / f"{START}train-images-idx3-ubyte.gz"


def test_the_npz_is_merged_and_its_first_images_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emnist, "PACKED_MOST", 25)
    arrays = write_emnist_npz(tmp_path / "data" / emnist.PACKED, 25)
    images, label = emnist.read(emnist.located())
    assert images.shape == (47 * 25, 1, 28, 28) and (np.bincount(label) == 25).all()
    for character in "Oa":
        names = (character, character.lower()) if character == "O" else (character,)
        of_class = [i for i in range(62 * 25) if emnist.BY_CLASS[arrays["label"][i]] in names]
        first = sorted(of_class, key=lambda i: arrays["source_index"][i])[:25]
        got = images[label == emnist.CLASS_NAMES.index(character), 0]
        assert np.array_equal(got, arrays["images"][first])


def cut_short(folder: Path) -> None:
    path = folder / f"{START}test-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:2000])


def other_numbers(folder: Path) -> None:
    content = idx(np.full(47 * 4, 47, np.uint8))
    (folder / f"{START}test-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))


def fewer_labels(folder: Path) -> None:
    content = idx(np.zeros(10, np.uint8))
    (folder / f"{START}train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))


def no_labels(folder: Path) -> None:
    (folder / f"{START}test-labels-idx1-ubyte.gz").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_short, "cannot read .*emnist-balanced-test-images-idx3-ubyte.gz"),
        (other_numbers, "emnist-balanced-test-images-idx3-ubyte.gz is not EMNIST: .* up to 47"),
        (fewer_labels, r"train-images-idx3-ubyte.gz is not EMNIST: .* labels \(10,\)"),
        (no_labels, "but no emnist-balanced-test-labels-idx1-ubyte"),
    ],
)
def test_damaged_official_files_are_named(
    damage: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "emnist"
    write_emnist(folder, "balanced", 47, 16, 4)
    damage(folder)
    with pytest.raises(DataError, match=f"{words}(.|\n)*help: put the four whole official files"):
        data.load("emnist", "classes_0", 28)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_damaged_npz_and_poor_classes_are_named() -> None:
    path = Path("data") / emnist.PACKED
    arrays = write_emnist_npz(path, 4)
    with pytest.raises(DataError, match=r"has fewer than 20 images of: 0, 1, 2, .* more"):
        data.load("emnist", "classes_0", 28)
    np.savez(path, **{**arrays, "class_names": arrays["class_names"][::-1]})
    with pytest.raises(DataError, match=f"{path} is not EMNIST by 62 classes"):
        data.load("emnist", "classes_0", 28)
    np.savez(path, **{**arrays, "label": arrays["label"][:-1]})
    with pytest.raises(DataError, match=f"{path} is not EMNIST by 62 classes"):
        data.load("emnist", "classes_0", 28)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=f"{path} is damaged"):
        data.load("emnist", "classes_0", 28)


def test_absent_files_are_asked_for() -> None:
    with pytest.raises(DataError, match=r"EMNIST is not here(.|\n)*help: put the four official"):
        data.load("emnist", "classes_0", 28)
    said = str(data.missing("emnist", {"image_size": 28}))
    assert "emnist-balanced-train-images-idx3-ubyte.gz" in said and emnist.PACKED in said
    assert "./data/emnist" in said and data.fingerprint("emnist").startswith("absent-")


def test_the_real_file(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (shared_data / emnist.PACKED).is_file():
        pytest.skip(f"needs {emnist.PACKED}, not in {shared_data}")
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    found = data.load("emnist", "classes_0", 28)
    assert found.images.shape == (14_100, 1, 28, 28) and (np.bincount(found.label) == 300).all()
    assert "".join(found.class_names[c] for c in found.test) == "039JLNaeqt"
    parts = few_shot_parts(found, 5, 0, "published")
    assert [len(parts.base), len(parts.pool), len(parts.test)] == [11_100, 2_400, 600]
    assert len(found.rows_of_part(found.train, Part.TRAIN)) == 9_990
    # upright: an L has its corner at the lower left, a 7 at the upper right
    for name, corner in (("L", 1), ("7", -1)):
        mean = found.images[found.label == found.class_names.index(name)].mean((0, 1))
        assert corner * (mean[14:, :14].mean() - mean[:14, 14:].mean()) > 10
