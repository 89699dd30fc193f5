"""chords: points on straight lines between training points, which is what blending two of them is.

On `gaussians` a chord between kept modes never comes within 3 sigma of a removed one, and seven of
ten such points lie farther than 4 sigma from every mode. So drawings between modes are no sign of
creativity: any interpolation has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot import rng
from oneshot.contracts import ReferenceFamily
from oneshot.types import DataSet, Drawings, Part

VERSION = 1
KINDS = ("points",)


@dataclass(frozen=True)
class Config:
    """Chords have no settings."""


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class Chords(ReferenceFamily):
    """`n` points for each class of the data, of no class.

    Each lies anywhere on the line between two training points of kept classes.
    """

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        rows = data.rows_of_part(data.train, Part.TRAIN)
        count, draws = n * len(data.class_names), rng.generator(seed, "chords")
        one, other = np.asarray(data.images, np.float64)[draws.choice(rows, (2, count))]
        share = draws.random((count, 1))
        points = (share * one + (1 - share) * other).astype(np.float32)
        blank = np.zeros((1, 2), np.float32)
        return Drawings(points, np.zeros(count, np.int64), blank, ("",))


FAMILY = Chords
