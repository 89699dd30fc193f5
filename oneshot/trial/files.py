"""Files that settings name, and families in files of the user's: what workers find in the store.

They are kept by their content. Workers have working folders of their own, and may be on other
machines, where a path of the user's means nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePath

from oneshot.store.node_cache import node_file
from oneshot.store.store import DamagedFile, Store, sealed
from oneshot.sweep.point import Point
from oneshot.sweep.settings import SettingError


class MissingInput(RuntimeError):
    """A critic, a file or another input was not brought to the store before its trial."""


def file_key(path: str, content: str) -> str:
    """Where the store keeps the content of a file.

    Args:
        path: as a setting gives it; its ending says how it is read.
        content: the SHA-256 of it, in hexadecimal.

    Returns:
        A key of the store.
    """
    return f"store/files/{content[:16]}{PurePath(path).suffix}"


def store_files(points: Sequence[Point], store: Store) -> None:
    """Bring the files that settings of points and critics name, and families, into the store.

    Args:
        points: of a run.
        store: of its results.

    Raises:
        SettingError: a file is no longer what the ids of its points were made from.
    """
    given = {(p.settings[name], content) for p in points for name, content in p.files.items()}
    critics = {spec.id: spec for p in points for spec in p.critics.values() if spec.file_hash}
    given |= {p.family_file for p in points if p.family_file[1]}
    given |= {c.own_file for p in points for c in p.critics.values() if c.own_file[1]}
    given |= {p.data_file for p in points if p.data_file[1]}
    given |= {(path, content) for p in points for _, path, content in p.metrics if content}
    given |= {(spec.settings["weights"], spec.file_hash) for spec in critics.values()}
    for path, content in sorted(given):
        key = file_key(path, content)
        try:
            store.unseal(key)
            continue
        except FileNotFoundError:
            pass
        except DamagedFile:
            store.set_aside(key)
        data = Path(path).read_bytes()
        if hashlib.sha256(data).hexdigest() != content:
            raise SettingError([f"{path} has changed since this run began: run it again"])
        store.create(key, sealed(data))


def local_file(path: str, content: str, store: Store) -> str:
    """A file on this machine with the content of one that a setting names.

    Args:
        path: as the setting gives it.
        content: the SHA-256 of it, in hexadecimal; "" for the file itself.
        store: holds the content.

    Returns:
        Its path.

    Raises:
        MissingInput: the store does not have it.
    """
    if not content:
        return path
    try:
        return str(node_file(store, file_key(path, content)))
    except FileNotFoundError as error:
        raise MissingInput(f"{path} is not in {store.root}: run the sweep again") from error
