"""CelebA: photographs of faces, each identity a class; read from a folder of the user's.

Liu, Luo, Wang and Tang, ICCV 2015. Looked for in the places of `places.user_folders`, under the
official names: `identity_CelebA.txt` (also in `Anno`) and the folder `img_align_celeba`, beside it,
in `Img`, or in a folder of its own name, as some zips unpack. For non-commercial research only, say
its authors; no image of it is part of this package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneshot.console.terminal import tell_note
from oneshot.data.content import Contents
from oneshot.data.images import area_resized, read_rgb
from oneshot.paths import DataError, locate, unreadable
from oneshot.store.machine_cache import cached
from oneshot.sweep.point import data_fingerprint
from oneshot.types import DataSet

SPLITS = ("identities",)
# about: 4,444 identities; read without importing this file, for estimates of cost
TRAIN_IMAGES = {"identities": 115_000}
CHANNELS = 3
DRAWINGS_PER_CLASS = 20  # the fewest images of a class
FINGERPRINT = "folder"
FINGERPRINT_FILES = (
    "identity_CelebA.txt",
    "Anno/identity_CelebA.txt",
    "celeba/identity_CelebA.txt",
)

FEWEST, MOST = 20, 30  # images of an identity that is a class (Giannone and Winther 2022)
LEAST_CLASSES = 10  # so that every part of the split has one
LIST, FOLDER = "identity_CelebA.txt", "img_align_celeba"
# below the folder of the list
FOLDERS = (FOLDER, f"{FOLDER}/{FOLDER}", f"Img/{FOLDER}", f"../Img/{FOLDER}", f"../{FOLDER}")


@dataclass(frozen=True)
class Listed:
    """One line of the list of identities: its number in the file, from 1, and the image that it
    names.
    """

    line: int
    image: str


def load(split: str, image_size: int) -> DataSet:
    """CelebA in colour: each identity with 20 .. 30 images is a class, in sorted order.

    Images are the largest centred square of the picture (178 x 178 of the 178 x 218 aligned ones),
    averaged over areas.

    Args:
        split: "identities": the first 70 % of the sorted identities to train, the next 10 % for
            validation and the last 20 % to test.
        image_size: S, height and width in pixels.

    Returns:
        Images uint8 [N, 3, S, S] and the classes of the split.

    Raises:
        DataError: a file is absent or unreadable, or the list of identities is malformed.
    """
    listing = located()
    classes = read_identities(listing)
    fingerprint = data_fingerprint("celeba")
    shape = (sum(map(len, classes.values())), CHANNELS, image_size, image_size)

    def prepared() -> Iterator[np.ndarray]:
        folder = checked_folder(listing, classes)
        tell_note(f"preparing {shape[0]:,} CelebA images of {image_size} x {image_size}")
        return (prepare(folder, listing, images, image_size) for images in classes.values())

    images = cached(f"celeba-{image_size}-{fingerprint}.npy", shape, prepared)
    label = np.repeat(np.arange(len(classes)), [len(images) for images in classes.values()])
    names = tuple(f"identity {identity}" for identity in classes)
    return DataSet("celeba", split, fingerprint, images, label, names, *class_split(len(classes)))


def located() -> Path:
    """The list of identities. Raises DataError if there is none."""
    return locate("CelebA", "celeba", FINGERPRINT_FILES, f"{LIST} and the folder {FOLDER}")


def check(image_size: int, greys: bool) -> None:
    """Make sure that the list and the folder of images are here.

    Args:
        image_size: height and width in pixels; any can be made.
        greys: whether levels of ink are needed; photographs have none.

    Raises:
        DataError: the list or the folder is not here.
    """
    listing = located()
    if not any((listing.parent / name).is_dir() for name in FOLDERS):
        raise _no_folder(listing)


def _no_folder(listing: Path) -> DataError:
    return DataError(
        f"{listing.parent} has {listing.name}, but no folder {FOLDER}\n  help: unzip {FOLDER}.zip"
        " there"
    )


def contents(listing: Path) -> Contents:
    """The pictures of every class, each under its identity, and the split.

    No picture is read.

    Raises:
        DataError: as `load`.
    """
    classes = read_identities(listing)
    folder = os.fspath(checked_folder(listing, classes))
    files = {
        f"{identity}/{one.image}": Path(folder, one.image)
        for identity, images in classes.items()
        for one in images
    }
    identities = list(classes)
    return Contents(
        files, {"identities": [[identities[i] for i in part] for part in class_split(len(classes))]}
    )


def class_split(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split `count` sorted classes into train (70 %), validation (10 %) and test (20 %).

    The borders are rounded to the nearest class.
    """
    train, validation = (7 * count + 5) // 10, (8 * count + 5) // 10
    return np.arange(train), np.arange(train, validation), np.arange(validation, count)


def read_identities(listing: Path) -> dict[int, list[Listed]]:
    """Read the identities with 20 .. 30 images, sorted, each with its images sorted by name.

    Raises:
        DataError: the list is malformed; file and line are named.
    """
    try:
        lines = listing.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{listing} is no text file: {error}\n  help: put the official {listing.name} there"
        ) from error
    except OSError as error:
        raise unreadable(listing, error) from error
    identities: dict[int, list[Listed]] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        image, identity = _fields(line, f"{listing}, line {number}")
        if (before := seen.setdefault(image, number)) != number:
            raise DataError(
                f"{listing}, line {number}: {image} is on line {before} already\n  help: put the"
                f" official {listing.name} there"
            )
        identities.setdefault(identity, []).append(Listed(number, image))
    chosen = {
        i: sorted(identities[i], key=lambda listed: listed.image)
        for i in sorted(identities)
        if FEWEST <= len(identities[i]) <= MOST
    }
    if len(chosen) < LEAST_CLASSES:
        counts = f"{len(chosen)} identities with {FEWEST} .. {MOST} images"
        raise DataError(
            f"{listing} lists {counts}; a split needs {LEAST_CLASSES}\n  help: put the official"
            f" {listing.name} there"
        )
    return chosen


def _fields(line: str, where: str) -> tuple[str, int]:
    """The image and the identity of one line, as in `000001.jpg 2880`."""
    fields = line.split()
    if (
        len(fields) != 2
        or not fields[1].isascii()
        or not fields[1].isdigit()
        or Path(fields[0]).name != fields[0]
    ):
        raise DataError(
            f"{where}: {line.strip()[:60]!r} is not an image and its identity\n  help: a line is as"
            " in '000001.jpg 2880'"
        )
    return fields[0], int(fields[1])


def checked_folder(listing: Path, classes: Mapping[int, list[Listed]]) -> Path:
    """Find the folder of images that goes with a list.

    Args:
        listing: the list of identities.
        classes: the images of each identity, which must be there.

    Returns:
        The folder.

    Raises:
        DataError: the folder, or an image of these classes, is not there.
    """
    wanted = [listed for images in classes.values() for listed in images]
    best: tuple[Path, list[Listed]] | None = None
    for folder in (listing.parent / name for name in FOLDERS):
        try:
            there = set(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise unreadable(folder, error) from error
        missing = [listed for listed in wanted if listed.image not in there]
        if not missing:
            return folder
        if best is None or len(missing) < len(best[1]):
            best = folder, missing
    if best is None:
        raise _no_folder(listing)
    folder, missing = best
    missing.sort(key=lambda listed: listed.line)
    named = ", ".join(f"{m.image} (line {m.line} of {listing.name})" for m in missing[:3])
    more = f" and {len(missing) - 3:,} more images" if len(missing) > 3 else ""
    raise DataError(f"{folder} lacks {named}{more}\n  help: unzip {FOLDER}.zip there again")


def prepare(folder: Path, listing: Path, images: list[Listed], size: int) -> np.ndarray:
    """Prepare the images of one identity.

    Args:
        folder: where the pictures lie.
        listing: the list that names them, for messages.
        images: the pictures.
        size: S, height and width in pixels.

    Returns:
        uint8 [n, 3, S, S].

    Raises:
        DataError: an image cannot be read; it is named.
    """
    where = f"{{}} (line {{}} of {listing.name})"
    pictures = (read_rgb(folder / i.image, where.format(folder / i.image, i.line)) for i in images)
    return np.stack([area_resized(centre_square(picture), size) for picture in pictures])


def centre_square(picture: np.ndarray) -> np.ndarray:
    """Cut the largest square in the middle: [3, H, W] -> [3, S, S].

    A middle that lies between pixels is taken half a pixel to the top left.
    """
    height, width = picture.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[:, top : top + side, left : left + side]
