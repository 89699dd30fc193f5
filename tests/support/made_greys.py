"""Small files as MNIST and Fashion-MNIST have them, of images whose class is easily seen."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from mnist_files import idx

OFFICIAL = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def images(each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """So many images of each of ten classes, shuffled: a bar at the height of the class.

    Returns:
        uint8 [10 * each, 28, 28], and uint8 [10 * each].
    """
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(10), each)).astype(np.uint8)
    grey = rng.integers(0, 40, (len(label), 28, 28)).astype(np.uint8)
    for image, c in zip(grey, label):
        left = rng.integers(1, 8)
        image[4 + 2 * c : 7 + 2 * c, left : left + 18] = rng.integers(180, 256)
    return grey, label


def write_official(
    folder: Path, part: str, each: int, seed: int = 0, packed: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Write the two files of an official part; returns what `images` gives."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = images(each, seed)
    for name, array in zip(OFFICIAL[part], arrays):
        content = idx(array)
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return arrays


def write_npz(path: Path, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Write an npz; returns what `images` gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey, label = images(each, seed)
    np.savez(path, images=grey, label=label)
    return grey, label
