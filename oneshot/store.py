"""Where artefacts lie: a folder of this machine or a shared file system, or an object store by URI (s3://, gs://).

Every file is written whole or not at all: temporary name, fsync, rename (one PUT of the final key on an object store). Artefacts that only
bytes can vouch for (checkpoints, weights, drawings) are sealed: a header with their SHA-256 comes first, so a damaged file is noticed.

What may pass (a server that is busy, a connection that breaks, a network file system that stumbles) is tried again for a minute; what
remains is `Unavailable`, which says nothing about the point at work. Credentials come from the environment alone.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import errno
import fcntl
import hashlib
import mmap
import os
import random
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

MAGIC = b"oneshot1"

RETRY_SECONDS = 60.0  # how long an object store is asked again
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds between two tries; each try doubles the pause, and chance takes up to half of it away
LOCAL_PAUSES = (0.05, 0.3, 1.0)  # seconds, where a network file system stumbles
CONNECT_SECONDS, SILENT_SECONDS = 5.0, 15.0  # how long a server may take to accept, and then say nothing
PART_TRIES = 3  # tries of one request by the client library, so that a large file need not start again for one part

SCHEMES = {
    "s3": {"region", "scheme", "endpoint_override", "force_virtual_addressing"},
    "gs": {"scheme", "endpoint_override", "project_id"},
}
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
LASTING = {  # answers that asking again does not change
    "ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID", "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT", "OPT_IN_REQUIRED", "VALIDATION", "INVALID_PARAMETER_VALUE", "INVALID_ACTION",
    "ACCOUNT_PROBLEM", "METHOD_NOT_ALLOWED", "PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION",
}  # fmt: skip
MISSING = {"NO_SUCH_KEY", "RESOURCE_NOT_FOUND"}  # of a file that was deleted since it was found
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
STUMBLES = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EREMOTEIO}

T = TypeVar("T")
_exiting: list[bool] = []


class DamagedFile(RuntimeError):
    """A stored file is not what was written: truncated or altered. The message names it."""


class StoreError(ValueError):
    """A place that cannot be a store. The message repeats no secret; `help` says what to do."""

    def __init__(self, message: str, help: str = "use a folder, s3://bucket/folder or gs://bucket/folder"):
        super().__init__(message)
        self.help = help

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, str]]:
        return (StoreError, (str(self), self.help))


class Unavailable(OSError):
    """The store cannot be used now: (errno, what it answered, path). No point is to blame; what is finished is safe."""

    operation = "use"
    help = "see whether the store can be reached; finished points are safe, and running the same command again continues"

    @classmethod
    def during(cls, operation: str, number: int, text: str, path: str) -> Unavailable:
        """The error of an operation, as `read`."""
        error = cls(number, text, path)
        error.operation = operation
        return error

    def __str__(self) -> str:
        return f"cannot {self.operation} {self.filename}: {self.strerror}"


class Unwritable(Unavailable):
    """A folder in which nothing can be written now: disk full, quota used up, read-only, no permission."""

    operation = "write"
    help = "make room or choose another folder with --results; finished points are safe, and running the same command again continues"


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
    """The data with a checksum behind it, where readers of its format pass it over: zip files, of which npz are some."""
    return data + MAGIC + hashlib.sha256(data).digest()


def without_checksum(data: bytes, where: str) -> bytes:
    """What `with_checksum` was given; data without a checksum as they are. Raises DamagedFile if they are not whole."""
    body, mark, checksum = data[: -len(MAGIC) - 32], data[-len(MAGIC) - 32 : -32], data[-32:]
    if mark != MAGIC:
        return data
    if checksum != hashlib.sha256(body).digest():
        raise DamagedFile(f"{where} is damaged ({len(data):,} bytes, checksum wrong)")
    return body


class Store:
    """Files under one root. Keys are relative paths with forward slashes. Safe to share between threads and processes.

    Every method raises Unavailable where the store does not answer, and Unwritable (one of these) where a folder takes no files. Beside
    each method stand the requests that it costs on S3, where all goes well.
    """

    def __init__(self, root: str | Path):
        self.root = str(root)
        self._options: dict[str, str] = {}
        self._scheme = ""
        self._made: tuple[int, Any] = (0, None)
        if "://" in self.root:
            self._scheme, self.base, self._options = _parsed(self.root)
        if not self._scheme:
            self.base = str(Path(self.base if "://" in self.root else self.root).absolute())

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return (Store, (self.root if self._scheme else self.base,))

    @property
    def fs(self) -> Any:
        """The Arrow file system of an object store, None for a folder. Made at its first use in a process: none may cross a fork."""
        if not self._scheme:
            return None
        if self._made[0] != os.getpid():
            self._made = (os.getpid(), _file_system(self._scheme, self.base.partition("/")[0], self._options))
        return self._made[1]

    def path(self, key: str) -> str:
        """The full path or URI of a key, for people; never with options or credentials."""
        return f"{self._scheme}://{self._full(key)}" if self._scheme else str(Path(self.base) / key)

    def _full(self, key: str) -> str:
        return f"{self.base}/{key}"

    def local(self, key: str) -> Path | None:
        """The file of a key on this machine's file system, or None on an object store."""
        return None if self._scheme else Path(self.base) / key

    def write(self, key: str, data: bytes | mmap.mmap) -> None:  # S3: 1 PUT up to 10 MB, beyond it 2 POST and a PUT for each 10 MB
        """Write a file whole or not at all."""
        self._steadily("write", key, (lambda: self._put(key, data)) if self._scheme else (lambda: _replace(Path(self.base) / key, data)))

    def _put(self, key: str, data: bytes | mmap.mmap) -> None:
        """Above 10 MB Arrow uploads parts. If one fails for good, nothing appears under the key, but the parts that came through stay on
        the server, unseen, as Arrow has no way to abort: a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them."""
        stream = self.fs.open_output_stream(self._full(key))
        try:
            stream.write(data)  # all of it at once: whatever closes the stream afterwards finds either everything or an error
        finally:
            stream.close()

    def create(self, key: str, data: bytes) -> bool:
        """Write a file only if there is none yet; whether it was written. Of several writers exactly one succeeds."""
        return bool(self.exchange(key, data, ""))

    def swap(self, key: str, data: bytes, version: str) -> bool:
        """Replace a file only if it is still the version that `fetch` or `versions` told; whether it was replaced."""
        return bool(version and self.exchange(key, data, version))

    def exchange(self, key: str, data: bytes, version: str) -> str:
        """`create` (version "") or `swap`, with the version of the file that was written; "" if none was."""
        if self._scheme:
            raise NotImplementedError("object stores follow")
        final = Path(self.base) / key
        action = (lambda: _swap(final, data, version)) if version else (lambda: _link(final, data))
        return self._steadily("write", key, action)

    def fetch(self, key: str) -> tuple[bytes, str]:
        """The bytes of a file and their version, an opaque text that changes whenever the file is written. Raises FileNotFoundError."""

        def action() -> tuple[bytes, str]:
            with open(Path(self.base) / key, "rb") as file:
                return file.read(), _version(os.fstat(file.fileno()))

        if self._scheme:
            raise NotImplementedError("object stores follow")
        return self._steadily("read", key, action)

    def versions(self, folder: str, suffix: str = "") -> dict[str, str]:
        """The version of each file directly under a folder, by name; temporary files are left out."""
        if self._scheme:
            raise NotImplementedError("object stores follow")

        def action() -> dict[str, str]:
            found = {}
            with os.scandir(Path(self.base) / folder) as entries:
                for entry in entries:
                    if entry.name.endswith(suffix) and not entry.name.startswith("."):
                        with contextlib.suppress(FileNotFoundError):  # deleted since the folder was opened
                            found[entry.name] = _version(entry.stat())
            return found

        try:
            return self._steadily("list", folder, action)
        except FileNotFoundError:
            return {}

    def keys(self, folder: str) -> list[str]:
        """All keys below a folder, however deep, in order; temporary files are left out. A folder that is not there has none."""
        if self._scheme:
            raise NotImplementedError("object stores follow")
        return self._steadily("list", folder, lambda: sorted(_below(Path(self.base), folder)))

    def version(self, key: str) -> str | None:
        """The version of one file; None where there is none."""
        if self._scheme:
            raise NotImplementedError("object stores follow")
        try:
            return self._steadily("look for", key, lambda: _version(os.stat(os.path.join(self.base, key))))
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def replacing(self, key: str) -> Iterator[IO[bytes]]:  # S3: as write, when all is there
        """A file to write a large artefact to, bit by bit; it takes the place of the stored one when the block ends well."""
        if self._scheme:
            with tempfile.TemporaryFile() as file:
                yield file
                file.flush()
                if file.seek(0, os.SEEK_END) == 0:
                    self.write(key, b"")
                else:
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                        self.write(key, content)
            return
        try:
            with _beside(Path(self.base) / key) as file:
                yield file
        except OSError as error:
            if isinstance(error, Unavailable) or not self._is_ours(error, "write", True):
                raise
            raise self._unavailable("write", key, error, 1, 0) from None

    def read(self, key: str) -> bytes:  # S3: HEAD, GET; one more HEAD for a file above 10 MB or where it was replaced meanwhile
        """The bytes of a file, of one version of it. Raises FileNotFoundError."""
        return self._steadily("read", key, (lambda: self._get(key)) if self._scheme else (Path(self.base) / key).read_bytes)

    def _get(self, key: str) -> bytes:
        """Arrow asks for the length first and for that many bytes then: of a file replaced in between it would be a part."""
        while True:
            with self.fs.open_input_stream(self._full(key)) as stream:
                said = (stream.metadata() or {}) if self._scheme == "s3" else {}
                data = bytes(stream.read(int(said["Content-Length"]) if said else None))  # without a number in many small requests
            tag = said.get("ETag", b"")
            if not tag or tag.strip(b'"') == hashlib.md5(data, usedforsecurity=False).hexdigest().encode():
                return data
            head = self._head(key)
            if head.get("ETag") == tag and int(head["Content-Length"]) == len(data):
                return data

    def _head(self, key: str) -> dict[str, bytes]:  # S3: 1 HEAD, whether there is a file or not (Arrow's own look lists the folder, too)
        with self.fs.open_input_stream(self._full(key)) as stream:
            return dict(stream.metadata() or {})

    def read_with(self, key: str, reader: Callable[[Any], T]) -> T:  # S3: HEAD, and a GET for each part that the reader asks for
        """What the reader makes of an open file in which it may seek. Raises FileNotFoundError, and what the reader raises."""

        def action() -> T:
            with self.fs.open_input_file(self._full(key)) if self._scheme else open(Path(self.base) / key, "rb") as file:
                return reader(file)

        return self._steadily("read", key, action, foreign=True)

    def exists(self, key: str) -> bool:  # S3: 1 HEAD
        """Whether there is a file."""
        return self.time(key) is not None

    def time(self, key: str) -> float | None:  # S3: 1 HEAD
        """The modification time of a file (seconds), as `names` gives it; None where there is no file. Whole seconds on an object store."""
        try:
            return self._steadily("look for", key, lambda: self._time(key))
        except FileNotFoundError:
            return None

    def _time(self, key: str) -> float | None:
        if not self._scheme:
            return os.stat(os.path.join(self.base, key)).st_mtime
        if self._scheme == "s3":
            said = self._head(key).get("Last-Modified", b"").decode()
            return datetime.datetime.fromisoformat(said).timestamp() // 1 if said else 0.0
        from pyarrow import fs

        info = self.fs.get_file_info(self._full(key))
        return None if info.type == fs.FileType.NotFound else _seconds(info)

    def names(self, folder: str, suffix: str = "") -> dict[str, float]:  # S3: 1 GET for each 1000 files
        """File names directly under a folder with their modification times (seconds); temporary files are left out."""
        return {name: time for name, (time, _) in self.stamps(folder, suffix).items()}

    def stamps(self, folder: str, suffix: str = "") -> dict[str, tuple[float, int]]:  # S3: as names
        """As `names`, with time and size (bytes) of each file."""
        try:
            found = self._steadily("list", folder, lambda: dict(self._listed(folder) if self._scheme else self._scanned(folder, suffix)))
        except FileNotFoundError:
            return {}
        return {name: at for name, at in found.items() if name.endswith(suffix) and not name.startswith(".")}

    def _scanned(self, folder: str, suffix: str) -> Iterator[tuple[str, tuple[float, int]]]:
        with os.scandir(Path(self.base) / folder) as entries:
            for entry in entries:
                if entry.name.endswith(suffix) and not entry.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):  # deleted since the folder was opened
                        yield entry.name, ((found := entry.stat()).st_mtime, found.st_size)

    def _listed(self, folder: str) -> Iterator[tuple[str, tuple[float, int]]]:
        from pyarrow import fs

        for info in self.fs.get_file_info(fs.FileSelector(self._full(folder), allow_not_found=True)):
            if info.type == fs.FileType.File:
                yield PurePosixPath(info.path).name, (_seconds(info), info.size)

    def delete(self, key: str) -> None:  # S3: HEAD, DELETE, and a PUT by which Arrow keeps the folder; 1 HEAD where there is no file
        """Remove a file if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._steadily(
                "delete", key, (lambda: self.fs.delete_file(self._full(key))) if self._scheme else (lambda: _unlink(self._full(key)))
            )

    def seal(self, key: str, data: bytes) -> None:  # S3: as write
        """Write a file behind a header with its checksum."""
        self.write(key, sealed(data))

    def unseal(self, key: str) -> bytes:  # S3: as read
        """Read a sealed file. Raises FileNotFoundError, or DamagedFile if it is not whole."""
        return unsealed(self.read(key), self.path(key))

    def set_aside(self, key: str) -> str:  # S3: PUT (a copy on the server), DELETE, and the PUT that keeps the folder
        """Rename a damaged file so that it is never read again but can be looked at; returns its new key. It may be gone already."""
        aside = f"{key}.damaged-{int(time.time())}"
        with contextlib.suppress(FileNotFoundError):
            self._steadily("rename", key, lambda: (self.fs.move if self._scheme else os.replace)(self._full(key), self._full(aside)))
        return aside

    def _steadily(self, operation: str, key: str, action: Callable[[], T], foreign: bool = False) -> T:
        """The action's result, tried again while its error may pass. Missing files are the caller's business, others Unavailable.

        foreign: errors without an errno or an answer of a server may be those of a reader and go on as they are.
        """
        tries, began, pauses = 0, time.monotonic(), self._pauses()
        while True:
            try:
                return action()
            except (FileNotFoundError, Unavailable):
                raise
            except Exception as error:
                if _exiting and threading.current_thread().daemon:
                    raise SystemExit from None  # Arrow closes its connections at exit: a thread that nobody waits for ends in silence
                tries += 1
                if self._scheme and _answer(str(error)) in MISSING:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path(key)) from None
                if not isinstance(error, OSError) or not self._is_ours(error, operation, foreign):
                    raise
                pause = next(pauses, None) if self._may_pass(error) else None
                if pause is None:
                    raise self._unavailable(operation, key, error, tries, time.monotonic() - began) from None
            time.sleep(pause)

    def _pauses(self) -> Iterator[float]:
        """Seconds to wait before each further try."""
        if not self._scheme:
            yield from LOCAL_PAUSES
            return
        end, longest = time.monotonic() + RETRY_SECONDS, FIRST_PAUSE
        while time.monotonic() < end:
            yield random.SystemRandom().uniform(longest / 2, longest)
            longest = min(2 * longest, LONGEST_PAUSE)

    def _is_ours(self, error: OSError, operation: str, foreign: bool) -> bool:
        """Whether an error is that of the store; a folder's other errors (a file where a folder should be) stay what they are."""
        if self._scheme:
            return bool(_answer(str(error))) or not foreign
        return error.errno in STUMBLES or (operation not in ("read", "list", "look for") and error.errno in UNWRITABLE)

    def _may_pass(self, error: OSError) -> bool:
        if not self._scheme:
            return error.errno in STUMBLES
        answer = _answer(str(error))
        return bool(answer) and answer not in LASTING and not re.search(r"HTTP status 4(?!08|29)", str(error))

    def _unavailable(self, operation: str, key: str, error: OSError, tries: int, seconds: float) -> Unavailable:
        if not self._scheme and error.errno in UNWRITABLE:
            number = error.errno or 0
            text = f"{os.strerror(number)} ({_room(self.base)}); finished points are safe"
            return Unwritable.during(operation, number, text, self.path(key))
        again = f" ({tries} tries in {seconds:.0f} s)" if tries > 1 else ""
        answer = error.strerror if error.errno and error.strerror else str(error)
        return Unavailable.during(operation, error.errno or errno.EIO, _without_secrets(answer) + again, self.path(key))


def _parsed(uri: str) -> tuple[str, str, dict[str, str]]:
    """Scheme ("" for a folder), bucket with folder, and options of a URI. Raises StoreError, which repeats no value that may be secret."""
    scheme, _, rest = uri.partition("://")
    scheme = {"gcs": "gs"}.get(scheme.lower(), scheme.lower())
    try:
        parts = urlsplit(f"x://{rest}")
    except ValueError:
        raise StoreError(f"this {scheme}:// address cannot be read") from None
    if scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise StoreError("file:// with the name of a machine is not a folder", "write file:///folder, with three slashes")
        return "", unquote(parts.path), {}
    if scheme not in SCHEMES:
        raise StoreError(f"{scheme}:// is not a kind of store" if scheme.isalnum() else "this is not a kind of store")
    bucket, options = parts.netloc, dict(parse_qsl(parts.query, keep_blank_values=True))
    if scheme == "gs" and bucket.startswith("anonymous@"):
        bucket, options["anonymous"] = bucket.removeprefix("anonymous@"), "true"
    _refuse_credentials(scheme, bucket, options)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket):
        raise StoreError(f"{scheme}:// without a bucket", f"write {scheme}://bucket/folder")
    if parts.fragment or (wrong := sorted(set(options) - SCHEMES[scheme] - {"anonymous"})):
        named = "a # in an address is not understood" if parts.fragment else f"{scheme}:// has no option {_named(wrong[0])}"
        raise StoreError(named, f"options are {', '.join(sorted(SCHEMES[scheme]))}")
    folder = "/".join(part for part in unquote(parts.path).split("/") if part)
    return scheme, f"{bucket}/{folder}".rstrip("/"), options


def _refuse_credentials(scheme: str, bucket: str, options: dict[str, str]) -> None:
    word = re.compile(r"key|secret|token|password|passwd|credential|signature|session|sig$|user|auth", re.IGNORECASE)
    if not re.search("[@:]", bucket) and not any(map(word.search, options)) and "@" not in options.get("endpoint_override", ""):
        return
    names = {
        "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), and AWS_ENDPOINT_URL for another server",
        "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    }
    help = f"take them out and set {names[scheme]} in the environment, on every machine that computes"
    raise StoreError(f"this {scheme}:// address carries credentials, which would end in logs", help)


def _named(option: str) -> str:
    return repr(option) if re.fullmatch(r"[a-z_]{1,30}", option) else "of that name"


def _file_system(scheme: str, bucket: str, options: dict[str, str]) -> Any:
    """The Arrow file system of a bucket, for this process only."""
    from pyarrow import fs

    atexit.register(_exiting.append, True)  # later than Arrow's own, so it runs first
    known: dict[str, Any] = {n: v for n, v in options.items() if n in ("region", "scheme", "endpoint_override", "project_id")}
    if scheme == "gs":
        limit = datetime.timedelta(seconds=SILENT_SECONDS)
        return fs.GcsFileSystem(anonymous="anonymous" in options, retry_time_limit=limit, **known)
    if "endpoint_override" not in known:
        known |= _endpoint()
    if "region" not in known and "endpoint_override" not in known:
        with contextlib.suppress(OSError):  # then the environment's region is used
            known["region"] = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        **known,
        allow_delayed_open=True,  # else each file costs four requests
        force_virtual_addressing=options.get("force_virtual_addressing", "").lower() in ("1", "true"),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=PART_TRIES),
    )


def _endpoint() -> dict[str, str]:
    """The server that the environment names, which Arrow reads from addresses only. Raises StoreError."""
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not given:
        return {}
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise StoreError("AWS_ENDPOINT_URL is not the address of a server", "write http://host:port or https://host:port, and no user")
    return {"scheme": parts.scheme, "endpoint_override": parts.netloc}


def _seconds(info: Any) -> float:
    return info.mtime.timestamp() // 1 if info.mtime else 0.0


def _answer(text: str) -> str:
    """The name of the answer in an error of an object store, as SLOW_DOWN; "" in any other error."""
    found = re.search(r"AWS Error ([A-Z0-9_]+)|google::cloud::Status\(([A-Z_]+)", text)
    return (found[1] or found[2]) if found else ""


def _without_secrets(text: str) -> str:
    for name in SECRETS:
        if value := os.environ.get(name):
            text = text.replace(value, "...").replace(quote(value, safe=""), "...")
    return text


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


def _below(base: Path, folder: str) -> Iterator[str]:
    """The files below a folder relative to the base; folders that are deleted meanwhile hold none."""

    def trouble(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for place, _, names in os.walk(base / folder, onerror=trouble):
        at = Path(place).relative_to(base).as_posix()
        yield from (f"{at}/{name}" for name in names if not name.startswith("."))


def _unlink(path: str) -> None:
    """Remove a file; a read-only file system refuses even where there is none."""
    try:
        os.unlink(path)
    except OSError:
        if os.path.lexists(path):
            raise


def _replace(final: Path, data: bytes | mmap.mmap) -> None:
    with _beside(final) as file:
        file.write(data)


def _version(at: os.stat_result) -> str:
    return f"{at.st_mtime_ns}-{at.st_size}"


def _link(final: Path, data: bytes) -> str:
    """Write a file that nobody has written: a hard link to a whole file fails where the name is taken."""
    if final.exists():
        return ""
    temporary = _temporary(final)
    try:
        version = _write_whole(temporary, data)
        try:
            os.link(temporary, final)
        except FileExistsError:
            return ""
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            with _folder_lock(final.parent):  # a file system without hard links
                if final.exists():
                    return ""
                os.replace(temporary, final)
        return version
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _swap(final: Path, data: bytes, version: str) -> str:
    temporary = _temporary(final)
    try:
        with contextlib.suppress(FileNotFoundError):
            if _version(os.stat(final)) == version:
                written = _write_whole(temporary, data)
                with _folder_lock(final.parent):
                    if _version(os.stat(final)) == version:
                        os.replace(temporary, final)
                        return written
        return ""
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """One at a time among all who swap files of a folder; the kernel drops the lock when its owner dies."""
    with open(folder / ".lock", "ab") as handle:
        with contextlib.suppress(OSError):  # a network folder without locks: then a swap is a look and a rename
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _temporary(final: Path) -> Path:
    final.parent.mkdir(parents=True, exist_ok=True)
    return final.with_name(f".{final.name}.{os.getpid()}.{threading.get_ident()}.tmp")


def _write_whole(path: Path, data: bytes) -> str:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return _version(os.fstat(file.fileno()))


@contextlib.contextmanager
def _beside(final: Path) -> Iterator[IO[bytes]]:
    """A file beside its place, which is given its name when the block ends well."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
