"""Batches of images, or points, with their labels; shots of classes that are left out join them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import Labelled
from oneshot.training.batch_source import Batches, BatchSpec, on_device, places_in_class
from oneshot.training.shots import replicated
from oneshot.types import DataSet, Kind, Part, is_class_split

MOST_MONITORED = 512  # images of base classes that are evaluated after an epoch


@dataclass(frozen=True)
class LabelledBatches(Batches):
    """Images or points, each with its class; every batch is whole.

    Args:
        images: uint8 [N, C, H, W], or points, float32 [N, 2].
        scale: the value of full ink.
        label: class of each image, int64 [N].
        classes: of the data set.
        train: image indices; a shot stands here as often as it is replicated.
        schedule: image indices that drive the schedule.
        steps: batches of an epoch, each drawn anew from `train`; 0: all of `train` once.
        most: images that are evaluated at a time.
    """

    images: Tensor
    scale: float
    label: Tensor
    classes: int
    train: np.ndarray
    schedule: np.ndarray
    steps: int = 0
    most: int = 512

    @staticmethod
    def of(data: DataSet, config: Any, device: torch.device, most: int = 512) -> LabelledBatches:
        """The labelled images of a data set, and of its left-out classes the shots.

        Args:
            data: images and classes; where classes are cut into parts, images of TRAIN are trained
                on, and those of SELECTION drive the schedule.
            config: its settings, where it has them: `shots` of each class that is not trained on,
                by `shot_seed`, replicated to the mean size of the others; `images_per_class`, the
                most of a class that are trained on, 0 for all; `epoch_steps`, the batches of an
                epoch.
            device: of training.
            most: images that are evaluated at a time.

        Returns:
            The images, on the device.

        Raises:
            ValueError: a class has fewer images than it is to have shots.
        """
        if data.part is None:
            train, schedule = data.rows(data.train), data.rows(data.validation)
        elif is_class_split(data.split):
            # as published: the tenth that chooses the epoch of the classifier is learned from, too
            train = data.rows(data.train)
            schedule = data.rows_of_part(data.train, Part.SELECTION)
            schedule = schedule[:: math.ceil(len(schedule) / MOST_MONITORED) or 1]
        else:
            train = data.rows_of_part(data.train, Part.TRAIN)
            schedule = data.rows_of_part(data.train, Part.SELECTION)
        if limit := getattr(config, "images_per_class", 0):
            train = _first_of_each(train, data.label[train], limit)
        left_out = np.setdiff1d(np.arange(len(data.class_names)), data.train)
        # novel classes are for another stage
        shots = 0 if is_class_split(data.split) else getattr(config, "shots", 0)
        if shots and len(left_out):
            mean = round(len(train) / max(len(data.train), 1))
            more = replicated(data, left_out, shots, getattr(config, "shot_seed", 0), mean)
            train = np.concatenate([train, more])
        return LabelledBatches(
            *LabelledBatches.tensors_of(data, device),
            len(data.class_names),
            train,
            schedule,
            getattr(config, "epoch_steps", 0),
            most,
        )

    @staticmethod
    def tensors_of(data: DataSet, device: torch.device) -> tuple[Tensor, float, Tensor]:
        """All images of a data set as batches need them.

        Args:
            data: images and classes.
            device: of training.

        Returns:
            Images [N, C, H, W] or points [N, 2], the value of full ink, and the class of each.
        """
        images = on_device(data.images, device)
        return (
            images.unsqueeze(1) if data.kind == Kind.BITS else images,
            1.0 if data.kind in (Kind.BITS, Kind.POINTS) else 255.0,
            torch.from_numpy(np.asarray(data.label)).to(device),
        )

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[BatchSpec]:
        """Whole batches, of all training images in random order, or each drawn anew.

        Args:
            seed: of the point.
            epoch: from 0.
            batch_size: images a batch; what is left over of an epoch is dropped, unless there is
                no whole batch.

        Returns:
            As of `Batches`.
        """
        draws = rng.generator(seed, "batches", epoch)
        if self.steps:
            order = self.train[draws.integers(len(self.train), size=self.steps * batch_size)]
        else:
            order = draws.permutation(self.train)
            order = order[: max(len(order) // batch_size, 1) * batch_size]
        index = torch.from_numpy(order).to(self.device)
        return ({"index": rows} for rows in index.split(batch_size))

    def validation(self) -> Iterator[BatchSpec]:
        """As of `Batches`."""
        index = torch.from_numpy(self.schedule).to(self.device)
        return ({"index": rows} for rows in index.split(self.most))

    def batch(self, spec: BatchSpec) -> Labelled:
        """The images of spec["index"], int64 [B], each with its class."""
        label = self.label.index_select(0, spec["index"])
        one_hot = (label[:, None] == self._all_classes).float()
        return Labelled(self.pixels(spec["index"]), one_hot)

    def pixels(self, index: Tensor) -> Tensor:
        """The images at these indices, int64 [B], in [0, 1], or points."""
        return self.images.index_select(0, index).float() / self.scale

    @property
    def trained_classes(self) -> Tensor:
        """Which classes are trained on, those with shots among them: bool [classes]."""
        counts = torch.bincount(
            self.label.cpu()[torch.from_numpy(self.train)], minlength=self.classes
        )
        return counts > 0

    @functools.cached_property
    def _all_classes(self) -> Tensor:
        return torch.arange(self.classes, device=self.device)


def _first_of_each(rows: np.ndarray, label: np.ndarray, limit: int) -> np.ndarray:
    """The first rows of each class, at most `limit`; rows are sorted by class."""
    return rows[places_in_class(label)[0] < limit]
