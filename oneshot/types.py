"""Value types: a data set cut into classes, the exemplars of its classes, and the drawings of a
model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images with classes and a class split.

    images: uint8 [N, H, W] with values 0 (background) and 1 (ink), or in colour [N, 3, H, W] of 0
    .. 255; a read-only memory map shared by every process of a machine.
    label: int64 [N], index into class_names; images are sorted by label.
    train, validation, test: sorted class ids, disjoint. Models and critics learn from `train`;
    `validation` drives schedules and the choice of the best epoch; `test` is only drawn and scored.
    """

    name: str
    split: str
    fingerprint: str
    images: np.ndarray
    label: np.ndarray
    class_names: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return int(self.images.shape[-1])

    @property
    def colour(self) -> bool:
        """Whether images have three channels."""
        return self.images.ndim == 4

    def rows(self, classes: np.ndarray) -> np.ndarray:
        """The image indices of these classes, class after class: int64 [sum of class sizes]."""
        starts = np.searchsorted(self.label, classes, side="left")
        stops = np.searchsorted(self.label, classes, side="right")
        return (
            np.concatenate([np.arange(a, b) for a, b in zip(starts, stops)])
            if len(classes)
            else np.empty(0, np.int64)
        )


@dataclass(frozen=True, eq=False)
class Drawings:
    """What was drawn for the exemplars of the test classes.

    images: uint8 [N, H, W] of 0 and 1, already standardised (metrics/images.py), or colour, [N, H,
    W, 3] of 0 .. 255. label: int64 [N], index into exemplars and class_names, sorted. exemplars:
    uint8 [C, H, W] of 0 and 1, or colour. constant: how many of the images were constant before
    standardisation.
    """

    images: np.ndarray
    label: np.ndarray
    exemplars: np.ndarray
    class_names: tuple[str, ...]
    constant: int = 0
