"""Where points lie in their grid, as numbers: for orders, and for what chooses points by rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oneshot.sweep.definition import Sweep
from oneshot.sweep.point import Point


def cells_of(sweep: Sweep, points: Sequence[Point]) -> list[list[Point]]:
    """The points of the sweep's model by cell: those that differ in their seed alone.

    Args:
        sweep: whose axes make the cells.
        points: of the sweep, others included.

    Returns:
        The points of each cell in their order.
    """
    cells: dict[tuple[str, ...], list[Point]] = {}
    for point in points:
        if point.model == sweep.model:
            key = tuple(repr(point.settings[axis]) for axis in sweep.axes)
            cells.setdefault(key, []).append(point)
    return list(cells.values())


def axis_values(points: Sequence[Point], axis: str) -> list[Any]:
    """The different values of a setting: numbers ascending, others as the sweep gives them.

    Args:
        points: whose values.
        axis: the setting.

    Returns:
        Each value once.
    """
    values = list({repr(p.settings[axis]): p.settings[axis] for p in points}.values())
    return sorted(values) if are_numbers(values) else values


def positions(points: Sequence[Point], axes: Sequence[str]) -> np.ndarray:
    """Where each point lies, so that Euclidean distances mean the same on every axis.

    The values of an axis of numbers are equally far apart, 0 the least and 1 the largest. Any two
    other values, as of texts, are 1 apart.

    Args:
        points: of one family, at least one.
        axes: settings of all of them.

    Returns:
        float64 [points, columns]; an axis that is no number has a column for each value.
    """
    columns = [np.zeros((len(points), 1))]
    for axis in axes:
        values = axis_values(points, axis)
        place = {repr(value): i for i, value in enumerate(values)}
        numbers = np.array([place[repr(p.settings[axis])] for p in points])
        if are_numbers(values):
            columns.append(numbers[:, None] / max(len(values) - 1, 1))
        else:
            columns.append((numbers[:, None] == np.arange(len(values))) / np.sqrt(2.0))
    return np.concatenate(columns[1:] or columns, axis=1)


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether all values are numbers; True and False are none."""
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
