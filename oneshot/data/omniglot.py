"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people.

Lake et al., Science 350:1332, 2015. Read from one of the places of `places.user_folders`, in which
it may also lie as a copy of its authors' repository or torchvision's download has it (BELOW); else
downloaded once per machine from that repository. Copyright (c) 2015 Brenden Lake, MIT licence. No
image of it is part of this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from oneshot.console.terminal import tell_note
from oneshot.data import VERSION, WillBeDownloaded, by_hash
from oneshot.data.images import binarise_omniglot, unpacked_chunks
from oneshot.data.images import greys as area_average
from oneshot.data.omniglot_files import DRAWERS, SETS, SIDE, Release, complete, describe, read
from oneshot.paths import DataError, cache_dir, shown, user_folders
from oneshot.store.machine_cache import cached
from oneshot.types import DataSet

SPLITS = ("weak", "strong", "random")
RANDOM_TEST, RANDOM_VALIDATION = 423, 200  # classes; the remaining 1,000 are for training
DRAWINGS_PER_CLASS = 20
# read without importing this file, for estimates of cost
TRAIN_IMAGES = {"weak": 26_520, "strong": 17_360, "random": 20_000}
TEST_CLASSES = {"weak": 150, "strong": 659, "random": 423}  # likewise, for checks
FINGERPRINT = "75a36f7ce605"

# where it lies below a place
BELOW = ("", "python", "omniglot-py", "omniglot/python", "omniglot-master/python")

# fmt: off
PUBLISHED = Release(
    background={
        "Alphabet_of_the_Magi": 20, "Anglo-Saxon_Futhorc": 29, "Arcadian": 26, "Armenian": 41,
        "Asomtavruli_(Georgian)": 40, "Balinese": 24, "Bengali": 46,
        "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14, "Braille": 26,
        "Burmese_(Myanmar)": 34,
        "Cyrillic": 33, "Early_Aramaic": 22, "Futurama": 26, "Grantha": 43, "Greek": 24,
        "Gujarati": 48, "Hebrew": 22,
        "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16, "Japanese_(hiragana)": 52,
        "Japanese_(katakana)": 47, "Korean": 40, "Latin": 26, "Malay_(Jawi_-_Arabic)": 40,
        "Mkhedruli_(Georgian)": 41, "N_Ko": 33, "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14,
        "Sanskrit": 42, "Syriac_(Estrangelo)": 23, "Tagalog": 17, "Tifinagh": 55,
    },
    evaluation={
        "Angelic": 20, "Atemayar_Qelisayer": 26, "Atlantean": 26, "Aurek-Besh": 26, "Avesta": 26,
        "Ge_ez": 26, "Glagolitic": 45, "Gurmukhi": 45, "Kannada": 41, "Keble": 26, "Malayalam": 47,
        "Manipuri": 40, "Mongolian": 30,
        "Old_Church_Slavonic_(Cyrillic)": 45,
        "Oriya": 46, "Sylheti": 28, "Syriac_(Serto)": 23, "Tengwar": 25, "Tibetan": 42, "ULOG": 26,
    },
    sha256="75a36f7ce605ee617d0c45021613841aec979e079f71594e885aba52a7c003ce",
    url="https://raw.githubusercontent.com/brendenlake/omniglot/master/python",
    md5=("68d2efa1b9178cc56df9314c21c6e718", "6b91aef0f799c5bb55b94e3f2daec811"),
)
# fmt: on


def load(split: str, image_size: int, release: Release = PUBLISHED) -> DataSet:
    """Omniglot, prepared as published (`binarise_omniglot`), 20 images a class.

    Args:
        split: "weak" tests on the characters 01, 02, 03 of every alphabet (150 classes), "strong"
            on the evaluation alphabets (659); a tenth of the other classes, chosen by the hash of
            their names, is held out as validation (147 of 1,473; 96 of 964). "random" orders all
            classes by the hash of their names: 1,000 to train, 200 for validation, 423 to test, the
            sizes of Giannone and Winther (2022).
        image_size: S, height and width in pixels.
        release: another edition than the published one.

    Returns:
        Images uint8 [N, S, S] of 0 and 1 and the classes of the split.

    Raises:
        DataError: the images are absent and cannot be had, or are not that release.
    """
    fingerprint = release.sha256[: len(FINGERPRINT)]
    shape = (DRAWERS * len(release.class_names), image_size, image_size)

    def prepared() -> Iterator[np.ndarray]:
        packed = packed_images(release)
        tell_note(f"preparing {shape[0]:,} Omniglot images of {image_size} x {image_size}")
        return (binarise_omniglot(bits, image_size) for bits in unpacked_chunks(packed, SIDE))

    images = cached(_prepared(image_size, release), shape, prepared)
    train, validation, test = class_split(split, release)
    label = np.repeat(np.arange(len(release.class_names)), DRAWERS)
    return DataSet(
        "omniglot",
        split,
        f"{fingerprint}-{VERSION}",
        images,
        label,
        release.class_names,
        train,
        validation,
        test,
    )


def greys(image_size: int, release: Release = PUBLISHED) -> np.ndarray:
    """The images of `load` as exact averages over the area of each pixel.

    Args:
        image_size: S, height and width in pixels.
        release: another edition than the published one.

    Returns:
        uint8 [N, S, S], 255 is full ink.
    """
    shape = (DRAWERS * len(release.class_names), image_size, image_size)

    def prepared() -> Iterator[np.ndarray]:
        return (
            area_average(bits, image_size) for bits in unpacked_chunks(packed_images(release), SIDE)
        )

    return cached(_prepared(image_size, release, "-grey"), shape, prepared)


def class_split(
    split: str, release: Release = PUBLISHED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The train, validation and test classes of a split.

    Args:
        split: as of `load`.
        release: another edition than the published one.

    Returns:
        Sorted int64 ids, disjoint, together every class.
    """
    if split == "random":
        order = by_hash(release.class_names)
        test, validation, train = np.split(order, [RANDOM_TEST, RANDOM_TEST + RANDOM_VALIDATION])
        return np.sort(train), np.sort(validation), np.sort(test)
    character = np.array([number for _, number in release.characters])
    in_evaluation = np.arange(len(character)) >= sum(release.background.values())
    is_test = {"weak": character <= 3, "strong": in_evaluation}[split]
    others = np.flatnonzero(~is_test)
    order = by_hash([release.class_names[i] for i in others])
    held_out = len(others) // 10
    return (
        np.sort(others[order[held_out:]]),
        np.sort(others[order[:held_out]]),
        np.flatnonzero(is_test),
    )


def folders() -> Iterator[Path]:
    """Where Omniglot is looked for, in this order."""
    return (
        place / below for place in user_folders("omniglot").values() if place for below in BELOW
    )


def check(image_size: int, greys: bool, release: Release = PUBLISHED) -> None:
    """Make sure that the images are prepared, or in a folder.

    Args:
        image_size: height and width in pixels.
        greys: whether levels of ink are needed.
        release: another edition than the published one.

    Raises:
        WillBeDownloaded: they are neither.
    """
    here_or_coming(
        [_prepared(image_size, release)] + [_prepared(image_size, release, "-grey")] * greys,
        release,
    )


def here_or_coming(prepared: Sequence[str], release: Release = PUBLISHED) -> None:
    """Make sure that prepared images are in the cache, or can be made of what is here.

    Args:
        prepared: the names of the files with them.
        release: another edition than the published one.

    Raises:
        WillBeDownloaded: they can not.
    """
    if (
        all((cache_dir() / name).is_file() for name in prepared)
        or (cache_dir() / _packed(release)).is_file()
    ):
        return
    if not any(map(complete, folders())):
        raise WillBeDownloaded(
            "Omniglot is not here; it will be downloaded (16 MB) to"
            f" {shown(cache_dir() / 'omniglot')}"
        )


def _prepared(image_size: int, release: Release, kind: str = "") -> str:
    """The name of the file with the prepared images."""
    return f"omniglot{kind}-{image_size}-{release.sha256[: len(FINGERPRINT)]}-v{VERSION}.npy"


def _packed(release: Release) -> str:
    return f"omniglot-packed-{release.sha256[: len(FINGERPRINT)]}.npy"


def packed_images(release: Release = PUBLISHED) -> np.ndarray:
    """All images at 105 x 105, 1 bit a pixel: uint8 [20 x classes, 1379].

    They come from the cache, a folder, or the network.
    """

    def found() -> Iterator[np.ndarray]:
        for folder in folders():
            if (packed := read(folder, release)) is not None:
                return iter([packed])
        return iter([_downloaded(release)])

    shape = (DRAWERS * len(release.class_names), SIDE * SIDE // 8 + 1)
    return cached(_packed(release), shape, found)


def _downloaded(release: Release) -> np.ndarray:
    from oneshot.data.download import DownloadError, fetch

    folder = cache_dir() / "omniglot"
    try:
        for name, md5 in zip(SETS, release.md5):
            fetch(f"{release.url}/{name}.zip", folder / f"{name}.zip", md5)
    except DownloadError as error:
        raise DataError(_absent(str(error))) from error
    packed = read(folder, release)
    assert packed is not None, "both zips were just fetched"
    return packed


def _absent(reason: str) -> str:
    """What is missing, why, and what to put where."""
    places = [
        f"{name} ({describe(path) if path else 'not set'})"
        for name, path in user_folders("omniglot").items()
    ]
    lines = ",\n        ".join(places)
    zips = " and ".join(f"{name}.zip" for name in SETS)
    return (
        f"Omniglot is not here and cannot be downloaded ({reason})\n  help: put {zips} into one of"
        f" these:\n        {lines}"
    )
