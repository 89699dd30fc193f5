"""Downloading a file once per machine: checksum, time limit, retries, progress on stderr.

A partial file never gets the final name.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from oneshot.console.terminal import tell_note
from oneshot.store.machine_cache import lock, replacing

TRIES = 3
WAIT = 1.0  # seconds before the second try, doubled before each further one
TIMEOUT = 30.0  # seconds without an answer or a byte
REPORT = 2.0  # seconds between two lines of progress


class DownloadError(RuntimeError):
    """A file could not be fetched; the message is the reason of the last try."""


class _Broken(Exception):
    """A try failed in a way that another try may mend."""


def fetch(url: str, target: Path, md5: str) -> None:
    """Make `target` the file at `url`, unless it exists.

    Of many processes that ask at once, one downloads and the others wait for it. Network faults,
    server errors (5xx, 408, 429), short bodies and wrong checksums are tried TRIES times in all; a
    refusal (404) once.

    Args:
        url: where it is fetched from.
        target: the file; it does not exist after an error.
        md5: the checksum of the file, in hex.

    Raises:
        DownloadError: it cannot be had.
    """
    with lock(target):
        reason = ""
        for attempt in range(TRIES):
            if target.exists():
                return
            if attempt:
                wait = WAIT * 2 ** (attempt - 1)
                tell_note(f"{target.name}: {reason}; next try in {wait:g} s")
                time.sleep(wait)
            try:
                return _fetch_once(url, target, md5)
            except _Broken as fault:
                reason = str(fault)
        raise DownloadError(f"{reason}, {TRIES} tries")


def _fetch_once(url: str, target: Path, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with replacing(target) as handle:
        for block in _blocks(url, target.name):
            digest.update(block)
            handle.write(block)
        if digest.hexdigest() != md5:
            raise _Broken(f"{target.name} has the wrong checksum: {digest.hexdigest()}, not {md5}")


def _blocks(url: str, name: str) -> Iterator[bytes]:
    """The body at `url`, block by block, with lines of progress. Raises _Broken or DownloadError
    for whatever goes wrong on the network.
    """
    try:
        with urlopen(Request(url, headers={"User-Agent": "oneshot"}), timeout=TIMEOUT) as response:
            total = int(response.headers.get("Content-Length") or 0)
            done, said = 0, time.monotonic()
            tell_note(
                f"downloading {url} ({total / 1e6:.1f} MB)" if total else f"downloading {url}"
            )
            while block := response.read(1 << 18):
                yield block
                done += len(block)
                if time.monotonic() - said > REPORT:
                    said = time.monotonic()
                    tell_note(
                        f"{name}: {done / 1e6:.1f}"
                        + (f" of {total / 1e6:.1f} MB" if total else " MB")
                    )
    except HTTPError as error:
        passing = error.code >= 500 or error.code in (408, 429)
        raise (_Broken if passing else DownloadError)(
            f"{urlsplit(url).netloc} answers HTTP {error.code} for {name}"
        ) from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise _Broken(_reason(error)) from error
    if done < total:  # urllib takes an early end of the body for its end
        raise _Broken(f"{name} broke off after {done} of {total} bytes")
    tell_note(f"{name}: complete, {done / 1e6:.1f} MB")


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer in {TIMEOUT:g} s"
    if isinstance(cause, (socket.gaierror, ConnectionRefusedError)):
        return "host not reachable"
    return f"connection failed: {cause}"
