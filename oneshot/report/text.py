"""Values, settings and tables of results as text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from oneshot.report.columns import DECIMALS
from oneshot.report.results import Results
from oneshot.report.select import varying_axes

ENDINGS = ("_se", "_low", "_high", "_critics")  # of what is said of a metric


def value_text(value: Any) -> str:
    """A setting's value as people write it: 60, 0.25, weak; an empty one is `-`."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return "-"
    if isinstance(value, (int, float, np.number)):
        number = float(value)
        return f"{number:.0f}" if abs(number) < 1e15 and number.is_integer() else f"{number:.6g}"
    return str(value)


def plus_minus(value: float, error: float, sign: str = "±") -> str:
    """A number and its standard error, as `0.3400 ± 0.0047`.

    Args:
        value: The number.
        error: Its standard error; the number stands alone if it is negative or not finite.
        sign: What stands between them.

    Returns:
        The text, with two digits of the error and at least two after the point.
    """
    if not error >= 0 or not math.isfinite(error):
        return f"{value:.2f}"
    decimals = max(2, 1 - math.floor(math.log10(error))) if error > 0 else 2
    return f"{value:.{decimals}f} {sign} {error:.{decimals}f}"


def with_interval(value: float, bounds: tuple[float, float]) -> str:
    """A number and its 95 % interval, as `0.61 [0.55, 0.70]`.

    Args:
        value: The number.
        bounds: The ends of the interval; the number stands alone if they are not known.

    Returns:
        The text, with at least two digits after the point and two of the interval's width.
    """
    width = bounds[1] - bounds[0]
    if not math.isfinite(width):
        return f"{value:.2f}"
    decimals = max(2, 1 - math.floor(math.log10(width))) if width > 0 else 2
    return f"{value:.{decimals}f} [{bounds[0]:.{decimals}f}, {bounds[1]:.{decimals}f}]"


def two_numbers(one: float, other: float) -> tuple[str, str]:
    """Two numbers as texts that differ, with two digits after the point or as many as it takes.

    Args:
        one: A number.
        other: Another.

    Returns:
        Both texts, with the same number of digits, at most six; two where these do not tell them
        apart.
    """
    pairs = [(f"{one:.{digits}f}", f"{other:.{digits}f}") for digits in range(2, 7)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])


def setting_text(results: Results, row: pd.Series) -> str:
    """What distinguishes a setting, in words: `beta 1.75, time_steps 60`.

    Args:
        results: The results.
        row: A row with the model and the axes.

    Returns:
        The axes that vary and their values; the model if none does.
    """
    given = [axis for axis in varying_axes(results) if value_text(row[axis]) != "-"]
    parts = [
        str(row[axis]) if axis == "model" else f"{axis} {value_text(row[axis])}" for axis in given
    ]
    return ", ".join(parts) or str(row["model"])


def fit_terminal(frame: pd.DataFrame, width: int | None) -> tuple[str, list[str]]:
    """A table as aligned text; whole columns are left out, from the right, for the width.

    Args:
        frame: The table.
        width: The most characters of a line; None: any number.

    Returns:
        The text, and the names of the columns left out. The first column always stays.
    """
    columns, kept, used = [_aligned(name, frame[name]) for name in frame.columns], 0, -2
    for cells in columns:
        used += len(cells[0]) + 2
        if width is not None and kept and used > width:
            break
        kept += 1
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns[:kept])]
    return "\n".join(lines), [str(name) for name in frame.columns[kept:]]


def _aligned(name: str, values: pd.Series) -> list[str]:
    """A column as text: its header and cells, padded to one width, numbers to the right."""
    metric = name.removeprefix("human_")
    for ending in ENDINGS:
        metric = metric.removesuffix(ending)
    decimals = DECIMALS.get(metric)
    if decimals is not None and name.endswith(("_se", "_critics")):
        decimals += 1
    if decimals is None or not pd.api.types.is_numeric_dtype(values):
        cells = [value_text(value).split("\n")[0][:60] for value in values]
    else:
        cells = ["-" if pd.isna(value) else f"{value:.{decimals}f}" for value in values]
    width = max(map(len, [name, *cells]))
    numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in [name, *cells]]
