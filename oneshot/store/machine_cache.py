"""Arrays made once a machine and mapped by every process, in the cache folder.

A file is made under a lock, written and then renamed, and checked before it is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from oneshot.paths import DataError, cache_dir


def cached(
    name: str, shape: tuple[int, ...], chunks: Callable[[], Iterator[np.ndarray]]
) -> np.ndarray:
    """A uint8 array of the cache folder, memory-mapped; it is built if it is absent or damaged.

    One process builds it while the others wait. A damaged file is named in a RuntimeWarning.

    Args:
        name: of the file.
        shape: of the array.
        chunks: called to build it; yields uint8 arrays [n, *shape[1:]] that make up the shape.

    Returns:
        The array, read-only.

    Raises:
        DataError: the folder cannot be written; and whatever `chunks` raises.
    """
    path = cache_dir() / name
    with writing(path):
        if _problem(path, shape) is None:
            return _map(path)
        with lock(path):
            # another process may have built it while this one waited for the lock
            problem = _problem(path, shape)
            if problem and path.exists():
                warnings.warn(
                    f"{path} is damaged ({problem}); it is built again",
                    RuntimeWarning,
                    stacklevel=2,
                )
            if problem:
                _write(path, shape, chunks())
        return _map(path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a DataError that says which path cannot be written."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write {path} ({error.strerror or error})\n  help: set ONESHOT_CACHE to a"
            " folder with room"
        ) from error


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock of `path` against all other processes and threads of this machine.

    The kernel drops it when its owner dies, so none is ever stale. The empty lock file stays:
    removing it would let two in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """An open file that takes the place of `path` when the block ends well; else that stays.

    The caller holds `lock(path)`. What a killed process left under the temporary name is
    overwritten. The host is part of that name because locks may not reach across the machines that
    share a home folder.
    """
    part = path.parent / f".{path.name}.{platform.node()}.part"
    try:
        with part.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _note(path: Path) -> Path:
    """The file with the size, time and checksum of an array."""
    return path.with_suffix(".json")


def _problem(path: Path, shape: tuple[int, ...]) -> str | None:
    """Why the file cannot be used, or None.

    Its content is only hashed if its time is not the noted one, which a copy or damage changes.
    """
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        array, stat = _map(path), path.stat()
        if array.shape != shape or array.dtype != np.uint8:
            return f"it holds {array.dtype} {array.shape}, not uint8 {shape}"
        if stat.st_size != note["bytes"]:
            return f"{stat.st_size} bytes, not {note['bytes']}"
        if int(stat.st_mtime) != note["time"] and sha256(path) != note["sha256"]:
            return "its content does not match its checksum"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (ValueError, EOFError, KeyError, TypeError) as error:
        return str(error)
    return None


def _map(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def sha256(path: Path) -> str:
    """The checksum of a file, in hex. Raises FileNotFoundError."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _write(path: Path, shape: tuple[int, ...], chunks: Iterator[np.ndarray]) -> None:
    """Write the array, then the note beside it.

    Plain writes, no map: on a full disk they raise, where a map kills the process.
    """
    count = 0
    with replacing(path) as handle:
        np.lib.format.write_array_header_1_0(
            handle, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        for chunk in chunks:
            if chunk.dtype != np.uint8 or chunk.shape[1:] != shape[1:]:
                raise ValueError(
                    f"a chunk is {chunk.dtype} {chunk.shape}, not uint8 (n,"
                    f" {', '.join(map(str, shape[1:]))})"
                )
            handle.write(np.ascontiguousarray(chunk).tobytes())
            count += len(chunk)
        if count != shape[0]:
            raise ValueError(f"{path.name}: {count} images were made, not {shape[0]}")
    stat = path.stat()
    note = {"bytes": stat.st_size, "time": int(stat.st_mtime), "sha256": sha256(path)}
    with replacing(_note(path)) as handle:
        handle.write(json.dumps(note).encode())
