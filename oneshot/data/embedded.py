"""Data sets that come with the package: one npz of 1-bit drawings, as many of each class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneshot.data import VERSION
from oneshot.data.images import greys as area_average
from oneshot.data.images import resize_bits, unpacked_chunks
from oneshot.paths import DataError
from oneshot.store.machine_cache import cached
from oneshot.types import DataSet

SIDE = 28  # pixels
HELP = "\n  help: install oneshot again"


@dataclass(frozen=True)
class Embedded:
    """An embedded data set.

    Args:
        name: of the data set.
        file: where its drawings lie.
        fingerprint: the first 12 hex digits of `content_hash`.
        classes: how many there are.
        drawings: of each class.
    """

    name: str
    file: Path
    fingerprint: str
    classes: int
    drawings: int

    def load(
        self, split: str, image_size: int, parts: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> DataSet:
        """Prepare the images; 28 pixels are their own size, others are resized.

        Args:
            split: its name.
            image_size: S, height and width in pixels.
            parts: the train, validation and test classes of the split.

        Returns:
            Images uint8 [N, S, S] of 0 and 1 (`resize_bits`), sorted by class.

        Raises:
            DataError: the file is absent or damaged.
        """

        def prepared() -> Iterator[np.ndarray]:
            return (resize_bits(bits, image_size) for bits in unpacked_chunks(self._whole(), SIDE))

        name = f"{self.name}-{image_size}-{self.fingerprint}-v{VERSION}.npy"
        images = cached(name, self._shape(image_size), prepared)
        label = np.repeat(np.arange(self.classes), self.drawings)
        fingerprint = f"{self.fingerprint}-{VERSION}"
        return DataSet(self.name, split, fingerprint, images, label, self.class_names(), *parts)

    def greys(self, image_size: int) -> np.ndarray:
        """The images of `load` as exact averages over the area of each pixel: uint8 [N, S, S].

        255 is full ink.
        """

        def prepared() -> Iterator[np.ndarray]:
            return (area_average(bits, image_size) for bits in unpacked_chunks(self._whole(), SIDE))

        name = f"{self.name}-grey-{image_size}-{self.fingerprint}-v{VERSION}.npy"
        return cached(name, self._shape(image_size), prepared)

    def check(self) -> None:
        """Make sure that the file is here.

        Raises:
            DataError: it is absent.
        """
        if not self.file.is_file():
            raise DataError(f"{self.file} is absent{HELP}")

    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the drawings.

        Raises:
            DataError: the file is absent or damaged.
        """
        return tuple(self._member("class_names").tolist())

    def packed(self) -> np.ndarray:
        """The drawings as the file has them: uint8 [N, 98], sorted by class.

        Raises:
            DataError: the file is absent or damaged.
        """
        return self._member("packed")

    def _whole(self) -> np.ndarray:
        """`packed`, if names and drawings are those of the fingerprint."""
        packed = self.packed()
        if not content_hash(packed, self.class_names()).startswith(self.fingerprint):
            raise DataError(
                f"{self.file} is damaged: its content does not have the fingerprint"
                f" {self.fingerprint}{HELP}"
            )
        return packed

    def _shape(self, image_size: int) -> tuple[int, int, int]:
        return (self.classes * self.drawings, image_size, image_size)

    def _member(self, name: str) -> np.ndarray:
        try:
            with np.load(self.file, allow_pickle=False) as file:
                array: np.ndarray = file[name]
                return array
        except Exception as error:
            # a damaged npz raises nearly anything: BadZipFile, zlib.error, KeyError, ValueError,
            # OSError
            raise DataError(f"{self.file} is absent or damaged: {error}{HELP}") from error


def content_hash(packed: np.ndarray, names: Sequence[str]) -> str:
    """The SHA-256 of class names and images, in hex.

    Args:
        packed: uint8 [N, 98], sorted by class.
        names: the class names.

    Returns:
        64 hex digits.
    """
    return hashlib.sha256("\n".join(names).encode() + packed.tobytes()).hexdigest()
