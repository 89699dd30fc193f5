"""Where artefacts lie: a folder of this machine or a shared file system, or an object store by URI.

Every file is written whole or not at all: temporary name, fsync, rename (one request, or an upload
in parts that ends at once, on an object store). Artefacts that only bytes can vouch for
(checkpoints, weights, drawings) are sealed: a header with their SHA-256 comes first, so a damaged
file is noticed.

What may pass (a server that is busy, a connection that breaks, a network file system that stumbles)
is tried again, for a minute on an object store; what remains is `Unavailable`, which says nothing
about the point at work. Credentials come from the environment alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

from oneshot.paths import NoHomeError, user_path
from oneshot.store.object_store import Bucket, Refused, StoreError, parse

MAGIC = b"oneshot1"
LOCAL_PAUSES = (0.05, 0.3, 1.0)  # seconds, where a network file system stumbles
READERS, READ_AHEAD = 16, 256  # reads side by side from an object store, and results that wait
STALE_SECONDS = 86400.0  # after which an unfinished file is nobody's
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
STUMBLES = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EREMOTEIO}
NO_PLACE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
READING = ("read", "list", "look for")

T = TypeVar("T")
_tidied: set[str] = set()  # folders in which this process has looked for what killed ones left


class DamagedFile(RuntimeError):
    """A stored file is not what was written: truncated or altered. The message names it."""


class Unavailable(OSError):
    """The store cannot be used now: (errno, what it answered, path).

    No point is to blame; what is finished is safe.
    """

    operation = "use"
    help = (
        "see whether the store can be reached; finished points are safe, and running the same"
        " command again continues"
    )

    @classmethod
    def during(cls, operation: str, number: int, text: str, path: str) -> Unavailable:
        """The error of an operation, as `read`."""
        error = cls(number, text, path)
        error.operation = operation
        return error

    def __str__(self) -> str:
        return f"cannot {self.operation} {self.filename}: {self.strerror}"


class Unwritable(Unavailable):
    """A folder that takes no files now: disk full, quota used up, read-only, no permission."""

    operation = "write"
    help = (
        "make room or choose another folder with --results; finished points are safe, and running"
        " the same command again continues"
    )


def sealed(data: bytes) -> bytes:
    """The data behind a header with its checksum."""
    return MAGIC + hashlib.sha256(data).digest() + data


def unsealed(data: bytes, where: str) -> bytes:
    """What `sealed` was given. Raises DamagedFile, which names `where`, if it is not whole."""
    head, body = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    if head != MAGIC + hashlib.sha256(body).digest():
        raise DamagedFile(f"{where} is damaged ({len(data):,} bytes, checksum wrong)")
    return body


def with_checksum(data: bytes) -> bytes:
    """The data with a checksum behind it, where readers of zip files (npz are some) pass it
    over.
    """
    return data + MAGIC + hashlib.sha256(data).digest()


def without_checksum(data: bytes, where: str) -> bytes:
    """What `with_checksum` was given; data without a checksum as they are.

    Raises DamagedFile, which names `where`, if they are not whole.
    """
    body, mark, checksum = data[: -len(MAGIC) - 32], data[-len(MAGIC) - 32 : -32], data[-32:]
    if mark != MAGIC:
        return data
    if checksum != hashlib.sha256(body).digest():
        raise DamagedFile(f"{where} is damaged ({len(data):,} bytes, checksum wrong)")
    return body


class Store:
    """Files under one root. Safe to share between threads and processes, but not across a fork.

    Keys are relative paths with forward slashes. Every method raises Unavailable where the store
    does not answer, and Unwritable (one of these) where a folder takes no files. Beside each method
    stand the requests that it costs on S3, where all goes well.

    Args:
        root: a folder, in which ~ is a home folder, or a URI (file, s3, gs or az).

    Raises:
        StoreError: the root cannot be a store.
    """

    def __init__(self, root: str | Path):
        self.root, self._scheme = str(root), ""
        place, options = self.root, dict[str, str]()
        if "://" in place:
            self._scheme, place, options = parse(place)
        else:
            try:
                place = user_path(place)
            except NoHomeError as error:
                raise StoreError(str(error), error.help) from None
        self.base = place if self._scheme else str(Path(place).absolute())
        self._place: Any = (
            Bucket(self._scheme, self.base, options) if self._scheme else _Folder(self.base)
        )

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return (Store, (self.root if self._scheme else self.base,))

    def path(self, key: str) -> str:
        """The full path or URI of a key, for people; never with options or credentials."""
        return f"{self._scheme}://{self.base}/{key}" if self._scheme else str(Path(self.base) / key)

    def local(self, key: str) -> Path | None:
        """The file of a key on this machine's file system, or None on an object store."""
        return None if self._scheme else Path(self.base) / key

    def write(self, key: str, data: bytes) -> None:  # S3: 1 PUT; above 10 MB 2 POST, a PUT a part
        """Write a file whole or not at all."""
        self._asked("write", key, lambda: self._place.write(key, data))

    def create(self, key: str, data: bytes) -> bool:  # S3: 1 PUT, and a GET where there is a file
        """Write a file only if there is none yet; whether it was written.

        Of several writers exactly one succeeds, and one whose answer got lost still knows. Only on
        a server without conditional writes it is a look and then a write, with a gap in between;
        nothing can be done about an old server that ignores the condition without a word.
        """
        return bool(self.exchange(key, data, ""))

    def swap(self, key: str, data: bytes, version: str) -> bool:  # S3: as create
        """Replace a file only if it is still the version that `fetch` or `versions` told.

        Returns: whether it was replaced. On a server without conditional writes as `create`.
        """
        return bool(version and self.exchange(key, data, version))

    def exchange(self, key: str, data: bytes, version: str) -> str:  # S3: as create
        """As `create` for version "", else as `swap`.

        Returns: the version of the file that was written; "" if none was.
        """
        found: str = self._asked("write", key, lambda: self._place.exchange(key, data, version))
        return found

    def fetch(self, key: str) -> tuple[bytes, str]:  # S3: 1 GET
        """The bytes of a file and their version. Raises FileNotFoundError.

        A version is an opaque text that changes whenever the file is written: with another content,
        on S3, whose ETag is a checksum.
        """
        found: tuple[bytes, str] = self._asked("read", key, lambda: self._place.fetch(key))
        return found

    def read(self, key: str) -> bytes:  # S3: 1 GET
        """The bytes of a file, of one version of it. Raises FileNotFoundError."""
        return self.fetch(key)[0]

    def fetch_many(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | OSError, str]]:
        """Yield the key, the bytes and the version of each file; for bytes the error of one.

        From an object store, where each waits for the network, several are read at a time, and no
        more than READ_AHEAD are in memory. Raises Unavailable where the store is in trouble.
        """

        def fetch(key: str) -> tuple[str, bytes | OSError, str]:
            try:
                return (key, *self.fetch(key))
            except Unavailable:
                raise
            except OSError as error:
                return key, error, ""

        if not self._scheme or len(keys) < 2:
            yield from map(fetch, keys)
            return
        with ThreadPoolExecutor(min(READERS, len(keys))) as pool:
            for i in range(0, len(keys), READ_AHEAD):
                yield from pool.map(fetch, keys[i : i + READ_AHEAD])

    def read_with(self, key: str, reader: Callable[[Any], T]) -> T:  # S3: HEAD, a GET for each read
        """What the reader makes of an open file in which it may seek.

        Raises: FileNotFoundError, and what the reader raises.
        """
        return self._asked("read", key, lambda: self._place.read_with(key, reader))

    def exists(self, key: str) -> bool:  # S3: 1 HEAD
        """Whether there is a file."""
        return self.version(key) is not None

    def version(self, key: str) -> str | None:  # S3: 1 HEAD
        """The version of one file; None where there is none."""
        try:
            return str(self._asked("look for", key, lambda: self._place.version(key)))
        except FileNotFoundError:
            return None

    def versions(self, folder: str, suffix: str = "") -> dict[str, str]:  # S3: 1 GET a 1000 files
        """The version of each file directly under a folder, by name; no temporary files."""
        try:
            found = self._asked("list", folder, lambda: self._place.versions(folder))
        except FileNotFoundError:
            return {}
        return {n: v for n, v in found.items() if n.endswith(suffix) and not n.startswith(".")}

    def keys(self, folder: str) -> list[str]:  # S3: 1 GET a 1000 files
        """The sorted keys of all files below a folder, however deep; no temporary files."""
        found: list[str] = self._asked("list", folder, lambda: self._place.keys(folder))
        return sorted(key for key in found if not key.rpartition("/")[2].startswith("."))

    def names(self, folder: str, suffix: str = "") -> list[str]:  # S3: as versions
        """The sorted names of the files directly under a folder; no temporary files."""
        return sorted(self.versions(folder, suffix))

    def delete(self, key: str) -> None:  # S3: 1 DELETE
        """Remove a file if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._asked("delete", key, lambda: self._place.delete(key))

    def seal(self, key: str, data: bytes) -> None:  # S3: as write
        """Write a file behind a header with its checksum."""
        self.write(key, sealed(data))

    def unseal(self, key: str) -> bytes:  # S3: as read
        """Read a sealed file. Raises FileNotFoundError, or DamagedFile if it is not whole."""
        return unsealed(self.read(key), self.path(key))

    def set_aside(self, key: str) -> str:  # S3: PUT (a copy on the server), DELETE
        """Rename a damaged file so that it is never read again but can be looked at.

        Returns: its new key. It may be gone already.
        """
        aside = f"{key}.damaged-{int(time.time())}"
        with contextlib.suppress(FileNotFoundError):
            self._asked("rename", key, lambda: self._place.rename(key, aside))
        return aside

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[IO[bytes]]:  # S3: as write, when all is there
        """A file to write a large artefact to, bit by bit.

        It takes the place of the stored one when the block ends well.
        """
        if isinstance(self._place, Bucket):
            with tempfile.TemporaryFile() as file:
                yield file
                self._asked("write", key, lambda: self._place.write(key, file))
        else:
            with self._errors("write", key), self._place.replacing(key) as beside:
                yield beside

    def _asked(self, operation: str, key: str, action: Callable[[], T]) -> T:
        with self._errors(operation, key):
            return action()

    @contextlib.contextmanager
    def _errors(self, operation: str, key: str) -> Iterator[None]:
        """What a store does not do is Unavailable; FileNotFoundError is the caller's business."""
        try:
            yield
        except Refused as refused:
            text, path = str(refused), self.path(key)
            raise Unavailable.during(operation, errno.EIO, text, path) from None
        except OSError as error:
            if self._scheme or isinstance(error, Unavailable):
                raise
            number, path = error.errno or 0, self.path(key)
            text = os.strerror(number)
            if number in STUMBLES:
                tries = f"({1 + len(LOCAL_PAUSES)} tries)"
                raise Unavailable.during(operation, number, f"{text} {tries}", path) from None
            if operation == "write" and number in NO_PLACE:  # as below a file, or in /proc
                raise Unwritable.during(operation, number, text, path) from None
            if number in UNWRITABLE and operation not in READING:
                text += f" ({_room(self.base)}); finished points are safe"
                raise Unwritable.during(operation, number, text, path) from None
            raise  # another error of a folder, as a file where a folder should be


class _Folder:
    """Files under a folder of a file system, by key. A version is a time of writing and a size."""

    def __init__(self, base: str):
        self.base = base

    def _path(self, key: str) -> Path:
        return Path(self.base) / key

    def write(self, key: str, data: bytes) -> None:
        with self._written(key, data) as temporary:
            _rename(temporary, self._path(key))

    def exchange(self, key: str, data: bytes, version: str) -> str:
        return self._swap(key, data, version) if version else self._create(key, data)

    def _create(self, key: str, data: bytes) -> str:
        """A hard link to a whole file fails where the name is taken."""
        final = self._path(key)
        if os.path.lexists(final):
            return ""
        with self._written(key, data) as temporary:
            mine = _again(lambda: os.stat(temporary))
            return _version(mine) if _again(lambda: _link(temporary, final)) else ""

    def _swap(self, key: str, data: bytes, version: str) -> str:
        final = self._path(key)
        with contextlib.suppress(FileNotFoundError):
            if self.version(key) == version:
                with self._written(key, data) as temporary:
                    mine = _again(lambda: os.stat(temporary))
                    if _version(mine) == version:  # within a tick of the file system's clock
                        later = mine.st_mtime_ns + 1000
                        _again(lambda: os.utime(temporary, ns=(later, later)))
                        mine = _again(lambda: os.stat(temporary))
                    if _again(lambda: _exchange(temporary, final, version, mine)):
                        return _version(mine)
        return ""

    def fetch(self, key: str) -> tuple[bytes, str]:
        return self.read_with(key, lambda file: (file.read(), _version(os.fstat(file.fileno()))))

    def read_with(self, key: str, reader: Callable[[IO[bytes]], T]) -> T:
        def action() -> T:
            with open(self._path(key), "rb") as file:
                return reader(file)

        return _again(action)

    def version(self, key: str) -> str:
        return _version(_again(lambda: os.stat(self._path(key))))

    def versions(self, folder: str) -> dict[str, str]:
        def action() -> dict[str, str]:
            found = {}
            with os.scandir(self._path(folder)) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and not entry.is_dir():
                        with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                            found[entry.name] = _version(entry.stat())
            return found

        return _again(action)

    def keys(self, folder: str) -> list[str]:
        def trouble(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):  # deleted meanwhile
                raise error

        def action() -> list[str]:
            found, base = [], Path(self.base)
            for place, _, names in os.walk(self._path(folder), onerror=trouble):
                under = Path(place).relative_to(base).as_posix()
                found += [f"{under}/{name}" for name in names]
            return found

        return _again(action)

    def delete(self, key: str) -> None:
        try:
            _again(lambda: os.unlink(self._path(key)))
        except OSError as error:  # a read-only file system refuses even where there is no file
            if error.errno not in (errno.EROFS, errno.ENOTDIR) or os.path.lexists(self._path(key)):
                raise

    def rename(self, key: str, other: str) -> None:
        _again(lambda: os.replace(self._path(key), self._path(other)))

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[IO[bytes]]:
        temporary = self._temporary(key)
        with _gone_afterwards(temporary):
            with _again(lambda: open(temporary, "wb")) as file:
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
            _again(action)
            yield temporary

    def _temporary(self, key: str) -> Path:
        """A name beside a file that tells who writes it, in a folder that exists."""
        final = self._path(key)
        _again(lambda: final.parent.mkdir(parents=True, exist_ok=True))
        _tidy(final.parent)
        thread = threading.get_ident()
        return final.with_name(f".{final.name}.{_machine()}.{os.getpid()}.{thread}.tmp")


def _again(action: Callable[[], T]) -> T:
    """What an action gives, which is repeated where a network file system stumbles."""
    for pause in LOCAL_PAUSES:
        try:
            return action()
        except OSError as error:
            if error.errno not in STUMBLES:
                raise
        time.sleep(pause)
    return action()


def _version(at: os.stat_result) -> str:
    return f"{at.st_mtime_ns}-{at.st_size}"


def _rename(temporary: Path, final: Path) -> None:
    """Give a file its name, be it at a try that seemed to fail."""
    mine = _again(lambda: os.stat(temporary))

    def action() -> None:
        try:
            os.replace(temporary, final)
        except FileNotFoundError:
            if not os.path.samestat(os.stat(final), mine):
                raise

    _again(action)


def _link(temporary: Path, final: Path) -> bool:
    """Whether a file has this name now because we gave it, be it at a try that seemed to fail."""
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
    """Whether a file is ours now that was this version, be it at a try that seemed to fail."""
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
    """One at a time among all who swap files of a folder; it ends with its owner."""
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


def _tidy(folder: Path) -> None:
    """Remove what killed processes left half written in a folder; once a process."""
    if str(folder) in _tidied:
        return
    _tidied.add(str(folder))
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(".") and name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    if _is_stale(folder / name):
                        os.unlink(folder / name)


def _is_stale(path: Path) -> bool:
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


def _room(folder: str) -> str:
    """How much room is left on the disk of a folder, in words."""
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
