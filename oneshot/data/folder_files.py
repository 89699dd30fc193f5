"""What a folder of images holds: which files are of which class, and what is passed over.

A class is a folder that has pictures in it, and its name is the path from the top, as in
`Greek/alpha`. Nothing is opened here.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oneshot.paths import DataError, unreadable

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp")
# what file browsers and packers leave behind; names that begin with a dot are hidden too
LEFT_BEHIND = {"__macosx", "thumbs.db", "desktop.ini"}
NAMED = 10  # of what is wrong, so many are named
FORM = (
    "one folder for each class with its images in it (PNG, JPEG, GIF, WebP), or an npz with images,"
    " label and class_names"
)


@dataclass(frozen=True)
class Found:
    """The pictures below a folder.

    Args:
        files: the pictures of each class, both sorted by name.
        notes: what a person should know of it, a sentence each.
    """

    files: dict[str, list[Path]]
    notes: list[str]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of their ids."""
        return tuple(self.files)


def listed(root: Path) -> Found:
    """Find the pictures below a folder.

    Args:
        root: the folder of the user's.

    Returns:
        The pictures by class.

    Raises:
        DataError: it has none, a name cannot be used, or a folder cannot be read.
    """
    files: dict[str, list[Path]] = {}
    loose, other, empty = 0, 0, []
    for folder, pictures, others, has_folders in _folders(root, (os.path.realpath(root),)):
        other += others
        name = _class_name(folder.relative_to(root))
        if folder == root:
            loose = len(pictures)
        elif pictures:
            if name in files:
                raise DataError(f"{root} has two folders whose names are both {name!r}")
            files[name] = sorted(pictures, key=lambda path: path.name)
        elif not has_folders:
            empty.append(name)
    if not files:
        where = f"{loose:,} pictures that are in no folder of a class" if loose else "no pictures"
        raise DataError(f"{root} has {where}\n  help: data_path needs {FORM}")
    notes = []
    if loose:
        notes.append(f"{loose:,} pictures lie beside the folders and are of no class: passed over")
    if empty:
        notes.append(f"no picture is in {some(sorted(empty))}: no class")
    if other:
        notes.append(f"{other:,} other files are passed over")
    ordered = dict(sorted(files.items()))
    notes += _alike(list(ordered))
    return Found(ordered, notes)


def some(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _folders(folder: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, list[Path], int, bool]]:
    """Each folder below: its pictures, how many other files it has, whether it has folders.

    A link to a folder is followed, but not one to a folder that it lies in.
    """
    pictures, folders, others = [], [], 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in LEFT_BEHIND:
                    continue
                if entry.is_dir():
                    folders.append(Path(entry.path))
                elif entry.name.lower().endswith(ENDINGS):
                    pictures.append(Path(entry.path))
                else:
                    others += 1
    except OSError as error:
        raise unreadable(folder, error) from error
    yield folder, pictures, others, bool(folders)
    for below in sorted(folders):
        real = os.path.realpath(below)
        if real not in above:
            yield from _folders(below, (*above, real))


def _class_name(path: Path) -> str:
    """The name of a class, the same on every system: accents are composed, `/` parts folders."""
    name = unicodedata.normalize("NFC", path.as_posix())
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"the name of a folder is not UTF-8: {name!a}\n  help: rename it") from None
    return name


def _alike(names: list[str]) -> list[str]:
    """A note on classes whose names differ in capitals alone."""
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(name.casefold(), []).append(name)
    alike = [" and ".join(same) for same in by_name.values() if len(same) > 1]
    if not alike:
        return []
    return [
        f"{some(alike)} differ in capitals alone: they are different classes here, and one where"
        " a file system ignores capitals"
    ]
