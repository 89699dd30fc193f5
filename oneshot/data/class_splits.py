"""Data sets whose splits cut classes into base and novel ones: prepared once, the same for each.

`few_shot.py` has the rules. The prepared images of all splits of a data set are one file, as the
order of the images of a class depends on no split.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from oneshot.data import few_shot
from oneshot.data.images import CHUNK, area_resized
from oneshot.paths import DataError
from oneshot.store.machine_cache import cached
from oneshot.types import DataSet

# images and their classes, in the order of the data set's own files
Content = tuple[np.ndarray, np.ndarray]
FEWEST = 20  # images of a class


@dataclass(frozen=True)
class ClassSplits:
    """A data set with splits of classes.

    Args:
        name: of the data set.
        class_names: the names of its classes, in the order of their ids.
        channels: of its images.
        novel: how many classes of a split are novel.
    """

    name: str
    class_names: tuple[str, ...]
    channels: int
    novel: int

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    def load(
        self, split: str, image_size: int, fingerprint: str, read: Callable[[], Content]
    ) -> DataSet:
        """The images in the order of `shuffled`, averaged over areas, with a split of classes.

        Args:
            split: one of `few_shot.SPLITS`.
            image_size: S, height and width in pixels.
            fingerprint: of the images.
            read: gives images uint8 [N, channels, H, H] and classes int64 [N]; asked only if they
                are not in the cache.

        Returns:
            Images uint8 [N, channels, S, S], their classes and parts.

        Raises:
            DataError: the cache cannot be written; and whatever `read` raises.
        """
        content = functools.cache(read)  # not read twice

        def counts() -> Iterator[np.ndarray]:
            sizes = np.bincount(content()[1], minlength=self.classes)
            return iter([sizes.astype("<i8").view(np.uint8).reshape(-1, 8)])

        def prepared() -> Iterator[np.ndarray]:
            images, label = content()
            order = shuffled(label)
            return (
                area_resized(images[order[i : i + CHUNK]], image_size)
                for i in range(0, len(order), CHUNK)
            )

        stored = cached(f"{self.name}-sizes-{fingerprint}.npy", (self.classes, 8), counts)
        sizes = stored.view("<i8").ravel()
        shape = (int(sizes.sum()), self.channels, image_size, image_size)
        images = cached(f"{self.name}-{image_size}-{fingerprint}.npy", shape, prepared)
        return self.data_set(split, fingerprint, images, np.repeat(np.arange(self.classes), sizes))

    def data_set(
        self, split: str, fingerprint: str, images: np.ndarray, label: np.ndarray
    ) -> DataSet:
        """Prepared images with a split of classes.

        Args:
            split: one of `few_shot.SPLITS`.
            fingerprint: of the images.
            images: in the order of `shuffled`, [N, channels, S, S].
            label: their classes, sorted, int64 [N].

        Returns:
            Base classes for training and novel ones for tests, each of them cut into parts.
        """
        base, novel = few_shot.class_split(self.classes, self.novel, split)
        about = (self.name, split, fingerprint, images, label, self.class_names)
        return DataSet(*about, base, np.empty(0, np.int64), novel, few_shot.cut(label, novel))

    def rules(self) -> Any:
        """Class names, novel classes of every split, shares of parts, as `Contents.splits`."""
        novel = {
            split: few_shot.class_split(self.classes, self.novel, split)[1].tolist()
            for split in few_shot.SPLITS
        }
        return [list(self.class_names), novel, few_shot.BASE_SHARE, few_shot.POOL_SHARE]

    def demand_images(self, label: np.ndarray, place: object, help: str) -> None:
        """Make sure that every class has FEWEST images.

        Args:
            label: the class of each image.
            place: where they are from.
            help: what follows the error.

        Raises:
            DataError: some have fewer; it names them.
        """
        sizes = np.bincount(label, minlength=self.classes)
        few = [name for name, size in zip(self.class_names, sizes) if size < FEWEST]
        if few:
            more = f" and {len(few) - 10} more" if len(few) > 10 else ""
            names = ", ".join(few[:10])
            raise DataError(f"{place} has fewer than {FEWEST} images of: {names}{more}{help}")


def shuffled(label: np.ndarray) -> np.ndarray:
    """The order in which images are kept: class after class, each class shuffled by its id.

    Args:
        label: the class of each image, in the order of the data set's own files, int64 [N].

    Returns:
        int64 [N]: which image stands where.
    """
    rows = np.argsort(label, kind="stable")
    stops = np.cumsum(np.bincount(label))
    classes = np.split(rows, stops[:-1])
    return np.concatenate(
        [of_class[few_shot.shuffled_class(c, len(of_class))] for c, of_class in enumerate(classes)]
    )
