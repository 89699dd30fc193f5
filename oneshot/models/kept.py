"""kept: real data of the kept classes that no model was trained on (points, or grey images).

A model that has learned all that it was shown, and nothing besides, scores as these do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot import rng
from oneshot.contracts import ReferenceFamily
from oneshot.types import DataSet, Drawings, Kind, Part

VERSION = 1
KINDS = ("points", "greys")


@dataclass(frozen=True)
class Config:
    """Kept data have no settings."""


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class Kept(ReferenceFamily):
    """`n` items of the part for tests for each class of the data, each once, of no class.

    Fewer where that part of the kept classes has no more.
    """

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        rows = data.rows_of_part(data.train, Part.TEST)
        chosen = rng.generator(seed, "kept").permutation(rows)[: n * len(data.class_names)]
        images = np.asarray(data.images[chosen])
        blank = np.zeros((1, *images.shape[1:]), images.dtype)
        if data.kind != Kind.POINTS:  # channels last, as drawings are
            images, blank = np.moveaxis(images, 1, -1), np.moveaxis(blank, 1, -1)
        return Drawings(images, np.zeros(len(images), np.int64), blank, ("",))


FAMILY = Kept
