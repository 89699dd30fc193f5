"""copy: the exemplar itself, over and over; diversity 0, recognizability 100 % by definition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot.contracts import ReferenceFamily
from oneshot.types import DataSet, Drawings

VERSION = 1
KINDS = ("bits", "colour")


@dataclass(frozen=True)
class Config:
    """Copies have no settings."""


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class Copy(ReferenceFamily):
    """`n` copies of the exemplar of each test class."""

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        images = data.as_drawings(exemplars[data.test])
        names = tuple(data.class_names[c] for c in data.test)
        return Drawings(images.repeat(n, 0), np.arange(len(images)).repeat(n), images, names)


FAMILY = Copy
