"""Drawings made elsewhere, in a file: read, checked, and standardised.

An .npz with arrays
    images     [N, H, W]  whole numbers 0 and 1, or floats in [0, 1], with ink bright on dark paper
    exemplar   [N]        index into exemplars: the image each was drawn from
    exemplars  [C, H, W]  the conditioning images, one a class
    class_names [C]       optional
or a .parquet with columns `kind` ("drawing" or "exemplar"), `exemplar` (that index) and `pixels`
(H*W numbers, row after row).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from oneshot.metrics.images import standardise
from oneshot.types import Drawings

MOSTLY_INK = 0.6  # of an image: strokes cover less of their paper, and noise about half of it
# Drawings count as inverted above this share of ink, if their paper is as much as exemplars' ink.
INVERTED_INK, INVERTED_TOLERANCE = 0.75, 0.1
LEAST_CLASSES = 20  # that recognizability is measured among
LISTED = 5  # offending values in a message


class InvalidFile(ValueError):
    """What a file lacks, or has where something else is expected."""


def read_drawings(path: Path, image_size: int) -> Drawings:
    """The drawings of a file, standardised; everything in it is checked before any of it is used.

    Args:
        path: of the file.
        image_size: side that the drawings get, in pixels.

    Returns:
        The drawings, sorted by exemplar.

    Raises:
        ValueError: begins with the file's path and says what is wrong.
    """
    try:
        images, index, sources, names = _read(path)
        bits, constant = standardise(images, image_size)
        exemplar_bits, blank = standardise(sources, image_size)
        if blank.any():
            raise InvalidFile(f"{int(blank.sum())} of {len(blank)} exemplars are constant images")
        _check_brightness(bits, exemplar_bits)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    order = np.argsort(index, kind="stable")
    return Drawings(bits[order], index[order], exemplar_bits, names, int(constant.sum()))


def check(path: Path, image_size: int) -> None:
    """Make sure that the drawings of a file can be scored.

    Args:
        path: of the file.
        image_size: side that the drawings get, in pixels.

    Raises:
        ValueError: begins with the file's path and says what is wrong.
    """
    drawings = read_drawings(path, image_size)
    counts = np.bincount(drawings.label, minlength=len(drawings.exemplars))
    if len(counts) < LEAST_CLASSES:
        raise ValueError(
            f"{path}: there are {len(counts)} exemplars; a drawing is recognised among"
            f" {LEAST_CLASSES} classes"
        )
    if counts.min() < 2:
        few = int((counts < 2).sum())
        raise ValueError(f"{path}: {few} exemplars have fewer than 2 drawings; diversity needs 2")


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Images [N, H, W], their exemplars' indices [N], exemplars [C, H, W] and class names [C].

    Raises InvalidFile.
    """
    if path.suffix == ".npy":
        raise InvalidFile(
            "a single array (.npy) cannot say what was drawn from what; give an .npz with images,"
            " exemplar and exemplars"
        )
    given = _parquet_columns(path) if path.suffix == ".parquet" else _npz_arrays(path)
    sources = _images("exemplars", given["exemplars"])
    if not len(sources):
        raise InvalidFile("exemplars is empty: there is nothing that could have been drawn")
    images = _images("images", given["images"])
    index = _index(given["exemplar"], len(images), len(sources))
    return images, index, sources, _names(given.get("class_names"), len(sources))


def _npz_arrays(path: Path) -> dict[str, Any]:
    """The arrays of an npz, unchecked; InvalidFile if one is missing or cannot be read."""
    wanted = ("images", "exemplar", "exemplars")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InvalidFile(f"it holds a single array, not an npz with {', '.join(wanted)}")
        with archive as file:
            missing = [name for name in wanted if name not in file.files]
            if missing:
                raise InvalidFile(
                    f"lacks the array {', '.join(missing)}; it has"
                    f" {', '.join(file.files) or 'none'}"
                )
            return {name: file[name] for name in (*wanted, "class_names") if name in file.files}
    except InvalidFile:
        raise
    except Exception as error:  # damaged archives and pickled objects raise nearly anything
        raise InvalidFile(
            f"is no whole npz of plain arrays ({_reason(error)}); write it again with numpy.savez"
        ) from error


def _parquet_columns(path: Path) -> dict[str, Any]:
    """The same arrays from the columns of a Parquet file. Raises InvalidFile."""
    import pyarrow.parquet as pq

    wanted = ("kind", "exemplar", "pixels")
    try:
        table = pq.read_table(path)
        missing = [name for name in wanted if name not in table.column_names]
        if missing:
            raise InvalidFile(
                f"lacks the column {', '.join(missing)}; it has"
                f" {', '.join(table.column_names) or 'none'}"
            )
        kind, exemplar = table["kind"].to_pylist(), table["exemplar"].to_pylist()
        rows = [None if row is None else np.asarray(row) for row in table["pixels"].to_pandas()]
    except InvalidFile:
        raise
    except Exception as error:  # Arrow has a dozen errors of its own
        raise InvalidFile(f"is no whole Parquet file ({_reason(error)})") from error
    if odd := sorted({repr(k) for k in kind} - {"'drawing'", "'exemplar'"}):
        raise InvalidFile(
            f'column kind holds {", ".join(odd[:LISTED])}; it has to be "drawing" or "exemplar"'
        )
    exemplar = [int(e) if isinstance(e, float) and e.is_integer() else e for e in exemplar]
    if odd := sorted({repr(e) for e in exemplar if type(e) is not int}):
        raise InvalidFile(
            f"column exemplar holds {', '.join(odd[:LISTED])}; it has to be a whole number"
        )
    drawn = [i for i, k in enumerate(kind) if k == "drawing"]
    sources = sorted((i for i, k in enumerate(kind) if k == "exemplar"), key=lambda i: exemplar[i])
    if [exemplar[i] for i in sources] != list(range(len(sources))):
        raise InvalidFile("its exemplars are not numbered 0, 1, 2 ... without gaps")
    index = np.array([exemplar[i] for i in drawn], np.int64)
    return {"images": _square(rows, drawn), "exemplar": index, "exemplars": _square(rows, sources)}


def _square(rows: list[np.ndarray | None], chosen: list[int]) -> np.ndarray:
    """The pixels of these rows as square images; InvalidFile names the first row that is none."""
    if not chosen:
        return np.empty((0, 1, 1), np.uint8)
    first, parts = 0, []
    for i in chosen:
        row = rows[i]
        if row is None or row.ndim != 1 or row.dtype.kind not in "biuf":
            held = "nothing" if row is None else f"{row.dtype} {row.shape}"
            raise InvalidFile(f"row {i} of column pixels is not a list of numbers, but {held}")
        side = round(len(row) ** 0.5)
        if not len(row) or side * side != len(row):
            raise InvalidFile(f"images of {len(row)} pixels are not square (row {i})")
        first = first or len(row)
        if len(row) != first:
            raise InvalidFile(
                f"images have different sizes: {first} and {len(row)} pixels (row {i})"
            )
        parts.append(row.reshape(side, side))
    return np.stack(parts)


def _images(name: str, array: np.ndarray) -> np.ndarray:
    """Images as `standardise` takes them: floats in [0, 1], bool, or uint8 of 0 and 1."""
    if array.ndim != 3:
        raise InvalidFile(f"{name} {array.shape} must have three dimensions: count, height, width")
    if 0 in array.shape[1:]:
        raise InvalidFile(f"{name} {array.shape} have no pixels")
    if array.dtype.kind not in "biuf":
        raise InvalidFile(
            f"{name} are {array.dtype}; they have to be numbers: 0 and 1, or floats in [0, 1]"
        )
    if array.dtype.kind == "f" and (broken := int((~np.isfinite(array)).sum())):
        raise InvalidFile(
            f"{name} must be finite, but {broken} of {array.size} pixels are NaN or infinity"
        )
    if outside := int(((array < 0) | (array > 1)).sum()):
        odd = (
            f"{outside} of {array.size} do not (range {array.min():g} .. {array.max():g}; divide"
            " bytes by 255 first)"
        )
        raise InvalidFile(f"pixels of {name} must lie in [0, 1], but {odd}")
    return array.astype(np.uint8) if array.dtype.kind in "iu" else array


def _index(array: np.ndarray, images: int, exemplars: int) -> np.ndarray:
    """The index of the exemplar of each image, int64 [N]. Raises InvalidFile."""
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise InvalidFile(
            f"exemplar is {array.dtype} {array.shape}; it has to be one whole number for each of"
            f" the {images} images"
        )
    if len(array) != images:
        raise InvalidFile(f"{images} images but {len(array)} exemplar indices")
    if not images:
        raise InvalidFile("images is empty: nothing was drawn")
    if not np.isfinite(array).all() or (array != np.floor(array)).any():
        raise InvalidFile("exemplar holds numbers that are not whole")
    if array.min() < 0 or array.max() >= exemplars:
        raise InvalidFile(
            f"exemplar indices run from {array.min():g} to {array.max():g}, but there are"
            f" {exemplars} exemplars"
        )
    return array.astype(np.int64)


def _names(array: np.ndarray | None, exemplars: int) -> tuple[str, ...]:
    """One name an exemplar; its number where the file has none. Raises InvalidFile."""
    if array is None:
        return tuple(map(str, range(exemplars)))
    if array.ndim != 1:
        raise InvalidFile(
            f"class_names has {array.ndim} dimensions; it has to be a list with a name for each of"
            f" the {exemplars} exemplars"
        )
    if len(array) != exemplars:
        raise InvalidFile(f"{len(array)} class names for {exemplars} exemplars")
    if array.dtype.kind == "S":
        return tuple(name.decode("utf-8", "replace") for name in array.tolist())
    return tuple(map(str, array.tolist()))


def _check_brightness(images: np.ndarray, exemplars: np.ndarray) -> None:
    """Raise InvalidFile for dark ink on bright paper, of which critics would see the holes.

    Exemplars are drawn by people, and little of them is ink. Drawings of a bad model may be mostly
    ink; they count as inverted only if more than INVERTED_INK is ink, and if what is not ink is as
    much as the ink of the exemplars.

    Args:
        images: standardised drawings, uint8 [N, S, S] of 0 and 1.
        exemplars: likewise.
    """
    drawn, sources = (
        float(np.median(part.mean(axis=(1, 2)))) if len(part) else 0.0
        for part in (images, exemplars)
    )
    remedy = "ink must be bright (1) on dark paper (0): invert the images"
    if sources > MOSTLY_INK:
        what, ink = (
            ("pixels", (drawn + sources) / 2)
            if drawn > MOSTLY_INK
            else ("pixels of exemplars", sources)
        )
        raise InvalidFile(f"{100 * ink:.0f} % of the {what} are ink; {remedy}")
    if drawn > INVERTED_INK and abs(1 - drawn - sources) < INVERTED_TOLERANCE:
        raise InvalidFile(f"{100 * drawn:.0f} % of the pixels are ink; {remedy}")


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
