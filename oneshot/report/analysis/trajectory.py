"""The path of an axis of numbers through the plane of diversity and recognizability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from oneshot.metrics.trajectory import fit_trajectory
from oneshot.report.analysis.chance import difference_p, seed_noise
from oneshot.report.analysis.effects import comparable_points, is_numeric_axis, value_means
from oneshot.report.analysis.intervals import RATIO, Scores, columns_of_bounds, group_places
from oneshot.report.analysis.resampling import CHANCE
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.select import varying_axes

PLACE = ("diversity", "recognizability", "human_distance")


def default_axis(results: Results) -> str | None:
    """The axis to draw a trajectory over: beta if it varies, else the first axis of numbers.

    Args:
        results: The results.

    Returns:
        The axis; None if no axis of numbers varies.
    """
    ordered = [axis for axis in varying_axes(results) if is_numeric_axis(results, axis)]
    return "beta" if "beta" in ordered else next(iter(ordered), None)


def trajectory(results: Results, axis: str) -> pd.DataFrame:
    """The path of each model along an axis: the mean over the rest at each value.

    Args:
        results: The results.
        axis: An axis of numbers.

    Returns:
        One row a model and value, sorted by them: diversity, recognizability, human_distance and,
        if known, diversity_ratio, each with `_se` (over seeds), `_low` and `_high` (95 % interval
        over classes and seeds), and the number of points `n`.

    Raises:
        AnalysisError: The axis is not one of numbers.
    """
    if axis not in results.axes or not is_numeric_axis(results, axis):
        raise AnalysisError(
            f"{axis!r} is not an axis of numbers in this sweep", f"Axes: {', '.join(results.axes)}"
        )
    rows = comparable_points(results, axis).sort_values(["model", axis], kind="stable")
    groups = rows.groupby(["model", axis])
    metrics = [name for name in (*PLACE, RATIO) if name in rows]
    means = groups[metrics].mean()
    scores, places = Scores(results, rows), group_places(rows, ["model", axis])
    for name in metrics:
        by_seed = rows.groupby(["model", axis, "seed"])[name].mean()
        means[f"{name}_se"] = by_seed.groupby(["model", axis]).sem()
        ends = [scores.mean(name, at).bounds(name) for at in places]
        means = means.assign(**columns_of_bounds(name, ends))
    return means.assign(n=groups.size()).reset_index()


def direction(results: Results, axis: str, metric: str) -> int:
    """Which way a metric goes from the first value of an axis to the last.

    Args:
        results: The results.
        axis: The axis.
        metric: The metric.

    Returns:
        1 if it rises, -1 if it falls, 0 if the two ends differ by no more than chance.
    """
    means = value_means(results, axis, metric)[1]
    if (
        len(means) < 2
        or not difference_p(means[0], means[-1], seed_noise(results, metric)) < CHANCE
    ):
        return 0
    return 1 if means[-1].value > means[0].value else -1


def fitted_curve(
    path: pd.DataFrame, axis: str, degree: int, x: str = "diversity", samples: int = 200
) -> pd.DataFrame | None:
    """The parametric curve through one model's trajectory.

    Args:
        path: Rows of `trajectory` of one model.
        axis: Its axis.
        degree: The degree of the polynomials.
        x: The column that lies across.
        samples: So many places along the curve.

    Returns:
        `samples` rows of axis value, x and recognizability; None with fewer than degree + 2
        values, as the curve would be no more than the points themselves.
    """
    if len(path) < degree + 2:
        return None
    curve = fit_trajectory(path[[axis, x, "recognizability"]].to_numpy(float), degree)
    return pd.DataFrame(curve.at(np.linspace(0, 1, samples)), columns=[axis, x, "recognizability"])
