"""What batches of training images are, whichever their kind.

Images stay uint8 on the device; a batch is indexed, augmented and binarised there when its turn
comes, and nowhere held for the epoch. The specification of a batch is what the host decides about
it (indices, motions), the same for every model of a stack; `batch` is a fixed computation on it, so
that a CUDA graph can hold it.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from oneshot.contracts import Items
from oneshot.types import DataSet

BatchSpec = dict[str, Tensor]  # has an `index` with a row for each item of the batch


class Batches(ABC):
    """Batches of one data set, whose `images` lie on the device of training, uint8 [N, ...]."""

    images: Tensor

    @property
    def device(self) -> torch.device:
        """The device of training."""
        return self.images.device

    @abstractmethod
    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[BatchSpec]:
        """The batches of an epoch.

        Args:
            seed: of the point.
            epoch: from 0; the batches depend on seed and epoch alone.
            batch_size: items a batch.

        Returns:
            The specifications of the batches.
        """

    @abstractmethod
    def validation(self) -> Iterator[BatchSpec]:
        """Batches of the classes that drive the schedule, the same at every epoch and seed."""

    @abstractmethod
    def batch(self, spec: BatchSpec) -> Items:
        """The images of a batch."""


def split_classes(data: DataSet, schedule_classes: str) -> tuple[np.ndarray, np.ndarray]:
    """Training classes and those that drive the schedule.

    Args:
        data: with its class split.
        schedule_classes: "validation", or "test": then, as published, no validation classes are
            held out of training.

    Returns:
        Class ids of both.
    """
    published = schedule_classes == "test"
    train = np.sort(np.concatenate([data.train, data.validation])) if published else data.train
    return train, data.test if published else data.validation


def on_device(images: np.ndarray, device: torch.device) -> Tensor:
    """Images as a tensor on the device.

    Args:
        images: perhaps a read-only memory map.
        device: of training.

    Returns:
        The images, of the same shape and type.
    """
    with warnings.catch_warnings():
        # a read-only map; we never write to it
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(images).to(device)


def places_in_class(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each row stands within its class.

    Args:
        label: of each row, sorted, [N].

    Returns:
        Its number within its class, and how many rows the class has, each int64 [N].
    """
    starts, sizes = np.unique(label, return_index=True, return_counts=True)[1:]
    return np.arange(len(label)) - np.repeat(starts, sizes), np.repeat(sizes, sizes)
