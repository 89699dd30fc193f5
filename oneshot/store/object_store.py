"""Files in an object store: S3 (Amazon and servers that speak its protocol), Google, Azure.

All requests go through obstore, which asks again for a minute while an error may pass.
"""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import IO, Any, TypeVar

from oneshot.store import object_store_client, request_loop
from oneshot.store.errors import Kind, Refused, classify

ANSWER_SECONDS = 15.0  # how long a server may be silent
UPLOAD_SECONDS = 120.0  # the same after a large part, as its way to the server counts too
TRIES = 3  # of a request that breaks off for another reason than those that obstore knows
SMALL_BYTES, PART_BYTES, PARTS_AT_ONCE = 2**20, 10 * 2**20, 4

T = TypeVar("T")


class Bucket:
    """Files in a folder of a bucket, by key.

    Every method raises Refused where the store does not do it. FileNotFoundError means that there
    is no such file. A version is the ETag of a file.
    """

    def __init__(self, scheme: str, base: str, options: dict[str, str]):
        self.scheme, self.options = scheme, options
        self.bucket, _, self.folder = base.partition("/")
        self._clients: dict[tuple[bool, float], Any] = {}
        self._conditional = True  # whether the server knows conditional writes

    def write(self, key: str, data: bytes | IO[bytes]) -> None:
        """Write a file; above 10 MB in parts, which are removed again if one of them fails.

        Args:
            key: of the file.
            data: its content, or a file of it.
        """
        try:
            self._put(key, data)
        except FileNotFoundError as error:  # no file is missing here, but the bucket
            raise Refused(error) from None

    def _put(
        self, key: str, data: bytes | IO[bytes], retries: bool = True, mode: Any = None
    ) -> str:
        """Write, on a condition if given; the version, "" where the server does not tell it."""
        import obstore

        file = None if isinstance(data, bytes) else data
        large = file is not None or len(data) > SMALL_BYTES  # type: ignore[arg-type]
        client = self._client(retries, UPLOAD_SECONDS if large else ANSWER_SECONDS)
        parts: dict[str, Any] = dict(chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

        def work() -> Awaitable[Any]:
            if file is not None:
                file.seek(0)
            return obstore.put_async(client, self._full(key), data, mode=mode, **parts)

        return _tag(_request(work, TRIES if retries else 1))

    def exchange(self, key: str, data: bytes, version: str) -> str:
        """Write a file only if it has this version; each try is one request.

        After a try that brought no answer, what stands in the store tells whether it came through.

        Args:
            key: of the file.
            data: its new content.
            version: what it must have now; "" for a file that must not be there.

        Returns:
            The version that was written; "" if the file has another.
        """
        from obstore import exceptions

        changed = exceptions.AlreadyExistsError | exceptions.PreconditionError
        end = time.monotonic() + object_store_client.RETRY_SECONDS
        pause, unanswered = object_store_client.FIRST_PAUSE, 0
        while True:
            try:
                return self._put_if(key, data, version)
            except Refused as refused:
                failure, answer = refused, refused.error
            if isinstance(answer, exceptions.NotSupportedError | NotImplementedError):
                self._conditional = False
                continue
            kind = classify(answer)
            if kind is Kind.TRANSIENT:
                unanswered += 1
            elif kind is not Kind.MISSING and not isinstance(answer, changed):
                raise failure
            try:
                stored, now = self.fetch(key)
            except FileNotFoundError:
                if version:
                    return ""
                if kind is Kind.MISSING:  # there is no bucket
                    raise failure from None
            else:
                if unanswered and stored == data:
                    return now
                if now != version:
                    return ""
            if unanswered == 3 and self._refuses_conditions(key):
                self._conditional = False
            if time.monotonic() > end:
                raise failure
            time.sleep(random.SystemRandom().uniform(pause / 2, pause))
            pause = min(2 * pause, object_store_client.LONGEST_PAUSE)

    def _put_if(self, key: str, data: bytes, version: str) -> str:
        """One try of `exchange`; another version than expected is "" or an error of obstore."""
        mode: Any = {"e_tag": f'"{version}"'} if version else "create"
        if not self._conditional or (version and self.scheme == "gs"):
            try:
                meta = self._head(key)
            except FileNotFoundError:
                meta = None
            if (_tag(meta) if meta else "") != version:
                return ""
            if not self._conditional:
                self.write(key, data)
                return self.version(key)
            mode["version"] = meta["version"]  # Google's conditions are generations, not ETags
        try:
            return self._put(key, data, retries=False, mode=mode) or self.version(key)
        except FileNotFoundError as error:
            raise Refused(error) from None

    def _refuses_conditions(self, key: str) -> bool:
        """Whether plain writes come through and conditional ones never do: five of each."""
        for i in range(5):
            probe = f"{key}.probe-{os.getpid()}-{i}"
            self.write(probe, b"")
            self.delete(probe)
            try:
                self._put(probe, b"", retries=False, mode="create")
            except Refused as refused:
                if classify(refused) is Kind.TRANSIENT:
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

        return _request(get)

    def read_with(self, key: str, reader: Callable[[IO[bytes]], T]) -> T:
        """What a reader makes of an open file, from the start if it was replaced meanwhile.

        Args:
            key: of the file.
            reader: takes the open file.

        Returns:
            What the reader returns.
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

    def _head(self, key: str) -> Any:
        import obstore

        client = self._client()
        return _request(lambda: obstore.head_async(client, self._full(key)))

    def _range(self, key: str, tag: str | None, start: int, end: int) -> bytes:
        """A part of a file, if it is still this version."""
        import obstore

        client = self._client()

        async def get() -> bytes:
            options: Any = {"range": (start, end)} | ({"if_match": tag} if tag else {})
            answer = await obstore.get_async(client, self._full(key), options=options)
            return (await answer.bytes_async()).to_bytes()

        return _request(get)

    def versions(self, folder: str) -> dict[str, str]:
        """The versions of all files directly under a folder, by name."""
        import obstore

        client, under = self._client(), self._full(folder)
        try:
            found = _request(lambda: obstore.list_with_delimiter_async(client, under or None))
        except FileNotFoundError as error:
            raise Refused(error) from None
        versions = {}
        for meta in found["objects"]:
            where, _, name = meta["path"].rpartition("/")
            if where == under:
                versions[name] = _tag(meta)
        return versions

    def keys(self, folder: str) -> list[str]:
        """The keys of all files below a folder."""
        import obstore

        client, under = self._client(), self._full(folder)

        async def collect() -> list[Any]:
            return list(await obstore.list(client, under or None).collect_async())

        cut = len(self.folder) + 1 if self.folder else 0
        try:
            return [meta["path"][cut:] for meta in _request(collect)]
        except FileNotFoundError as error:
            raise Refused(error) from None

    def delete(self, key: str) -> None:
        """Remove a file."""
        import obstore

        client = self._client()
        _request(lambda: obstore.delete_async(client, self._full(key)))

    def rename(self, key: str, other: str) -> None:
        """Give a file another name: a copy on the server, and the end of the original.

        Args:
            key: of the file.
            other: its new key.
        """
        import obstore

        client = self._client()
        _request(lambda: obstore.rename_async(client, self._full(key), self._full(other)))

    def _full(self, key: str) -> str:
        return f"{self.folder}/{key}".strip("/")

    def _client(self, retries: bool = True, answer_seconds: float | None = None) -> Any:
        """A client of obstore, as `object_store_client.make`."""
        request_loop.refuse_fork()
        wanted = (retries, answer_seconds or ANSWER_SECONDS)
        if wanted not in self._clients:
            made = object_store_client.make(self.scheme, self.bucket, self.options, *wanted)
            self._clients[wanted] = made
        return self._clients[wanted]


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


def _request(work: Callable[[], Awaitable[T]], tries: int = TRIES) -> T:
    """The answer to a request of obstore, which does not repeat all that breaks off midway."""
    began = time.monotonic()
    while True:
        tries -= 1
        try:
            return request_loop.run(work)
        except Exception as error:
            kind, seconds = classify(error), time.monotonic() - began
            if kind in (Kind.MISSING, Kind.FOREIGN):
                raise
            if kind is Kind.PERMANENT or tries <= 0 or seconds > object_store_client.RETRY_SECONDS:
                raise Refused(error, seconds) from None
        time.sleep(object_store_client.FIRST_PAUSE)


def _tag(meta: Any) -> str:
    """The ETag without its quotes, which listings of some stores lack."""
    return (meta["e_tag"] or "").removeprefix("W/").strip('"')
