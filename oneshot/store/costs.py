"""What a training step of a model costs, as counted so far: multiply-adds, kept bytes, parameters.

`training/cost.py` counts, which takes torch and up to seconds a model; here counts are kept as
files in the user's cache, read again, and extended to models that lie between counted ones. No
torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneshot.paths import DataError, cache_dir
from oneshot.sweep import families
from oneshot.sweep.point import channels as channels_of
from oneshot.sweep.point import kind_of
from oneshot.sweep.settings import SettingError
from oneshot.types import Kind

COUNTING = 2  # raised whenever what is counted changes
# Settings of shape that say how many steps a training has, not what a step costs.
OF_TRAINING = (
    *("epochs", "epoch_steps", "schedule_classes", "augmented_copies"),
    *("shots", "shot_seed", "images_per_class"),
)


@dataclass(frozen=True)
class Shape:
    """All that decides the cost of a training step of a model.

    Args:
        family: of the model.
        version: of the family; of a file of the user's, what its content says.
        image_size: pixels a side.
        channels: 1, or 3 in colour; 0 of points of the plane.
        settings: names and values of the settings that shape tensors.
    """

    family: str
    version: int
    image_size: int
    channels: int
    settings: tuple[tuple[str, Any], ...]

    @staticmethod
    def of(family: str, values: Mapping[str, Any]) -> Shape | None:
        """The shape of a model with these settings.

        Args:
            family: of the model.
            values: its settings by name, `dataset` and `image_size` among them; one that is
                missing counts as its default.

        Returns:
            The shape, or None for a family that learns nothing or is not there any more.
        """
        try:
            head = families.declaration("models", family)
            dataset, colour = values["dataset"], bool(values.get("colour"))
            channels = channels_of(dataset, colour)
            if kind_of(dataset, colour) == Kind.POINTS:
                channels = 0
            size = int(values["image_size"])
        except (SettingError, KeyError, TypeError, ValueError, OSError):
            return None
        if "epochs" not in head.fields:
            return None
        return Shape(family, head.code, size, channels, _shaping(head, values))

    @property
    def kind(self) -> tuple[Any, ...]:
        """What shapes must share for the cost of one to follow from others: all but numbers."""
        words = tuple((n, v) for n, v in self.settings if not _is_number(v))
        return self.family, self.version, self.image_size, self.channels, words

    @property
    def numbers(self) -> tuple[float, ...]:
        """The settings that are numbers, on a logarithmic scale."""
        return tuple(math.log1p(max(v, 0)) for _, v in self.settings if _is_number(v))


def _shaping(head: families.Declaration, values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    found = []
    for name, one in head.fields.items():
        meta = one.metadata
        in_step = meta["stage"] == "train" and meta["shapes"] and name not in OF_TRAINING
        if (meta["stage"] == "model" or in_step) and not meta["file"]:
            value = values.get(name)
            found.append((name, one.default if value is None else value))
    return tuple(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Cost:
    """The cost of a training step, for each model of a stack.

    Args:
        products: multiply-adds of one training image, forward and backward, all players.
        kept: bytes that a step keeps for its backward pass, of the whole batch.
        parameters: numbers that the model learns.
    """

    products: float
    kept: float
    parameters: int


@dataclass
class _Known:
    """What this process has counted or read of one folder of the cache."""

    costs: dict[Shape, Cost] = field(default_factory=dict)
    estimates: dict[Shape, Cost] = field(default_factory=dict)
    listed: bool = False


_known: dict[Path | None, _Known] = {}


def load(shape: Shape) -> Cost | None:
    """The counted cost of this shape.

    Args:
        shape: of a model.

    Returns:
        The cost, or None where it has not been counted, or its file is damaged.
    """
    folder, known = _of(shape)
    if shape not in known.costs and folder is not None and (read := _read(folder / _name(shape))):
        known.costs[read[0]] = read[1]
    return known.costs.get(shape)


def save(shape: Shape, cost: Cost) -> None:
    """Keep a counted cost, for this process and, where the cache can be written, for all.

    Args:
        shape: of a model.
        cost: of its training step.
    """
    folder, known = _of(shape)
    known.costs[shape] = cost
    known.estimates.clear()
    if folder is None:
        return
    text = json.dumps({"shape": dataclasses.asdict(shape), "cost": dataclasses.asdict(cost)})
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, folder / _name(shape))


def estimate(shape: Shape) -> Cost | None:
    """The cost of this shape: as counted, or by a power law through counted shapes of its kind.

    Args:
        shape: of a model.

    Returns:
        The cost, or None where no shape of its kind has been counted.
    """
    if (exact := load(shape)) is not None:
        return exact
    folder, known = _of(shape)
    if not known.listed and folder is not None:
        known.listed = True
        known.costs |= dict(filter(None, map(_read, sorted(folder.glob("*.json")))))
        known.estimates.clear()
    if shape not in known.estimates:
        alike = {s: c for s, c in known.costs.items() if s.kind == shape.kind}
        if not alike:
            return None
        known.estimates[shape] = _by_power_law(shape, alike)
    return known.estimates[shape]


def _by_power_law(shape: Shape, known: Mapping[Shape, Cost]) -> Cost:
    """log cost = a + sum of b_i log(1 + x_i), with the least squares and the smallest b."""
    import numpy as np

    x = np.array([s.numbers for s in known])
    logs = np.log([dataclasses.astuple(c) for c in known.values()])
    centre, mean = x.mean(0), logs.mean(0)
    slopes = np.linalg.lstsq(x - centre, logs - mean, rcond=1e-9)[0]
    found = np.exp(mean + (np.array(shape.numbers) - centre) @ slopes)
    return Cost(float(found[0]), float(found[1]), round(found[2]))


def telling(shapes: Iterable[Shape]) -> list[Shape]:
    """Those of these shapes from whose costs the costs of all others follow, roughly.

    Of each kind the smallest, and for each setting that varies one that differs from it in that
    setting alone, where there is one.

    Args:
        shapes: of models.

    Returns:
        Shapes, the smallest of all kinds first.
    """
    kinds: dict[Any, list[Shape]] = {}
    for shape in dict.fromkeys(shapes):
        kinds.setdefault(shape.kind, []).append(shape)
    smallest = [min(members, key=lambda s: s.numbers) for members in kinds.values()]
    others = [s for first in smallest for s in _along_axes(first, kinds[first.kind])]
    return list(dict.fromkeys([*smallest, *others]))


def _along_axes(first: Shape, shapes: Sequence[Shape]) -> list[Shape]:
    """For each number that varies, the shape in the middle of those that differ in it."""
    found = []
    changes = {s: [a != b for a, b in zip(s.numbers, first.numbers)] for s in shapes}
    for axis in range(len(first.numbers)):
        differing = [s for s in shapes if changes[s][axis]]
        alone = [s for s in differing if sum(changes[s]) == 1] or differing
        if alone:
            found.append(sorted(alone, key=lambda s: s.numbers)[len(alone) // 2])
    return found


def _of(shape: Shape) -> tuple[Path | None, _Known]:
    """Where the costs of a family lie (None where this user has no cache), and what is known."""
    places = os.environ.get("ONESHOT_CACHE", ""), os.environ.get("HOME", "")
    folder = _folder(shape.family, shape.version, *places)
    return folder, _known.setdefault(folder, _Known())


@functools.cache
def _folder(family: str, version: int, cache: str, home: str) -> Path | None:
    """The folder of a family below the cache that these variables of the environment name."""
    with contextlib.suppress(DataError):
        return cache_dir() / "costs" / f"{family}-{version}-{COUNTING}"
    return None


def _name(shape: Shape) -> str:
    text = json.dumps(dataclasses.asdict(shape))
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> tuple[Shape, Cost] | None:
    """The shape and the cost of a file; None where there is none, or none that can be read."""
    try:
        file = json.loads(path.read_text(encoding="utf-8"))
        shape = Shape(**{**file["shape"], "settings": tuple(map(tuple, file["shape"]["settings"]))})
        cost = Cost(**file["cost"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    sound = all(value > 0 for value in dataclasses.astuple(cost))
    return (shape, cost) if sound else None
