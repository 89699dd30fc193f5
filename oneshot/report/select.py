"""Which rows and columns of results are meant: filters, axes that vary, evenly spaced values."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.store.tables import DETAILS, column_names
from oneshot.sweep import filter as filters
from oneshot.sweep.definition import NULLS, REFERENCES

T = TypeVar("T")


def matching_rows(frame: pd.DataFrame, text: str, absent: Sequence[str] = ()) -> pd.Series:
    """Which rows fulfil a filter (its language: `sweep/filter.py`).

    Args:
        frame: The rows.
        text: The filter.
        absent: Columns that say nothing of these rows, so that conditions on them refuse none.

    Returns:
        bool [rows].

    Raises:
        FilterError: The filter is none, or names an unknown column; the message names near ones.
    """
    test = filters.compile(text, known=frame.columns, absent=absent)
    columns = sorted(filters.columns(text))
    cells = [
        frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in columns
    ]
    return pd.Series(
        [test(dict(zip(columns, row))) for row in zip(*cells)] if columns else test({}),
        index=frame.index,
        dtype=bool,
    )


def select(results: Results, text: str, *, keep_references: bool = False) -> Results:
    """The results of the points that fulfil a filter.

    References stay beside what is selected unless the filter refuses them by something that they
    have: people have a status and a diversity, but no beta, and they stand for all seeds and, of
    several sweeps, for all of them.

    Args:
        results: The results.
        text: The filter.
        keep_references: References stay whatever the filter says.

    Returns:
        The results with the selected points, and the rows of these points in the other tables.

    Raises:
        FilterError: The filter is none, or names an unknown column.
    """
    keep = matching_rows(results.points, text)
    references = results.points["model"].isin((*REFERENCES, *NULLS))
    if keep_references:
        keep |= references
    elif keep.any():
        keep |= _not_refused(results, results.points[references], text).reindex(
            keep.index, fill_value=False
        )
    points = results.points[keep]
    details = {name: getattr(results, name) for name in DETAILS}
    return dataclasses.replace(
        results,
        points=points,
        **{
            name: table[table["point_id"].isin(points["point_id"])]
            for name, table in details.items()
        },
    )


def _not_refused(results: Results, references: pd.DataFrame, text: str) -> pd.Series:
    """Which references a filter does not refuse by something that they have: bool [rows]."""
    named = filters.columns(text)
    shared = named & {"seed", *(["sweep"] if "sweep" in results.axes else [])}
    settings = [name for name in named - column_names() if name in references]
    rows = (references.iloc[[i]] for i in range(len(references)))
    kept = [
        matching_rows(
            row, text, [*shared, *(name for name in settings if row[name].isna().all())]
        ).all()
        for row in rows
    ]
    return pd.Series(kept, index=references.index, dtype=bool)


def varying_axes(results: Results) -> list[str]:
    """The axes that take more than one value among the models' rows.

    Args:
        results: The results.

    Returns:
        The axes in the sweep's order; `model` first if there are several models.
    """
    rows = results.requested
    candidates = ["model", *(axis for axis in results.axes if axis != "model")]
    return [axis for axis in candidates if axis in rows and rows[axis].nunique() > 1]


def known_column(frame: pd.DataFrame, name: str) -> str:
    """A name, checked to be a column.

    Args:
        frame: The table.
        name: The name.

    Returns:
        The name.

    Raises:
        AnalysisError: There is no such column; the help names near ones.
    """
    if name in frame:
        return name
    near = difflib.get_close_matches(name, list(frame.columns), 3)
    help = f"Did you mean {' or '.join(near)}?" if near else f"Columns: {', '.join(frame.columns)}"
    raise AnalysisError(f"there is no column {name!r}", help)


def evenly_spaced(items: Sequence[T], most: int) -> list[T]:
    """So many of some items, evenly spaced, with the first and the last.

    Args:
        items: The items in order.
        most: How many at most.

    Returns:
        The chosen ones; all if there are no more.
    """
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]
