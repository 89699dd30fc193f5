"""Images of the user's as they lie: a folder with a folder for each class, or an npz."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from oneshot.data import by_hash
from oneshot.data.folder_files import FORM, Found, listed, some
from oneshot.data.folder_pictures import Square, all_squared, squared
from oneshot.paths import DataError, unreadable, user_path

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """Where images of the user's lie, and how they are to be read.

    Args:
        path: of a folder or an npz.
        ink_tone: "dark", "bright", or "auto".
        threshold: share of ink from which on a pixel is ink.
        colour: whether they are kept in colour.
        split_file: CSV with the part of each class; "" for a split by the hash of names.
        test_share: of the classes, where there is no file.
    """

    path: Path
    ink_tone: str
    threshold: float
    colour: bool
    split_file: str
    test_share: float

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Source:
        """The source that the settings of a point name."""
        if not settings.get("data_path"):
            raise DataError(f"data_path is not set\n  help: it names {FORM}")
        return Source(
            Path(user_path(settings["data_path"])),
            settings["ink_tone"],
            settings["threshold"],
            settings["colour"],
            settings["split_file"],
            settings["test_share"],
        )

    @cached_property
    def is_npz(self) -> bool:
        """Whether it is one file; DataError if it is neither folder nor npz."""
        if self.path.is_dir():
            return False
        if self.path.is_file() and self.path.suffix.lower() == ".npz":
            return True
        what = "is no folder and no npz" if self.path.exists() else "does not exist"
        raise DataError(f"data_path = {self.path} {what}\n  help: it needs {FORM}")

    @cached_property
    def found(self) -> Found:
        """The pictures of a folder."""
        return listed(self.path)

    @cached_property
    def labelled(self) -> tuple[tuple[str, ...], np.ndarray]:
        """The names of the classes, sorted, and the class of each image in the npz's order."""
        label, names = _npz_label(self.path)
        present = np.unique(label)
        order = sorted(present.tolist(), key=lambda c: names[c])
        rank = np.zeros(len(names), np.int64)
        rank[order] = np.arange(len(order))
        return tuple(names[c] for c in order), rank[label]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return self.labelled[0] if self.is_npz else self.found.names

    @property
    def sizes(self) -> np.ndarray:
        """How many images each class has, int64 [classes]."""
        if self.is_npz:
            return np.bincount(self.labelled[1], minlength=len(self.names))
        return np.array([len(files) for files in self.found.files.values()], np.int64)

    @property
    def notes(self) -> list[str]:
        """What a person should know of the folder, a sentence each."""
        return [] if self.is_npz else self.found.notes

    @property
    def files(self) -> dict[str, Path]:
        """Every file that counts, under a name that is the same wherever it lies."""
        if self.is_npz:
            return {"npz": self.path}
        pairs = self.found.files.items()
        return {
            f"{name}/{unicodedata.normalize('NFC', file.name)}": file
            for name, files in pairs
            for file in files
        }

    def split(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The train, validation and test classes: sorted int64 ids, disjoint, together all."""
        if self.split_file:
            part_of = _read_parts(Path(self.split_file), self.names)
            parts = np.array([PARTS.index(part_of[name]) for name in self.names])
            return tuple(np.flatnonzero(parts == i) for i in range(3))  # type: ignore[return-value]
        order = by_hash(self.names)
        test = round(self.test_share * len(order))
        validation = max(round(self.test_share * len(order) / 2), min(2, len(order) - test))
        return (
            np.sort(order[test + validation :]),
            np.sort(order[test : test + validation]),
            np.sort(order[:test]),
        )

    def squares(self, size: int) -> Iterator[Square]:
        """The images, class after class.

        Args:
            size: height and width.

        Returns:
            Each image as a square.

        Raises:
            DataError: images are damaged.
        """
        if self.is_npz:
            images = _npz_images(self.path, len(self.labelled[1]), self.colour)
            order = np.argsort(self.labelled[1], kind="stable")
            return (squared(images(row), size) for row in order)
        pairs = self.found.files.items()
        pictures = ((f"{name}/{file.name}", file) for name, files in pairs for file in files)
        return all_squared(pictures, size, self.colour)


def _read_parts(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The part of each class, from a CSV with the columns class and part."""
    help = "\n  help: its first line is class,part, and each class is train, validation or test"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise unreadable(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table: {error}{help}") from error
    if not rows or not {"class", "part"} <= set(rows[0]):
        raise DataError(f"{path} has no columns class and part, or no rows{help}")
    part_of: dict[str, str] = {}
    for row in rows:
        name = unicodedata.normalize("NFC", (row["class"] or "").strip().replace("\\", "/"))
        part = (row["part"] or "").strip().lower()
        if part not in PARTS:
            raise DataError(f"{path}: the part of {name!r} is {part!r}{help}")
        if part_of.setdefault(name, part) != part:
            raise DataError(f"{path}: {name!r} is both {part_of[name]} and {part}{help}")
    for lacking, text in (
        (sorted(set(names) - set(part_of)), "does not say the part of"),
        (sorted(set(part_of) - set(names)), "names what is no class of the images:"),
    ):
        if lacking:
            raise DataError(f"{path} {text} {some(lacking)}{help}")
    return part_of


def _damaged(path: Path, reason: object) -> DataError:
    return DataError(f"{path}: {reason}\n  help: data_path needs {FORM}")


def _npz_label(path: Path) -> tuple[np.ndarray, list[str]]:
    """The class of each image of an npz, and the names of the classes."""
    try:
        with np.load(path, allow_pickle=False) as file:
            label = np.asarray(file["label"])
            given = np.asarray(file["class_names"]) if "class_names" in file else None
    except Exception as error:  # damaged archives raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise _damaged(path, reason) from error
    if label.ndim != 1 or label.dtype.kind not in "iu" or not len(label) or label.min() < 0:
        raise _damaged(path, f"label is {label.dtype} {label.shape}, not whole numbers from 0")
    label = label.astype(np.int64)
    if given is None:
        digits = len(str(label.max()))
        return label, [f"class {number:0{digits}}" for number in range(label.max() + 1)]
    if given.ndim != 1 or given.dtype.kind not in "US" or len(given) <= label.max():
        shape = f"{given.dtype} {given.shape}"
        raise _damaged(path, f"class_names is {shape}, and label goes to {label.max()}")
    names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in given.tolist()]
    names = [unicodedata.normalize("NFC", name) for name in names]
    if len(set(names)) < len(names):
        raise _damaged(path, "two of its class_names are the same")
    return label, names


def _npz_images(path: Path, count: int, colour: bool) -> Any:
    """A function that gives the image of a row of an npz, uint8 [1 or 3, H, W]."""
    try:
        with np.load(path, allow_pickle=False) as file:
            images = np.asarray(file["images"])
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise _damaged(path, reason) from error
    channels_last = images.ndim == 4 and images.shape[3] in (1, 3)
    sound = images.ndim == 3 or channels_last or (images.ndim == 4 and images.shape[1] in (1, 3))
    if not sound or images.dtype.kind not in "biuf" or len(images) != count or not images.size:
        raise _damaged(
            path,
            f"images is {images.dtype} {images.shape}: [{count}, H, W] or [{count}, H, W, 3] of"
            " numbers is needed",
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 255):  # False of nan
        raise _damaged(path, f"images goes from {low:g} to {high:g}, not from 0 to 1 or to 255")
    factor = 255.0 if high <= 1 else 1.0

    def image(row: int) -> np.ndarray:
        values = np.rint(images[row].astype(np.float64) * factor).astype(np.uint8)
        values = values[None] if values.ndim == 2 else values
        values = np.moveaxis(values, -1, 0) if channels_last else values
        if colour:
            return np.repeat(values, 3, 0) if len(values) == 1 else values
        if len(values) == 1:
            return values
        # as Pillow weighs colours
        weighed = values.astype(np.int64) * np.array([19595, 38470, 7471])[:, None, None]
        return ((weighed.sum(0) + 0x8000) >> 16).astype(np.uint8)[None]

    return image
