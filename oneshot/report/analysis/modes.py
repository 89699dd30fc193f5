"""Points of the plane: which mode each model was not shown, and what hits it.

Pure functions of results, without figures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced, varying_axes
from oneshot.report.text import value_text

SPLIT = "split"  # the axis that says which mode is removed
LINES = 15  # of a heat map at most, references aside


class Cell(NamedTuple):
    """One panel of a table of panels: a point, and where it stands.

    Attributes:
        row: The settings of its line; the name of a reference.
        column: What stands above its column.
        point: Its row of the points.
    """

    row: str
    column: str
    point: pd.Series


def require_modes(results: Results) -> pd.DataFrame:
    """The table of modes of these results; AnalysisError if no drawing is a point of the plane."""
    if results.modes.empty or results.evaluated.empty:
        raise AnalysisError("no drawings are points of the plane")
    return results.modes


def modes_of_point(results: Results, point_id: str) -> pd.DataFrame:
    """The modes of one point, in the order of its data.

    Args:
        results: The results.
        point_id: The id of the point.

    Returns:
        Rows of the table of modes.
    """
    return results.modes[results.modes["point_id"] == point_id]


def removed_names(results: Results) -> pd.Series:
    """The name of the mode that each point was not shown, by point_id; points without are left out.

    Returns:
        Text, by point_id.
    """
    removed = results.modes[results.modes["removed"] == 1]
    return removed.drop_duplicates("point_id").set_index("point_id")["mode"]


def across_axis(results: Results) -> str:
    """The axis across a table of panels: the split if it varies, else none, ""."""
    return SPLIT if SPLIT in varying_axes(results) else ""


def line_axes(results: Results, most: int) -> list[str]:
    """The axes whose settings are the lines of a table of panels, where the split lies across.

    Args:
        results: The results.
        most: So many lines at most.

    Returns:
        All other axes that vary; of too many settings the one with the most values.
    """
    rows = results.evaluated
    axes = [a for a in varying_axes(results) if a != SPLIT and rows[a].nunique() > 1]
    if axes and len(rows.drop_duplicates(axes)) > most:
        return [max(axes, key=lambda axis: rows[axis].nunique())]
    return axes


def with_lines(rows: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    """Rows of points in the order of their lines, with the text of the line in `line`.

    Args:
        rows: Rows of points of models.
        axes: See `line_axes`.

    Returns:
        The rows; without an axis the model is the line.
    """
    if not axes:
        return rows.assign(line=rows["model"].astype(str))
    rows = rows.sort_values(axes, kind="stable")
    texts = [
        rows[axis].map(lambda value, axis=axis: f"{axis} {value_text(value)}") for axis in axes
    ]
    line = texts[0]
    for text in texts[1:]:
        line = line + "\n" + text
    return rows.assign(line=line)


def null_hits(results: Results) -> dict[str, float]:
    """The mean share of each reference that hits the removed mode, by its name.

    Args:
        results: The results.

    Returns:
        Shares; nothing of references that were not scored.
    """
    rows = results.nulls
    if "hits_missing" not in rows:
        return {}
    means = rows.groupby("model", sort=False)["hits_missing"].mean().dropna()
    return {str(name): float(value) for name, value in means.items()}


def cell_table(results: Results, metric: str) -> pd.DataFrame:
    """The mean of a metric for each removed mode across, and each line of settings down.

    Args:
        results: The results.
        metric: A column of the points.

    Returns:
        Modes in the order of the data; references are lines of their own, below.

    Raises:
        AnalysisError: No mode was removed from any point, or the metric is of none.
    """
    require_modes(results)
    own = with_lines(results.evaluated, line_axes(results, LINES))
    rows = pd.concat([own, with_lines(results.nulls, [])])
    removed = rows["point_id"].map(removed_names(results))
    rows = rows.assign(removed_mode=removed).dropna(subset="removed_mode")
    if rows.empty or metric not in rows or rows[metric].isna().all():
        raise AnalysisError("no mode was left out of training")
    table = rows.pivot_table(index="line", columns="removed_mode", values=metric, aggfunc="mean")
    order = [name for name in results.modes["mode"].unique() if name in table]
    return table.loc[[line for line in rows["line"].unique() if line in table.index], order]


def panel_points(results: Results, most_lines: int, most_columns: int) -> list[Cell]:
    """The points of a table of panels: of each line and column the first seed.

    Axes that are in neither stand at the values that go with most lines.

    Args:
        results: The results.
        most_lines: So many lines at most, references aside.
        most_columns: So many columns at most.

    Returns:
        The cells, line after line; those of references last.
    """
    axes, across = line_axes(results, most_lines), across_axis(results)
    own = with_lines(_at_one_setting(results, axes), axes)
    nulls = with_lines(results.nulls, [])
    columns = evenly_spaced(sorted(own[across].unique()), most_columns) if across else [""]
    cells = []
    for rows, most in ((own, most_lines), (nulls, len(nulls))):
        for line in evenly_spaced(list(rows["line"].unique()), most):
            for column in columns:
                chosen = rows[rows["line"] == line]
                chosen = chosen[chosen[across] == column] if across else chosen
                if len(chosen):
                    point = chosen.sort_values("seed", kind="stable").iloc[0]
                    cells.append(Cell(line, _heading(results, across, point), point))
    return cells


def other_axes(results: Results, most_lines: int) -> list[str]:
    """The axes that `panel_points` holds at one value.

    Args:
        results: The results.
        most_lines: As of `panel_points`.

    Returns:
        Their names.
    """
    shown = {*line_axes(results, most_lines), across_axis(results)}
    rows = results.evaluated
    return [a for a in varying_axes(results) if a not in shown and rows[a].nunique() > 1]


def _at_one_setting(results: Results, axes: list[str]) -> pd.DataFrame:
    """The models' rows at those values of the other axes that go with most lines."""
    rows = results.evaluated
    others = [a for a in varying_axes(results) if a not in (*axes, SPLIT) and rows[a].nunique() > 1]
    if not others or not axes:
        return rows
    counts = rows.groupby(others, sort=False)[axes[0]].nunique()
    chosen = counts.idxmax()
    values = chosen if isinstance(chosen, tuple) else (chosen,)
    return rows[np.logical_and.reduce([rows[a] == v for a, v in zip(others, values)])]


def _heading(results: Results, across: str, point: pd.Series) -> str:
    """What stands above a column: the mode left out, or the split."""
    if not across:
        return ""
    gone = removed_names(results).get(point["point_id"])
    return f"without {gone}" if gone else value_text(point[across])
