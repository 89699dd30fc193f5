"""What the results of a sweep say: pure functions of its tables (`results.py`), without torch and
without figures.

Reference rows (people, copies, noise; their axes are empty) are landmarks: they are selected and
listed like any row, but means, effects and extremes are those of the models alone. Distances are
`human_distance`, as the scores were written.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from oneshot.metrics.trajectory import fit_trajectory
from oneshot.report.results import (
    AnalysisError,
    Results,
    fit_terminal,
    load,
    over_seeds,
    ranked_by,
    select,
    table,
    varying,
)
from oneshot.sweep.definition import REFERENCES

__all__ = [
    "beyond_noise",
    "cells",
    "comparable",
    "effect",
    "extremes",
    "first_axis",
    "fit",
    "fit_terminal",
    "human_point",
    "load",
    "main_effects",
    "need_scores",
    "numeric",
    "places",
    "ranking",
    "seed_noise",
    "seeds_of",
    "select",
    "share",
    "strongest_pair",
    "table",
    "trajectory",
]

# share of an axis's values that a setting of the other axes must have been run at to be compared
# along that axis
ENOUGH = 0.5


def human_point(results: Results) -> tuple[float, float] | None:
    """Where people are: (diversity, recognizability in percent), from the human rows, else from
    what the models were compared with.
    """
    people = results.references.query("model == 'human'")
    names = (
        ["diversity", "recognizability"]
        if len(people)
        else ["human_diversity", "human_recognizability"]
    )
    rows = people if len(people) else results.points
    if not set(names) <= set(rows) or not rows[names].notna().all(axis=1).any():
        return None
    return float(rows[names[0]].mean()), float(rows[names[1]].mean())


def places(results: Results) -> pd.DataFrame:
    """The models' settings with their places on the plane, as `over_seeds` has them, each with a
    standard error.

    `diversity_se` and `recognizability_se` are those over seeds and, where a setting has one seed,
    those of the point itself, over classes and drawings, if the table has them.
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


def need_scores(results: Results) -> None:
    """Raise AnalysisError if no point has a place on the plane, as where drawings in colour are not
    scored.
    """
    if results.models.empty:
        evaluated = " (they have a bound on the likelihood)" if len(results.evaluated) else ""
        raise AnalysisError(f"no point has a diversity and a recognizability{evaluated}")


def ranking(results: Results, by: str = "human_distance") -> pd.DataFrame:
    """The models' settings by distance to people, nearest first (or by another metric), means over
    seeds (see `over_seeds`).
    """
    means = over_seeds(results, results.evaluated)
    return means.dropna(subset=by).sort_values(by, kind="stable").reset_index(drop=True)


def extremes(results: Results, by: str = "") -> dict[str, pd.Series]:
    """The points "nearest", "median" and "farthest" from people; fewer if there are fewer than
    three settings.

    by: the metric that says how far (default: the distance to people, or nelbo where no drawings
    were scored). Settings are ranked by their mean over seeds; the point that stands for one is its
    seed nearest to that mean, not its luckiest.
    """
    by = by or ranked_by(results.evaluated)
    ranked = ranking(results, by)
    last = len(ranked) - 1
    places = {"nearest": 0, "median": last // 2, "farthest": last}
    chosen: dict[str, pd.Series] = {}
    for name in ("nearest", "farthest", "median"):
        if last >= 0 and places[name] not in [places[taken] for taken in chosen]:
            rows = seeds_of(results, ranked.iloc[places[name]]).dropna(subset=by)
            chosen[name] = rows.iloc[int(np.argmin((rows[by] - rows[by].mean()).abs()))]
    return {name: chosen[name] for name in places if name in chosen}


def seeds_of(results: Results, setting: pd.Series) -> pd.DataFrame:
    """The models' rows of one setting: all its seeds."""
    rows = results.evaluated
    keys = [key for key in ("model", *results.axes) if key in setting]
    same = [
        (rows[key] == setting[key]) | (rows[key].isna() & pd.isna(setting[key])) for key in keys
    ]
    return rows[np.logical_and.reduce(same)]


def seed_noise(results: Results) -> float:
    """The standard error of a setting's mean human distance due to its seeds, pooled over settings;
    NaN with one seed each.
    """
    means = over_seeds(results, results.models)
    return (
        float(np.sqrt((means["human_distance_se"] ** 2).mean()))
        if "human_distance_se" in means
        else float("nan")
    )


# ---- effects of axes
# -----------------------------------------------------------------------------


def numeric(results: Results, axis: str) -> bool:
    """Whether an axis has an order: its values are numbers, not texts or truth values."""
    return pd.api.types.is_numeric_dtype(results.points[axis]) and not pd.api.types.is_bool_dtype(
        results.points[axis]
    )


def comparable(results: Results, axis: str) -> pd.DataFrame:
    """The models' rows that can be compared along an axis: those whose other axes were run at
    (nearly) all of its values.

    On a full grid these are all rows; of a sweep of one axis at a time, the line of that axis.
    Otherwise a mean over the rest would mix, at the base value, the points of every other line.
    """
    rows = results.models.dropna(subset=axis)
    others = [key for key in ("model", *results.axes) if key != axis]
    if rows.empty:
        return rows
    counts = rows.groupby(others, dropna=False)[axis].transform("nunique")
    return rows[counts >= max(1, ENOUGH * counts.max())]


def effect(results: Results, axis: str, metric: str) -> pd.DataFrame:
    """The main effect of an axis: one row per value with the mean over the rest, `<metric>_se`
    (over seeds) and `n` (points).
    """
    rows = comparable(results, axis).dropna(subset=metric)
    by_seed = rows.groupby([axis, "seed"])[metric].mean().groupby(axis)
    out = pd.DataFrame(
        {
            metric: rows.groupby(axis)[metric].mean(),
            f"{metric}_se": by_seed.sem(),
            "n": rows.groupby(axis).size(),
        }
    )
    return out.reset_index()


def share(results: Results, keys: Sequence[str], metric: str = "human_distance") -> float:
    """The share of a metric's variance over all points that lies between the values of one axis, or
    the cells of several (0 .. 1).
    """
    rows = (comparable(results, keys[0]) if len(keys) == 1 else results.models).dropna(
        subset=[*keys, metric]
    )
    spread = results.models[metric].var(ddof=0)
    if rows.empty or not spread > 0:
        return 0.0
    between = rows.groupby(list(keys))[metric].transform("mean").var(ddof=0)
    return float(min(1.0, between * len(rows) / (spread * results.models[metric].count())))


def beyond_noise(means: pd.DataFrame, metric: str) -> bool:
    """Whether an effect's range exceeds twice the standard error over seeds (True with one seed:
    there is no noise to compare).
    """
    noise = float(np.sqrt((means[f"{metric}_se"] ** 2).mean()))
    return not (means[metric].max() - means[metric].min() < 2 * noise)


def main_effects(results: Results, metric: str = "human_distance") -> pd.DataFrame:
    """One row per axis that varies: `axis`, `share` of the metric's variance, and `range` of its
    means; the strongest first.
    """
    rows = []
    for axis in varying(results):
        means = effect(results, axis, metric)[metric]
        rows.append(
            {
                "axis": axis,
                "share": share(results, [axis], metric),
                "range": means.max() - means.min(),
            }
        )
    return pd.DataFrame(rows, columns=["axis", "share", "range"]).sort_values(
        "share", ascending=False, kind="stable", ignore_index=True
    )


def strongest_pair(
    results: Results, metric: str = "human_distance"
) -> tuple[str, str, float] | None:
    """The two axes whose cells explain most variance, and how much of it their interaction adds to
    the sum of the two (0 .. 1).

    None if no two axes were crossed. What was asked for says so, with a score or without: one axis
    at a time asks for a + b - 1 of a x b cells; of the rest at least half must have been asked for,
    or all cells but one.
    """
    best: tuple[float, str, str] | None = None
    for a, b in itertools.combinations(varying(results), 2):
        asked = _asked(results).dropna(subset=[a, b])
        filled = asked.groupby([a, b]).ngroups
        wide, high = asked[a].nunique(), asked[b].nunique()
        crossed = (
            filled - (wide + high - 1) >= ENOUGH * (wide - 1) * (high - 1)
            or filled >= wide * high - 1
        )
        shown = results.models.dropna(subset=[a, b, metric])
        if crossed and min(shown[a].nunique(), shown[b].nunique()) > 1:
            joint = share(results, [a, b], metric)
            if best is None or joint > best[0]:
                best = (joint, a, b)
    if best is None:
        return None
    return (
        best[1],
        best[2],
        max(0.0, best[0] - share(results, [best[1]], metric) - share(results, [best[2]], metric)),
    )


def _asked(results: Results) -> pd.DataFrame:
    """The rows of all points of models, also of those that failed."""
    return results.points[~results.points["model"].isin(REFERENCES)]


def cells(results: Results, a: str, b: str, metric: str = "human_distance") -> pd.DataFrame:
    """The mean of a metric at each value of b (rows) and a (columns), NaN where nothing was scored;
    both have all values asked for.
    """
    asked = _asked(results).dropna(subset=[a, b])
    found = results.models.pivot_table(index=b, columns=a, values=metric, aggfunc="mean")
    return found.reindex(
        index=pd.Index(sorted(asked[b].unique()), name=b),
        columns=pd.Index(sorted(asked[a].unique()), name=a),
    )


def first_axis(results: Results) -> str | None:
    """The axis to draw a trajectory over: beta if it varies, else the first axis of numbers that
    does.
    """
    ordered = [axis for axis in varying(results) if numeric(results, axis)]
    return "beta" if "beta" in ordered else next(iter(ordered), None)


def trajectory(results: Results, axis: str) -> pd.DataFrame:
    """The path of each model along an axis: per model and value the mean of the metrics over the
    rest, and `n` points.

    `diversity_se` and `recognizability_se` are the standard errors of these means: over seeds, or
    with one seed, where the table has them, of its points. Sorted by model and value. Raises
    AnalysisError if the axis is not one of numbers.
    """
    if axis not in results.axes or not numeric(results, axis):
        raise AnalysisError(
            f"{axis!r} is not an axis of numbers in this sweep", f"Axes: {', '.join(results.axes)}"
        )
    rows = comparable(results, axis)
    groups = rows.groupby(["model", axis])
    means = groups[["diversity", "recognizability", "human_distance"]].mean()
    for name in ("diversity", "recognizability"):
        error = rows.groupby(["model", axis, "seed"])[name].mean().groupby(["model", axis]).sem()
        if f"{name}_se" in rows:  # of a mean of n independent numbers
            own = groups[f"{name}_se"].agg(
                lambda part: float(np.sqrt((part.astype(float) ** 2).sum(skipna=False)) / len(part))
            )
            error = error.fillna(own)
        means[f"{name}_se"] = error
    return means.assign(n=groups.size()).reset_index()


def fit(path: pd.DataFrame, axis: str, degree: int, samples: int = 200) -> pd.DataFrame | None:
    """The parametric curve through one model's trajectory: `samples` rows of axis value, diversity
    and recognizability.

    None with too few values to be more than the points themselves (degree + 2).
    """
    if len(path) < degree + 2:
        return None
    curve = fit_trajectory(path[[axis, "diversity", "recognizability"]].to_numpy(float), degree)
    return pd.DataFrame(
        curve.at(np.linspace(0, 1, samples)), columns=[axis, "diversity", "recognizability"]
    )
