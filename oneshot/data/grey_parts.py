"""Data sets of greys whose classes are cut into parts, and whose splits leave one class out.

Where both official parts are here, the training images but 500 of each class are for training,
those for the choice of the best epoch, and the official test images for tests. Where only one part
is here, as in a packed npz, each class of it is cut into 80, 5 and 15 %. Every cut is by a shuffle
that is always the same.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from oneshot import rng
from oneshot.console.terminal import tell_note
from oneshot.data.content import Contents
from oneshot.data.idx_files import CLASSES, IdxFiles
from oneshot.data.images import CHUNK, area_resized
from oneshot.paths import DataError, absent
from oneshot.store.machine_cache import cached
from oneshot.sweep.point import data_fingerprint
from oneshot.types import DataSet, Part

SELECTION_IMAGES = 500  # of each class; of a class with fewer than ten times as many, a tenth
# of each class where one part is all there is, in per cent
SELECTION_SHARE, TEST_SHARE = 5, 15
FEWEST = 20  # images of a class
SEED = 0


def names(files: IdxFiles) -> tuple[str, ...]:
    """The paths below a place of which one must be there."""
    return (*files.images_of("train"), *files.images_of("test"), *files.packages())


def sources(files: IdxFiles) -> list[Path]:
    """The file with the training images and that with the test images, or the only one of them.

    Raises:
        DataError: there is none; it says where to put what.
    """
    official = [files.found(files.images_of(part)) for part in ("train", "test")]
    there = [file for file in official if file is not None]
    if not there and (packed := files.found(files.packages())) is not None:
        there = [packed]
    if not there:
        wanted = (
            f"a folder {files.name} with its four official files (train-images-idx3-ubyte.gz and so"
            f" on), or {files.packed},"
        )
        raise absent(files.title, files.name, wanted)
    return there


def contents(files: IdxFiles) -> Contents:
    """The files that count, and how classes are cut. Raises DataError where labels are missing."""
    found = [file for source in sources(files) for file in files.files_of(source)]
    cut = [SELECTION_IMAGES, SELECTION_SHARE, TEST_SHARE, SEED]
    return Contents({file.name: file for file in found}, cut)


def load(
    files: IdxFiles, class_names: Sequence[str], splits: Sequence[str], split: str, image_size: int
) -> DataSet:
    """The images of a data set, of each class first those for training.

    Args:
        files: where they lie.
        class_names: of the ten classes.
        splits: "all", then the one that leaves out each class.
        split: one of them: the class that it leaves out is its only test class.
        image_size: S, height and width in pixels; others than the original's are exact averages
            over areas.

    Returns:
        Images uint8 [N, 1, S, S] of 0 .. 255, their classes and parts.

    Raises:
        DataError: the images are absent or damaged.
    """
    there, fingerprint = sources(files), data_fingerprint(files.name)
    # neither read if both files are in the cache, nor twice
    content = functools.cache(lambda: _ordered(files, there))

    def counts() -> Iterator[np.ndarray]:
        _, sizes = content()
        return iter([sizes.astype("<i8").view(np.uint8).reshape(-1, 8)])

    def prepared() -> Iterator[np.ndarray]:
        images, _ = content()
        return (
            area_resized(images[i : i + CHUNK], image_size)[:, None]
            for i in range(0, len(images), CHUNK)
        )

    form = f"{fingerprint}-{_cut_digest()}"
    stored = cached(f"{files.name}-parts-{form}.npy", (CLASSES * len(Part), 8), counts)
    sizes = stored.view("<i8").reshape(CLASSES, len(Part))
    shape = (int(sizes.sum()), 1, image_size, image_size)
    images = cached(f"{files.name}-{image_size}-{form}.npy", shape, prepared)
    label = np.repeat(np.arange(CLASSES), sizes.sum(1))
    part = np.repeat(np.tile(np.array([*Part], np.uint8), CLASSES), sizes.ravel())
    place = splits.index(split)
    left_out = np.array([place - 1] if place else [], np.int64)
    kept = np.setdiff1d(np.arange(CLASSES), left_out)
    none = np.empty(0, np.int64)
    about = (files.name, split, fingerprint, images, label, tuple(class_names))
    return DataSet(*about, kept, none, left_out, part)


def _ordered(files: IdxFiles, there: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """The images sorted by class and part, [N, 28, 28], and how many there are, [classes, parts].

    Within a part of a class they stay in the order of the files.
    """
    read = [files.read(source) for source in there]
    label = np.concatenate([labels for _, labels in read])
    given = np.repeat(np.arange(len(read)), [len(labels) for _, labels in read])
    few = [str(c) for c in range(CLASSES) if np.count_nonzero(label == c) < FEWEST]
    if few:
        place = " and ".join(map(str, there))
        raise DataError(
            f"{place}: fewer than {FEWEST} images of the classes {', '.join(few)}{files.help}"
        )
    if len(there) == 1:
        shares = f"{SELECTION_SHARE} % to choose epochs, {TEST_SHARE} % to test, the rest to train"
        tell_note(
            f"of {files.title} only {there[0].name} is here, so each of its classes is "
            f" cut: {shares}"
        )
    part = np.full(len(label), Part.TRAIN, np.uint8)
    for c in range(CLASSES):
        part[label == c] = cut(given[label == c], len(there) == 1, c)
    order = np.lexsort((part, label))
    sizes = np.bincount(label * len(Part) + part, minlength=CLASSES * len(Part))
    return np.concatenate([images for images, _ in read])[order], sizes


def cut(given: np.ndarray, alone: bool, label: int) -> np.ndarray:
    """What each image of a class is for.

    Args:
        given: of each image 0 for the first source, which is the official training part unless it
            is alone, 1 for the official test part, [n].
        alone: whether there is one source only.
        label: the class, of which the shuffle depends.

    Returns:
        A Part for each image, uint8 [n].
    """
    rows = np.flatnonzero(given == 0)
    order = rows[rng.generator(SEED, "parts", label).permutation(len(rows))]
    part = np.where(given == 0, Part.TRAIN, Part.TEST).astype(np.uint8)
    if alone:
        tests, chosen = (len(rows) * share // 100 for share in (TEST_SHARE, SELECTION_SHARE))
        part[order[:tests]] = Part.TEST
        part[order[tests : tests + chosen]] = Part.SELECTION
    else:
        part[order[: min(SELECTION_IMAGES, len(rows) // 10)]] = Part.SELECTION
    return part


def _cut_digest() -> str:
    """A few digits that change with the rule by which classes are cut."""
    text = f"{SELECTION_IMAGES} {SELECTION_SHARE} {TEST_SHARE} {SEED}"
    return hashlib.sha256(text.encode()).hexdigest()[:4]
