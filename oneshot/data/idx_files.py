"""Images in grey with labels 0 .. 9, as MNIST has them: official idx files, or one npz.

Official files come plain or with .gz, also with a dot before idx, and in folders of their own
names.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneshot.data.images import read_npz_arrays
from oneshot.paths import DataError, find

SIDE = 28  # pixels of an image
CLASSES = 10
PARTS = {"test": "t10k", "train": "train"}  # how the names of the official files begin
# Images of each class in the official parts of Fashion-MNIST, by the size of the part. Files of
# MNIST have the same names and sizes, but classes of different sizes.
EQUAL_CLASSES = {60_000: 6_000, 10_000: 1_000}


@dataclass(frozen=True)
class IdxFiles:
    """The files of a data set, wherever they lie.

    Args:
        title: of the data set, as people call it.
        name: of the data set.
        packed: the name of the npz with its `images` [N, 28, 28] and `label` [N].
        below: where official files lie below a place, each "" or ending in a slash.
        equal: whether its official parts have as many images of each class.
    """

    title: str
    name: str
    packed: str
    below: tuple[str, ...]
    equal: bool = False

    @property
    def help(self) -> str:
        """What to do about a file that is damaged, as the end of a message."""
        return f"\n  help: put whole {self.title} files there, or {self.packed}"

    def images_of(self, part: str) -> list[str]:
        """The paths below a place at which the images of an official part, test or train, lie."""
        stem = f"{PARTS[part]}-images-idx3-ubyte"
        return [below + file for below in self.below for file in spellings(stem)]

    def packages(self) -> list[str]:
        """The paths below a place at which the npz lies."""
        return [below + self.packed for below in dict.fromkeys(("", *self.below))]

    def found(self, names: list[str]) -> Path | None:
        """The first of these paths that is a file in one of the user's folders; None without."""
        return find(self.name, names, Path.is_file)

    def files_of(self, source: Path) -> list[Path]:
        """The files that `read` reads of a source. Raises DataError if labels are missing."""
        return [source] if source.name == self.packed else [source, self.labels_of(source)]

    def read(self, source: Path) -> tuple[np.ndarray, np.ndarray]:
        """Read images and their labels.

        Args:
            source: the npz, or the official file with the images.

        Returns:
            uint8 [N, 28, 28], ink bright, and int64 [N], 0 .. 9.

        Raises:
            DataError: a file is missing, damaged or of another data set; it is named.
        """
        if source.name == self.packed:
            wanted = {"images": (3, "u"), "label": (1, "iu")}
            arrays = read_npz_arrays(source, wanted, self.help)
            images, labels = arrays["images"], arrays["label"]
        else:
            images = read_idx(source, self.help)
            labels = read_idx(self.labels_of(source), self.help)
        if (
            images.dtype != np.uint8
            or images.shape[1:] != (SIDE, SIDE)
            or labels.shape != images.shape[:1]
            or not _digits(labels)
            or self._is_other(labels)
        ):
            raise DataError(
                f"{source} is not {self.title}: {images.dtype} {images.shape}, with labels"
                f" {labels.shape}{self.help}"
            )
        return images, labels.astype(np.int64)

    def labels_of(self, source: Path) -> Path:
        """The file of labels that goes with one of images, under any of its names."""
        stem = (
            source.name.removesuffix(".gz")
            .replace(".idx", "-idx")
            .replace("images-idx3", "labels-idx1")
        )
        inner = source.parent.name in spellings(stem.replace("labels-idx1", "images-idx3"))
        folder = source.parent.parent if inner else source.parent
        there = (folder / name for name in spellings(stem) if (folder / name).is_file())
        found = next(there, None)
        if found is None:
            raise DataError(f"{folder} has {source.name}, but no {stem}{self.help}")
        return found

    def digest(self, source: Path) -> str:
        """12 hex digits that identify the images and labels of a source."""
        sums = [hashlib.sha256(file.read_bytes()).digest() for file in self.files_of(source)]
        return hashlib.sha256(b"".join(sums)).hexdigest()[:12]

    def _is_other(self, labels: np.ndarray) -> bool:
        """Whether the labels of a whole official part are those of the other data set."""
        each = EQUAL_CLASSES.get(len(labels))
        return each is not None and self.equal != bool((np.bincount(labels) == each).all())


MNIST = IdxFiles("MNIST", "mnist", "mnist_10k.npz", ("", "MNIST/raw/", "raw/", "mnist/"))
# Its official files have the names of MNIST's, so that they count in folders of its name alone:
# ours, that of Debian's package, torchvision's, and those of its authors' repository.
FASHION_MNIST = IdxFiles(
    "Fashion-MNIST",
    "fashion_mnist",
    "fashion_mnist_test_10k.npz",
    (
        *("fashion_mnist/", "fashion-mnist/", "FashionMNIST/raw/"),
        *("fashion_mnist/raw/", "fashion_mnist/FashionMNIST/raw/"),
        *("fashion-mnist/data/fashion/", "fashion_mnist/data/fashion/", "data/fashion/"),
    ),
    equal=True,
)


def read_idx(path: Path, help: str) -> np.ndarray:
    """Read an idx file of bytes, plain or with .gz.

    Two zero bytes, 8 (unsigned bytes), the number of dimensions, each as 4 bytes from the high one,
    the values.

    Args:
        path: of the file.
        help: what follows the error.

    Returns:
        uint8, of its dimensions.

    Raises:
        DataError: it cannot be read, or is damaged; it is named.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}{help}") from error
    dimensions = content[3] if len(content) > 3 and content[:3] == b"\0\0\x08" else 0
    shape = (
        tuple(np.frombuffer(content[4 : 4 + 4 * dimensions], ">u4").tolist())
        if len(content) >= 4 + 4 * dimensions
        else ()
    )
    values = content[4 + 4 * dimensions :]
    if (
        dimensions == 0
        or len(shape) != dimensions
        or len(values) != int(np.prod(shape, dtype=object))
    ):
        raise DataError(
            f"{path} is damaged: it is not an idx file of bytes, or not a whole one{help}"
        )
    return np.frombuffer(values, np.uint8).reshape(shape)


def spellings(stem: str) -> list[str]:
    """The names under which an official file comes.

    As published, with a dot, compressed, and each of these in a folder of such a name.
    """
    names = [
        name + ending for name in (stem, stem.replace("-idx", ".idx")) for ending in ("", ".gz")
    ]
    return names + [f"{folder}/{name}" for folder in names for name in names]


def _digits(labels: np.ndarray) -> bool:
    return bool(len(labels) == 0 or (labels.min() >= 0 and labels.max() < CLASSES))
