"""CIFAR-10: small colour photographs of ten kinds of things, from a folder of the user's.

Krizhevsky 2009. Looked for in the places of `places.user_folders`: the official folder
`cifar-10-batches-py` (60,000 images) or its files, or `cifar10_jpeg_subset.npz` (600 images a class
as JPEG). No image of it is part of this package.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from oneshot.data import by_hash
from oneshot.data.cifar_files import SIDE, Batches
from oneshot.data.content import Contents
from oneshot.data.images import CHUNK, area_resized, read_npz_arrays, read_rgb
from oneshot.paths import DataError, locate
from oneshot.store.machine_cache import cached
from oneshot.sweep.point import data_fingerprint
from oneshot.types import DataSet

SPLITS = ("fixed",)
# of the official folder, the npz has 3,600; read without importing this file, for estimates of cost
TRAIN_IMAGES = {"fixed": 36_000}
CHANNELS = 3
DRAWINGS_PER_CLASS = 60  # the largest set
FINGERPRINT = "folder"
FINGERPRINT_FILES = (
    *("cifar-10-batches-py/data_batch_1", "data_batch_1", "cifar10_jpeg_subset.npz"),
    # as archives of other sites unpack
    "cifar-10-batches-py/cifar-10-batches-py/data_batch_1",
    "cifar-10-python/cifar-10-batches-py/data_batch_1",
)

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TEST, VALIDATION = 2, 2  # classes; the remaining 6 are for training
BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
HELP = (
    "\n  help: put the official folder cifar-10-batches-py there again, or a whole"
    " cifar10_jpeg_subset.npz"
)

BATCH = Batches("CIFAR-10", b"labels", len(CLASSES), HELP)


def load(split: str, image_size: int) -> DataSet:
    """CIFAR-10 in colour, averaged over areas unless the size is 32.

    Training and test images of a class are one class here.

    Args:
        split: "fixed" orders the ten classes by the SHA-256 of their names: the first 2 are test
            classes, the next 2 validation.
        image_size: S, height and width in pixels.

    Returns:
        Images uint8 [N, 3, S, S] and the classes of the split.

    Raises:
        DataError: the images are absent or damaged.
    """
    source = located()
    fingerprint = data_fingerprint("cifar10")
    # neither read if both files are in the cache, nor twice
    content = functools.cache(lambda: read(source))

    def class_sizes() -> Iterator[np.ndarray]:
        return iter(
            [
                np.bincount(content()[1], minlength=len(CLASSES))
                .astype("<i8")
                .view(np.uint8)
                .reshape(-1, 8)
            ]
        )

    def prepared() -> Iterator[np.ndarray]:
        colours, label = content()
        order = np.argsort(label, kind="stable")
        return (
            area_resized(colours[order[i : i + CHUNK]], image_size)
            for i in range(0, len(order), CHUNK)
        )

    sizes = (
        cached(f"cifar10-sizes-{fingerprint}.npy", (len(CLASSES), 8), class_sizes)
        .view("<i8")
        .ravel()
    )
    images = cached(
        f"cifar10-{image_size}-{fingerprint}.npy",
        (int(sizes.sum()), CHANNELS, image_size, image_size),
        prepared,
    )
    label = np.repeat(np.arange(len(CLASSES)), sizes)
    return DataSet("cifar10", split, fingerprint, images, label, CLASSES, *class_split())


def located() -> Path:
    """The first batch of the official folder, or the npz. Raises DataError if there is neither."""
    return locate(
        "CIFAR-10",
        "cifar10",
        FINGERPRINT_FILES,
        "the folder cifar-10-batches-py, or cifar10_jpeg_subset.npz,",
    )


def check(image_size: int, greys: bool) -> None:
    """Make sure that the npz or every batch of the official folder is here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed; photographs have none.

    Raises:
        DataError: there is neither.
    """
    contents(located())


def contents(source: Path) -> Contents:
    """The files that `read` reads, and the split. Raises DataError if a batch is missing."""
    files = {source.name: source}
    if source.suffix != ".npz":
        files = {name: source.parent / name for name in BATCHES}
    missing = next((path for path in files.values() if not path.is_file()), None)
    if missing is not None:
        raise DataError(f"{missing} is missing{HELP}")
    return Contents(files, {"fixed": [[CLASSES[i] for i in part] for part in class_split()]})


def class_split() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The train, validation and test classes: sorted int64 ids, disjoint, together every class."""
    order = by_hash(CLASSES)
    return (
        np.sort(order[TEST + VALIDATION :]),
        np.sort(order[TEST : TEST + VALIDATION]),
        np.sort(order[:TEST]),
    )


def read(source: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read every image and its class, in the order of the files.

    Returns:
        Images uint8 [N, 3, 32, 32] and classes int64 [N].

    Raises:
        DataError: a file is absent or damaged; it is named.
    """
    if source.suffix == ".npz":
        colours, label = read_npz(source)
    else:
        parts = [BATCH.read(source.parent / name) for name in BATCHES]
        colours, label = (np.concatenate(arrays) for arrays in zip(*parts))
    few = [
        name for i, name in enumerate(CLASSES) if np.count_nonzero(label == i) < DRAWINGS_PER_CLASS
    ]
    if few:
        place = source if source.suffix == ".npz" else source.parent
        raise DataError(
            f"{place} has fewer than {DRAWINGS_PER_CLASS} images of: {', '.join(few)}{HELP}"
        )
    return colours, label


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the file of JPEGs; the results are those of `read`.

    Picture i is `jpeg[offsets[i] : offsets[i + 1]]`, of class `label[i]`.
    """
    arrays = read_npz_arrays(
        path,
        {"jpeg": (1, "u"), "offsets": (1, "iu"), "label": (1, "iu"), "class_names": (1, "U")},
        HELP,
    )
    jpeg, offsets, label = (
        arrays["jpeg"],
        arrays["offsets"].astype(np.int64),
        arrays["label"].astype(np.int64),
    )
    names = tuple(arrays["class_names"].tolist())
    if (
        names != CLASSES
        or len(offsets) != len(label) + 1
        or label.min(initial=0) < 0
        or label.max(initial=0) >= len(CLASSES)
    ):
        raise DataError(
            f"{path} is not a file of CIFAR-10: its classes or labels are other ones{HELP}"
        )
    colours = np.empty((len(label), CHANNELS, SIDE, SIDE), np.uint8)
    for i in range(len(label)):
        picture = read_rgb(
            io.BytesIO(jpeg[offsets[i] : offsets[i + 1]].tobytes()), f"{path}: picture {i}"
        )
        if picture.shape != colours.shape[1:]:
            raise DataError(
                f"{path}: picture {i} has {picture.shape[2]} x {picture.shape[1]} pixels, not"
                f" {SIDE} x {SIDE}{HELP}"
            )
        colours[i] = picture
    return colours, label
