"""noise: independent pixels that know nothing of the exemplar; recognizability at chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot import rng
from oneshot.contracts import ReferenceFamily
from oneshot.sweep.settings import setting
from oneshot.types import DataSet, Drawings

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Settings of independent noise."""

    ink: float = setting(
        0.0,
        "sample",
        "share of ink pixels; 0 for the mean ink of the training images",
        low=0,
        high=1,
    )


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class Noise(ReferenceFamily):
    """`n` images of independent ink pixels for each test class."""

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        ink = self.config.ink or float(np.mean(data.images[data.rows(data.train)]))
        shape = (n, data.image_size, data.image_size)
        images = [
            (rng.generator(seed, "draw", int(c)).random(shape, dtype=np.float32) < ink).astype(
                np.uint8
            )
            for c in data.test
        ]
        names = tuple(data.class_names[c] for c in data.test)
        label = np.arange(len(data.test)).repeat(n)
        return Drawings(
            np.concatenate(images), label, np.asarray(data.images[exemplars[data.test]]), names
        )


FAMILY = Noise
