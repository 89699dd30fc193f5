"""real: real images in place of drawings, the most that few-shot augmentation could gain.

Of novel classes these are images that models may learn from without labels, the shots left out; so
neither a model's shots nor an image for tests is among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from oneshot import rng
from oneshot.contracts import ReferenceFamily
from oneshot.data.few_shot import few_shot_parts
from oneshot.sweep.settings import setting
from oneshot.types import DataSet, Drawings, Part

VERSION = 1
KINDS = ("greys", "colour")
CLASS_SPLITS = True


@dataclass(frozen=True)
class Config:
    """Settings of real images: which they are, and what a classifier gains by them."""

    shots: int = setting(
        5, "sample", "k, labelled images of each novel class, which are not drawn", low=1, high=1000
    )
    shot_seed: int = setting(
        0,
        "sample",
        "seed of the choice of shots; 0 for the published ones",
        low=0,
        high=2**63 - 1,
    )
    pool: str = setting(
        "published",
        "sample",
        "images of novel classes without labels: with the shots, or without them; the shots are"
        " drawn in neither case",
        choices=("published", "disjoint"),
    )
    generated_per_class: int = setting(
        20,
        "score",
        "drawings of each novel class that the classifier learns from beside the shots",
        low=0,
        high=100000,
    )
    unfreeze: str = setting(
        "head",
        "score",
        "what the classifier learns of novel classes with: its head, or its last stage as well",
        choices=("head", "last_stage"),
    )
    mixup: float = setting(
        0.0,
        "score",
        "a of the Beta(a, a) by which the classifier's images are mixed; 0 for none",
        low=0,
        high=100,
    )
    head_steps: int = setting(
        2000, "score", "steps in which the classifier learns novel classes", low=0, high=10_000_000
    )


VARIANTS: dict[str, dict[str, object]] = {"tiny": {"shots": 2, "head_steps": 20}}


class Real(ReferenceFamily):
    """`n` real images of each class of the data set, each once, in the order of a seed.

    Fewer where the part of a class has no more: of base classes that for training, of novel ones
    the pool without the shots.

    Args:
        asks: what it draws for, as families that are asked by a class do.
    """

    asks: ClassVar[str] = "class"

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        config = self.config
        parts = few_shot_parts(data, config.shots, config.shot_seed, config.pool)
        own = np.setdiff1d(parts.pool, parts.supports)
        rows = np.sort(np.concatenate([own, data.rows_of_part(data.train, Part.TRAIN)]))
        chosen = []
        for c in range(len(data.class_names)):
            mine = rows[data.label[rows] == c]
            chosen.append(rng.generator(seed, "real", c).permutation(mine)[:n])
        drawn = np.concatenate(chosen)
        return Drawings(
            data.as_drawings(drawn),
            data.label[drawn],
            data.as_drawings(exemplars),
            data.class_names,
        )


FAMILY = Real
