"""Settings on the plane of diversity and recognizability: places, distance to people, seed noise.

Pure functions of results, without torch and without figures. Reference rows (people, copies,
noise) are landmarks: means and extremes are those of the models alone. Distances are
`human_distance`, as the scores were written.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from oneshot.report.averages import over_seeds, ranking_metric
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results


def human_point(results: Results) -> tuple[float, float] | None:
    """Where people are on the plane.

    Args:
        results: The results.

    Returns:
        Diversity and recognizability (per cent) of the human rows, else those that the models were
        compared with; None if neither is known.
    """
    rows = results.references.query("model == 'human'")
    x, y = "diversity", "recognizability"
    if rows.empty:
        rows, x, y = results.points, "human_diversity", "human_recognizability"
    if not {x, y} <= set(rows) or not rows[[x, y]].notna().all(axis=1).any():
        return None
    return float(rows[x].mean()), float(rows[y].mean())


def settings_on_plane(results: Results) -> pd.DataFrame:
    """The models' settings with their places on the plane: means over seeds.

    Args:
        results: The results.

    Returns:
        The table of `over_seeds`. `diversity_se` and `recognizability_se` are those over seeds;
        where a setting has one seed, those of the point over classes and drawings, if known.
    """
    frame = over_seeds(results, results.models)
    keys = [name for name in frame.columns[: list(frame).index("seeds")] if name in results.models]
    for name in ("diversity_se", "recognizability_se"):
        if name in results.models:
            own = (
                results.models.groupby(keys, dropna=False, sort=False)[name].mean().to_numpy(float)
            )
            frame[name] = frame[name].where(frame["seeds"] > 1, own)
    return frame


def require_scores(results: Results) -> None:
    """Raise AnalysisError if no point has a place on the plane.

    That is so where drawings in colour are not scored.
    """
    if results.models.empty:
        reason = " (they have a bound on the likelihood)" if len(results.evaluated) else ""
        raise AnalysisError(f"no point has a diversity and a recognizability{reason}")


def ranking(results: Results, by: str = "human_distance") -> pd.DataFrame:
    """The models' settings by a metric, the smallest first: means over seeds.

    Args:
        results: The results.
        by: The metric.

    Returns:
        The table of `over_seeds`, without settings that lack the metric.
    """
    means = over_seeds(results, results.evaluated)
    return means.dropna(subset=by).sort_values(by, kind="stable").reset_index(drop=True)


def extremes(results: Results, by: str = "") -> dict[str, pd.Series]:
    """The points nearest to people, median and farthest.

    Settings are ranked by their mean over seeds. The point that stands for one is its seed nearest
    to that mean, not its luckiest.

    Args:
        results: The results.
        by: The metric that says how far. Default: see `ranking_metric`.

    Returns:
        Rows of points by "nearest", "median" and "farthest"; fewer of fewer than three settings.
    """
    by = by or ranking_metric(results.evaluated)
    ranked = ranking(results, by)
    last = len(ranked) - 1
    ranks = {"nearest": 0, "median": last // 2, "farthest": last}
    chosen: dict[str, pd.Series] = {}
    for name in ("nearest", "farthest", "median"):
        if last >= 0 and ranks[name] not in [ranks[other] for other in chosen]:
            rows = _points_of(results, ranked.iloc[ranks[name]]).dropna(subset=by)
            chosen[name] = rows.iloc[int(np.argmin((rows[by] - rows[by].mean()).abs()))]
    return {name: chosen[name] for name in ranks if name in chosen}


def _points_of(results: Results, setting: pd.Series) -> pd.DataFrame:
    """The models' points of one setting: all its seeds."""
    rows = results.evaluated
    keys = [key for key in ("model", *results.axes) if key in setting]
    same = [
        (rows[key] == setting[key]) | (rows[key].isna() & pd.isna(setting[key])) for key in keys
    ]
    return rows[np.logical_and.reduce(same)]


def seed_noise(results: Results) -> float:
    """The standard error of a setting's mean human distance due to its seeds.

    Args:
        results: The results.

    Returns:
        The error, pooled over settings; NaN with one seed each.
    """
    means = over_seeds(results, results.models)
    if "human_distance_se" not in means:
        return float("nan")
    return float(np.sqrt((means["human_distance_se"] ** 2).mean()))
