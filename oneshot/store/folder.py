"""Files in a folder of a file system, written whole or not at all.

A file is written under a temporary name, synced and renamed. A network file system may stumble: an
operation is tried again where its error may pass, and each knows whether an earlier try succeeded.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import platform
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from oneshot.store.errors import retry

PAUSES = (0.05, 0.3, 1.0)  # seconds between tries, where a network file system stumbles
STALE_SECONDS = 86400.0  # after which an unfinished file is nobody's
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}

T = TypeVar("T")
_cleaned: set[str] = set()  # folders in which this process has looked for what killed ones left


class Folder:
    """Files under a folder of a file system, by key. A version is a time of writing and a size."""

    def __init__(self, base: str):
        self.base = base

    def _path(self, key: str) -> Path:
        return Path(self.base) / key

    def write(self, key: str, data: bytes) -> None:
        """Write a file whole or not at all.

        Args:
            key: of the file.
            data: its content.
        """
        with self._written(key, data) as temporary:
            _rename(temporary, self._path(key))

    def exchange(self, key: str, data: bytes, version: str) -> str:
        """Write a file only if it has this version.

        Args:
            key: of the file.
            data: its new content.
            version: what it must have now; "" for a file that must not be there.

        Returns:
            The version that was written; "" if the file has another.
        """
        return self._swap(key, data, version) if version else self._create(key, data)

    def _create(self, key: str, data: bytes) -> str:
        """Create a file: a hard link to a whole file fails where the name is taken."""
        final = self._path(key)
        if os.path.lexists(final):
            return ""
        with self._written(key, data) as temporary:
            mine = _retry(lambda: os.stat(temporary))
            return _version(mine) if _retry(lambda: _link(temporary, final)) else ""

    def _swap(self, key: str, data: bytes, version: str) -> str:
        """Replace a file of this version, under a lock of its folder."""
        final = self._path(key)
        with contextlib.suppress(FileNotFoundError):
            if self.version(key) == version:
                with self._written(key, data) as temporary:
                    mine = _retry(lambda: os.stat(temporary))
                    if _version(mine) == version:  # within a tick of the file system's clock
                        later = mine.st_mtime_ns + 1000
                        _retry(lambda: os.utime(temporary, ns=(later, later)))
                        mine = _retry(lambda: os.stat(temporary))
                    if _retry(lambda: _exchange(temporary, final, version, mine)):
                        return _version(mine)
        return ""

    def fetch(self, key: str) -> tuple[bytes, str]:
        """The bytes of a file and their version."""
        return self.read_with(key, lambda file: (file.read(), _version(os.fstat(file.fileno()))))

    def read_with(self, key: str, reader: Callable[[IO[bytes]], T]) -> T:
        """What a reader makes of an open file.

        Args:
            key: of the file.
            reader: takes the open file; it is called again where a read stumbles.

        Returns:
            What the reader returns.
        """

        def action() -> T:
            with open(self._path(key), "rb") as file:
                return reader(file)

        return _retry(action)

    def version(self, key: str) -> str:
        """The version of a file."""
        return _version(_retry(lambda: os.stat(self._path(key))))

    def versions(self, folder: str) -> dict[str, str]:
        """The versions of all files directly under a folder, by name."""

        def action() -> dict[str, str]:
            found = {}
            with os.scandir(self._path(folder)) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and not entry.is_dir():
                        with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                            found[entry.name] = _version(entry.stat())
            return found

        return _retry(action)

    def keys(self, folder: str) -> list[str]:
        """The keys of all files below a folder."""

        def trouble(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):  # deleted meanwhile
                raise error

        def action() -> list[str]:
            found, base = [], Path(self.base)
            for place, _, names in os.walk(self._path(folder), onerror=trouble):
                under = Path(place).relative_to(base).as_posix()
                found += [f"{under}/{name}" for name in names]
            return found

        return _retry(action)

    def delete(self, key: str) -> None:
        """Remove a file."""
        try:
            _retry(lambda: os.unlink(self._path(key)))
        except OSError as error:  # a read-only file system refuses even where there is no file
            if error.errno not in (errno.EROFS, errno.ENOTDIR) or os.path.lexists(self._path(key)):
                raise

    def rename(self, key: str, other: str) -> None:
        """Give a file another name.

        Args:
            key: of the file.
            other: its new key.
        """
        _retry(lambda: os.replace(self._path(key), self._path(other)))

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[IO[bytes]]:
        """An open file that takes the place of another when the block ends well."""
        temporary = self._temporary(key)
        with _gone_afterwards(temporary):
            with _retry(lambda: open(temporary, "wb")) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _rename(temporary, self._path(key))

    @contextlib.contextmanager
    def _written(self, key: str, data: bytes) -> Iterator[Path]:
        """A temporary file with this content."""
        temporary = self._temporary(key)

        def action() -> None:  # all of it: what fsync could not write is lost to a second fsync
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        with _gone_afterwards(temporary):
            _retry(action)
            yield temporary

    def _temporary(self, key: str) -> Path:
        """A name beside a file that tells who writes it, in a folder that exists."""
        final = self._path(key)
        _retry(lambda: final.parent.mkdir(parents=True, exist_ok=True))
        _remove_leftovers(final.parent)
        thread = threading.get_ident()
        return final.with_name(f".{final.name}.{_machine()}.{os.getpid()}.{thread}.tmp")


def _version(at: os.stat_result) -> str:
    """The version of a file: when it was written, in nanoseconds, and its size."""
    return f"{at.st_mtime_ns}-{at.st_size}"


def _rename(temporary: Path, final: Path) -> None:
    """Give a file its final name; an earlier try that seemed to fail may have done it."""
    mine = _retry(lambda: os.stat(temporary))

    def action() -> None:
        try:
            os.replace(temporary, final)
        except FileNotFoundError:
            if not os.path.samestat(os.stat(final), mine):
                raise

    _retry(action)


def _link(temporary: Path, final: Path) -> bool:
    """Whether our file has the final name now, perhaps by an earlier try that seemed to fail."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        return os.path.samestat(os.lstat(temporary), os.lstat(final))
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with _folder_lock(final.parent):
            if os.path.lexists(final):
                return False
            os.replace(temporary, final)
    return True


def _exchange(temporary: Path, final: Path, version: str, mine: os.stat_result) -> bool:
    """Whether our file replaced this version, perhaps in an earlier try that seemed to fail."""
    with _folder_lock(final.parent):
        at = os.stat(final)
        if os.path.samestat(at, mine):
            return True
        if _version(at) != version:
            return False
        os.replace(temporary, final)
        return True


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """A lock among all who swap files of a folder; it ends with the process that holds it."""
    with open(folder / ".lock", "ab") as handle:
        with contextlib.suppress(OSError):  # no locks here: then a swap is a look and a rename
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _gone_afterwards(temporary: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left half written in a folder; done once a process."""
    if str(folder) in _cleaned:
        return
    _cleaned.add(str(folder))
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(".") and name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    if _is_stale(folder / name):
                        os.unlink(folder / name)


def _is_stale(path: Path) -> bool:
    """Whether the writer of a temporary file is gone."""
    machine, pid = path.name.rsplit(".", 4)[1:3] if path.name.count(".") > 4 else ("", "")
    if machine == _machine() and pid.isdecimal():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
    return time.time() - path.stat().st_mtime > STALE_SECONDS


@functools.cache
def _machine() -> str:
    """This machine in the name of a file: its name, start and namespace of process numbers."""
    name = re.sub(r"[^A-Za-z0-9-]", "_", platform.node())[:30]
    with contextlib.suppress(OSError):
        started = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{name}-{started}-{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    return name


def _retry(action: Callable[[], T]) -> T:
    """What an action gives, which is repeated where a network file system stumbles."""
    return retry(action, PAUSES)


def room(folder: str) -> str:
    """How much room is left on the disk of a folder, as in `2 GB of 20 GB left on this disk`."""
    place = Path(folder)
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return "room left unknown"
    return f"{_amount(usage.free)} of {_amount(usage.total)} left on this disk"


def _amount(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
