"""Omniglot in three channels, as few-shot papers have it; a split makes 212 characters novel.

The images of `omniglot.py`, from the same places or downloaded once per machine: black strokes on
white, averaged over areas, the grey in each of three channels (Beckham et al. 2022 at 32 pixels).
Classes are all 1,623 characters, alphabets and characters sorted, those of the background set
first. Copyright (c) 2015 Brenden Lake, MIT licence. No image of it is part of this package.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oneshot.console.terminal import tell_note
from oneshot.data import VERSION
from oneshot.data.class_splits import ClassSplits, shuffled
from oneshot.data.images import area_resized, unpacked_chunks
from oneshot.data.omniglot import PUBLISHED, here_or_coming, packed_images
from oneshot.data.omniglot_files import DRAWERS, SIDE, Release
from oneshot.store.machine_cache import cached
from oneshot.types import DataSet

CHANNELS = 3
CLASSES = 1623
SPLITS = ("classes_0", "classes_1", "classes_2", "classes_3", "classes_4")
# of base classes; read without importing this file, for estimates of cost
TRAIN_IMAGES = {
    "classes_0": 28_220,
    "classes_1": 28_220,
    "classes_2": 28_220,
    "classes_3": 28_220,
    "classes_4": 28_220,
}
DRAWINGS_PER_CLASS = 16  # that shots of a novel class are chosen from
FINGERPRINT = "75a36f7ce605"  # of the images of omniglot.py
NOVEL = 212


def load(split: str, image_size: int, release: Release = PUBLISHED, novel: int = NOVEL) -> DataSet:
    """Omniglot in grey, three times, white background, 20 images a class.

    Args:
        split: "classes_0" .. "classes_4": which classes are novel.
        image_size: S, height and width in pixels; exact averages over areas of 105 x 105 pixels.
        release: another edition than the published one.
        novel: how many classes are novel.

    Returns:
        Images uint8 [N, 3, S, S] of 0 .. 255, their classes and parts.

    Raises:
        DataError: the images are absent and cannot be had, or are not that release.
    """
    label = np.repeat(np.arange(len(release.class_names)), DRAWERS)
    shape = (len(label), CHANNELS, image_size, image_size)

    def prepared() -> Iterator[np.ndarray]:
        packed = packed_images(release)
        tell_note(f"preparing {shape[0]:,} Omniglot images of {image_size} x {image_size}")
        return (_grey(bits, image_size) for bits in unpacked_chunks(packed[shuffled(label)], SIDE))

    images = cached(_prepared(image_size, release), shape, prepared)
    splits = ClassSplits("omniglot_rgb", release.class_names, CHANNELS, novel)
    fingerprint = f"{release.sha256[: len(FINGERPRINT)]}-{VERSION}"
    return splits.data_set(split, fingerprint, images, label)


def check(image_size: int, greys: bool, release: Release = PUBLISHED) -> None:
    """Make sure that the images are prepared, or in a folder.

    Args:
        image_size: height and width in pixels.
        greys: whether levels of ink are needed, which there always are.
        release: another edition than the published one.

    Raises:
        WillBeDownloaded: they are neither.
    """
    here_or_coming([_prepared(image_size, release)], release)


def _grey(bits: np.ndarray, image_size: int) -> np.ndarray:
    """Images of 0 and 1 [n, 105, 105], ink 1 -> uint8 [n, 3, S, S], ink black."""
    paper = area_resized((1 - bits) * np.uint8(255), image_size)
    return np.repeat(paper[:, None], CHANNELS, axis=1)


def _prepared(image_size: int, release: Release) -> str:
    """The name of the file with the prepared images."""
    return f"omniglot_rgb-{image_size}-{release.sha256[: len(FINGERPRINT)]}-v{VERSION}.npy"
