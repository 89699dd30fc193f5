"""Object stores by URI: s3:// (Amazon and servers that speak its protocol), gs:// (Google) and
az:// (Azure).

All requests go through obstore, which asks again for a minute while an error may pass. They run on
the event loop of one thread a process, so that whoever waits for an answer hears a signal at once,
and an interrupted request is given up instead of coming through later. Credentials come from the
environment, from the files of `aws configure`, or from the role of the machine, never from a URI.
"""

from __future__ import annotations

import asyncio
import atexit
import configparser
import contextlib
import datetime
import io
import json
import os
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import IO, Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

RETRY_SECONDS = 60.0  # how long a store that fails is asked again
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds between two tries
CONNECT_SECONDS, SILENT_SECONDS = 5.0, 15.0  # how long a server may take to accept, and to answer
UPLOAD_SECONDS = 120.0  # to answer after a large part, as its way to the server counts too
TRIES = 3  # of a request that breaks off for another reason than those that obstore knows
SMALL_BYTES, PART_BYTES, PARTS_AT_ONCE = 2**20, 10 * 2**20, 4
AWS = "https://s3.amazonaws.com"  # where the region of any bucket is told

SCHEMES = {
    "s3": {"region", "scheme", "endpoint_override", "force_virtual_addressing"},
    "gs": {"scheme", "endpoint_override", "project_id"},
    "az": {"account", "scheme", "endpoint_override"},
}
CREDENTIALS = {
    "s3": (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN), and AWS_ENDPOINT_URL for"
        " another server"
    ),
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or AZURE_STORAGE_SAS_TOKEN)",
}
SECRET = re.compile(
    r"key|secret|token|password|passwd|credential|signature|session|^sas|sig$|user|auth", re.I
)

T = TypeVar("T")
_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.RLock()
_forked = False


class StoreError(ValueError):
    """A place that cannot be a store. The message repeats no secret; `help` says what to do."""

    def __init__(
        self,
        message: str,
        help: str = "use a folder, s3://bucket/folder, gs://bucket/folder or az://container/folder",
    ):
        super().__init__(message)
        self.help = help

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, str]]:
        return (StoreError, (str(self), self.help))


class Refused(Exception):
    """An object store did not do what it was asked for; the text says what it answered."""

    def __init__(self, error: Exception, seconds: float = 0.0):
        super().__init__(_told(str(error), seconds))
        self.error = error


def parse(uri: str) -> tuple[str, str, dict[str, str]]:
    """Take a URI apart.

    Returns: scheme ("" for a folder of this machine), bucket with folder, and options.
    Raises: StoreError, which repeats no value that may be secret.
    """
    scheme, _, rest = uri.partition("://")
    scheme = {"gcs": "gs"}.get(scheme.lower(), scheme.lower())
    try:
        parts = urlsplit(f"x://{rest}")
    except ValueError:
        raise StoreError(f"this {scheme}:// address cannot be read") from None
    if scheme == "file":
        if parts.netloc not in ("", "localhost"):
            help = "write file:///folder, with three slashes"
            raise StoreError("file:// with the name of a machine is not a folder", help)
        return "", unquote(parts.path), {}
    if scheme not in SCHEMES:
        named = f"{scheme}://" if scheme.isalnum() else "this"
        raise StoreError(f"{named} is not a kind of store")
    bucket, options = parts.netloc, dict(parse_qsl(parts.query, keep_blank_values=True))
    if scheme == "gs" and bucket.startswith("anonymous@"):
        bucket, options["anonymous"] = bucket.removeprefix("anonymous@"), "true"
    at = "@" in options.get("endpoint_override", "")
    if re.search("[@:]", bucket) or at or any(map(SECRET.search, options)):
        raise StoreError(
            f"this {scheme}:// address carries credentials, which would end in logs",
            f"take them out and set {CREDENTIALS[scheme]} in the environment, on every machine that"
            " computes",
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket):
        what = "container" if scheme == "az" else "bucket"
        raise StoreError(f"{scheme}:// without a {what}", f"write {scheme}://{what}/folder")
    wrong = sorted(set(options) - SCHEMES[scheme] - {"anonymous"})
    if parts.fragment or wrong:
        plain = wrong and re.fullmatch(r"[a-z_]{1,30}", wrong[0])
        raise StoreError(
            (
                "a # in an address is not understood"
                if parts.fragment
                else f"{scheme}:// has no option {repr(wrong[0]) if plain else 'of that name'}"
            ),
            f"options are {', '.join(sorted(SCHEMES[scheme]))}",
        )
    folder = "/".join(part for part in unquote(parts.path).split("/") if part)
    return scheme, f"{bucket}/{folder}".rstrip("/"), options


class Bucket:
    """Files in a folder of a bucket, by key.

    Every method raises Refused where the store does not do it. FileNotFoundError means that there
    is no such file. A version is the ETag of a file.
    """

    def __init__(self, scheme: str, base: str, options: dict[str, str]):
        self.scheme, self.options = scheme, options
        self.bucket, _, self.folder = base.partition("/")
        self._clients: dict[tuple[bool, float], Any] = {}
        self._conditional = True

    def write(self, key: str, data: bytes | IO[bytes]) -> None:
        """Write a file; above 10 MB in parts, which are removed again if one of them fails."""
        try:
            self._put(key, data)
        except FileNotFoundError as error:  # no file is missing here, but the bucket
            raise Refused(error) from None

    def _put(self, key: str, data: bytes | IO[bytes], again: bool = True, mode: Any = None) -> str:
        """Returns the version that was written, "" where the server does not tell."""
        import obstore

        file = None if isinstance(data, bytes) else data
        large = file is not None or len(data) > SMALL_BYTES  # type: ignore[arg-type]
        client = self._client(again, UPLOAD_SECONDS if large else SILENT_SECONDS)
        parts: dict[str, Any] = dict(chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

        def work() -> Awaitable[Any]:
            if file is not None:
                file.seek(0)
            return obstore.put_async(client, self._full(key), data, mode=mode, **parts)

        return _tag(_ask(work, TRIES if again else 1))

    def exchange(self, key: str, data: bytes, version: str) -> str:
        """As `Store.exchange`. Each try is one request.

        After a try that brought no answer, what stands in the store tells whether it came through.
        """
        from obstore import exceptions

        end, pause, unanswered = time.monotonic() + RETRY_SECONDS, FIRST_PAUSE, 0
        while True:
            try:
                return self._put_if(key, data, version)
            except Refused as refused:
                error = refused
            if isinstance(error.error, exceptions.NotSupportedError | NotImplementedError):
                self._conditional = False
                continue
            if isinstance(error.error, exceptions.GenericError):
                unanswered += 1
            elif not isinstance(
                error.error,
                exceptions.AlreadyExistsError | exceptions.PreconditionError | FileNotFoundError,
            ):
                raise error
            try:
                found, now = self.fetch(key)
            except FileNotFoundError:
                if version:
                    return ""
                if isinstance(error.error, FileNotFoundError):  # there is no bucket
                    raise error from None
            else:
                if unanswered and found == data:
                    return now
                if now != version:
                    return ""
            if unanswered == 3 and self._refuses_conditions(key):
                self._conditional = False
            if time.monotonic() > end:
                raise error
            time.sleep(random.SystemRandom().uniform(pause / 2, pause))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _put_if(self, key: str, data: bytes, version: str) -> str:
        """One try; another state than the expected one is "" or an error of obstore."""
        mode: Any = {"e_tag": f'"{version}"'} if version else "create"
        if not self._conditional or (version and self.scheme == "gs"):
            meta = self._look(key)
            if (_tag(meta) if meta else "") != version:
                return ""
            if not self._conditional:
                self.write(key, data)
                return self.version(key)
            mode["version"] = meta["version"]  # Google's conditions are generations, not ETags
        try:
            return self._put(key, data, again=False, mode=mode) or self.version(key)
        except FileNotFoundError as error:
            raise Refused(error) from None

    def _refuses_conditions(self, key: str) -> bool:
        """Whether plain writes come through and conditional ones never do: five of each."""
        from obstore import exceptions

        for i in range(5):
            probe = f"{key}.probe-{os.getpid()}-{i}"
            self.write(probe, b"")
            self.delete(probe)
            try:
                self._put(probe, b"", again=False, mode="create")
            except Refused as refused:
                if isinstance(refused.error, exceptions.GenericError):
                    continue
            self.delete(probe)
            return False
        return True

    def fetch(self, key: str) -> tuple[bytes, str]:
        """The bytes of a file and its version, of one answer."""
        import obstore

        client = self._client()

        async def get() -> tuple[bytes, str]:
            answer = await obstore.get_async(client, self._full(key))
            return (await answer.bytes_async()).to_bytes(), _tag(answer.meta)

        return _ask(get)

    def read_with(self, key: str, reader: Callable[[IO[bytes]], T]) -> T:
        """What a reader makes of an open file, from the start if the file was replaced
        meanwhile.
        """
        from obstore import exceptions

        while True:
            file = _Ranges(self, key)
            try:
                return reader(file)  # type: ignore[arg-type]
            except Exception:
                if file.failed is None:
                    raise
                error = getattr(file.failed, "error", None)
                if not isinstance(error, exceptions.PreconditionError):
                    raise file.failed from None

    def version(self, key: str) -> str:
        """The version of a file."""
        return _tag(self._head(key))

    def _look(self, key: str) -> Any:
        try:
            return self._head(key)
        except FileNotFoundError:
            return None

    def _head(self, key: str) -> Any:
        import obstore

        client = self._client()
        return _ask(lambda: obstore.head_async(client, self._full(key)))

    def _range(self, key: str, tag: str | None, start: int, end: int) -> bytes:
        """A part of a file, if it is still this version."""
        import obstore

        client = self._client()

        async def get() -> bytes:
            options: Any = {"range": (start, end)} | ({"if_match": tag} if tag else {})
            answer = await obstore.get_async(client, self._full(key), options=options)
            return (await answer.bytes_async()).to_bytes()

        return _ask(get)

    def versions(self, folder: str) -> dict[str, str]:
        """The versions of all files directly under a folder, by name."""
        return {name: _tag(meta) for name, meta in self._list(folder)}

    def _list(self, folder: str) -> list[tuple[str, Any]]:
        import obstore

        client, under = self._client(), self._full(folder)
        try:
            found = _ask(lambda: obstore.list_with_delimiter_async(client, under or None))
        except FileNotFoundError as error:
            raise Refused(error) from None
        split = [(meta["path"].rpartition("/"), meta) for meta in found["objects"]]
        return [(name, meta) for (where, _, name), meta in split if where == under]

    def keys(self, folder: str) -> list[str]:
        """The keys of all files below a folder."""
        import obstore

        client, under = self._client(), self._full(folder)

        async def collect() -> list[Any]:
            return list(await obstore.list(client, under or None).collect_async())

        cut = len(self.folder) + 1 if self.folder else 0
        try:
            return [meta["path"][cut:] for meta in _ask(collect)]
        except FileNotFoundError as error:
            raise Refused(error) from None

    def delete(self, key: str) -> None:
        """Remove a file."""
        import obstore

        client = self._client()
        _ask(lambda: obstore.delete_async(client, self._full(key)))

    def rename(self, key: str, other: str) -> None:
        """Give a file another name: a copy on the server, and the end of the original."""
        import obstore

        client = self._client()
        _ask(lambda: obstore.rename_async(client, self._full(key), self._full(other)))

    def _full(self, key: str) -> str:
        return f"{self.folder}/{key}".strip("/")

    def _client(self, again: bool = True, silent: float | None = None) -> Any:
        """A client of obstore. again: whether it repeats what fails. silent: as SILENT_SECONDS."""
        _refuse_fork()
        wanted = (again, silent or SILENT_SECONDS)
        if wanted not in self._clients:
            make, arguments, plain = getattr(self, f"_{self.scheme}")()
            backoff = dict(init_backoff=_s(FIRST_PAUSE), max_backoff=_s(LONGEST_PAUSE), base=2)
            retry = dict(max_retries=1000 if again else 0, retry_timeout=_s(RETRY_SECONDS))
            self._clients[wanted] = make(
                self.bucket,
                **arguments,
                client_options=dict(
                    allow_http=plain,
                    connect_timeout=_s(CONNECT_SECONDS),
                    read_timeout=_s(wanted[1]),
                    timeout=_s(3600),  # of a whole answer, however large
                ),
                retry_config=retry | {"backoff": backoff},
            )
        return self._clients[wanted]

    def _server(self, default: str = "") -> str:
        given = self.options.get("endpoint_override")
        return f"{self.options.get('scheme', 'https')}://{given}" if given else default

    def _s3(self) -> tuple[Any, dict[str, Any], bool]:
        from obstore.store import S3Store

        virtual = self.options.get("force_virtual_addressing", "").lower() in ("1", "true")
        known: dict[str, Any] = _profile() | {"virtual_hosted_style_request": virtual}
        server = self._server(_environments_server())
        region = self.options.get("region") or (None if server else _region(self.bucket))
        if region:
            known["region"] = region
        if server:
            named = server.replace("://", f"://{self.bucket}.", 1) if virtual else server
            known["aws_endpoint_url_s3"] = named
        known["disable_bulk_delete"] = True  # which not every server knows
        return S3Store, known, server.startswith("http:")

    def _gs(self) -> tuple[Any, dict[str, Any], bool]:
        from obstore.store import GCSStore

        server = self._server()
        known: dict[str, Any] = {"base_url": server} if server else {}
        if "anonymous" in self.options:
            nobody = dict(client_email="", private_key="", private_key_id="", disable_oauth=True)
            known["service_account_key"] = json.dumps(nobody | ({"gcs_base_url": server}))
        return GCSStore, known, server.startswith("http:")

    def _az(self) -> tuple[Any, dict[str, Any], bool]:
        from obstore.store import AzureStore

        account = self.options.get("account") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
        if not account:
            help = "add ?account=NAME, or set AZURE_STORAGE_ACCOUNT_NAME on every machine"
            raise StoreError("az:// without an account", help)
        server = self._server(f"https://{account}.blob.core.windows.net")
        if account not in urlsplit(server).netloc.split("."):
            server += f"/{account}"  # a server of one name for all accounts
        return AzureStore, dict(account_name=account, endpoint=server), server.startswith("http:")


class _Ranges(io.RawIOBase):
    """A file of a store in which one may seek; each read is a request, all of the same version."""

    def __init__(self, bucket: Bucket, key: str):
        self.failed: Refused | FileNotFoundError | None = None
        self._bucket, self._key, self._at = bucket, key, 0
        meta = bucket._head(key)
        self._size, self._tag = meta["size"], meta["e_tag"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(offset + (0, self._at, self._size)[whence], 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        try:
            data = self._bucket._range(self._key, self._tag, self._at, end)
        except (Refused, FileNotFoundError) as error:
            self.failed = error
            raise
        self._at += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _ask(work: Callable[[], Awaitable[T]], tries: int = TRIES) -> T:
    """What a request gives. It runs on a thread of its own and is given up if we are interrupted.

    tries: how often it is begun, as obstore does not repeat all that breaks off in its middle.
    """
    from obstore import exceptions

    began = time.monotonic()
    while True:
        tries -= 1
        try:
            return _wait_for(work)
        except (exceptions.BaseError, NotImplementedError) as error:
            seconds = time.monotonic() - began
            generic = isinstance(error, exceptions.GenericError)
            if not generic or tries <= 0 or seconds > RETRY_SECONDS:
                raise Refused(error, seconds) from None
        time.sleep(FIRST_PAUSE)


def _wait_for(work: Callable[[], Awaitable[T]]) -> T:
    global _loop
    _refuse_fork()
    with _lock:
        if _loop is None:
            _loop = loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="object-store", daemon=True)
            thread.start()
            atexit.register(_end, loop, thread)

    async def run() -> T:
        return await work()

    future = asyncio.run_coroutine_threadsafe(run(), _loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def was_used() -> bool:
    """Whether this process has asked an object store for anything."""
    return _loop is not None


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """End the loop before the interpreter does, which aborts if an answer comes to it while it
    ends.
    """
    if not _forked:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CONNECT_SECONDS)


def _refuse_fork() -> None:
    if _forked:
        raise RuntimeError(
            "an object store cannot be used in a process that was forked from one that used it: "
            "start the process by spawn, or as a program of its own"
        )


def _in_child() -> None:
    global _forked
    _forked = _forked or _loop is not None  # whose thread is not here


os.register_at_fork(after_in_child=_in_child)


def _s(seconds: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=seconds)


def _tag(meta: Any) -> str:
    """The ETag without its quotes, which listings of some stores lack."""
    return (meta["e_tag"] or "").removeprefix("W/").strip('"')


def _environments_server() -> str:
    """The server that the environment names, "" for Amazon's. Raises StoreError."""
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    parts = urlsplit(given)
    if given and (parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc):
        help = "write http://host:port or https://host:port, and no user"
        raise StoreError("AWS_ENDPOINT_URL is not the address of a server", help)
    return given.rstrip("/")


def _region(bucket: str) -> str | None:
    """The region in which a bucket lies, which Amazon tells everybody; None if nobody answers."""
    request = urllib.request.Request(f"{AWS}/{bucket}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:  # a redirection or a refusal names it too
        headers = error.headers
    except OSError:
        return None
    return str(region) if (region := headers.get("x-amz-bucket-region")) else None


def _profile() -> dict[str, Any]:
    """The keys in the file of `aws configure`, which obstore does not read."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    file = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(configparser.Error, OSError, UnicodeError):
        where = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
        file.read(os.path.expanduser(where))
    profile = os.environ.get("AWS_PROFILE", "default")
    names = ("access_key_id", "secret_access_key", "session_token")
    found = {name: file.get(profile, f"aws_{name}", fallback=None) for name in names}
    return {name: value for name, value in found.items() if value}


def _told(text: str, seconds: float) -> str:
    """What people should read of an error of obstore: no address, no request, no secret."""
    said, _, details = text.partition("\n\nDebug source")
    said, _, body = said.partition("<")
    said = said.rpartition(" - ")[2].removeprefix("Server returned non-2xx status code: ")
    said = re.sub(r"\?\S*", "", said).rstrip(" :\n")
    code, message = (
        found[1].strip().partition("\n")[0] if found else ""
        for found in (re.search(rf"<{tag}>([^<]*)", f"<{body}") for tag in ("Code", "Message"))
    )
    why = re.search(r'message: "([^"]*)"', details) or re.search(r"\b(TimedOut)\b", details)
    more = " ".join(filter(None, (code + ":" if code and message else code, message)))
    again = f"asked again for {seconds:.0f} s" if re.search(r"after [1-9]\d* retr", text) else ""
    for part in (more, why[1] if why and not more else "", again):
        said += f" ({part})" if part else ""
    for name, value in os.environ.items():
        if re.match("AWS_|AZURE_|GOOGLE_", name) and SECRET.search(name) and len(value) > 5:
            said = said.replace(value, "...").replace(quote(value, safe=""), "...")
    return said
