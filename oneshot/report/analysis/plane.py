"""Settings on the plane of diversity and recognizability: places, people, units, extremes.

Pure functions of results, without torch and without figures. Reference rows (people, copies,
noise) are landmarks: means and extremes are those of the models alone. Distances are
`human_distance`, as the scores were written.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from oneshot.metrics.distance import human_distance
from oneshot.report.analysis.intervals import RATIO, with_intervals
from oneshot.report.averages import over_seeds, ranking_metric
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results, bounded, several_critics
from oneshot.store.tables import LARGEST_FIRST


def across(results: Results) -> str:
    """The column that lies across: diversity, or its multiple of people's with several critics."""
    return RATIO if several_critics(results) and RATIO in results.points else "diversity"


def human_point(results: Results) -> tuple[float, float] | None:
    """Where people are on the plane.

    Args:
        results: The results.

    Returns:
        Diversity (a multiple of people's with several critics) and recognizability (per cent) of
        the human rows, else those that the models were compared with; None if neither is known.
    """
    rows = results.references.query("model == 'human'")
    x, y = across(results), "recognizability"
    if rows.empty and "human_diversity" in results.points:
        rows = results.points.assign(**{RATIO: results.points["human_diversity"].notna() * 1.0})
        x, y = (x if x == RATIO else "human_diversity"), "human_recognizability"
    if not {x, y} <= set(rows) or not rows[[x, y]].notna().all(axis=1).any():
        return None
    return float(rows[x].mean()), float(rows[y].mean())


def plane_units(results: Results) -> tuple[float, float]:
    """How long a distance to people of 1 is on the plane, across and up.

    Args:
        results: The results, with people's point.

    Returns:
        In units of the two axes of the plane, the mean over critics; NaN if people's point is not
        known.
    """
    names = ["human_diversity", "human_recognizability"]
    if not set(names) <= set(results.points):
        return float("nan"), float("nan")
    rows = results.points.query("human_diversity > 0")[names].dropna()
    people = rows.drop_duplicates().to_numpy(float)
    ratio = across(results) == RATIO
    wide = [1 / human_distance(x + 1, y, x, y) / (x if ratio else 1) for x, y in people]
    high = [1 / human_distance(x, y + 1, x, y) for x, y in people]
    return (float(np.mean(wide)), float(np.mean(high))) if wide else (float("nan"),) * 2


def settings_on_plane(results: Results) -> pd.DataFrame:
    """The models' settings with their places on the plane: means over seeds.

    Args:
        results: The results.

    Returns:
        The table of `over_seeds` with the intervals of `with_intervals`.
    """
    return with_intervals(results, results.models)


def require_scores(results: Results) -> None:
    """Raise AnalysisError if no point has a place on the plane.

    That is so of drawings in grey and in colour, and of points.
    """
    if results.models.empty:
        reason = ""
        if len(results.evaluated):
            others = bounded(results.evaluated).any()
            what = "a bound on the likelihood" if others else "classes or modes instead"
            reason = f" (they have {what})"
        raise AnalysisError(f"no point has a diversity and a recognizability{reason}")


def ranking(results: Results, by: str = "human_distance") -> pd.DataFrame:
    """The models' settings by a metric, the best first: means over seeds.

    Args:
        results: The results.
        by: The metric; the smallest is the best, unless it is in LARGEST_FIRST.

    Returns:
        The table of `over_seeds`, without settings that lack the metric.
    """
    means = over_seeds(results, results.evaluated)
    ranked = means.dropna(subset=by)
    ranked = ranked.sort_values(by, ascending=by not in LARGEST_FIRST, kind="stable")
    return ranked.reset_index(drop=True)


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
