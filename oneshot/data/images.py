"""Preparing images: 1-bit packing, resizing and binarising, area averages, decoding of colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from oneshot.paths import DataError

CHUNK = 1000  # images prepared at a time: 11 MB of 105 x 105 pixels, and as float32 four times that


def pack(bits: np.ndarray) -> np.ndarray:
    """Pack images of 0 and 1 into bits: [N, H, W] -> uint8 [N, ceil(H W / 8)].

    The first pixel is the highest bit of the first byte.
    """
    return np.packbits(bits.reshape(len(bits), -1), axis=1)


def unpack(packed: np.ndarray, side: int) -> np.ndarray:
    """The inverse of `pack` for square images.

    Args:
        packed: uint8 [N, B].
        side: height and width in pixels.

    Returns:
        uint8 [N, side, side] of 0 and 1.
    """
    return np.unpackbits(packed, axis=1, count=side * side).reshape(-1, side, side)


def unpacked_chunks(packed: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Unpack images in order, a chunk at a time.

    Args:
        packed: uint8 [N, B].
        side: height and width in pixels.

    Yields:
        uint8 [n, side, side] of 0 and 1, n at most CHUNK.
    """
    for start in range(0, len(packed), CHUNK):
        yield unpack(packed[start : start + CHUNK], side)


def binarise_omniglot(bits: np.ndarray, size: int) -> np.ndarray:
    """Prepare images of Omniglot as published.

    Black strokes on white, 8 bits; resized with PIL's bilinear filter (which averages over the area
    when it shrinks); each image scaled from its own minimum and maximum to 0 .. 1; inverted (its
    maximum, by which the published code divides, is then 1 already); a pixel above 0.5 is ink. An
    image without ink, for which that scale is undefined, stays without.

    Args:
        bits: uint8 [N, 105, 105], ink 1.
        size: height and width in pixels of the result.

    Returns:
        uint8 [N, size, size], ink 1.
    """
    ink = 1 - _rescaled(_resized(255 * (1 - bits), size))
    return ((ink > 0.5) & bits.any(axis=(1, 2), keepdims=True)).astype(np.uint8)


def resize_bits(bits: np.ndarray, size: int) -> np.ndarray:
    """Enlarge or shrink binary images of other data sets.

    PIL's bilinear filter on bright ink, each image scaled from its minimum and maximum to 0 .. 1,
    above 0.5 is ink. The same size gives the same image; at another size an image of one value
    becomes empty.

    Args:
        bits: uint8 [N, H, H], ink 1.
        size: height and width in pixels of the result.

    Returns:
        uint8 [N, size, size], ink 1.
    """
    if size == bits.shape[1]:
        return bits.astype(np.uint8)
    return (_rescaled(_resized(255 * bits, size)) > 0.5).astype(np.uint8)


def greys(bits: np.ndarray, size: int) -> np.ndarray:
    """The share of ink under each pixel of a coarser grid.

    Args:
        bits: uint8 [N, H, W], ink 1.
        size: height and width in pixels of the result.

    Returns:
        uint8 [N, size, size], 0 .. 255, ink bright.
    """
    return area_resized(bits.astype(np.uint8) * np.uint8(255), size)


def area_resized(values: np.ndarray, size: int) -> np.ndarray:
    """Resize images so that each new pixel is the mean of the area it covers, rounded half up.

    Exact: pixels that lie across a border count by their share, where PIL's box filter counts them
    whole or not at all. The same size gives the same image; a larger one repeats pixels.

    Args:
        values: uint8 [..., H, W].
        size: height and width in pixels of the result.

    Returns:
        uint8 [..., size, size].
    """
    height, width = values.shape[-2:]
    if (height, width) == (size, size):
        return values
    parts = height * width
    # all sums are whole numbers: floats hold them, and BLAS adds them fast
    exact = np.float32 if 255 * parts < 1 << 24 else np.float64
    sums = (
        _shared_parts(height, size).astype(exact)
        @ values.astype(exact)
        @ _shared_parts(width, size).T.astype(exact)
    )
    return ((2 * sums.astype(np.int64) + parts) // (2 * parts)).astype(np.uint8)


def _shared_parts(old: int, new: int) -> np.ndarray:
    """Of a side cut into old * new equal parts: how many each new pixel shares with each old one,
    int64 [new, old]; rows sum to old.
    """
    new_edge, old_edge = old * np.arange(new + 1)[:, None], new * np.arange(old + 1)[None]
    shared = np.minimum(new_edge[1:], old_edge[:, 1:]) - np.maximum(new_edge[:-1], old_edge[:, :-1])
    return np.maximum(shared, 0)


def read_rgb(file: Path | BinaryIO, where: str) -> np.ndarray:
    """Read a JPEG, PNG or other picture.

    Args:
        file: its path, or the open file.
        where: what errors call it.

    Returns:
        uint8 [3, H, W].

    Raises:
        DataError: it is absent or no readable picture.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        # what PIL raises for files cut short, or no pictures
        raise DataError(
            f"{where} is not a readable picture: {error}\n  help: put a whole one there"
        ) from error


def read_npz_arrays(
    path: Path, wanted: Mapping[str, tuple[int, str]], help: str
) -> dict[str, np.ndarray]:
    """Read arrays of an npz file that somebody else made.

    Args:
        path: the file.
        wanted: the number of dimensions of each array, and the kinds of NumPy types that it may
            have.
        help: what follows the error.

    Returns:
        The arrays by name.

    Raises:
        DataError: the file cannot be read, or lacks one of the arrays; the message begins with the
            path.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: np.asarray(file[name]) for name in wanted}
    except Exception as error:  # damaged archives raise nearly anything
        raise DataError(f"{path} is damaged: {str(error) or type(error).__name__}{help}") from error
    for name, (dimensions, kinds) in wanted.items():
        if found[name].ndim != dimensions or found[name].dtype.kind not in kinds:
            raise DataError(
                f"{path} is damaged: its array {name} is"
                f" {found[name].dtype} {found[name].shape}{help}"
            )
    return found


def _resized(grey: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, H, W] of 0 .. 255 -> uint8 [N, size, size], PIL bilinear; PIL leaves an image alone
    that has this size already.
    """
    from PIL import Image  # here, so that asking for a fingerprint needs no imaging library

    bilinear = Image.Resampling.BILINEAR
    images = [
        np.asarray(Image.fromarray(image).resize((size, size), bilinear))
        for image in grey.astype(np.uint8)
    ]
    return np.stack(images) if images else np.empty((0, size, size), np.uint8)


def _rescaled(grey: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W] -> float32, each image from its own minimum and maximum to 0 .. 1; a constant
    image becomes 0.
    """
    # float32 as published: a value of exactly 0.5 falls on the same side
    values = grey.astype(np.float32) / np.float32(255)
    low, high = values.min(axis=(1, 2), keepdims=True), values.max(axis=(1, 2), keepdims=True)
    return (values - low) / np.where(high > low, high - low, np.float32(1))
