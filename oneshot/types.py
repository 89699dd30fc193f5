"""Value types: the status of a point, a data set cut into classes, and the drawings of a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` and `--check` read this file, and must not wait for NumPy
    import numpy as np


class Status(StrEnum):
    """How a point of a sweep ended; records and tables hold the text.

    DONE: it has its metrics. DIVERGED: a loss became infinite or no number. FAILED: an exception
    ended it. MISSING: it has no record, so this one is never stored.
    """

    DONE = "done"
    DIVERGED = "diverged"
    FAILED = "failed"
    MISSING = "missing"


class Kind(StrEnum):
    """What the items of a data set are, and so their drawings.

    BITS: images of 0 (background) and 1 (ink). GREYS: images of one channel, 0 .. 255. COLOUR: of
    three. POINTS: of the plane, two numbers each.
    """

    BITS = "bits"
    GREYS = "greys"
    COLOUR = "colour"
    POINTS = "points"


CLASS_SPLIT = "classes_"  # how the splits into base and novel classes begin


def is_class_split(split: str) -> bool:
    """Whether a split is one into base classes and novel ones, of which few images are shown."""
    return split.startswith(CLASS_SPLIT)


class Part(IntEnum):
    """What an image of a class is for, in a data set that cuts its classes into parts."""

    TRAIN = 0
    SELECTION = 1
    TEST = 2


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images with classes and a class split.

    images: of bits, uint8 [N, H, W]; in grey [N, 1, H, W]; in colour [N, 3, H, W]; of points,
    float32 [N, 2]; a read-only memory map shared by every process of a machine.
    label: int64 [N], index into class_names; images are sorted by label.
    train, validation, test: sorted class ids, disjoint. Models and critics learn from `train`;
    `validation` drives schedules and the choice of the best epoch; `test` is only drawn and scored.
    part: uint8 [N], a Part for each image, where each class is cut into parts too: then models
    learn from the images of TRAIN of the classes `train`, images of SELECTION drive schedules, and
    those of TEST are only compared with. None where the classes alone are split.
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
    part: np.ndarray | None = None

    @property
    def kind(self) -> Kind:
        """What the images are."""
        if self.images.ndim == 2:
            return Kind.POINTS
        if self.images.ndim == 3:
            return Kind.BITS
        return Kind.COLOUR if self.images.shape[1] == 3 else Kind.GREYS

    @property
    def image_size(self) -> int:
        """Height and width of the images, in pixels."""
        return int(self.images.shape[-1])

    @property
    def colour(self) -> bool:
        """Whether the images are in colour."""
        return self.kind == Kind.COLOUR

    def rows(self, classes: np.ndarray) -> np.ndarray:
        """The image indices of these classes, class after class: int64 [sum of class sizes]."""
        import numpy as np

        starts = np.searchsorted(self.label, classes, side="left")
        stops = np.searchsorted(self.label, classes, side="right")
        return (
            np.concatenate([np.arange(a, b) for a, b in zip(starts, stops)])
            if len(classes)
            else np.empty(0, np.int64)
        )

    def as_drawings(self, rows: np.ndarray) -> np.ndarray:
        """The images of these rows in the form that `Drawings` have: of colour, channels last."""
        import numpy as np

        images = np.asarray(self.images[rows])
        return np.moveaxis(images, 1, -1) if images.ndim == 4 else images

    def rows_of_part(self, classes: np.ndarray, part: Part) -> np.ndarray:
        """The image indices of one part of these classes, class after class.

        Args:
            classes: class ids.
            part: the part.

        Returns:
            int64 [images].

        Raises:
            ValueError: the classes of this data set have no parts.
        """
        if self.part is None:
            raise ValueError(f"the classes of {self.name} are not cut into parts")
        rows = self.rows(classes)
        return rows[self.part[rows] == part]


@dataclass(frozen=True, eq=False)
class Drawings:
    """What was drawn for the exemplars of the test classes; by families that are asked otherwise,
    for each class, or for none.

    images: bits, uint8 [N, H, W], already standardised (metrics/images.py); greys or colour, uint8
    [N, H, W, 1 or 3]; points, float32 [N, 2]. label: int64 [N], index into exemplars and
    class_names, sorted. exemplars: [C, ...], as the images; of drawings for no class one of zeros.
    constant: how many of the images were constant before standardisation.
    """

    images: np.ndarray
    label: np.ndarray
    exemplars: np.ndarray
    class_names: tuple[str, ...]
    constant: int = 0
