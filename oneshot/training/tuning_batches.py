"""Batches of the shots of novel classes, and beside them images of the pool without labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from oneshot import rng
from oneshot.contracts import Labelled
from oneshot.data.few_shot import few_shot_parts
from oneshot.training.batch_source import BatchSpec
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.types import DataSet


@dataclass(frozen=True)
class TuningBatches(LabelledBatches):
    """The shots in random order, again and again, for a number of optimizer steps.

    The images that drive the schedule are the shots, too: nothing else of novel classes has labels.

    Args:
        pool: image indices without labels; empty where none are seen.
        total: optimizer steps of all epochs.
        epochs: over which they are spread as evenly as whole steps can be.
    """

    pool: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    total: int = 0
    epochs: int = 1

    @staticmethod
    def of_novel(
        data: DataSet, config: Any, device: torch.device, epochs: int, most: int = 512
    ) -> TuningBatches:
        """The shots of novel classes, and their pool if it is to be seen.

        Args:
            data: with a split into base and novel classes.
            config: its settings `shots`, `shot_seed`, `pool`, `semi` and `tune_steps`.
            device: of tuning.
            epochs: of tuning.
            most: images that are evaluated at a time.

        Returns:
            The images, on the device.

        Raises:
            ValueError: a class has fewer images than it is to have shots.
        """
        parts = few_shot_parts(data, config.shots, config.shot_seed, config.pool)
        supports = parts.supports.reshape(-1)
        images, scale, label = LabelledBatches.tensors_of(data, device)
        return TuningBatches(
            images,
            scale,
            label,
            len(data.class_names),
            supports,
            supports,
            0,
            most,
            parts.pool if config.semi else parts.pool[:0],
            config.tune_steps,
            epochs,
        )

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[BatchSpec]:
        """The batches of an epoch: shots, each as often as any other but for one.

        Args:
            seed: of the tuning.
            epoch: from 0.
            batch_size: shots a batch, and images of the pool.

        Returns:
            As of `Batches`; "unlabelled" are image indices of the pool.
        """
        first, last = (e * self.total // self.epochs for e in (epoch, epoch + 1))
        wanted = (last - first) * batch_size
        draws = rng.generator(seed, "shots in order", epoch)
        rounds = math.ceil(wanted / len(self.train))
        order = np.concatenate([draws.permutation(self.train) for _ in range(rounds)])[:wanted]
        index = torch.from_numpy(order).to(self.device).split(batch_size)
        if not len(self.pool):
            return ({"index": rows} for rows in index)
        # drawn by a generator of its own, so that the shots are the same without a pool
        chosen = rng.generator(seed, "pool", epoch).integers(len(self.pool), size=wanted)
        others = torch.from_numpy(self.pool[chosen]).to(self.device).split(batch_size)
        return ({"index": a, "unlabelled": b} for a, b in zip(index, others))

    def batch(self, spec: BatchSpec) -> Labelled:
        """The shots of spec["index"] with their classes, the images of spec["unlabelled"]."""
        items = super().batch(spec)
        if "unlabelled" not in spec:
            return items
        return Labelled(items.images, items.label, self.pixels(spec["unlabelled"]))
