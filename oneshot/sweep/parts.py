"""Parts of a sweep: the assignments that `grid`, `line` and `points` make, and `steps` for axes."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from oneshot.sweep.values import PLAIN, plain, shown

# Most values of an axis, points of a part, seeds: more is a slip, such as an endless generator.
MOST = 1_000_000
# What is not the sweep file that calls: this folder, and the code that makes a dataclass.
_NOT_THE_CALLER = (os.path.dirname(__file__) + os.sep, dataclasses.__file__, "<string>")


class SweepError(ValueError):
    """A sweep file is wrong.

    Args:
        problems: one (message, place) per mistake, place being "file:line  first line of code" or
            "".
    """

    def __init__(self, problems: Sequence[tuple[str, str]]):
        super().__init__("\n".join(message for message, _ in problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Part:
    """A set of assignments made by grid, line or points.

    Args:
        kind: "grid", "line" or "points".
        axes: the settings that vary, with their values.
        rows: the assignments: values by setting.
        place: the line of the sweep file that made it.
    """

    kind: str
    axes: dict[str, list[Any]]
    rows: list[dict[str, Any]]
    place: str


def steps(first: float, last: float, step: float) -> list[float]:
    """The decimal values first, first + step, ... up to last, free of binary rounding noise.

    >>> steps(0, 1, 0.25)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    >>> steps(0.1, 0.5, 0.15)
    [0.1, 0.25, 0.4]

    Args:
        first: the first value.
        last: no value is above it; it is one itself where it is on the grid.
        step: above 0.

    Returns:
        The values, ascending.

    Raises:
        SweepError: these are no three numbers, or not of this order, or make too many values.
    """
    first, last, step = plain(first), plain(last), plain(step)
    call = f"steps({shown(first)}, {shown(last)}, {shown(step)})"
    if not all(_is_finite(number) for number in (first, last, step)):
        raise SweepError([(f"{call}: needs three numbers", calling_line())])
    if step <= 0 or last < first:
        raise SweepError([(f"{call}: needs step > 0 and last >= first", calling_line())])
    if (last - first) / step >= MOST:
        raise SweepError([(f"{call}: more than {MOST:,} values", calling_line())])
    count = int((last - first) / step + 1e-9) + 1
    return [round(first + i * step, 12) for i in range(count)]


def grid(**axes: Iterable[Any]) -> Part:
    """Every combination of the axes' values, the last axis changing fastest.

    >>> for row in grid(beta=[1, 2], z=[10, 35]).rows:
    ...     print(row)
    {'beta': 1, 'z': 10}
    {'beta': 1, 'z': 35}
    {'beta': 2, 'z': 10}
    {'beta': 2, 'z': 35}
    """
    place = calling_line()
    lists = _axes("grid", axes, place)
    count = math.prod(map(len, lists.values()))
    if count > MOST:
        raise SweepError([(f"the grid has {count:,} points; at most {MOST:,} can be", place)])
    combinations = itertools.product(*lists.values()) if lists else []
    return Part("grid", lists, [dict(zip(lists, values)) for values in combinations], place)


def line(base: Mapping[str, Any] | None = None, **axes: Iterable[Any]) -> Part:
    """One axis at a time: each runs through its values while the others stay at `base`.

    A value at which two lines cross (the base itself) is one point.

    >>> for row in line(base=dict(beta=1.0, z=35), beta=[0.5, 2.0], z=[10]).rows:
    ...     print(row)
    {'beta': 0.5, 'z': 35}
    {'beta': 2.0, 'z': 35}
    {'beta': 1.0, 'z': 10}

    Args:
        base: values by setting; without it, the fixed settings of the sweep are the base.
        axes: the values of each axis.

    Returns:
        The part, axis after axis.

    Raises:
        SweepError: the base is no mapping, or an axis no list of values.
    """
    place = calling_line()
    if not isinstance(base, (Mapping, type(None))):
        wanted = "needs a mapping of settings, as in line(base=dict(beta=1.0), ...)"
        raise SweepError([(f"base = {shown(base)}: {wanted}", place)])
    lists = _axes("line", axes, place)
    start = {name: plain(value) for name, value in (base or {}).items()}
    rows = [{**start, name: value} for name, values in lists.items() for value in values]
    return Part("line", lists, rows, place)


def points(rows: Iterable[Mapping[str, Any]]) -> Part:
    """Explicit points: one mapping of settings each.

    >>> points([dict(beta=1.0, z=10), dict(beta=2.0, z=10)]).axes
    {'beta': [1.0, 2.0], 'z': [10]}

    Raises:
        SweepError: these are no mappings of settings.
    """
    place = calling_line()
    wanted = "needs a list of mappings, as in points([dict(beta=1.0), dict(beta=2.0)])"
    listed, problem = as_list(rows)
    if problem:
        raise SweepError([(f"points({shown(rows)}): {wanted}", place)])
    for number, row in enumerate(listed, 1):
        if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
            raise SweepError([(f"point {number} is {shown(row)}: {wanted}", place)])
    given = [{name: plain(value) for name, value in row.items()} for row in listed]
    axes: dict[str, dict[Any, Any]] = {}  # the values of each setting, by what tells them apart
    for row in given:
        for name, value in row.items():
            key = value if type(value) in PLAIN else repr(value)
            axes.setdefault(name, {}).setdefault(key, value)
    lists = {name: list(values.values()) for name, values in axes.items()}
    return Part("points", lists, given, place)


def as_list(values: Any) -> tuple[list[Any], str]:
    """The items of a list, range, array, generator, ... as plain Python values.

    Returns:
        The items and "", or [] and why there are none, in words.
    """
    values = plain(values)
    # the order of texts in a set differs from process to process
    if isinstance(values, (set, frozenset)):
        try:
            values = sorted(values)
        except TypeError:
            return [], "is a set, which has no order: it needs a list of values"
    try:
        items = None if isinstance(values, (str, bytes, Mapping)) else iter(values)
    except TypeError:
        items = None
    if items is None:
        return [], "is not a list of values: it needs one"
    listed = [plain(value) for value in itertools.islice(items, MOST + 1)]
    if len(listed) > MOST:
        return [], f"has more than {MOST:,} values: it needs a list of fewer"
    return listed, ""


def calling_line() -> str:
    """The line of the sweep file that called a function of this package, as in `mine.py:7`."""
    frame = _calling_frame()
    return f"{short_path(Path(frame.f_code.co_filename))}:{frame.f_lineno}"


def calling_file() -> Path:
    """The file that called a function of this package."""
    return Path(_calling_frame().f_code.co_filename)


def _calling_frame() -> FrameType:
    """The frame of the sweep file."""
    frame = sys._getframe(0)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_CALLER):
        frame = frame.f_back
    return frame


def short_path(path: Path) -> str:
    """A path as it is written from the working directory, if it lies below that."""
    with contextlib.suppress(ValueError, OSError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def _is_finite(value: Any) -> bool:
    """Whether a value is a number, neither infinite nor NaN; True and False are none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _axes(kind: str, axes: Mapping[str, Any], place: str) -> dict[str, list[Any]]:
    """The values of each axis. Raises SweepError with all that are no lists of values."""
    lists, problems = {}, []
    for name, values in axes.items():
        lists[name], problem = as_list(values)
        if problem:
            value = plain(values)
            example = shown(value) if type(value) in PLAIN else "..."
            message = f"{name} = {shown(values)} of {kind} {problem}, as in {name}=[{example}]"
            problems.append((message, place))
    if problems:
        raise SweepError(problems)
    return lists
