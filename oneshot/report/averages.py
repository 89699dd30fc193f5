"""Means over the seeds of each setting, and the metric that ranks settings."""

from __future__ import annotations

import pandas as pd

from oneshot.report.columns import EXTRA_METRICS, METRICS
from oneshot.report.results import Results, measured


def measured_rows(results: Results, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows that were measured in any way.

    Args:
        results: The results.
        frame: Rows of points; all by default.

    Returns:
        Those of them that were measured.
    """
    frame = results.points if frame is None else frame
    return frame[measured(frame)]


def setting_keys(results: Results, frame: pd.DataFrame) -> list[str]:
    """The columns that say of which setting a row is.

    Args:
        results: The results.
        frame: Rows of points.

    Returns:
        The model and the axes.
    """
    return list(dict.fromkeys(["model", *(axis for axis in results.axes if axis in frame)]))


def over_seeds(results: Results, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Means over the seeds: one row per model and assignment of the axes.

    Rows that `measured_rows` leaves out are left out. Where several critics scored the same
    drawings, means are over these too.

    Args:
        results: The results.
        frame: The rows of points to average; all by default.

    Returns:
        The model, the axes, `seeds` (how many), and each metric with `<metric>_se`: the standard
        error of the mean over seeds, not the one within a point; empty for one seed. With several
        critics, `critics` (how many) and `<metric>_critics`: the standard deviation over critics.
    """
    frame = measured_rows(results, frame)
    keys = setting_keys(results, frame)
    groups = frame.groupby(keys, dropna=False, sort=False)
    number = groups.ngroup()
    out = groups["seed"].nunique().rename("seeds").to_frame()
    critics = frame.get("critic_seed")
    if critics is not None and critics.nunique() > 1:
        out["critics"] = groups["critic_seed"].nunique()
    extra = (*EXTRA_METRICS, *results.own_metrics)
    metrics = [
        *METRICS,
        "human_diversity",
        "human_recognizability",
        *(m for m in extra if m in frame and frame[m].notna().any()),
    ]
    for metric in metrics:
        if metric in frame:
            out[metric] = groups[metric].mean()
            if metric in (*METRICS, *extra):
                by_seed = frame[metric].groupby([number, frame["seed"]]).mean()
                out[f"{metric}_se"] = by_seed.groupby(level=0).sem().to_numpy()
                if "critics" in out:
                    by_critic = frame[metric].groupby([number, critics]).mean()
                    out[f"{metric}_critics"] = by_critic.groupby(level=0).std().to_numpy()
    return out.reset_index()


def ranking_metric(frame: pd.DataFrame) -> str:
    """The metric that orders rows by default; less is better, unless it is in `LARGEST_FIRST`.

    Args:
        frame: Rows of points, or means over seeds.

    Returns:
        `human_distance`; where there is none, the first that is there of `mode_distance` (of
        points), `nelbo`, `hits_missing` and `classified_gain`.
    """
    if frame["human_distance"].notna().any():
        return "human_distance"
    others = (
        name
        for name in ("mode_distance", "nelbo", "hits_missing", "classified_gain")
        if name in frame
    )
    return next((name for name in others if frame[name].notna().any()), "human_distance")
