"""Batches of sets of a class, moved and binarised at random."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from oneshot import rng
from oneshot.contracts import Sets
from oneshot.training.batch_source import (
    Batches,
    BatchSpec,
    on_device,
    places_in_class,
    split_classes,
)
from oneshot.types import DataSet

VALIDATION_SEED = 0  # every model is validated on the same sets and binarisations


@dataclass(frozen=True)
class SetBatches(Batches):
    """Sets of different images of one class, cut anew at every epoch.

    An image is in at most one set of an epoch. Each set occurs 1 + copies times, the copies
    mirrored and rotated as one (Edwards and Storkey 2017; Giannone and Winther 2022), colour images
    mirrored only. Values between 0 and 1 are binarised by a Bernoulli draw at each use, unless in
    colour. Both published codes made all copies of an epoch at once, one of them once for the whole
    training and by augmenting copies again; here every epoch draws fresh ones.

    Args:
        images: uint8 [N, C, H, W].
        scale: the value of full ink.
        set_size: images of a set.
        copies: altered copies of each set in an epoch.
        train: image indices and their classes, sorted by class.
        schedule: the same of the classes that drive the schedule.
        most: images that are evaluated at a time.
        steps: most batches of an epoch; 0: all sets.
    """

    images: Tensor
    scale: float
    set_size: int
    copies: int
    train: tuple[np.ndarray, np.ndarray]
    schedule: tuple[np.ndarray, np.ndarray]
    most: int = 512
    steps: int = 0

    @staticmethod
    def of(
        data: DataSet,
        set_size: int,
        copies: int,
        schedule_classes: str,
        device: torch.device,
        greys: np.ndarray | None = None,
        most: int = 512,
        steps: int = 0,
    ) -> SetBatches:
        """The sets of a data set.

        Args:
            data: images and classes.
            set_size: images of a set.
            copies: altered copies of each set; below 0: set_size - 1, so that an epoch has as many
                sets as there are images.
            schedule_classes: which drive the schedule, "validation" or "test".
            device: of training.
            greys: grey images, for stochastic binarisation.
            most: images that are evaluated at a time; noise depends on the batch, so another number
                gives other validation losses.
            steps: most batches of an epoch; 0: all sets.

        Returns:
            The sets, on the device.

        Raises:
            ValueError: no class has enough images for a set.
        """
        source = data.images if greys is None else greys
        scale = 255.0 if greys is not None or source.ndim == 4 else 1.0
        images = on_device(source, device)
        train, schedule = (
            (rows := data.rows(classes), data.label[rows])
            for classes in split_classes(data, schedule_classes)
        )
        for what, (_, label) in dict(training=train, validation=schedule).items():
            if (largest := int(np.bincount(label).max(initial=0))) < set_size:
                raise ValueError(
                    f"set_size = {set_size}: no {what} class has more than {largest} images"
                )
        copies = set_size - 1 if copies < 0 else copies
        images = images.unsqueeze(1) if images.ndim == 3 else images
        return SetBatches(images, scale, set_size, copies, train, schedule, most, steps)

    @property
    def binary(self) -> bool:
        """Whether images are black and white."""
        return self.images.shape[1] == 1

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[BatchSpec]:
        """Whole batches of new sets and their altered copies.

        Args:
            seed: of the point.
            epoch: from 0.
            batch_size: sets a batch; no batch is smaller, as the statistics of one set mean
                nothing, unless there is no whole one.

        Returns:
            As of `Batches`.
        """
        draws = rng.generator(seed, "sets", epoch)
        sets = cut_sets(*self.train, self.set_size, draws)
        motion = np.zeros((1 + self.copies, len(sets), 4), np.float32)
        drawn = self._motions(draws, self.copies * len(sets))
        motion[1:] = drawn.reshape(self.copies, len(sets), 4)
        order = draws.permutation((1 + self.copies) * len(sets))
        index = torch.from_numpy(sets[order % len(sets)]).to(self.device)
        motions = torch.from_numpy(motion.reshape(-1, 4)[order]).to(self.device)
        whole = max(len(order) // batch_size, 1) * batch_size
        whole = min(whole, self.steps * batch_size) if self.steps else whole
        batches = zip(index[:whole].split(batch_size), motions[:whole].split(batch_size))
        for step, (rows, of_rows) in enumerate(batches):
            key = rng.key(seed, "binarise", epoch, step)
            yield self._spec(rows, of_rows if self.copies else None, key)

    def validation(self) -> Iterator[BatchSpec]:
        """As of `Batches`: sets without copies."""
        draws = rng.generator(VALIDATION_SEED, "validation sets")
        sets = torch.from_numpy(cut_sets(*self.schedule, self.set_size, draws)).to(self.device)
        for step, rows in enumerate(sets.split(max(self.most // self.set_size, 1))):
            yield self._spec(rows, None, rng.key(VALIDATION_SEED, "validation sets", step))

    def _motions(self, draws: np.random.Generator, count: int) -> np.ndarray:
        """One motion a set, float32 [count, 4]: 1 (it moves), horizontal and vertical mirror (-1 or
        1), angle in radians.
        """
        mirrors = 1 - 2 * draws.integers(0, 2, (count, 2))
        angle = draws.uniform(0, 2 * math.pi, (count, 1))
        if not self.binary:
            mirrors[:, 1], angle[:] = 1, 0
        return np.concatenate([np.ones((count, 1)), mirrors, angle], 1).astype(np.float32)

    def _spec(self, index: Tensor, motion: Tensor | None, key: int) -> BatchSpec:
        """The specification of a batch; key: of the numbers that binarise it."""
        spec = {"index": index}
        if motion is not None:
            spec["motion"] = motion
        if self.binary and (motion is not None or self.scale > 1):
            generator = torch.Generator(self.device).manual_seed(key)
            shape = (*index.shape, *self.images.shape[1:])
            spec["uniform"] = torch.rand(shape, generator=generator, device=self.device)
        return spec

    def batch(self, spec: BatchSpec) -> Sets:
        """The images of spec["index"], int64 [B, S].

        They move by spec["motion"], [B, 4] as of `transform_sets` behind a 1 (0: the set stands
        still), and are binarised by spec["uniform"], [B, S, 1, H, W], where these are there.
        """
        index = spec["index"]
        images = self.images.index_select(0, index.flatten()).unflatten(0, index.shape)
        images = images.float() / self.scale
        if "motion" in spec:
            # interpolation would blur what stands still by a rounding error
            still = (spec["motion"][:, 0] == 0).view(-1, 1, 1, 1, 1)
            images = torch.where(still, images, transform_sets(images, spec["motion"]))
        if "uniform" in spec:
            images = (spec["uniform"] < images).float()
        return Sets(images)


def transform_sets(images: Tensor, motion: Tensor) -> Tensor:
    """Each set mirrored, then rotated about its centre, bilinear, 0 outside.

    Args:
        images: [B, S, C, H, W].
        motion: [B, 4]: anything, horizontal and vertical mirror (-1 or 1), angle in radians.

    Returns:
        [B, S, C, H, W].
    """
    _, across, down, angle = motion.unbind(1)
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    rows = [across * cos, -across * sin, zero, down * sin, down * cos, zero]
    planes = images.flatten(1, 2)
    matrices = torch.stack(rows, 1).view(-1, 2, 3)
    grid = nn.functional.affine_grid(matrices, list(planes.shape), align_corners=False)
    return nn.functional.grid_sample(planes, grid, align_corners=False).view_as(images)


def cut_sets(
    rows: np.ndarray, label: np.ndarray, set_size: int, draws: np.random.Generator
) -> np.ndarray:
    """Disjoint sets of images of one class; what is left over of a class is dropped.

    Args:
        rows: image indices.
        label: their classes, sorted.
        set_size: images of a set.
        draws: random numbers.

    Returns:
        Image indices, int64 [sets, set_size].
    """
    shuffled = rows[np.lexsort((draws.random(len(rows)), label))]
    place, size = places_in_class(label)
    return shuffled[place < size // set_size * set_size].reshape(-1, set_size)
