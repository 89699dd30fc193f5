"""Files that a sweep names: looked for beside the sweep file, then in the working directory."""

from __future__ import annotations

import os
from pathlib import Path

from oneshot.sweep.settings import SettingError


def find_file(value: str, folder: Path | None, may_be_folder: bool = False) -> str:
    """The file that a setting names, as a path that holds from the working directory.

    Args:
        value: what was given; `~` is the home folder. What is not absolute is looked for in
            `folder`, then in the working directory.
        folder: of the sweep file; None if there is none.
        may_be_folder: whether a folder will do.

    Returns:
        The path as it was given, where it holds as it stands.

    Raises:
        SettingError: there is no such file, or it cannot be read.
    """
    path = value if os.path.lexists(value) else os.path.expanduser(value)
    places = [] if folder is None or os.path.isabs(path) else [folder]
    tried = list(dict.fromkeys(os.path.abspath(place / path) for place in [*places, Path()]))
    existing = next((place for place in tried if os.path.lexists(place)), None)
    if existing is None:
        where = f"neither {' nor '.join(tried)}" if len(tried) > 1 else tried[0]
        raise SettingError([f"there is no such file: {where}"])
    is_folder = os.path.isdir(existing)
    if is_folder and not may_be_folder:
        raise SettingError([f"{existing} is a folder, not a file"])
    if os.path.exists(existing) and not os.path.isfile(existing) and not is_folder:
        # opening a pipe would wait for its writer
        raise SettingError([f"{existing} is not an ordinary file"])
    try:
        if is_folder:
            os.scandir(existing).close()
        else:
            Path(existing).open("rb").close()
    except OSError as error:
        raise SettingError([f"{existing} cannot be read: {error.strerror}"]) from error
    if existing == os.path.abspath(value):
        return value
    relative = os.path.relpath(existing)
    return existing if relative.startswith("..") else relative
