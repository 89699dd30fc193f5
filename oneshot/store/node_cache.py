"""Copies of sealed artefacts on this machine: fetched once a node, mapped by all its processes.

A copy is named by the checksum that stands in the header of the artefact. So it needs no note
beside it, the same weights under two ids or in two stores are one file, and a critic that was
trained again has another checksum and is another file. A process reads the 40 bytes of the header
when it first needs an artefact, and hashes the node's copy.

A results folder on this machine's own disk is copied like an object store. To map its files in
place would save two megabytes of disk a critic, but torch maps whole files only, and a header lies
before the weights; a folder may also be a network file system.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
from pathlib import Path, PurePosixPath

from oneshot.paths import cache_dir
from oneshot.store.machine_cache import lock, replacing, sha256, writing
from oneshot.store.store import MAGIC, DamagedFile, Store

MOST_BYTES = 2 * 10**9  # of all copies together
# seconds since a process began to use a copy, in which it stays: other machines may map it through
# a network folder
IN_USE = 7 * 86400.0


def node_file(store: Store, key: str) -> Path:
    """A verified copy of a sealed artefact on this machine, without its header.

    One process of the machine fetches it while the others wait. A damaged copy is named in a
    RuntimeWarning and fetched again.

    Args:
        store: where the artefact is.
        key: of the artefact.

    Returns:
        A file that is never altered.

    Raises:
        FileNotFoundError, DamagedFile: as `Store.unseal`.
        DataError: the cache folder cannot be written.
    """
    while True:
        checksum = _checksum(store, key)
        path = cache_dir() / "sealed" / f"{checksum}{PurePosixPath(key).suffix}"
        if _is_whole(path, checksum):
            return path
        with contextlib.ExitStack() as held:
            with writing(path):
                held.enter_context(lock(path.parent))
            # another process may have fetched it while this one waited for the lock
            if _is_whole(path, checksum):
                return path
            body = store.unseal(key)
            # else it was replaced since its header was read
            if hashlib.sha256(body).hexdigest() == checksum:
                with writing(path):
                    _write_copy(path, body)
                return path


def _checksum(store: Store, key: str) -> str:
    """The checksum in the header of a sealed artefact, in hex.

    Raises FileNotFoundError, or DamagedFile if there is no whole header.
    """
    head: bytes = store.read_with(key, lambda file: file.read(len(MAGIC) + 32))
    if len(head) < len(MAGIC) + 32 or not head.startswith(MAGIC):
        raise DamagedFile(f"{store.path(key)} is damaged (no header)")
    return head[len(MAGIC) :].hex()


def _is_whole(path: Path, checksum: str) -> bool:
    """Whether the copy is there and whole; if so, it counts as used now."""
    try:
        if sha256(path) != checksum:
            warnings.warn(f"{path} is damaged; it is fetched again", RuntimeWarning, stacklevel=3)
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    with contextlib.suppress(OSError):  # a folder that another user filled can be read, not touched
        os.utime(path)
    return True


def _write_copy(path: Path, body: bytes) -> None:
    """Write a copy, and make room for it. The caller holds the lock of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as handle:
        handle.write(body)
    _prune(path.parent)


def _prune(folder: Path) -> None:
    """Remove the copies that were not used for longest, beyond MOST_BYTES.

    What killed processes left counts too; nothing that may be in use is removed.
    """
    found = sorted(
        ((status := path.stat()).st_mtime, status.st_size, path) for path in folder.iterdir()
    )
    total = 0
    for used, size, path in reversed(found):
        total += size
        if total > MOST_BYTES and time.time() - used > IN_USE:
            path.unlink(missing_ok=True)
