"""Means over the seeds of each setting, and the metric that ranks settings."""

from __future__ import annotations

import pandas as pd

from oneshot.report.columns import EXTRA_METRICS, METRICS
from oneshot.report.results import Results, bounded, scored


def over_seeds(results: Results, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Means over the seeds: one row per model and assignment of the axes.

    Rows with neither a place on the plane nor a bound on the likelihood are left out.

    Args:
        results: The results.
        frame: The rows of points to average; all by default.

    Returns:
        The model, the axes, `seeds` (how many), and each metric with `<metric>_se`: the standard
        error of the mean over seeds, not the one within a point; empty for one seed.
    """
    frame = results.points if frame is None else frame
    frame = frame[scored(frame) | bounded(frame)]
    keys = list(dict.fromkeys(["model", *(axis for axis in results.axes if axis in frame)]))
    groups = frame.groupby(keys, dropna=False, sort=False)
    out = groups.size().rename("seeds").to_frame()
    measured = [
        *METRICS,
        "human_diversity",
        "human_recognizability",
        *(m for m in EXTRA_METRICS if m in frame and frame[m].notna().any()),
    ]
    for metric in measured:
        if metric in frame:
            out[metric] = groups[metric].mean()
            if metric in (*METRICS, *EXTRA_METRICS):
                out[f"{metric}_se"] = groups[metric].sem()
    return out.reset_index()


def ranking_metric(frame: pd.DataFrame) -> str:
    """The metric that orders rows by default; less is better.

    Args:
        frame: Rows of points, or means over seeds.

    Returns:
        `human_distance`, or `nelbo` where no drawings were scored.
    """
    scored_none = frame["human_distance"].isna().all()
    return "nelbo" if scored_none and bounded(frame).any() else "human_distance"
