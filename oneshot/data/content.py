"""Identity of data in folders of the user's: names and bytes of all files that count, splits.

Every byte is read once. The cache folder remembers the checksum of each file with its size and
times, so that the next look only asks the system for those.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from oneshot.console.terminal import tell_note
from oneshot.paths import DataError, cache_dir, find, unreadable
from oneshot.store.machine_cache import lock, replacing, sha256

DIGITS = 12
REPORT = 2.0  # seconds between two lines of progress
# seconds after a change in which another may leave a file the same times; such a file is read again
SETTLE = 2.0


@dataclass(frozen=True)
class Contents:
    """What a data set consists of.

    Args:
        files: the files whose bytes count, each under a name that is the same wherever they lie.
        splits: the class lists of each split, as JSON has them.
    """

    files: Mapping[str, Path]
    splits: Any


def folder_fingerprint(dataset: str) -> str:
    """What identifies data in a folder of the user's: 12 hex digits; "absent" where there are none.

    Raises:
        DataError: a file is missing or cannot be read, or a list is malformed.
    """
    module = importlib.import_module(f"oneshot.data.{dataset}")
    source = find(dataset, module.FINGERPRINT_FILES)
    if source is None:
        return "absent"
    given = module.contents(source) if hasattr(module, "contents") else whole_folder(source, module)
    return of_contents(dataset, source, given)


def of_contents(dataset: str, source: Path, given: Contents) -> str:
    """What identifies these files and splits, each file read once a machine.

    Args:
        dataset: the name of the data set.
        source: the folder or file in which they are.
        given: the files that count, and the splits.

    Returns:
        12 hex digits.

    Raises:
        DataError: a file is missing or cannot be read.
    """
    digest = hashlib.sha256(json.dumps(given.splits, sort_keys=True).encode())
    for name, content in sorted(_checksums(dataset, source, given.files).items()):
        digest.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:DIGITS]


def whole_folder(source: Path, module: ModuleType) -> Contents:
    """The contents of a data set that does not say what counts.

    Every file counts, and the code that splits its classes.

    Args:
        source: the folder or file of the user's.
        module: the file of the data set.

    Returns:
        The files by name, and a checksum of the code.
    """
    files = {source.name: source}
    if source.is_dir():
        found = (
            Path(folder) / name
            for folder, _, names in os.walk(source)
            for name in names
            if not name.startswith(".")
        )
        files = {path.relative_to(source).as_posix(): path for path in found}
    code = Path(module.__file__ or "").read_text(encoding="utf-8-sig").splitlines()
    return Contents(
        files, hashlib.sha256("\n".join(line.rstrip() for line in code).encode()).hexdigest()
    )


def _checksums(dataset: str, source: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file in hex, read only if this machine has not read it as it is."""
    stamps = {name: _stamp(path) for name, path in files.items()}
    try:
        where = hashlib.sha256(os.fsencode(source.absolute())).hexdigest()[:DIGITS]
        place = cache_dir() / "fingerprints" / f"{dataset}-{where}.json"
    except DataError:  # without a cache everything is read each time
        return _read_all(dataset, files, stamps, {})
    known = _known(place)
    if all(known.get(name, ["", ""])[0] == stamp for name, stamp in stamps.items()):
        return {name: known[name][1] for name in stamps}
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # a cache that takes no files costs time alone
            held.enter_context(lock(place))
        # another process may have read them while this one waited
        began, known = time.time(), _known(place)
        sums = _read_all(dataset, files, stamps, known)
        settled = {
            name: [stamp, sums[name]]
            for name, stamp in stamps.items()
            if _changed_at(stamp) < began - SETTLE
        }
        with contextlib.suppress(OSError), replacing(place) as handle:
            handle.write(json.dumps(settled).encode())
    return sums


def _read_all(
    dataset: str, files: Mapping[str, Path], stamps: Mapping[str, str], known: Mapping[str, Any]
) -> dict[str, str]:
    """The checksum of every file: those not known are read, with lines of progress."""
    sums = {
        name: known[name][1]
        for name, stamp in stamps.items()
        if known.get(name, ["", ""])[0] == stamp
    }
    unread = [name for name in files if name not in sums]
    said = time.monotonic()
    for done, name in enumerate(unread):
        if time.monotonic() - said > REPORT:
            said = time.monotonic()
            tell_note(
                f"reading {dataset} once, to know it again: {done:,} of {len(unread):,} files"
            )
        with _named(files[name]):
            sums[name] = sha256(files[name])
    return sums


def _known(place: Path) -> dict[str, list[str]]:
    """Stamp and checksum of each file as the cache has them; {} where it has none, or they cannot
    be read.
    """
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(place.read_bytes())
        if isinstance(found, dict) and all(
            isinstance(v, list) and len(v) == 2 for v in found.values()
        ):
            return found
    return {}


def _stamp(path: Path) -> str:
    """Size and times of a file; a file that was replaced has another."""
    with _named(path):
        at = os.stat(path)
        return f"{at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}"


def _changed_at(stamp: str) -> float:
    return max(map(int, stamp.split()[1:])) / 1e9


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """What raises OSError in this context raises DataError, which names the file."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error
