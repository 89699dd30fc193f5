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


class Cell(NamedTuple):
    """One panel of a table of panels: a point, and where it stands.

    Attributes:
        row: The value of the axis down the table; the name of a reference.
        column: The value of the axis across.
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


def two_axes(results: Results) -> tuple[str, str]:
    """The axes down and across a table of panels.

    Across is the split if it varies. Down is the axis with the most values of the others.

    Args:
        results: The results.

    Returns:
        Their names; "" where there is none.
    """
    rows = results.evaluated
    counts = {
        axis: rows[axis].nunique() for axis in varying_axes(results) if rows[axis].nunique() > 1
    }
    across = SPLIT if SPLIT in counts else ""
    others = sorted((a for a in counts if a != SPLIT), key=lambda a: -counts[a])
    down = others[0] if others else ""
    if not across and len(others) > 1:
        across = others[1]
    return down, across


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
    """The mean of a metric for each removed mode across, and each value of an axis down.

    Args:
        results: The results.
        metric: A column of the points.

    Returns:
        Modes in the order of the data; references are lines of their own, below.

    Raises:
        AnalysisError: No mode was removed from any point, or the metric is of none.
    """
    require_modes(results)
    names = removed_names(results)
    down, _ = two_axes(results)
    rows = pd.concat([results.evaluated, results.nulls])
    rows = rows.assign(removed_mode=rows["point_id"].map(names)).dropna(subset="removed_mode")
    if rows.empty or metric not in rows or rows[metric].isna().all():
        raise AnalysisError("no mode was left out of training")
    model = rows["point_id"].isin(results.evaluated["point_id"])
    line = rows[down or "model"].astype(object).where(model, rows["model"])
    table = rows.assign(line=line).pivot_table(
        index="line", columns="removed_mode", values=metric, aggfunc="mean", sort=False
    )
    order = [name for name in results.modes["mode"].unique() if name in table]
    last = [name for name in results.nulls["model"].unique() if name in table.index]
    first = [value for value in table.index if value not in last]
    if all(isinstance(value, (int, float, np.number)) for value in first):
        first = sorted(first)
    return table.loc[[*first, *last], order]


def panel_points(results: Results, most_rows: int, most_columns: int) -> list[Cell]:
    """The points of a table of panels: of each pair of values the first seed.

    Other axes stand at their first value.

    Args:
        results: The results.
        most_rows: So many values down at most.
        most_columns: So many values across at most.

    Returns:
        The cells, row after row; those of references last.
    """
    down, across = two_axes(results)
    rows = results.evaluated
    for axis in varying_axes(results):
        if axis not in (down, across):
            rows = rows[rows[axis] == rows[axis].iloc[0]]

    def values(axis: str) -> list[object]:
        return sorted(rows[axis].unique()) if axis else [""]

    lines = evenly_spaced(values(down), most_rows)
    columns = evenly_spaced(values(across), most_columns)
    cells = []
    for value in lines:
        for other in columns:
            of_row = rows[rows[down] == value] if down else rows
            chosen = of_row[of_row[across] == other] if across else of_row
            if len(chosen):
                cells.append(
                    Cell(
                        f"{down} {value_text(value)}" if down else "",
                        value_text(other) if across else "",
                        chosen.sort_values("seed", kind="stable").iloc[0],
                    )
                )
    nulls = results.nulls
    for name in nulls["model"].unique():
        of_null = nulls[nulls["model"] == name]
        for other in columns:
            chosen = of_null[of_null[across] == other] if across == SPLIT else of_null
            if len(chosen):
                cells.append(Cell(str(name), value_text(other) if across else "", chosen.iloc[0]))
    return cells
