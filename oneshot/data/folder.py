"""folder: images of the user's, a folder of pictures for each class, or an npz.

The setting `data_path` of a sweep names them; `folder_source.py` reads them. They are read once by
the machine that starts a run, which keeps the prepared images in its cache, and brings them to the
store under their fingerprint: no other machine needs the folder.
"""

from __future__ import annotations

import contextlib
import functools
import io
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oneshot.console.terminal import tell_note
from oneshot.data import VERSION
from oneshot.data.content import Contents, of_contents
from oneshot.data.folder_pictures import dark_ink, ink_levels
from oneshot.data.folder_source import Source
from oneshot.data.images import CHUNK
from oneshot.paths import DataError, cache_dir
from oneshot.store.machine_cache import cached, lock, replacing, writing
from oneshot.sweep.settings import OF_FOLDER
from oneshot.types import DataSet

SPLITS = ("fixed",)
FINGERPRINT = "folder"
FINGERPRINT_FILES = ()  # nothing is looked for in the places of other data sets
BY_SETTINGS = True  # settings of a point say where the images are and how they are read

REPORT = 2.0  # seconds between two lines of progress
KNOWN_FOR = 5.0  # seconds in which `counts` does not look again


def fingerprint(settings: Mapping[str, Any]) -> str:
    """What identifies the images, how they are read and their class split.

    Args:
        settings: of a point.

    Returns:
        12 hex digits and the version of this room.

    Raises:
        DataError: the images are absent or malformed.
    """
    return f"{_content(Source.of(settings))}-{VERSION}"


def _content(source: Source) -> str:
    parts = [part.tolist() for part in source.split()]
    read_as = [source.ink_tone, float(source.threshold), source.colour]
    if source.colour:
        read_as = [True]  # there is no ink
    splits = [list(source.names), parts, read_as]
    return of_contents("folder", source.path, Contents(source.files, splits))


def counts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What other data sets declare as literals, for estimates and early checks.

    Args:
        settings: of a point.

    Returns:
        TRAIN_IMAGES, TEST_CLASSES, DRAWINGS_PER_CLASS (the fewest) and CLASSES.

    Raises:
        DataError: the images are absent or malformed.
    """
    now = int(time.monotonic() // KNOWN_FOR)
    return _counts(now, *((name, settings[name]) for name in OF_FOLDER))


@functools.lru_cache(64)
def _counts(now: int, *settings: tuple[str, Any]) -> dict[str, Any]:
    source = Source.of(dict(settings))
    train, _, test = source.split()
    return {
        "TRAIN_IMAGES": {"fixed": int(source.sizes[train].sum())},
        "TEST_CLASSES": {"fixed": len(test)},
        "DRAWINGS_PER_CLASS": int(source.sizes.min()),
        "CLASSES": len(source.names),
    }


def load(split: str, image_size: int, settings: Mapping[str, Any]) -> DataSet:
    """The images of a folder or npz on this machine.

    Args:
        split: "fixed", which `split_file` or `test_share` describe.
        image_size: S, height and width in pixels.
        settings: of a point.

    Returns:
        Images uint8 [N, S, S] of 0 and 1, or [N, 3, S, S] in colour, and the classes of the split.

    Raises:
        DataError: the images are absent, malformed or damaged.
    """
    source = Source.of(settings)
    content = _content(source)
    return read(prepared(source, content, image_size), f"{content}-{VERSION}", settings)


def greys(image_size: int, settings: Mapping[str, Any]) -> np.ndarray | None:
    """The images of `load` in 255 levels of ink.

    Args:
        image_size: S, height and width in pixels.
        settings: of a point.

    Returns:
        uint8 [N, S, S]; None in colour.
    """
    source = Source.of(settings)
    content = _content(source)
    return read_greys(prepared(source, content, image_size), f"{content}-{VERSION}", settings)


def check(settings: Mapping[str, Any]) -> None:
    """Prepare the images, unless that was done, and say what they are.

    Args:
        settings: of a point.

    Raises:
        DataError: the images are absent, malformed or damaged.
    """
    source = Source.of(settings)
    with _open(prepared(source, _content(source), settings["image_size"])) as file:
        for line in file["said"].tolist():
            tell_note(f"{source.path}: {line}")


def prepared_file(settings: Mapping[str, Any]) -> Path:
    """The npz with the prepared images of a point, made if it is not in the cache.

    Args:
        settings: of the point.

    Returns:
        Its path.

    Raises:
        DataError: the images are absent, malformed or damaged.
    """
    source = Source.of(settings)
    return prepared(source, _content(source), settings["image_size"])


def prepared(source: Source, content: str, size: int) -> Path:
    """The npz with prepared images, made if it is not in the cache.

    Args:
        source: the images.
        content: their fingerprint.
        size: height and width in pixels.

    Returns:
        Its path.

    Raises:
        DataError: images are damaged, or the cache cannot be written.
    """
    path = cache_dir() / f"folder-{size}-{content}-v{VERSION}.npz"
    with writing(path):
        if not _is_whole(path):
            with lock(path):
                if not _is_whole(path):  # no other process made it meanwhile
                    _prepare(source, size, path)
    return path


def _prepare(source: Source, size: int, path: Path) -> None:
    """Read all images, and write them with classes, split and what is to be said of them."""
    total, began = int(source.sizes.sum()), time.monotonic()
    planes = 3 if source.colour else 1
    values = np.empty((total, planes, size, size), np.uint8)
    votes, flat = np.zeros(total, np.int64), np.zeros(total, bool)
    for i, square in enumerate(source.squares(size)):
        values[i], votes[i], flat[i] = square
        if time.monotonic() - began > REPORT:
            began = time.monotonic()
            tell_note(f"preparing images of {source.path} once: {i + 1:,} of {total:,}")
    said = [_in_words(source, total)]
    if not source.colour:
        dark = dark_ink(votes, source.ink_tone, source.path)
        agree, told = int((votes == (1 if dark else -1)).sum()), int((votes != 0).sum())
        tone, paper = ("dark", "bright") if dark else ("bright", "dark")
        said.append(f"ink is {tone}: the border is {paper} in {agree:,} of {told:,} images")
        if agree < told and source.ink_tone == "auto":
            said.append(f"the ink of the other {told - agree:,} is read as {tone}, too")
        if flat.any():
            said.append(f"{int(flat.sum()):,} images have no ink")
        values = np.concatenate(
            [
                ink_levels(values[i : i + CHUNK, 0], flat[i : i + CHUNK], dark)
                for i in range(0, total, CHUNK)
            ]
        )
    train, validation, test = source.split()
    arrays: dict[str, Any] = dict(
        values=values,
        label=np.repeat(np.arange(len(source.names)), source.sizes),
        class_names=np.array(source.names),
        train=train,
        validation=validation,
        test=test,
        said=np.array([*said, *source.notes]),
    )
    with replacing(path) as handle:
        np.savez_compressed(handle, **arrays)


def _in_words(source: Source, total: int) -> str:
    """How many images and classes there are, and the split."""
    train, validation, test = map(len, source.split())
    what = "images in colour" if source.colour else "images"
    return (
        f"{total:,} {what} of {len(source.names):,} classes, {int(source.sizes.min()):,} to"
        f" {int(source.sizes.max()):,} each; {train} train, {validation} validate, {test} test"
    )


def read(file: Path, fingerprint: str, settings: Mapping[str, Any]) -> DataSet:
    """The data set of a prepared npz.

    Args:
        file: the npz.
        fingerprint: of the images, the name of their copy in the cache.
        settings: of a point.

    Returns:
        Images and class split; the images are a memory map.

    Raises:
        DataError: the cache cannot be written, or the npz is damaged.
    """
    size, colour = settings["image_size"], settings["colour"]
    with _open(file) as arrays:
        label, names = arrays["label"], tuple(arrays["class_names"].tolist())
        parts = [arrays[name] for name in ("train", "validation", "test")]

    def chunks() -> Iterator[np.ndarray]:
        with _open(file) as arrays:
            values = arrays["values"]
        if colour:
            return iter([values])
        least = 255 * settings["threshold"]
        parts = (values[i : i + CHUNK] for i in range(0, len(values), CHUNK))
        return ((part > least).astype(np.uint8) for part in parts)

    shape = (len(label), 3, size, size) if colour else (len(label), size, size)
    images = cached(f"folder-{size}-{fingerprint}.npy", shape, chunks)
    return DataSet("folder", settings["split"], fingerprint, images, label, names, *parts)


def read_greys(file: Path, fingerprint: str, settings: Mapping[str, Any]) -> np.ndarray | None:
    """The levels of ink of a prepared npz.

    Args:
        file: the npz.
        fingerprint: of the images, the name of their copy in the cache.
        settings: of a point.

    Returns:
        uint8 [N, S, S], a memory map; None in colour.
    """
    if settings["colour"]:
        return None
    size = settings["image_size"]
    with _open(file) as arrays:
        shape = (len(arrays["label"]), size, size)

    def chunks() -> Iterator[np.ndarray]:
        with _open(file) as arrays:
            return iter([arrays["values"]])

    return cached(f"folder-grey-{size}-{fingerprint}.npy", shape, chunks)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """An npz that this file wrote; DataError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error})\n  help: delete it") from error


def _is_whole(path: Path) -> bool:
    """Whether the npz is there, and every part of it has its checksum."""
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, ValueError):
        return False
