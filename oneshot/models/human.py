"""human: the data set's own drawings of the test classes, the reference point of the plane.

Boutin et al. (2022), Diversity vs. recognizability.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneshot.contracts import ReferenceFamily
from oneshot.data.drawings_file import read_drawings
from oneshot.sweep.settings import setting
from oneshot.types import DataSet, Drawings

VERSION = 1
KINDS = ("bits", "colour")


@dataclass(frozen=True)
class Config:
    """Settings of people."""

    file: str = setting(
        "",
        "data",
        "npz or Parquet file with people's drawings, in place of the data set's",
        file=True,
        omit_default=True,
    )


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class Human(ReferenceFamily):
    """All real drawings of each test class, the exemplar included, as published; `n` is ignored.

    With a file, all drawings in it.
    """

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        if self.config.file:
            return read_drawings(Path(self.config.file), data.image_size)
        rows = data.rows(data.test)
        label = np.searchsorted(data.test, data.label[rows])
        names = tuple(data.class_names[c] for c in data.test)
        return Drawings(
            data.as_drawings(rows),
            label,
            data.as_drawings(exemplars[data.test]),
            names,
        )


FAMILY = Human
