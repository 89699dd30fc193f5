"""Digits and numbers made of them, sets of them, and exact area averages."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from mnist_files import idx

from oneshot.data import digits, images
from oneshot.paths import DataError


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own cache and working folder."""
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def make(
    folder: Path, start: str = "t10k", packed: bool = False, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """40 digits in the place where MNIST has them: digit d is a block of 2 d + 2 rows with its own
    brightness.
    """
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(10), 4)).astype(np.uint8)
    grey = np.zeros((40, 28, 28), np.uint8)
    for image, digit in zip(grey, label):
        image[4 : 6 + 2 * digit, 8:20] = rng.integers(100, 256)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (
        (f"{start}-images-idx3-ubyte", grey),
        (f"{start}-labels-idx1-ubyte", label),
    ):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return grey, label.astype(np.int64)


# --- MNIST
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["data/mnist", "cache/mnist", "cache", "named/mnist", "named"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_official_files_are_read_from_every_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, packed: bool
) -> None:
    if place.startswith("named"):
        monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named"))
    assert digits.available() == ""
    grey, label = make(tmp_path / place, packed=packed)
    got, labels = digits.load(1, 28)
    assert np.array_equal(got, grey) and np.array_equal(labels, label) and labels.dtype == np.int64
    assert digits.available().endswith("t10k-images-idx3-ubyte" + (".gz" if packed else ""))
    half, _ = digits.load(1, 14)
    assert np.array_equal(half, (grey.reshape(40, 14, 2, 14, 2).sum((2, 4), dtype=int) + 2) // 4)


PUBLISHED = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("place", "naming"),
    [
        # as some unpackers and other sites name them
        ("data/mnist", lambda name: name.replace("-idx", ".idx")),
        ("data/mnist", lambda name: f"{name}/{name}"),  # each in a folder of its own name
        ("data/mnist", lambda name: f"{name.replace('-idx', '.idx')}/{name}"),
        ("data/MNIST/raw", lambda name: name),  # a folder with torchvision's downloads
        ("named/MNIST/raw", lambda name: name),
        ("named/mnist/MNIST/raw", lambda name: name),
        ("named/raw", lambda name: name),
    ],
)
def test_every_packaging_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    naming: Callable[[str], str],
    packed: bool,
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "named"))
    grey, label = make(tmp_path / "made", packed=packed)
    ending = ".gz" if packed else ""
    for name in PUBLISHED:
        there = tmp_path / place / (naming(name) + ending)
        there.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / (name + ending)).rename(there)
    got, labels = digits.load(1, 28)
    assert np.array_equal(got, grey) and np.array_equal(labels, label)
    digits.check()
    there.unlink()
    with pytest.raises(DataError, match="but no t10k-labels-idx1-ubyte"):
        digits.check()


def test_training_digits_are_a_part_of_their_own(tmp_path: Path) -> None:
    make(tmp_path / "data" / "mnist")
    with pytest.raises(
        DataError, match=r"put train-images-idx3-ubyte and train-labels-idx1-ubyte into one of"
    ):
        digits.load(1, 28, "train")
    grey, label = make(tmp_path / "data" / "mnist", "train", seed=1)
    got, labels = digits.load(1, 28, "train")
    assert np.array_equal(got, grey) and np.array_equal(labels, label)


def test_the_packed_file_is_read(tmp_path: Path) -> None:
    grey, label = make(tmp_path / "elsewhere")
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    path = tmp_path / "data" / "mnist" / "mnist_10k.npz"
    np.savez(path, images=grey, label=label.astype(np.uint8))
    got, labels = digits.load(1, 28)
    assert np.array_equal(got, grey) and np.array_equal(labels, label)
    np.savez(path, images=grey, label=label[1:].astype(np.uint8))
    with pytest.raises(
        DataError, match=r"mnist_10k\.npz is not MNIST: uint8 \(40, 28, 28\), with labels \(39,\)"
    ):
        digits.load(1, 28)
    path.write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"mnist_10k\.npz is damaged(.|\n)*help: "):
        digits.load(2, 28)


def test_absent_digits_say_where_to_put_what() -> None:
    with pytest.raises(DataError) as caught:
        digits.load(3, 28)
    text = str(caught.value)
    assert (
        "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (or mnist_10k.npz)" in text
        and "./data/mnist" in text
    )
    with pytest.raises(ValueError, match="digits = 4"):
        digits.load(4, 28)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("images-idx3", lambda c: c[:-1], "images-idx3-ubyte is damaged"),
        ("images-idx3", lambda c: c + b"x", "images-idx3-ubyte is damaged"),
        ("images-idx3", lambda c: b"\0\0\x0d" + c[3:], "images-idx3-ubyte is damaged"),
        ("images-idx3", lambda c: c[:6], "images-idx3-ubyte is damaged"),
        ("images-idx3", lambda c: b"", "images-idx3-ubyte is damaged"),
        (
            "images-idx3",
            lambda c: idx(np.zeros((40, 20, 20), np.uint8)),
            r"is not MNIST: uint8 \(40, 20, 20\)",
        ),
        (
            "labels-idx1",
            lambda c: idx(np.zeros(39, np.uint8)),
            r"is not MNIST: .* with labels \(39,\)",
        ),
        ("labels-idx1", lambda c: c[:-1] + b"\x0a", "is not MNIST"),
        ("labels-idx1", None, "has t10k-images-idx3-ubyte, but no t10k-labels-idx1-ubyte"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes] | None, words: str
) -> None:
    make(tmp_path / "data" / "mnist")
    path = tmp_path / "data" / "mnist" / f"t10k-{name}-ubyte"
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=words):
        digits.load(1, 28)
    with pytest.raises(DataError, match=words):
        digits.load(2, 28)


def test_a_damaged_compressed_file_is_named(tmp_path: Path) -> None:
    make(tmp_path / "data" / "mnist", packed=True)
    path = tmp_path / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"cannot read .*t10k-images-idx3-ubyte\.gz"):
        digits.load(1, 28)


# --- numbers
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "canvas", "per_class"), [(2, 64, 100), (3, 84, 20)])
def test_numbers_are_their_digits_side_by_side(
    tmp_path: Path, count: int, canvas: int, per_class: int
) -> None:
    make(tmp_path / "data" / "mnist")
    got, label = digits.load(count, canvas)
    assert got.shape == (10**count * per_class, canvas, canvas) and got.dtype == np.uint8
    assert np.array_equal(label, np.repeat(np.arange(10**count), per_class))
    band = canvas // count
    shown = np.zeros(len(got), int)
    for place in range(count):
        # digit d is 2 d + 2 rows high
        rows = (got[:, :, place * band : (place + 1) * band] > 0).any(2).sum(1)
        shown = 10 * shown + (rows - 2) // 2
    assert np.array_equal(shown, label)
    tops = (got[label == 0] > 0).any(2).argmax(1)
    middle = (canvas - 28) // 2 + 4
    assert tops.min() >= middle - 4 and tops.max() <= middle + 4 and len(np.unique(tops)) > 3
    lefts = (got[..., :band] > 0).any(1).argmax(1)
    assert set(lefts) == set(range((band - 28) // 2 + 8 - 2, (band - 28) // 2 + 8 + 3))
    ink = 12 * sum(2 * digit + 2 for digit in (1, 2, 3)[:count])  # nothing is cut off or overlaps
    number = 123 // 10 ** (3 - count)
    assert ((got[label == number] > 0).sum((1, 2)) == ink).all()


def test_numbers_are_the_same_every_time_and_change_with_the_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "data" / "mnist")
    first, _ = digits.load(2, 28)
    assert first.shape == (10_000, 28, 28) and len(np.unique(first[:100], axis=0)) > 90
    monkeypatch.setenv("ONESHOT_CACHE", str(tmp_path / "other"))
    second, _ = digits.load(2, 28)
    large, _ = digits.load(2, 64)
    assert np.array_equal(first, second) and np.array_equal(first, images.area_resized(large, 28))
    make(tmp_path / "data" / "mnist", seed=7)
    third, _ = digits.load(2, 28)
    assert not np.array_equal(first, third)


def test_numbers_need_all_ten_digits(tmp_path: Path) -> None:
    make(tmp_path / "data" / "mnist")
    (tmp_path / "data" / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(
        idx(np.arange(40, dtype=np.uint8) % 9)
    )
    with pytest.raises(DataError, match="does not have all ten digits"):
        digits.load(2, 28)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_the_real_digits(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (shared_data / "mnist_10k.npz").is_file():
        pytest.skip(f"needs mnist_10k.npz, not in {shared_data}")
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    grey, label = digits.load(1, 28)
    assert grey.shape == (10_000, 28, 28)
    assert np.bincount(label).tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    numbers, shown = digits.load(3, 28)
    assert numbers.shape == (20_000, 28, 28)
    ones, eights = numbers[shown == 111].mean(), numbers[shown == 888].mean()
    # and both have about the ink of their digits, on nine digits' area for three
    assert 1.5 * ones < eights
    singles = grey[label == 8].mean()
    assert abs(eights - singles / 3) < 0.1 * singles / 3
    mean = numbers[shown == 111].mean(0)
    columns, rows = (
        np.ptp(np.flatnonzero(line > 0.1 * line.max())) for line in (mean.sum(0), mean.sum(1))
    )
    # side by side, not one above the other, as in the published sets, which are transposed
    assert columns > 2 * rows


# --- area averages
# -----------------------------------------------------------------------------


def by_fractions(image: np.ndarray, size: int) -> np.ndarray:
    """Area averages by exact fractions, pixel by pixel, rounded half up."""
    side = len(image)
    out = np.zeros((size, size), np.uint8)

    def shares(k: int) -> list[tuple[int, Fraction]]:
        low, high = Fraction(k * side, size), Fraction((k + 1) * side, size)
        return [
            (i, min(high, Fraction(i + 1)) - max(low, Fraction(i)))
            for i in range(side)
            if i < high and i + 1 > low
        ]

    for y in range(size):
        for x in range(size):
            total = sum(
                (int(image[i, j]) * a * b for i, a in shares(y) for j, b in shares(x)), Fraction(0)
            )
            out[y, x] = int(total * Fraction(size, side) ** 2 + Fraction(1, 2))
    return out


@pytest.mark.parametrize(
    ("side", "size"), [(10, 4), (9, 6), (7, 3), (5, 8), (4, 8), (6, 6), (8, 1)]
)
def test_area_averages_are_exact(side: int, size: int) -> None:
    pictures = np.random.default_rng(side).integers(256, size=(3, side, side), dtype=np.uint8)
    pictures[0] = 255
    expected = np.stack([by_fractions(picture, size) for picture in pictures])
    assert np.array_equal(images.area_resized(pictures, size), expected)


def test_large_pictures_are_averaged_exactly_too() -> None:
    white = np.full((1, 600, 600), 255, np.uint8)
    assert (images.area_resized(white, 7) == 255).all() and (
        images.area_resized(white - 254, 7) == 1
    ).all()
    assert images.area_resized(np.zeros((0, 8, 8), np.uint8), 3).shape == (0, 3, 3)


def test_greys_of_omniglot_are_the_known_ones(shared_data: Path) -> None:
    with (
        np.load(shared_data / "omniglot_105_packed.npz") as file,
        np.load(shared_data / "omniglot_28.npz") as small,
    ):
        some = np.arange(0, 32460, 13)
        bits, expected = images.unpack(file["packed"][some], 105), small["images"][some]
    assert np.array_equal(images.greys(bits, 28), expected)
