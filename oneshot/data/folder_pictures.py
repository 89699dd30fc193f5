"""Pictures of any size and kind, made square and of one size; where their ink is found.

The border of a picture counts as paper: what is far from the median of the border is ink.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from oneshot.data.folder_files import some
from oneshot.data.images import area_resized
from oneshot.paths import DataError

if TYPE_CHECKING:
    from PIL import Image

FLAT = 16  # a picture whose darkest and brightest pixel differ by less has no ink
AGREE = 0.9  # share of pictures that must tell the same, or none is believed


class Square(NamedTuple):
    """A picture made square.

    grey: uint8 [C, S, S], of one channel or three. vote: 1 if its paper is bright, -1 if dark, 0
    if it does not tell. flat: whether nothing is drawn on it.
    """

    grey: np.ndarray
    vote: int
    flat: bool


def read_picture(path: Path, colour: bool) -> np.ndarray:
    """Read a picture; of several frames the first, turned as its camera says.

    Args:
        path: the file.
        colour: whether colours are wanted.

    Returns:
        uint8 [3, H, W] in colour, else [1, H, W].

    Raises:
        DataError: it is no readable picture.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            # a warning of Pillow would stand between the lines of a run, without the file's name
            warnings.simplefilter("ignore")
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file)
                values = _values(image, colour)
    except Exception as error:  # damaged pictures raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: {reason}") from error
    return values


def _values(image: Image.Image, colour: bool) -> np.ndarray:
    """The pixels of an open picture: uint8 [1 or 3, H, W]."""
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits, which Pillow would cut off
        deep = np.asarray(image).astype(np.float64)
        most = 65535.0 if deep.max() > 255 else 255.0
        grey = np.clip(np.rint(deep * (255 / most)), 0, 255).astype(np.uint8)
        return np.repeat(grey[None], 3 if colour else 1, 0)
    if "A" in image.getbands() or "transparency" in image.info:
        image = _on_paper(image.convert("RGBA"), colour)
    if not colour:
        return np.array(image.convert("L"))[None]
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def _on_paper(image: Image.Image, colour: bool) -> Image.Image:
    """A picture with transparent parts on white paper; on black where what is drawn is bright."""
    from PIL import Image

    alpha = np.asarray(image.getchannel("A"))
    drawn = np.asarray(image.convert("L"))[alpha > 127]
    bright = not colour and alpha.min() < 128 and drawn.size > 0 and float(drawn.mean()) > 127
    paper = Image.new("RGBA", image.size, (0, 0, 0, 255) if bright else (255, 255, 255, 255))
    return Image.alpha_composite(paper, image)


def squared(values: np.ndarray, size: int) -> Square:
    """Put a picture in the middle of a square of its own paper, and resize that.

    Args:
        values: uint8 [C, H, W].
        size: S, height and width of the result.

    Returns:
        The square, and what its border tells.
    """
    channels, height, width = values.shape
    border = np.concatenate(
        [values[:, 0], values[:, -1], values[:, 1:-1, 0], values[:, 1:-1, -1]], axis=1
    )
    paper = np.sort(border, axis=1)[:, border.shape[1] // 2]  # a level that there is
    low, high = int(values.min()), int(values.max())
    flat = high - low < FLAT
    middle = float(paper.mean())
    vote = 0 if flat else int(np.sign(2 * middle - low - high))
    side = max(height, width)
    if height != width:
        whole = np.broadcast_to(paper[:, None, None], (channels, side, side)).copy()
        top, left = (side - height) // 2, (side - width) // 2
        whole[:, top : top + height, left : left + width] = values
        values = whole
    return Square(area_resized(values, size), vote, flat)


def dark_ink(votes: np.ndarray, tone: str, where: object) -> bool:
    """Whether ink is darker than paper.

    Args:
        votes: of each picture, as `Square.vote`.
        tone: "dark" or "bright" as a person says it; "auto": the pictures tell.
        where: they lie, for the error.

    Returns:
        True of dark ink.

    Raises:
        DataError: the pictures do not agree.
    """
    if tone != "auto":
        return tone == "dark"
    bright, dark = int((votes > 0).sum()), int((votes < 0).sum())
    if max(bright, dark) < AGREE * (bright + dark):
        raise DataError(
            f"{where}: the border is bright in {bright:,} pictures and dark in {dark:,}, so that"
            " ink cannot be told from paper\n  help: ink_tone = 'dark' or 'bright' says what ink"
            " is; invert the pictures where it is the other"
        )
    return bright >= dark


def ink_levels(grey: np.ndarray, flat: np.ndarray, dark: bool) -> np.ndarray:
    """How much ink is under each pixel, each image from its own least to its own most.

    Args:
        grey: uint8 [N, S, S].
        flat: bool [N], which images have no ink.
        dark: whether ink is darker than paper.

    Returns:
        uint8 [N, S, S], 255 is full ink.
    """
    values = (255 - grey if dark else grey).astype(np.int32)
    low, high = values.min(axis=(1, 2), keepdims=True), values.max(axis=(1, 2), keepdims=True)
    spread = np.maximum(high - low, 1)
    levels = (2 * 255 * (values - low) + spread) // (2 * spread)  # rounded half up
    levels[flat] = 0
    return levels.astype(np.uint8)


def all_squared(pictures: Iterable[tuple[str, Path]], size: int, colour: bool) -> Iterator[Square]:
    """Read pictures one after another, and say of all damaged ones at the end.

    Args:
        pictures: a name for people, and the file, of each.
        size: height and width of the squares.
        colour: whether colours are wanted.

    Yields:
        Each picture that can be read.

    Raises:
        DataError: when the others have been read; it names the first damaged ones.
    """
    damaged = []
    for name, path in pictures:
        try:
            yield squared(read_picture(path, colour), size)
        except DataError as error:
            damaged.append(f"{name} ({str(error).removeprefix(f'{path}: ')})")
    if damaged:
        one = "1 picture" if len(damaged) == 1 else f"{len(damaged):,} pictures"
        raise DataError(
            f"{one} cannot be read: {some(damaged)}\n  help: put whole ones there, or take them"
            " out of the folder"
        )
