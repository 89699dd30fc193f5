"""Made folders of images: bars on paper, a folder for each class, some of them odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

FORMS = ("png", "jpg", "gif", "webp")


def drawing(number: int, turn: int, high: int = 28, wide: int = 28) -> np.ndarray:
    """Two bars whose place tells the class and shifts with the turn: uint8 [H, W], ink 255."""
    image = np.zeros((high, wide), np.uint8)
    top, left = 4 + number * 7 % (high - 12), 4 + number * 5 % (wide - 12)
    down = turn % 3
    image[top + down : top + down + 3, 4 : wide - 4] = 255
    image[4 : high - 4, left + turn % 2 : left + turn % 2 + 3] = 255
    return image


def write_class(folder: Path, number: int, images: int = 8, dark: bool = True) -> None:
    """A folder with images of one class, as PNG."""
    folder.mkdir(parents=True)
    for turn in range(images):
        ink = drawing(number, turn)
        Image.fromarray(255 - ink if dark else ink).save(folder / f"{turn:02}.png")


def write_folder(root: Path, classes: int = 10, images: int = 8, dark: bool = True) -> Path:
    """A folder of class folders; returns it."""
    for number in range(classes):
        write_class(root / f"thing {number:02}", number, images, dark)
    return root


def expected(classes: int, images: int) -> np.ndarray:
    """The bits of `write_folder` at 28 pixels: uint8 [classes x images, 28, 28], ink 1."""
    pairs = [(number, turn) for number in range(classes) for turn in range(images)]
    return np.stack([drawing(*pair) for pair in pairs]) // 255
