"""Small files as EMNIST and CIFAR-100 have them; every image bears its number."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
from made_colour import old_pickle
from mnist_files import idx

from oneshot.data import emnist
from oneshot.types import DataSet


def numbered(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Images of noise, uint8; no two are equal, and none is its own transpose."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels(classes: int, each: int, seed: int) -> np.ndarray:
    """So many of each class, mixed, int64."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), each))


def write_emnist(
    folder: Path, form: str, classes: int, train: int, test: int, packed: bool = True
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write four files as the official ones: transposed, training and test part.

    Returns:
        Upright images and labels by part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for part, each, seed in (("train", train, 1), ("test", test, 2)):
        label = labels(classes, each, seed)
        images = numbered((len(label), 28, 28), seed)
        files = {"images-idx3": images.transpose(0, 2, 1), "labels-idx1": label.astype(np.uint8)}
        for name, array in files.items():
            content = idx(np.ascontiguousarray(array))
            path = folder / f"emnist-{form}-{part}-{name}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content, 1) if packed else content)
        found[part] = images, label
    return found


def write_emnist_npz(path: Path, each: int) -> dict[str, np.ndarray]:
    """Write an npz of 62 classes, upright, sorted by class; returns its arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label = np.repeat(np.arange(62), each)
    arrays = {
        "images": numbered((len(label), 28, 28), 3),
        "label": label.astype(np.uint8),
        "source_index": np.random.default_rng(4).permutation(len(label)).astype(np.int32),
        "class_names": np.array(emnist.BY_CLASS),
    }
    np.savez(path, **arrays)
    return arrays


def write_cifar100(folder: Path, train: int = 20, test: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Write a folder cifar-100-python into this one, one file of it as Python 2 wrote it.

    Returns:
        Images and labels, training first.
    """
    home = folder / "cifar-100-python"
    home.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, each, seed in (("train", train, 5), ("test", test, 6)):
        label = labels(100, each, seed)
        pixels = numbered((len(label), 3072), seed)
        batch = {b"data": pixels, b"fine_labels": label.tolist(), b"coarse_labels": [0]}
        content = pickle.dumps(batch, protocol=3)
        if name == "train":
            content = old_pickle(pixels, label.tolist(), b"fine_labels")
        (home / name).write_bytes(content)
        parts.append((pixels.reshape(-1, 3, 32, 32), label))
    (a, b), (c, d) = parts
    return np.concatenate([a, c]), np.concatenate([b, d])


def in_published_order(images: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The images class after class, each shuffled by its id; written a second time, with lists."""
    rows: list[int] = []
    for c in range(int(label.max()) + 1):
        of_class = [i for i, l in enumerate(label.tolist()) if l == c]
        np.random.RandomState(c).shuffle(of_class)
        rows += of_class
    return images[rows]


def blank(split: str, novel: int, sizes: list[int]) -> DataSet:
    """Classes of so many images of one pixel, with a split as the data sets make it."""
    from oneshot.data.class_splits import ClassSplits

    names = tuple(f"class {c}" for c in range(len(sizes)))
    label = np.repeat(np.arange(len(sizes)), sizes)
    images = np.zeros((len(label), 1, 1, 1), np.uint8)
    return ClassSplits("blank", names, 1, novel).data_set(split, "none-1", images, label)
