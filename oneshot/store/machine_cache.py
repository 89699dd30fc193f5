"""Files made once per machine and mapped by every process: lock, write-then-rename, check before
use.
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
    """The uint8 array cache_dir()/name, read-only and memory-mapped; built from `chunks()` if it is
    absent or damaged.

    chunks: yields uint8 arrays [n, *shape[1:]] that together make up `shape`. One process builds
    while the others wait. A damaged file is named in a RuntimeWarning and built again. Raises
    DataError if the folder cannot be written, and whatever `chunks` raises.
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
    """What raises OSError in this context raises DataError, which says that `path` cannot be
    written and what to do.
    """
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
    """A file to write that takes the place of `path` once it is complete and on disk; after an
    error `path` is as it was.

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
    return path.with_suffix(".json")


def _problem(path: Path, shape: tuple[int, ...]) -> str | None:
    """Why the file cannot be used, or None. Its content is only hashed if its time is not the noted
    one, which a copy or damage changes.
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
    """Write the array, then the note beside it. Plain writes, no map: on a full disk they raise,
    where a map kills the process.
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
