"""MNIST digits and numbers made of them: images to test a model on, never to learn from.

LeCun et al. 1998. Looked for in the places of `places.user_folders`: the official files
(`t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, plain or with .gz, also with a dot before
idx, in folders of their own names, or in `MNIST/raw`), or `mnist_10k.npz` (10,000 of the training
digits). No image of it is part of this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from oneshot import rng as streams
from oneshot.data import VERSION
from oneshot.data.idx_files import MNIST, PARTS, SIDE, spellings
from oneshot.data.images import CHUNK, area_resized
from oneshot.paths import DataError, locate
from oneshot.store.machine_cache import cached

CANVAS = {2: 64, 3: 84}  # pixels of the square on which so many digits are written
PER_CLASS = {2: 100, 3: 20}  # images of each number: 10,000 of 100, 20,000 of 1,000
# most pixels by which a digit is off its place; to the side it keeps to its own empty margin
SHIFT_DOWN, SHIFT_RIGHT = 4, 2
SEED = 0


def load(digits: int, image_size: int, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Images of numbers, and the numbers they show.

    Sizes other than the original's are averages over areas.

    Args:
        digits: 1 is MNIST itself, in the order of its files. 2 and 3 are made from it, always the
            same way from the same files: PER_CLASS images of each of the 100 or 1,000 numbers,
            sorted.
        image_size: S, height and width in pixels.
        part: "test", or "train" for the official training digits, which the packed file is not
            divided into.

    Returns:
        Images uint8 [N, S, S] of 0 .. 255, ink bright, and numbers int64 [N].

    Raises:
        DataError: MNIST is absent or damaged.
        ValueError: other digits or parts.
    """
    if digits not in (1, *CANVAS) or part not in PARTS:
        raise ValueError(
            f"digits = {digits!r}, part = {part!r}: there are numbers of 1, 2 and 3 digits, and the"
            " parts test and train"
        )
    source = _find(part)
    if digits == 1:
        singles, labels = MNIST.read(source)
        resized = [
            area_resized(singles[i : i + CHUNK], image_size) for i in range(0, len(singles), CHUNK)
        ]
        return np.concatenate(resized), labels

    def prepared() -> Iterator[np.ndarray]:
        singles, labels = MNIST.read(source)
        rows = [np.flatnonzero(labels == digit) for digit in range(10)]
        if min(map(len, rows)) == 0:
            raise DataError(f"{source} does not have all ten digits{MNIST.help}")
        return (
            area_resized(_write(singles, rows, f"{number:0{digits}d}"), image_size)
            for number in range(10**digits)
        )

    number = np.repeat(np.arange(10**digits), PER_CLASS[digits])
    name = f"mnist{digits}-{part}-{image_size}-{MNIST.digest(source)}-v{VERSION}.npy"
    return cached(name, (len(number), image_size, image_size), prepared), number


def available() -> str:
    """The file with the images that `load` reads, or "" if there is none."""
    try:
        return str(_find("test"))
    except DataError:
        return ""


def check() -> None:
    """Raises DataError if the images or labels that `load` reads are not here."""
    MNIST.files_of(_find("test"))


def _write(singles: np.ndarray, rows: list[np.ndarray], number: str) -> np.ndarray:
    """The images of one number, uint8 [PER_CLASS, canvas, canvas]: a digit in each of equal bands,
    moved a little, upright.

    rows: the indices of the images of each digit. Overlapping ink takes the brighter of the two.
    """
    count, canvas = PER_CLASS[len(number)], CANVAS[len(number)]
    band, edge = canvas // len(number), max(SHIFT_DOWN, SHIFT_RIGHT)
    # with a rim, so that a moved digit never sticks out
    images = np.zeros((count, canvas + 2 * edge, canvas + 2 * edge), np.uint8)
    rng = streams.generator(SEED, "digits", "number", number)
    for place, digit in enumerate(number):
        chosen = rng.choice(rows[int(digit)], count)
        down = edge + (canvas - SIDE) // 2 + rng.integers(-SHIFT_DOWN, SHIFT_DOWN + 1, count)
        right = (
            edge
            + place * band
            + (band - SIDE) // 2
            + rng.integers(-SHIFT_RIGHT, SHIFT_RIGHT + 1, count)
        )
        y, x = (
            down[:, None, None] + np.arange(SIDE)[None, :, None],
            right[:, None, None] + np.arange(SIDE)[None, None],
        )
        at = (np.arange(count)[:, None, None], y, x)
        images[at] = np.maximum(images[at], singles[chosen])
    return images[:, edge:-edge, edge:-edge]


def _find(part: str) -> Path:
    """The file with the images of a part. Raises DataError if there is none."""
    stem = f"{PARTS[part]}-images-idx3-ubyte"
    names = [
        below + file
        for below in MNIST.below
        for file in [*spellings(stem), *([MNIST.packed] if part == "test" else [])]
    ]
    wanted = f"{stem} and {stem.replace('images-idx3', 'labels-idx1')}" + (
        f" (or {MNIST.packed})" if part == "test" else ""
    )
    return locate("MNIST", "mnist", names, wanted)
