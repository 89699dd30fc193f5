"""The path of an axis of numbers through the plane of diversity and recognizability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from oneshot.metrics.trajectory import fit_trajectory
from oneshot.report.analysis.effects import comparable_points, is_numeric_axis
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.select import varying_axes


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
        One row a model and value, sorted by them: diversity, recognizability and human_distance,
        the number of points `n`, and `diversity_se` and `recognizability_se`: the standard errors
        of these means over seeds or, with one seed, those that follow from the points' own.

    Raises:
        AnalysisError: The axis is not one of numbers.
    """
    if axis not in results.axes or not is_numeric_axis(results, axis):
        raise AnalysisError(
            f"{axis!r} is not an axis of numbers in this sweep", f"Axes: {', '.join(results.axes)}"
        )
    rows = comparable_points(results, axis)
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


def fitted_curve(
    path: pd.DataFrame, axis: str, degree: int, samples: int = 200
) -> pd.DataFrame | None:
    """The parametric curve through one model's trajectory.

    Args:
        path: Rows of `trajectory` of one model.
        axis: Its axis.
        degree: The degree of the polynomials.
        samples: So many places along the curve.

    Returns:
        `samples` rows of axis value, diversity and recognizability; None with fewer than degree + 2
        values, as the curve would be no more than the points themselves.
    """
    if len(path) < degree + 2:
        return None
    curve = fit_trajectory(path[[axis, "diversity", "recognizability"]].to_numpy(float), degree)
    return pd.DataFrame(
        curve.at(np.linspace(0, 1, samples)), columns=[axis, "diversity", "recognizability"]
    )
