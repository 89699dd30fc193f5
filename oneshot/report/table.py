"""The table of the points as it is printed and written: its rows, columns and types."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from oneshot.report.analysis.intervals import with_intervals
from oneshot.report.averages import ranking_metric
from oneshot.report.columns import COUNTS, METRICS
from oneshot.report.results import Results, several_critics
from oneshot.report.select import known_column, varying_axes
from oneshot.store.tables import (
    CLASS_LIKELIHOODS,
    DINO,
    FEW_SHOT,
    IMPORTANCE,
    LARGEST_FIRST,
    MODES,
    REMOVED,
)


def points_table(
    results: Results,
    columns: Sequence[str] = (),
    sort: str = "",
    top: int = 0,
    *,
    descending: bool = False,
    seeds_averaged: bool = False,
) -> pd.DataFrame:
    """The points, or the settings, as a sorted table.

    Args:
        results: The results.
        columns: Which columns; see `default_columns`.
        sort: The column to sort by; empty cells come last. Default: see `ranking_metric`.
        top: So many rows; 0 for all.
        descending: Worst first; largest first if `sort` says by what.
        seeds_averaged: One row a setting, see `with_intervals`.

    Returns:
        The table.

    Raises:
        AnalysisError: A column does not exist.
    """
    frame = with_intervals(results) if seeds_averaged else results.points
    by = known_column(frame, sort) if sort else ranking_metric(frame)
    chosen = [known_column(frame, name) for name in dict.fromkeys(columns)]
    chosen = chosen or default_columns(results, frame)
    if by in frame and frame[by].notna().any():
        smallest_first = descending == (not sort and by in LARGEST_FIRST)
        frame = frame.sort_values(by, ascending=smallest_first, kind="stable", na_position="last")
    return frame[chosen].head(top) if top > 0 else frame[chosen]


def default_columns(results: Results, frame: pd.DataFrame) -> list[str]:
    """The columns of a printed table.

    The most useful come first, because a narrow terminal drops columns from the right.

    Args:
        results: The results.
        frame: Their points, or their means over seeds.

    Returns:
        What varies, then metrics, the ends of their intervals and their standard errors, then the
        id. With several critics the ratio of diversity stands for diversity.
    """

    def varies(name: str) -> bool:
        return name in frame and frame[name].nunique() > 1

    wanted = [name for name in ("status", "model") if varies(name)]
    wanted += [axis for axis in varying_axes(results) if axis != "model"]
    wanted += ["seeds", "critics"] if "seeds" in frame else ["seed"] * varies("seed")
    wanted += ["critic_seed"] * varies("critic_seed")
    of_drawings = (*METRICS, *DINO, *MODES)
    others = ("nelbo", "nll", *CLASS_LIKELIHOODS, *IMPORTANCE, *REMOVED, *FEW_SHOT)
    if "classified_gain" in frame and frame["classified_gain"].notna().any():
        others = ("classified_gain", "fid", "sample_precision", "sample_recall", *others)
    candidates = tuple(dict.fromkeys((*of_drawings, *others)))
    metrics = [m for m in candidates if m in frame and frame[m].notna().any()] or list(METRICS)
    if several_critics(results) and "diversity_ratio" in metrics:
        ratio = [m for m in metrics if m == "diversity_ratio"]
        rest = [m for m in metrics if m not in ("diversity", "diversity_ratio")]
        metrics = rest[:1] + ratio + rest[1:]
    wanted += metrics
    wanted += [f"{metric}_{end}" for metric in metrics for end in ("low", "high")]
    wanted += [f"{metric}_{end}" for end in ("se", "critics") for metric in metrics]
    if "constant_drawings" in frame and frame["constant_drawings"].gt(0).any():
        wanted.append("constant_drawings")
    wanted.append("point_id")
    return [name for name in dict.fromkeys(wanted) if name in frame]


def exact_types(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """A table with whole numbers and truth values as such, also where some rows have none.

    In pandas' own columns 10 becomes 10.0 as soon as one value is missing.

    Args:
        results: The results that the table comes from.
        frame: The table.

    Returns:
        A copy with the types that are to be written.
    """
    out = frame.copy(deep=False)
    for name in [name for name in frame if name in results.whole | COUNTS]:
        if pd.api.types.is_float_dtype(frame[name]) and not (frame[name].dropna() % 1).any():
            out[name] = frame[name].astype("Int64")
    for name in [name for name in frame if name in results.truths]:
        out[name] = frame[name].astype("boolean")
    return out
