"""Where this machine keeps prepared files, and where data that the user brings are looked for.

Imports nothing of ours. There is one list of places for all data sets (`user_folders`) and one
search through it (`find`); each data set only says under which names its files come.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

# Where packages of Debian put data sets. `find` looks there last, and no message asks to put
# anything there.
SYSTEM_FOLDER = Path("/usr/share/datasets")


class DataError(RuntimeError):
    """A data set is absent, damaged, not the published one, or asked for in a form it does not
    have.
    """


class NoHomeError(ValueError):
    """A path begins with `~`, and the home folder it stands for is not known."""

    help = "write the folder in full, or set HOME"


def user_path(text: str) -> str:
    """A path as a user wrote it, with `~` and `~name` replaced by home folders.

    Shells replace `~` only where a word begins; this is for paths from files, variables and quotes.
    URIs and other paths stay as they are.

    Raises:
        NoHomeError: there is no such home folder.
    """
    if not text.startswith("~"):
        return text
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise NoHomeError(f"{text}: the home folder {text.partition('/')[0]} is not known")
    return path


def user_folder(text: str, help: str) -> Path:
    """As `user_path`, of a folder whose absence is one of data.

    Args:
        text: the path as the user wrote it.
        help: what to do if there is no such home folder.

    Returns:
        The path.

    Raises:
        DataError: there is no such home folder, as in a container whose user has no name.
    """
    try:
        return Path(user_path(text))
    except NoHomeError:
        raise DataError(f"{text}: there is no such home folder here\n  help: {help}") from None


def shown(path: Path) -> str:
    """The path with the home folder as ~, where there is one."""
    try:
        home = Path.home()
    except RuntimeError:
        return str(path)
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def cache_dir() -> Path:
    """The folder for prepared images, downloads and copies from stores; it need not exist yet.

    Returns:
        $ONESHOT_CACHE, or ~/.cache/oneshot.

    Raises:
        DataError: there is no home folder.
    """
    named = os.environ.get("ONESHOT_CACHE")
    return user_folder(named or "~/.cache/oneshot", "set ONESHOT_CACHE to a folder with room")


def user_folders(dataset: str) -> dict[str, Path | None]:
    """Where data that the user brings is looked for, in this order.

    Returns:
        The path of each place by what people call it; None where the place is not set.

    Raises:
        DataError: ONESHOT_DATA begins with ~ and there is no home folder.
    """
    named = os.environ.get("ONESHOT_DATA")
    root = user_folder(named, "set ONESHOT_DATA to a whole path") if named else None
    places: dict[str, Path | None] = {
        f"$ONESHOT_DATA/{dataset}": root / dataset if root else None,
        "$ONESHOT_DATA": root,
        f"./data/{dataset}": Path("data") / dataset,
        "./data": Path("data"),
    }
    try:
        cache = cache_dir()
    except DataError:
        return {**places, f"$ONESHOT_CACHE/{dataset}": None}
    return {**places, shown(cache / dataset): cache / dataset, shown(cache): cache}


def find(
    dataset: str, names: Sequence[str], is_there: Callable[[Path], bool] = Path.exists
) -> Path | None:
    """The first of these files or folders that is in the user's folders, or in the system's.

    Args:
        dataset: the name of the data set.
        names: paths below a place, the ones to be preferred first.
        is_there: what counts as being there, as `Path.is_file`.

    Returns:
        Its path, or None.

    Raises:
        DataError: a place cannot be looked into.
    """
    for folder in filter(None, [*user_folders(dataset).values(), SYSTEM_FOLDER]):
        for name in names:
            path = folder / name
            try:
                if is_there(path):
                    return path
            except OSError as error:
                raise unreadable(path, error) from error
    return None


def locate(title: str, dataset: str, names: Sequence[str], wanted: str) -> Path:
    """The first of these files that is in the user's folders.

    Args:
        title: the data set as people call it.
        dataset: its name.
        names: as for `find`.
        wanted: what to put there, for the error.

    Returns:
        Its path.

    Raises:
        DataError: there is none; it names the places.
    """
    found = find(dataset, names, Path.is_file)
    if found is None:
        raise absent(title, dataset, wanted)
    return found


def absent(title: str, dataset: str, wanted: str) -> DataError:
    """The error for data that are not here.

    Args:
        title: the data set as people call it.
        dataset: its name.
        wanted: what to put there.

    Returns:
        The error, which names the places.
    """
    tried = user_folders(dataset)
    lines = ",\n        ".join(
        place if path else f"{place} (not set)" for place, path in tried.items()
    )
    return DataError(
        f"{title} is not here, and it is not downloaded\n  help: put {wanted} into one of these:\n "
        f"       {lines}"
    )


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system does not give.

    Args:
        path: of the file.
        error: what the system said.

    Returns:
        The error.
    """
    return DataError(
        f"cannot read {path}: {error.strerror or error}\n  help: check its permissions, or put a"
        " whole one there"
    )
