"""What a training sees, on its device: pairs of a target and the exemplar of its class, or sets of
images of one class.

Images stay uint8 on the device; a batch is indexed, augmented and binarised there when its turn
comes, and nowhere held for the epoch. An item is what the host decides about a batch (indices,
motions), the same for every slice of a stack; `batch` is a fixed computation on it, so that a CUDA
graph can hold it.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from oneshot import rng as streams
from oneshot.contracts import Pairs, Sets, TrainedFamily
from oneshot.types import DataSet

VALIDATION_SEED = 0  # every model is validated on the same sets and binarisations

Item = dict[str, Tensor]


class Material(ABC):
    """Training items of one data set. images: uint8 [N, ...], on the device of training."""

    images: Tensor

    @property
    def device(self) -> torch.device:
        return self.images.device

    @abstractmethod
    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Item]:
        """The batches of an epoch, which depend on (seed, epoch) alone. Each item has an `index`
        with a row for each example.
        """

    @abstractmethod
    def validation(self) -> Iterator[Item]:
        """Batches of the classes that drive the schedule, the same at every epoch and seed."""

    @abstractmethod
    def batch(self, item: Item) -> Pairs | Sets:
        """The images of an item."""


def gather(
    model: TrainedFamily,
    data: DataSet,
    exemplars: np.ndarray,
    device: torch.device,
    greys: np.ndarray | None = None,
) -> Material:
    """The material that this model trains on. exemplars: image index of each class's exemplar;
    greys: for stochastic binarisation.

    Raises ValueError if no class has enough images for a set.
    """
    classes, most = model.config.schedule_classes, model.evaluation_batch
    if model.trains_on is Pairs:
        return PairMaterial.of(data, exemplars, classes, device, most)
    return SetMaterial.of(
        data, model.config.set_size, model.config.augmented_copies, classes, device, greys, most
    )


def _split(data: DataSet, schedule_classes: str) -> tuple[np.ndarray, np.ndarray]:
    """Training classes and those that drive the schedule. With `test`, as published, no validation
    classes are held out of training.
    """
    published = schedule_classes == "test"
    train = np.sort(np.concatenate([data.train, data.validation])) if published else data.train
    return train, data.test if published else data.validation


def _on_device(images: np.ndarray, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        # a read-only map; we never write to it
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(images).to(device)


@dataclass(frozen=True)
class PairMaterial(Material):
    """Binary images [N, H, W] of 0 and 1; `exemplar` [N] gives each image's exemplar as an image
    index; train, schedule: image indices.

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
    ) -> PairMaterial:
        train, schedule = _split(data, schedule_classes)
        exemplar = torch.from_numpy(exemplars[data.label]).to(device)
        return PairMaterial(
            _on_device(data.images, device), exemplar, data.rows(train), data.rows(schedule), most
        )

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Item]:
        order = torch.from_numpy(
            streams.generator(seed, "batches", epoch).permutation(self.train)
        ).to(self.device)
        return ({"index": index} for index in order.split(batch_size))

    def validation(self) -> Iterator[Item]:
        return (
            {"index": index}
            for index in torch.from_numpy(self.schedule).to(self.device).split(self.most)
        )

    def batch(self, item: Item) -> Pairs:
        """The images of these indices, int64 [B], each with its exemplar."""
        both = torch.cat([item["index"], self.exemplar.index_select(0, item["index"])])
        images = self.images.index_select(0, both).unsqueeze(1).float()
        return Pairs(*images.chunk(2))


@dataclass(frozen=True)
class SetMaterial(Material):
    """Sets of `set_size` different images of one class, cut anew at every epoch; an image is in at
    most one of them.

    images: uint8 [N, C, H, W]; scale: the value of full ink. In an epoch each set occurs 1 + copies
    times, the copies mirrored and rotated as one (Edwards and Storkey 2017; Giannone and Winther
    2022), colour images mirrored only. Values between 0 and 1 are binarised by a Bernoulli draw at
    each use, unless in colour. Both published codes made all copies of an epoch at once, one of
    them once for the whole training and by augmenting copies again; here every epoch draws fresh
    ones. train, schedule: (image indices, their classes), sorted by class. most: images that are
    evaluated at a time.
    """

    images: Tensor
    scale: float
    set_size: int
    copies: int
    train: tuple[np.ndarray, np.ndarray]
    schedule: tuple[np.ndarray, np.ndarray]
    most: int = 512

    @staticmethod
    def of(
        data: DataSet,
        set_size: int,
        copies: int,
        schedule_classes: str,
        device: torch.device,
        greys: np.ndarray | None = None,
        most: int = 512,
    ) -> SetMaterial:
        source = data.images if greys is None else greys
        scale = 255.0 if greys is not None or source.ndim == 4 else 1.0
        images = _on_device(source, device)
        train, schedule = (
            (rows := data.rows(classes), data.label[rows])
            for classes in _split(data, schedule_classes)
        )
        for what, (_, label) in dict(training=train, validation=schedule).items():
            if (most := int(np.bincount(label).max(initial=0))) < set_size:
                raise ValueError(
                    f"set_size = {set_size}: no {what} class has more than {most} images"
                )
        copies = set_size - 1 if copies < 0 else copies
        return SetMaterial(
            images.unsqueeze(1) if images.ndim == 3 else images,
            scale,
            set_size,
            copies,
            train,
            schedule,
            most,
        )

    @property
    def binary(self) -> bool:
        return self.images.shape[1] == 1

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Item]:
        """Whole batches only, as the statistics of a batch of one set mean nothing; a single
        smaller one if there is no whole one.
        """
        rng = streams.generator(seed, "sets", epoch)
        sets = cut(*self.train, self.set_size, rng)
        motion = np.zeros((1 + self.copies, len(sets), 4), np.float32)
        motion[1:] = self._motions(rng, self.copies * len(sets)).reshape(self.copies, len(sets), 4)
        order = rng.permutation((1 + self.copies) * len(sets))
        index = torch.from_numpy(sets[order % len(sets)]).to(self.device)
        motions = torch.from_numpy(motion.reshape(-1, 4)[order]).to(self.device)
        whole = max(len(order) // batch_size, 1) * batch_size
        for step, (rows, moved) in enumerate(
            zip(index[:whole].split(batch_size), motions[:whole].split(batch_size))
        ):
            yield self._item(
                rows, moved if self.copies else None, streams.key(seed, "binarise", epoch, step)
            )

    def validation(self) -> Iterator[Item]:
        sets = cut(
            *self.schedule, self.set_size, streams.generator(VALIDATION_SEED, "validation sets")
        )
        for step, rows in enumerate(
            torch.from_numpy(sets).to(self.device).split(max(self.most // self.set_size, 1))
        ):
            yield self._item(rows, None, streams.key(VALIDATION_SEED, "validation sets", step))

    def _motions(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """One motion a set, float32 [count, 4]: 1 (it moves), horizontal and vertical mirror (-1 or
        1), angle in radians.
        """
        mirrors = 1 - 2 * rng.integers(0, 2, (count, 2))
        angle = rng.uniform(0, 2 * math.pi, (count, 1))
        if not self.binary:
            mirrors[:, 1], angle[:] = 1, 0
        return np.concatenate([np.ones((count, 1)), mirrors, angle], 1).astype(np.float32)

    def _item(self, index: Tensor, motion: Tensor | None, key: int) -> Item:
        item = {"index": index}
        if motion is not None:
            item["motion"] = motion
        if self.binary and (motion is not None or self.scale > 1):
            generator = torch.Generator(self.device).manual_seed(key)
            shape = (*index.shape, *self.images.shape[1:])
            item["uniform"] = torch.rand(shape, generator=generator, device=self.device)
        return item

    def batch(self, item: Item) -> Sets:
        """index: int64 [B, S]; motion [B, 4] as of `_motions`, rows of zeros stand still; uniform
        [B, S, 1, H, W].
        """
        index = item["index"]
        images = (
            self.images.index_select(0, index.flatten()).unflatten(0, index.shape).float()
            / self.scale
        )
        if "motion" in item:
            # interpolation would blur it by a rounding error
            still = (item["motion"][:, 0] == 0).view(-1, 1, 1, 1, 1)
            images = torch.where(still, images, moved(images, item["motion"]))
        if "uniform" in item:
            images = (item["uniform"] < images).float()
        return Sets(images)


def moved(images: Tensor, motion: Tensor) -> Tensor:
    """Each set mirrored, then rotated about its centre, bilinear, 0 outside: [B, S, C, H, W],
    motion [B, 4].
    """
    _, across, down, angle = motion.unbind(1)
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    look = torch.stack([across * cos, -across * sin, zero, down * sin, down * cos, zero], 1).view(
        -1, 2, 3
    )
    planes = images.flatten(1, 2)
    where = nn.functional.affine_grid(look, list(planes.shape), align_corners=False)
    return nn.functional.grid_sample(planes, where, align_corners=False).view_as(images)


def cut(rows: np.ndarray, label: np.ndarray, set_size: int, rng: np.random.Generator) -> np.ndarray:
    """Disjoint sets of images of one class: int64 [sets, set_size], image indices; what is left
    over of a class is dropped.

    rows: image indices; label: their classes, sorted.
    """
    shuffled = rows[np.lexsort((rng.random(len(rows)), label))]
    starts, sizes = np.unique(label, return_index=True, return_counts=True)[1:]
    place = np.arange(len(rows)) - np.repeat(starts, sizes)
    return shuffled[place < np.repeat(sizes // set_size * set_size, sizes)].reshape(-1, set_size)
