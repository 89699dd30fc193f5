"""EMNIST: handwritten digits and letters in grey, 47 classes; a split makes ten of them novel.

Cohen et al. 2017. The classes are those of its form "balanced": digits, capitals, and the small
letters that do not look like theirs. Looked for in the places of `paths.user_folders`: the four
official files of that form (2,800 images a class), those of the form "byclass", or
`emnist_byclass_300.npz` (62 classes of 300 images); the 62 classes of these two are merged. No
image of it is part of this package.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oneshot.data.class_splits import ClassSplits, Content
from oneshot.data.content import Contents
from oneshot.data.idx_files import SIDE, read_idx
from oneshot.data.images import read_npz_arrays
from oneshot.paths import DataError, locate
from oneshot.sweep.point import data_fingerprint
from oneshot.types import DataSet

KIND = "greys"
CLASSES = 47
SPLITS = ("classes_0", "classes_1", "classes_2", "classes_3", "classes_4")
# Of base classes, of the official files; the npz has 11,100. Read without importing this file.
TRAIN_IMAGES = {
    "classes_0": 103_600,
    "classes_1": 103_600,
    "classes_2": 103_600,
    "classes_3": 103_600,
    "classes_4": 103_600,
}
DRAWINGS_PER_CLASS = 240  # that shots of a novel class are chosen from, of the npz
FINGERPRINT = "folder"

DIGITS, CAPITALS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OWN_SMALL = "abdefghnqrt"  # small letters that are classes of their own
CLASS_NAMES = tuple(DIGITS + CAPITALS + OWN_SMALL)
BY_CLASS = tuple(DIGITS + CAPITALS + CAPITALS.lower())  # before small letters are merged
# the class of each of the 62
MERGED = np.array([CLASS_NAMES.index(c if c in CLASS_NAMES else c.upper()) for c in BY_CLASS])
# most images of a merged class, as many as the form "balanced" has
MOST = {"train": 2_400, "test": 400}
# where official files lie below a place: itself, torchvision's folder, the unpacked archive
BELOW = ("", "EMNIST/raw/", "raw/", "gzip/", "EMNIST/", "emnist/", "emnist/gzip/")
FORMS = {"balanced": CLASS_NAMES, "byclass": BY_CLASS}
PACKED, PACKED_MOST = "emnist_byclass_300.npz", 300
HELP = f"\n  help: put the four whole official files emnist-balanced-... there, or {PACKED}"
FINGERPRINT_FILES = (
    *(
        f"{below}emnist-{form}-train-images-idx3-ubyte{ending}"
        for form in FORMS
        for below in BELOW
        for ending in ("", ".gz")
    ),
    *(below + PACKED for below in BELOW),
)
EMNIST = ClassSplits("emnist", CLASS_NAMES, 1, novel=10)


def load(split: str, image_size: int) -> DataSet:
    """EMNIST in grey, ink bright, upright.

    Args:
        split: "classes_0" .. "classes_4": which ten classes are novel.
        image_size: S, height and width in pixels; others than 28 are exact averages over areas.

    Returns:
        Images uint8 [N, 1, S, S] of 0 .. 255, their classes and parts; images of training and of
        test of the official files are one class.

    Raises:
        DataError: the images are absent or damaged.
    """
    source = located()
    return EMNIST.load(split, image_size, data_fingerprint("emnist"), lambda: read(source))


def located() -> Path:
    """The official training images, or the npz. Raises DataError if there is neither."""
    wanted = (
        f"the four official files emnist-balanced-train-images-idx3-ubyte.gz and so on, or {PACKED}"
    )
    return locate("EMNIST", "emnist", FINGERPRINT_FILES, f"{wanted},")


def check(image_size: int, greys: bool) -> None:
    """Make sure that the npz or all four official files are here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed, which there always are.

    Raises:
        DataError: they are not.
    """
    contents(located())


def contents(source: Path) -> Contents:
    """The files that `read` reads, and the splits. Raises DataError if one is missing."""
    files = [source] if source.name == PACKED else [f for pair in _official(source) for f in pair]
    rules = [EMNIST.rules(), MOST, PACKED_MOST]
    return Contents({file.name: file for file in files}, rules)


def read(source: Path) -> Content:
    """Read every image and its class, in the order of the files, training images first.

    Returns:
        Images uint8 [N, 1, 28, 28] and classes int64 [N], 0 .. 46.

    Raises:
        DataError: a file is missing, damaged or of another data set; it is named.
    """
    images, label = _read_npz(source) if source.name == PACKED else _read_official(source)
    place = source if source.name == PACKED else source.parent
    EMNIST.demand_images(label, place, HELP)
    return images[:, None], label


def _official(source: Path) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """The files of images and of labels, of the training part and of the test part."""
    start, _, _ = source.name.partition("-train-")

    def there(stem: str) -> Path:
        for ending in ("", ".gz"):
            if (path := source.parent / f"{stem}{ending}").is_file():
                return path
        raise DataError(f"{source.parent} has {source.name}, but no {stem}{HELP}")

    train, test = (
        (
            there(f"{start}-{part}-images-idx3-ubyte"),
            there(f"{start}-{part}-labels-idx1-ubyte"),
        )
        for part in ("train", "test")
    )
    return train, test


def _read_official(source: Path) -> Content:
    """The official files of one form; those of "byclass" merged and cut."""
    form = "byclass" if "-byclass-" in source.name else "balanced"
    parts = []
    for part, (image_file, label_file) in zip(("train", "test"), _official(source)):
        images, label = read_idx(image_file, HELP), read_idx(label_file, HELP)
        _demand_fit(image_file, images, label, len(FORMS[form]))
        label = label.astype(np.int64)
        if form == "byclass":
            label = MERGED[label]
            rows = _first_of_each(label, MOST[part])
            images, label = images[rows], label[rows]
        # the files have rows and columns exchanged
        parts.append((images.transpose(0, 2, 1), label))
    (a, b), (c, d) = parts
    return np.concatenate([a, c]), np.concatenate([b, d])


def _read_npz(path: Path) -> Content:
    """The packed file: of each merged class the first images in the order of the official ones."""
    wanted = {
        "images": (3, "u"),
        "label": (1, "iu"),
        "source_index": (1, "iu"),
        "class_names": (1, "U"),
    }
    arrays = read_npz_arrays(path, wanted, HELP)
    images, label, order = arrays["images"], arrays["label"], arrays["source_index"]
    if tuple(arrays["class_names"].tolist()) != BY_CLASS or order.shape != label.shape:
        raise DataError(f"{path} is not EMNIST by 62 classes: it has other ones{HELP}")
    _demand_fit(path, images, label, len(BY_CLASS))
    merged = MERGED[label.astype(np.int64)]
    given = np.argsort(order, kind="stable")
    rows = given[_first_of_each(merged[given], PACKED_MOST)]
    return images[rows], merged[rows]


def _demand_fit(path: Path, images: np.ndarray, label: np.ndarray, classes: int) -> None:
    """Raise DataError unless these are images of EMNIST with their labels."""
    if (
        images.dtype != np.uint8
        or images.shape[1:] != (SIDE, SIDE)
        or label.shape != images.shape[:1]
        or label.min(initial=0) < 0
        or label.max(initial=0) >= classes
    ):
        raise DataError(
            f"{path} is not EMNIST: {images.dtype} {images.shape}, with labels {label.shape} up to"
            f" {label.max(initial=0)}{HELP}"
        )


def _first_of_each(label: np.ndarray, most: int) -> np.ndarray:
    """The rows of the first images of each class, in their order."""
    rows = [np.flatnonzero(label == c)[:most] for c in range(CLASSES)]
    return np.sort(np.concatenate(rows))
