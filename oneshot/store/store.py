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
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

from oneshot.paths import NoHomeError, user_path
from oneshot.store import folder
from oneshot.store.address import StoreError, parse
from oneshot.store.errors import NO_PLACE, UNWRITABLE, Kind, Refused, classify
from oneshot.store.object_store import Bucket

MAGIC = b"oneshot1"
READERS, READ_AHEAD = 16, 256  # reads side by side from an object store, and results that wait
READING = ("read", "list", "look for")

T = TypeVar("T")


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
        """The error of an operation.

        Args:
            operation: as `read`.
            number: an errno.
            text: what the store answered.
            path: of the file.

        Returns:
            The error.
        """
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
    """What `sealed` was given.

    Args:
        data: what it returned.
        where: the path of the file, for the error.

    Returns:
        The data without the header.

    Raises:
        DamagedFile: the data are not whole.
    """
    head, body = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    if head != MAGIC + hashlib.sha256(body).digest():
        raise DamagedFile(f"{where} is damaged ({len(data):,} bytes, checksum wrong)")
    return body


def with_checksum(data: bytes) -> bytes:
    """The data with a checksum behind it, where readers of zip files, as npz, pass it over."""
    return data + MAGIC + hashlib.sha256(data).digest()


def without_checksum(data: bytes, where: str) -> bytes:
    """What `with_checksum` was given; data without a checksum as they are.

    Args:
        data: what it returned.
        where: the path of the file, for the error.

    Returns:
        The data without the checksum.

    Raises:
        DamagedFile: the data are not whole.
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
        self._files: Any = (
            Bucket(self._scheme, self.base, options) if self._scheme else folder.Folder(self.base)
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
        """Write a file whole or not at all.

        Args:
            key: of the file.
            data: its content.
        """
        self._do("write", key, lambda: self._files.write(key, data))

    def create(self, key: str, data: bytes) -> bool:  # S3: 1 PUT, and a GET where there is a file
        """Write a file only if there is none yet.

        Of several writers exactly one succeeds, and one whose answer got lost still knows. Only on
        a server without conditional writes it is a look and then a write, with a gap in between;
        nothing can be done about an old server that ignores the condition without a word.

        Args:
            key: of the file.
            data: its content.

        Returns:
            Whether it was written.
        """
        return bool(self.exchange(key, data, ""))

    def swap(self, key: str, data: bytes, version: str) -> bool:  # S3: as create
        """Replace a file only if it still has this version.

        Args:
            key: of the file.
            data: its new content.
            version: as `fetch` or `versions` gave it.

        Returns:
            Whether it was replaced; on a server without conditional writes as `create`.
        """
        return bool(version and self.exchange(key, data, version))

    def exchange(self, key: str, data: bytes, version: str) -> str:  # S3: as create
        """Write a file only if it has this version: `create` and `swap` in one.

        Args:
            key: of the file.
            data: its new content.
            version: what it must have now; "" for a file that must not be there.

        Returns:
            The version that was written; "" if none was.
        """
        found: str = self._do("write", key, lambda: self._files.exchange(key, data, version))
        return found

    def fetch(self, key: str) -> tuple[bytes, str]:  # S3: 1 GET
        """The bytes of a file and their version. Raises FileNotFoundError.

        A version is an opaque text that changes whenever the file is written: with another content,
        on S3, whose ETag is a checksum.
        """
        found: tuple[bytes, str] = self._do("read", key, lambda: self._files.fetch(key))
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
        """What a reader makes of an open file in which it may seek.

        Args:
            key: of the file.
            reader: takes the open file; it may be called again.

        Returns:
            What the reader returns.

        Raises:
            FileNotFoundError: there is no file; and what the reader raises.
        """
        return self._do("read", key, lambda: self._files.read_with(key, reader))

    def exists(self, key: str) -> bool:  # S3: 1 HEAD
        """Whether there is a file."""
        return self.version(key) is not None

    def version(self, key: str) -> str | None:  # S3: 1 HEAD
        """The version of one file; None where there is none."""
        try:
            return str(self._do("look for", key, lambda: self._files.version(key)))
        except FileNotFoundError:
            return None

    def versions(self, folder: str, suffix: str = "") -> dict[str, str]:  # S3: 1 GET a 1000 files
        """The version of each file directly under a folder; no temporary files.

        Args:
            folder: key of the folder.
            suffix: how the names end.

        Returns:
            Versions by name.
        """
        try:
            found = self._do("list", folder, lambda: self._files.versions(folder))
        except FileNotFoundError:
            return {}
        return {n: v for n, v in found.items() if n.endswith(suffix) and not n.startswith(".")}

    def keys(self, folder: str) -> list[str]:  # S3: 1 GET a 1000 files
        """The sorted keys of all files below a folder, however deep; no temporary files."""
        found: list[str] = self._do("list", folder, lambda: self._files.keys(folder))
        return sorted(key for key in found if not key.rpartition("/")[2].startswith("."))

    def names(self, folder: str, suffix: str = "") -> list[str]:  # S3: as versions
        """The sorted names of the files directly under a folder; no temporary files.

        Args:
            folder: key of the folder.
            suffix: how the names end.

        Returns:
            The names.
        """
        return sorted(self.versions(folder, suffix))

    def delete(self, key: str) -> None:  # S3: 1 DELETE
        """Remove a file if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._do("delete", key, lambda: self._files.delete(key))

    def seal(self, key: str, data: bytes) -> None:  # S3: as write
        """Write a file behind a header with its checksum.

        Args:
            key: of the file.
            data: its content.
        """
        self.write(key, sealed(data))

    def unseal(self, key: str) -> bytes:  # S3: as read
        """Read a sealed file. Raises FileNotFoundError, or DamagedFile if it is not whole."""
        return unsealed(self.read(key), self.path(key))

    def set_aside(self, key: str) -> str:  # S3: PUT (a copy on the server), DELETE
        """Rename a damaged file so that it is never read again but can be looked at.

        Returns:
            Its new key; the file may be gone already.
        """
        aside = f"{key}.damaged-{int(time.time())}"
        with contextlib.suppress(FileNotFoundError):
            self._do("rename", key, lambda: self._files.rename(key, aside))
        return aside

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[IO[bytes]]:  # S3: as write, when all is there
        """An open file that takes the place of the stored one when the block ends well."""
        if isinstance(self._files, Bucket):
            with tempfile.TemporaryFile() as file:
                yield file
                self._do("write", key, lambda: self._files.write(key, file))
        else:
            with self._explaining("write", key), self._files.replacing(key) as beside:
                yield beside

    def _do(self, operation: str, key: str, action: Callable[[], T]) -> T:
        """What an action on a file gives; raises as `_explaining`."""
        with self._explaining(operation, key):
            return action()

    @contextlib.contextmanager
    def _explaining(self, operation: str, key: str) -> Iterator[None]:
        """Raise Unavailable where the store does not do something; other errors go on."""
        try:
            yield
        except (Refused, OSError) as error:
            unavailable = self._unavailable(error, operation, key)
            if unavailable is None:
                raise
            raise unavailable from None

    def _unavailable(
        self, error: Refused | OSError, operation: str, key: str
    ) -> Unavailable | None:
        """What an error says of the store; None where it is the caller's business."""
        path = self.path(key)
        if isinstance(error, Refused):
            return Unavailable.during(operation, errno.EIO, str(error), path)
        if self._scheme or isinstance(error, Unavailable):
            return None
        number = error.errno or 0
        text = os.strerror(number)
        if classify(error) is Kind.TRANSIENT:
            text += f" ({1 + len(folder.PAUSES)} tries)"
            return Unavailable.during(operation, number, text, path)
        if operation == "write" and number in NO_PLACE:
            return Unwritable.during(operation, number, text, path)
        if operation not in READING and number in UNWRITABLE:
            text += f" ({folder.room(self.base)}); finished points are safe"
            return Unwritable.during(operation, number, text, path)
        return None
