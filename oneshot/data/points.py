"""Sets of points of the plane: how they are made, cut into parts and split.

Each is made by code, the same on every machine. Points are rounded to multiples of 2^-16, a
two-thousandth of their spread, so that digits in which processors differ do not count. Each class
is a mode: one Gaussian, or a curve of many in line. Of each six points of a class four are for
training, one drives schedules, and one is only compared with.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import math
from dataclasses import dataclass

import numpy as np

from oneshot import rng
from oneshot.data import fingerprint
from oneshot.types import DataSet, Part

SEED = 0
STEP = 2.0**-16
SIXTHS = {Part.TRAIN: 4, Part.SELECTION: 1, Part.TEST: 1}


@dataclass(frozen=True, eq=False)
class Modes:
    """Where the classes of a set of points lie.

    Args:
        names: of the modes.
        centres: of the Gaussians, float64 [C, 2].
        owner: the mode of each Gaussian, sorted, int64 [C].
        sigma: standard deviation of a Gaussian along either axis.
    """

    names: tuple[str, ...]
    centres: np.ndarray
    owner: np.ndarray
    sigma: float

    @property
    def middles(self) -> np.ndarray:
        """The mean of the centres of each mode, float64 [modes, 2]."""
        counts = np.bincount(self.owner)
        sums = [np.bincount(self.owner, column) for column in self.centres.T]
        return np.stack(sums, 1) / counts[:, None]

    @property
    def radius(self) -> float | None:
        """The radius of the circle round the origin on which all centres lie; None of others."""
        lengths = np.linalg.norm(self.centres, axis=1)
        return float(lengths.mean()) if np.ptp(lengths) < 1e-9 else None


@dataclass(frozen=True, eq=False)
class PointSet:
    """A set of points.

    Args:
        name: of the data set, that is of its file.
        fingerprint: the first 12 hex digits of the hash of its content.
        modes: its classes.
        counts: points of each class, multiples of 6.
    """

    name: str
    fingerprint: str
    modes: Modes
    counts: tuple[int, ...]

    def load(self, split: str) -> DataSet:
        """The points of all classes, of which a split leaves out one.

        Args:
            split: "all", or "without_k": class k is the test class, the others are trained on.

        Returns:
            The points, float32 [N, 2].
        """
        points, label, part = self.content
        classes = np.arange(len(self.counts))
        left_out = [] if split == "all" else [int(split.removeprefix("without_"))]
        test = np.array(left_out, np.int64)
        train, none = np.setdiff1d(classes, test), test[:0]
        names = self.modes.names
        known = fingerprint(self.name)
        return DataSet(self.name, split, known, points, label, names, train, none, test, part)

    @functools.cached_property
    def content(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The points, float32 [N, 2], the class and the part of each, which are never written."""
        points, parts = [], []
        for mode, count in enumerate(self.counts):
            draws = rng.generator(SEED, "points", self.name, mode)
            own = self.modes.centres[self.modes.owner == mode]
            chosen = own[draws.integers(len(own), size=count)]
            points.append(chosen + self.modes.sigma * draws.standard_normal((count, 2)))
            parts.append(np.repeat([*SIXTHS], [n * count // 6 for n in SIXTHS.values()]))
        rounded = np.round(np.concatenate(points) / STEP) * STEP
        label = np.arange(len(self.counts)).repeat(self.counts)
        found = rounded.astype(np.float32), label, np.concatenate(parts).astype(np.uint8)
        for array in found:
            array.flags.writeable = False
        return found

    def hash(self) -> str:
        """What `fingerprint` must be, as a test holds."""
        digest = hashlib.sha256("\n".join(self.modes.names).encode())
        for array in self.content:
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()[:12]


def modes_of(name: str) -> Modes:
    """The modes of a data set of points, by its name."""
    points: PointSet = importlib.import_module(f"oneshot.data.{name}").POINTS
    return points.modes


def eight_on_a_circle(sigma: float) -> Modes:
    """Eight Gaussians on a circle of radius sqrt 2, clockwise from the top."""
    names = (
        *("top", "upper right", "right", "lower right"),
        *("bottom", "lower left", "left", "upper left"),
    )
    angles = math.pi / 2 - math.pi / 4 * np.arange(8)
    centres = math.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], 1)
    return Modes(names, centres, np.arange(8), sigma)
