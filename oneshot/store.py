"""Where artefacts lie: a folder of this machine or a shared file system, or an object store by URI (s3://, gs://).

Every file is written whole or not at all: temporary name, fsync, rename (one PUT of the final key on an object store). Artefacts that only
bytes can vouch for (checkpoints, weights, drawings) are sealed: a header with their SHA-256 comes first, so a damaged file is noticed.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path, PurePosixPath
from typing import Any

MAGIC = b"oneshot1"


class DamagedFile(RuntimeError):
    """A stored file is not what was written: truncated or altered. The message names it."""


class Store:
    """Files under one root. Keys are relative paths with forward slashes. Safe to share between threads and processes."""

    def __init__(self, root: str | Path):
        self.root = str(root)
        self.fs: Any = None
        if "://" in self.root:
            from pyarrow import fs

            self.fs, self.base = fs.FileSystem.from_uri(self.root)
        else:
            self.base = str(Path(self.root).absolute())

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return (Store, (self.root if self.fs is not None else self.base,))

    def path(self, key: str) -> str:
        """The full path or URI of a key, for people."""
        return f"{self.root.rstrip('/')}/{key}" if self.fs is not None else str(Path(self.base) / key)

    def local(self, key: str) -> Path | None:
        """The file of a key on this machine's file system, or None on an object store."""
        return Path(self.base) / key if self.fs is None else None

    def write(self, key: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        if self.fs is not None:
            path = f"{self.base}/{key}"
            try:
                stream = self.fs.open_output_stream(path)
            except FileNotFoundError:  # a file system with real folders; object stores need none
                self.fs.create_dir(path.rpartition("/")[0], recursive=True)
                stream = self.fs.open_output_stream(path)
            with stream:
                stream.write(data)
            return
        final = Path(self.base) / key
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f".{final.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def read(self, key: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        if self.fs is None:
            return (Path(self.base) / key).read_bytes()
        with self.fs.open_input_stream(f"{self.base}/{key}") as stream:
            return bytes(stream.read())

    def exists(self, key: str) -> bool:
        if self.fs is None:
            return (Path(self.base) / key).exists()
        from pyarrow import fs

        return bool(self.fs.get_file_info(f"{self.base}/{key}").type != fs.FileType.NotFound)

    def time(self, key: str) -> float | None:
        """The modification time of a file (seconds), as `names` gives it; None where there is no file."""
        if self.fs is None:
            try:
                return os.stat(os.path.join(self.base, key)).st_mtime
            except FileNotFoundError:
                return None
        from pyarrow import fs

        info = self.fs.get_file_info(f"{self.base}/{key}")
        if info.type == fs.FileType.NotFound:
            return None
        return info.mtime.timestamp() if info.mtime else 0.0

    def names(self, folder: str, suffix: str = "") -> dict[str, float]:
        """File names directly under a folder with their modification times (seconds); temporary files are left out."""
        if self.fs is None:
            try:
                with os.scandir(Path(self.base) / folder) as entries:
                    return {e.name: e.stat().st_mtime for e in entries if e.name.endswith(suffix) and not e.name.startswith(".")}
            except FileNotFoundError:
                return {}
        from pyarrow import fs

        infos = self.fs.get_file_info(fs.FileSelector(f"{self.base}/{folder}", allow_not_found=True))
        times = {PurePosixPath(i.path).name: i.mtime.timestamp() if i.mtime else 0.0 for i in infos}
        return {name: t for name, t in times.items() if name.endswith(suffix) and not name.startswith(".")}

    def delete(self, key: str) -> None:
        """Remove a file if it is there."""
        if self.fs is None:
            (Path(self.base) / key).unlink(missing_ok=True)
        elif self.exists(key):
            self.fs.delete_file(f"{self.base}/{key}")

    def seal(self, key: str, data: bytes) -> None:
        """Write a file behind a header with its checksum."""
        self.write(key, MAGIC + hashlib.sha256(data).digest() + data)

    def unseal(self, key: str) -> bytes:
        """Read a sealed file. Raises FileNotFoundError, or DamagedFile if it is not whole."""
        data = self.read(key)
        head, body = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
        if head != MAGIC + hashlib.sha256(body).digest():
            raise DamagedFile(f"{self.path(key)} is damaged ({len(data):,} bytes, checksum wrong)")
        return body

    def set_aside(self, key: str) -> str:
        """Rename a damaged file so that it is never read again but can be looked at; returns its new key."""
        aside = f"{key}.damaged-{int(time.time())}"
        if self.fs is None:
            os.replace(Path(self.base) / key, Path(self.base) / aside)
        else:
            self.fs.move(f"{self.base}/{key}", f"{self.base}/{aside}")
        return aside
