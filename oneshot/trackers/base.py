"""What a tracker is, what is logged of a point, and which trackers there are."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oneshot.console.arguments import Refused

# the package that each tracker imports, and the name by which it is installed
PACKAGES = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "wandb": ("wandb", "wandb"),
    "trackio": ("trackio", "trackio"),
}
NAMES = tuple(PACKAGES)


@dataclass(frozen=True)
class Target:
    """The sweep that is logged, and where.

    Args:
        sweep: its name.
        question: what it asks.
        axes: the swept settings with their values.
        compared_by: the column by which its points are compared.
        folder: where a tracker without a server of its own keeps its files, absolute.
    """

    sweep: str
    question: str
    axes: dict[str, list[Any]]
    compared_by: str
    folder: str


@dataclass(frozen=True)
class Entry:
    """What is logged of one point.

    Args:
        point_id: of the point.
        version: what differs once the point has another result.
        name: the point in words, as in `beta=1.5 seed=44 1a2b3c4d`.
        model: its family.
        status: done, diverged or failed.
        settings: all its settings, and its seed.
        axes: those of them that the sweep varies.
        results: measured columns, by name.
        usage: seconds, memory and counts, by name.
        texts: what else its row says.
        curves: by "train/loss" and the like, the finite values with their epochs.
        epochs: how many were done.
        ended_at: seconds since 1970.
        epoch_seconds: of one epoch.
        sheets: images by name, uint8 [H, W, 3].
    """

    point_id: str
    version: str
    name: str
    model: str
    status: str
    settings: dict[str, Any]
    axes: dict[str, Any]
    results: dict[str, float]
    usage: dict[str, float]
    texts: dict[str, str]
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    epochs: int = 0
    ended_at: float = 0.0
    epoch_seconds: float = 0.0
    sheets: dict[str, np.ndarray] = field(default_factory=dict)

    def epoch_time(self, epoch: int) -> float:
        """When an epoch ended, seconds since 1970, as if all had taken the same time."""
        return self.ended_at - max(self.epochs - 1 - epoch, 0) * self.epoch_seconds

    def by_epoch(self) -> dict[int, dict[str, float]]:
        """The values of all curves, epoch by epoch."""
        rows: dict[int, dict[str, float]] = {}
        for name, values in self.curves.items():
            for epoch, value in values:
                rows.setdefault(epoch, {})[name] = value
        return dict(sorted(rows.items()))


class Tracker(ABC):
    """Keeps what is logged of points. It lives in a process of its own, away from the driver.

    Attributes:
        where: what a person opens to see it, in words.
    """

    where = ""

    @abstractmethod
    def __init__(self, target: Target):
        """Open what it logs to."""

    @abstractmethod
    def log(self, entry: Entry) -> None:
        """Keep a point as a run of its own; one that it has in another version gives way."""

    def close(self) -> None:  # noqa: B027
        """Write what is not written yet; most trackers have written all."""


def check(names: Sequence[str]) -> None:
    """Refuse trackers whose package is not installed.

    Args:
        names: of trackers.

    Raises:
        Refused: with the line that installs what is missing.
    """
    missing = [name for name in names if importlib.util.find_spec(PACKAGES[name][0]) is None]
    if missing:
        packages = " ".join(PACKAGES[name][1] for name in missing)
        what = " and ".join(f"--log {name}" for name in missing)
        needs = "need packages that are" if len(missing) > 1 else "needs a package that is"
        raise Refused(f"{what} {needs} not installed", f"pip install {packages}")


def make(name: str, target: Target) -> Tracker:
    """A tracker by its name.

    Args:
        name: one of NAMES.
        target: what is logged, and where.

    Returns:
        The tracker, open.
    """
    tracker: Tracker = importlib.import_module(f"oneshot.trackers.{name}").TRACKER(target)
    return tracker


def shown(path: str) -> str:
    """A path as people write it: from the working directory, if that is shorter."""
    return min(path, os.path.relpath(path), key=len)


def file_name(text: str) -> str:
    """A text as the name of a file or run: other signs than letters, digits, `=.,-` become `_`."""
    return re.sub(r"[^\w.=,+-]+", "_", text)[:120]
