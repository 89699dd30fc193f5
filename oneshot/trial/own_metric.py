"""Metrics of the user's: brought to the process of a trial, tried before a run, and asked."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from oneshot import rng
from oneshot.store.store import Store
from oneshot.store.tables import column_names
from oneshot.sweep import own_metrics
from oneshot.sweep.point import Point, kind_of
from oneshot.sweep.settings import SettingError
from oneshot.trial.files import MissingInput, file_key
from oneshot.trial.own_family import told
from oneshot.types import Drawings, Kind

CLASSES, DRAWINGS = 3, 4  # of the drawings that a metric is tried with


class MetricError(RuntimeError):
    """A metric returns what are no columns of its; the message says what."""


def use(point: Point, store: Store) -> None:
    """Make the metrics of a point known to this process.

    Args:
        point: of a trial.
        store: holds the files of those of the user's.

    Raises:
        MissingInput: the store does not have one, or this machine has another version of the
            package that one is in.
    """
    for name, path, content in point.metrics:
        if own_metrics.is_known(name, content):
            continue
        if content:
            try:
                data = store.unseal(file_key(path, content))
            except FileNotFoundError as error:
                raise MissingInput(f"{path} is not in {store.root}: run the sweep again") from error
            own_metrics.use(own_metrics.of_bytes(name, path, data))
            continue
        try:
            here = own_metrics.use(own_metrics.installed(name)).version
        except SettingError:
            here = 0
        if here != point.graders[name]:
            there = f"version {here}" if here else "not installed"
            raise MissingInput(
                f"the metric {name} is {there} on this machine, and version"
                f" {point.graders[name]} where the run began: install the same package on all"
                " machines"
            )


def score(name: str, drawings: Drawings) -> dict[str, float | None]:
    """The columns of a metric.

    Args:
        name: of the metric.
        drawings: of a point.

    Returns:
        A number for each of its columns; None where it is not finite.

    Raises:
        MetricError: it returns something else.
        Exception: whatever it raises.
    """
    metric = next(iter(own_metrics.known([name])))
    given: Any = own_metrics.module(name).score(drawings)
    wanted = list(metric.columns)
    if not isinstance(given, dict) or sorted(map(str, given)) != sorted(wanted):
        got = f"columns {', '.join(map(str, given))}" if isinstance(given, dict) else repr(given)
        raise MetricError(f"{name} returns {got[:80]}; its COLUMNS are {', '.join(wanted)}")
    columns: dict[str, float | None] = {}
    for column in wanted:
        value = given[column]
        if value is not None and not isinstance(value, numbers.Real):
            raise MetricError(f"{name} returns {column} = {value!r:.60}, which is no number")
        number = math.nan if value is None else float(value)
        columns[column] = number if math.isfinite(number) else None
    return columns


def problems(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Why metrics of the user's cannot score these points, each reason once.

    Args:
        points: of a sweep; each metric scores made drawings of every kind and size that they have.

    Returns:
        Messages, and where the files are.
    """
    found: dict[str, str] = {}
    cases = {
        (name, path, kind_of(p.settings["dataset"], p.settings["colour"]), p.settings["image_size"])
        for p in points
        for name, path, _ in p.metrics
    }
    for name, path, kind, size in sorted(cases):
        metric = next(iter(own_metrics.known([name])))
        taken = column_names().union(*(p.settings for p in points))
        if twice := sorted(taken & {*metric.columns}):
            text = f"{metric.file.shown}: the table has a column {twice[0]!r} already"
            found.setdefault(text, "")
            continue
        try:
            score(name, made_drawings(kind, size))
        except MetricError as error:
            found.setdefault(f"{metric.file.shown}: {error}", "")
        except (Exception, SystemExit) as error:
            found.setdefault(str(told(error, path)), "")
    return list(found.items())


def made_drawings(kind: Kind, size: int) -> Drawings:
    """Drawings of random pixels, as those of a point are.

    Args:
        kind: of the drawings.
        size: pixels a side.

    Returns:
        A few of each of a few classes.
    """
    random, count = rng.generator(0, "metric", kind), CLASSES * DRAWINGS
    shape = {
        Kind.BITS: (size, size),
        Kind.GREYS: (size, size, 1),
        Kind.COLOUR: (size, size, 3),
        Kind.POINTS: (2,),
    }[kind]
    most = 2 if kind == Kind.BITS else 256
    whole = kind != Kind.POINTS
    images = random.integers(0, most, (count + CLASSES, *shape)).astype(
        np.uint8 if whole else np.float32
    )
    label = np.repeat(np.arange(CLASSES), DRAWINGS)
    names = tuple(f"class {i}" for i in range(CLASSES))
    return Drawings(images[:count], label, images[count:], names)
