"""Batches of pairs: an image, and the exemplar of its class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import Pairs
from oneshot.training.batch_source import Batches, BatchSpec, on_device, split_classes
from oneshot.types import DataSet


@dataclass(frozen=True)
class PairBatches(Batches):
    """Pairs of an image and the exemplar of its class.

    Args:
        images: of 0 and 1, uint8 [N, H, W].
        exemplar: image index of each image's exemplar, int64 [N].
        train: image indices.
        schedule: image indices of the classes that drive the schedule.
        most: images that are evaluated at a time.
    """

    images: Tensor
    exemplar: Tensor
    train: np.ndarray
    schedule: np.ndarray
    most: int = 512

    @staticmethod
    def of(
        data: DataSet,
        exemplars: np.ndarray,
        schedule_classes: str,
        device: torch.device,
        most: int = 512,
    ) -> PairBatches:
        """The pairs of a data set.

        Args:
            data: images and classes.
            exemplars: image index of each class's exemplar.
            schedule_classes: which drive the schedule, "validation" or "test".
            device: of training.
            most: images that are evaluated at a time.

        Returns:
            The pairs, on the device.
        """
        train, schedule = split_classes(data, schedule_classes)
        exemplar = torch.from_numpy(exemplars[data.label]).to(device)
        images = on_device(data.images, device)
        return PairBatches(images, exemplar, data.rows(train), data.rows(schedule), most)

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[BatchSpec]:
        """All training images in random order.

        Args:
            seed: of the point.
            epoch: from 0.
            batch_size: pairs a batch.

        Returns:
            As of `Batches`.
        """
        order = rng.generator(seed, "batches", epoch).permutation(self.train)
        index = torch.from_numpy(order).to(self.device)
        return ({"index": rows} for rows in index.split(batch_size))

    def validation(self) -> Iterator[BatchSpec]:
        """As of `Batches`."""
        index = torch.from_numpy(self.schedule).to(self.device)
        return ({"index": rows} for rows in index.split(self.most))

    def batch(self, spec: BatchSpec) -> Pairs:
        """The images of spec["index"], int64 [B], each with its exemplar."""
        both = torch.cat([spec["index"], self.exemplar.index_select(0, spec["index"])])
        images = self.images.index_select(0, both).unsqueeze(1).float()
        return Pairs(*images.chunk(2))
