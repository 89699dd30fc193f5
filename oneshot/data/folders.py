"""Where data that the user brings is looked for, and the errors that say what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oneshot.data import DataError
from oneshot.points import find_file, user_folders


def find(title: str, name: str, files: Sequence[str], wanted: str) -> Path:
    """The first of these files in these places. Raises DataError if there is none, naming the places and what is `wanted` there."""
    found = find_file(name, files)  # the file whose hash enters the ids of points
    if found is None:
        raise absent(title, {place: path is not None for place, path in user_folders(name).items()}, wanted)
    return found


def absent(title: str, tried: dict[str, bool], wanted: str) -> DataError:
    """The error for data that is not here. tried: where it was looked for, and whether that place is set at all."""
    lines = ",\n        ".join(place if known else f"{place} (not set)" for place, known in tried.items())
    return DataError(f"{title} is not here, and it is not downloaded\n  help: put {wanted} into one of these:\n        {lines}")


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system does not give."""
    return DataError(f"cannot read {path}: {error.strerror or error}\n  help: check its permissions, or put a whole one there")
