"""Data sets: one file each, found by its name; `load` gives the images with their class split.

The file of a data set defines `FINGERPRINT` (the first 12 hex digits of the hash of its content;
"folder" for data of the user's, of which `FINGERPRINT_FILES` name what is looked for), `SPLITS`
(the splits it has), `TRAIN_IMAGES` and `DRAWINGS_PER_CLASS` (for estimates and checks),
`TEST_CLASSES` (how many each split has, so that too few are told at once) or `CLASSES` (how many
there are in all, for families that must know), `CHANNELS` if it is in colour, `KIND` if it is of
greys or points, and `load(split, image_size) -> DataSet`; `greys(image_size)` if it has levels
of ink. Importing it reads no image. Two functions are optional: `check(image_size, greys)` raises
DataError where its images are not here, and reads none; `contents(found)` says which files and
class lists make data of the user's what they are (`content.Contents`): without it, every file below
what was found, and the code of the data set's own file. With `BY_SETTINGS`, settings of a point say
where the images are, and functions take them (`folder.py`). Where splits make classes novel,
`class_splits.py` prepares the images.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oneshot.paths import DataError, absent, cache_dir, find, unreadable
from oneshot.sweep import own_data
from oneshot.sweep.point import Point, by_settings, data_fingerprint
from oneshot.sweep.settings import COMMON, OF_FOLDER, default_of
from oneshot.types import DataSet

# Raised whenever the same content comes out as other images or in another split; part of every
# fingerprint and cache file name.
VERSION = 1

# heights an image can be asked for; settings.py narrows this to what the models take
SMALLEST, LARGEST = 8, 512


class WillBeDownloaded(DataError):
    """A data set is not here yet; the first run on a machine fetches it."""


def names() -> list[str]:
    """The data sets there are: the files of this folder that define a FINGERPRINT."""
    return sorted(
        f.stem
        for f in Path(__file__).parent.glob("*.py")
        if "\nFINGERPRINT = " in f.read_text(encoding="utf-8")
    )


def fingerprint(name: str) -> str:
    """What identifies the images and splits of a data set in ids, as `points.data_fingerprint`."""
    _module(name)
    return data_fingerprint(name)


def splits(name: str) -> tuple[str, ...]:
    """The class splits a data set has."""
    return tuple(_module(name).SPLITS)


def load(
    name: str, split: str, image_size: int, settings: Mapping[str, Any] | None = None
) -> DataSet:
    """Load the images and the class split of a data set.

    The first call on a machine fills its cache; later ones map that file.

    Args:
        name: the data set.
        split: one of its splits.
        image_size: height and width in pixels, 8 .. 512.
        settings: of a point, for a data set that they describe.

    Returns:
        Images, classes, and the train, validation and test classes.

    Raises:
        DataError: no such data set, split or size; images absent and not to be had; images
            damaged.
    """
    if split not in splits(name):
        raise DataError(
            f"{name} has no split {split!r}.{_near(split, splits(name))} It has:"
            f" {', '.join(splits(name))}"
        )
    if not isinstance(image_size, int) or not SMALLEST <= image_size <= LARGEST:
        raise DataError(
            f"image_size = {image_size!r} is not a whole number in {SMALLEST} .. {LARGEST}"
        )
    module = _module(name)
    described = _described(module, settings, split=split, image_size=image_size)
    data: DataSet = module.load(split, image_size, *described)
    return data


def greys(
    name: str, image_size: int, settings: Mapping[str, Any] | None = None
) -> np.ndarray | None:
    """The images of a data set in 255 levels of ink, for stochastic binarisation.

    Args:
        name: the data set.
        image_size: height and width in pixels, 8 .. 512.
        settings: of a point, for a data set that they describe.

    Returns:
        uint8 [N, S, S], index by index as `load`; None for a colour data set.

    Raises:
        DataError: as `load`.
    """
    module = _module(name)
    make = getattr(module, "greys", None)
    described = _described(module, settings, image_size=image_size)
    found: np.ndarray | None = make(image_size, *described) if make else None
    return found


def missing(name: str, settings: Mapping[str, Any]) -> DataError | None:
    """Say why the images that a point needs cannot be had on this machine.

    Looks for files only, and reads none; images that settings describe are prepared at once.

    Args:
        name: the data set.
        settings: all settings of the point.

    Returns:
        The error that a run would end with; WillBeDownloaded where a run can help itself; None
        where everything is here.
    """
    try:
        cache_dir()
        module = _module(name)
        if described := _described(module, settings):
            module.check(*described)
        elif hasattr(module, "check"):
            module.check(settings["image_size"], settings.get("binarisation") == "stochastic")
        elif module.FINGERPRINT == "folder" and find(name, module.FINGERPRINT_FILES) is None:
            raise absent(name, name, " or ".join(module.FINGERPRINT_FILES))
        if any(settings.get(n) not in (None, False, "none") for n in ("transfer", "classify")):
            importlib.import_module("oneshot.data.digits").check()
    except DataError as error:
        return error
    except OSError as error:
        return unreadable(Path(error.filename or name), error)
    return None


def missing_of(points: Iterable[Point], remote: bool = False) -> list[DataError]:
    """Say why images that these points need cannot be had or used, each reason once.

    Args:
        points: the points of a run.
        remote: other machines compute them; then only data that enter ids have to be here.

    Returns:
        The errors that a run would end with, in the order of the points.
    """
    points = list(points)
    wanted = ("dataset", "image_size", "binarisation", "transfer", "classify", *OF_FOLDER)
    kinds = {tuple(point.settings.get(n) for n in wanted): point.settings for point in points}
    found = {}
    for given in kinds.values():
        name = given["dataset"]
        if not remote or _module(name).FINGERPRINT == "folder":
            of_images = ("dataset", "image_size", *OF_FOLDER)
            asked = {n: given[n] for n in of_images} if remote else given
            if error := missing(name, asked):
                found[str(error)] = error
    if not found:
        found = {str(error): error for error in _unmet(points)}
    files = {
        (file, point.settings["image_size"], name): None
        for point in points
        for name in ("file", "human_file")
        if (file := point.settings.get(name))
    }
    for file, size, name in files:
        try:
            importlib.import_module("oneshot.data.drawings_file").check(Path(file), size)
        except ValueError as invalid:
            found[str(invalid)] = DataError(f"{name}: {invalid}")
    return list(found.values())


def _unmet(points: Iterable[Point]) -> Iterator[DataError]:
    """What points need of images that their settings describe, and these lack."""
    described = [p for p in points if by_settings(p.settings["dataset"])]
    alike = {(p.data_fingerprint, *map(p.critic_id, p.critics)): p for p in described}
    for point in alike.values():
        if error := importlib.import_module("oneshot.data.folder_needs").unmet(point):
            yield error


def is_absent(fingerprint: str) -> bool:
    """Whether a fingerprint is that of data of the user's which are not here."""
    return fingerprint.startswith("absent-")


def by_hash(class_names: Sequence[str]) -> np.ndarray:
    """Shuffle classes in a fixed way that depends on nothing but their names.

    Args:
        class_names: the names of C classes.

    Returns:
        int64 [C], their indices in the order of the SHA-256 of the names.
    """
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in class_names]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def _described(
    module: Any, settings: Mapping[str, Any] | None, **asked: Any
) -> tuple[dict[str, Any], ...]:
    """The settings by which a data set is described, as the last argument of its functions."""
    if not getattr(module, "BY_SETTINGS", False):
        return ()
    return ({n: default_of(COMMON[n]) for n in OF_FOLDER} | dict(settings or {}) | asked,)


def _module(name: str) -> Any:
    """The module of a data set; of one of the user's what stands for it."""
    if (own := own_data.find(name)) is not None:
        in_our_form = importlib.import_module("oneshot.data.own").OwnDataSet
        return in_our_form(own, data_fingerprint(name))
    if name not in names():
        raise DataError(
            f"there is no data set {name!r}.{_near(name, names())} Known: {', '.join(names())}"
        )
    return importlib.import_module(f"oneshot.data.{name}")


def _near(word: str, known: Sequence[str]) -> str:
    match = difflib.get_close_matches(word, known, 1)
    return f" Did you mean {match[0]!r}?" if match else ""
