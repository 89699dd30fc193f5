"""What each axis does to a metric: main effects, shares of variance, and the interaction of two."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from oneshot.report.analysis.chance import contrast_p, seed_noise
from oneshot.report.analysis.design import design, design_of, shares, sum_of_squares
from oneshot.report.analysis.intervals import (
    DISTANCE,
    Mean,
    Scores,
    columns_of_bounds,
    group_places,
)
from oneshot.report.results import Results
from oneshot.report.select import varying_axes

# share of an axis's values that a setting of the other axes must have been run at to be compared
# along that axis
ENOUGH = 0.5


def is_numeric_axis(results: Results, axis: str) -> bool:
    """Whether an axis has an order: its values are numbers, not texts or truth values.

    Args:
        results: The results.
        axis: The axis.

    Returns:
        Whether it has.
    """
    values = results.points[axis]
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def comparable_points(results: Results, axis: str) -> pd.DataFrame:
    """The models' rows whose other axes were run at (nearly) all values of an axis.

    On a full grid these are all rows; of a sweep of one axis at a time, the line of that axis.
    Otherwise a mean over the rest would mix, at the base value, the points of every other line.

    Args:
        results: The results.
        axis: The axis along which to compare.

    Returns:
        The rows.
    """
    rows = results.models.dropna(subset=axis)
    others = [key for key in ("model", *results.axes) if key != axis]
    if rows.empty:
        return rows
    counts = rows.groupby(others, dropna=False)[axis].transform("nunique")
    return rows[counts >= max(1, ENOUGH * counts.max())]


def value_means(results: Results, axis: str, metric: str) -> tuple[list[Any], list[Mean]]:
    """The mean of a metric over the rest at each value of an axis.

    Args:
        results: The results.
        axis: The axis.
        metric: The metric.

    Returns:
        The values in order, and the means.
    """
    rows = comparable_points(results, axis).dropna(subset=metric).sort_values(axis, kind="stable")
    scores = Scores(results, rows)
    places = group_places(rows, [axis])
    return [rows[axis].iloc[at[0]] for at in places], [scores.mean(metric, at) for at in places]


def main_effect(results: Results, axis: str, metric: str) -> pd.DataFrame:
    """The main effect of an axis: the mean over the rest at each of its values.

    Args:
        results: The results.
        axis: The axis.
        metric: The metric.

    Returns:
        One row a value: the axis, the metric, `<metric>_se` (over seeds), `<metric>_low` and
        `<metric>_high` (95 % interval over classes and seeds) and `n` (points).
    """
    rows = comparable_points(results, axis).dropna(subset=metric)
    by_seed = rows.groupby([axis, "seed"])[metric].mean().groupby(axis)
    ends = [mean.bounds(metric) for mean in value_means(results, axis, metric)[1]]
    out = pd.DataFrame(
        {
            metric: rows.groupby(axis)[metric].mean(),
            f"{metric}_se": by_seed.sem(),
            **columns_of_bounds(metric, ends),
            "n": rows.groupby(axis).size(),
        }
    )
    return out.reset_index()


def effect_p(results: Results, axis: str, metric: str) -> float:
    """The p value of an axis's main effect, see `chance.contrast_p`.

    Args:
        results: The results.
        axis: The axis.
        metric: The metric.

    Returns:
        p; NaN where neither classes nor seeds tell of an error.
    """
    return contrast_p(value_means(results, axis, metric)[1], seed_noise(results, metric))


def main_effects(results: Results, metric: str = DISTANCE) -> pd.DataFrame:
    """How strongly each axis that varies acts on a metric.

    Args:
        results: The results.
        metric: The metric.

    Returns:
        One row an axis, the strongest first: `axis`, `share` of the metric's variance (0 to 1; see
        `design.shares`) and `range` of its means. Axes that were never varied apart have no share
        of their own; `confounded_with` names the others, `joint_share` is that of all of them.
    """
    values = results.models[metric].dropna().to_numpy(float)
    plan = design_of(results, metric)
    by_group = shares(plan, values)
    rows = []
    for group in plan.groups:
        for axis in group:
            means = comparable_points(results, axis).groupby(axis)[metric].mean()
            rows.append(
                {
                    "axis": axis,
                    "share": by_group[group] if len(group) == 1 else np.nan,
                    "range": means.max() - means.min(),
                    "confounded_with": ", ".join(plan.confounded_with(axis)),
                    "joint_share": by_group[group],
                }
            )
    columns = ["axis", "share", "range", "confounded_with", "joint_share"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        "joint_share", ascending=False, kind="stable", ignore_index=True
    )


def strongest_pair(results: Results, metric: str = DISTANCE) -> tuple[str, str, float] | None:
    """The two crossed axes whose cells explain most variance.

    Two axes are crossed if, of the a x b cells that were asked for (with a score or without),
    there are more than the a + b - 1 that a sweep of one axis at a time asks for: at least half
    of the rest, or all cells but one.

    Args:
        results: The results.
        metric: The metric.

    Returns:
        The two axes, and how much of the variance their interaction adds to the sum of the two
        (0 to 1); None if no two axes were crossed.
    """
    best: tuple[float, str, str] | None = None
    for a, b in itertools.combinations(varying_axes(results), 2):
        asked = results.requested.dropna(subset=[a, b])
        filled = asked.groupby([a, b]).ngroups
        wide, high = asked[a].nunique(), asked[b].nunique()
        beyond_lines = filled - (wide + high - 1)
        crossed = beyond_lines >= ENOUGH * (wide - 1) * (high - 1) or filled >= wide * high - 1
        scored = results.models.dropna(subset=[a, b, metric])
        if crossed and min(scored[a].nunique(), scored[b].nunique()) > 1:
            joint = sum(_cells_and_sum(results, a, b, metric))
            if best is None or joint > best[0]:
                best = (joint, a, b)
    if best is None:
        return None
    _, a, b = best
    return a, b, interaction(results, a, b, metric)


def interaction(results: Results, a: str, b: str, metric: str = DISTANCE) -> float:
    """The share of a metric's variance that two axes explain together beyond the sum of the two.

    Args:
        results: The results.
        a: An axis.
        b: Another axis.
        metric: The metric.

    Returns:
        Between 0 and 1.
    """
    return _cells_and_sum(results, a, b, metric)[1]


def _cells_and_sum(results: Results, a: str, b: str, metric: str) -> tuple[float, float]:
    """Shares of the variance: of the sum of two axes, and what their cells add to it."""
    rows = results.models.dropna(subset=[a, b, metric])
    every = results.models[metric].dropna()
    total = float(((every - every.mean()) ** 2).sum())
    if rows.empty or not total > 1e-18 * len(every) * float(every.abs().max()) ** 2:
        return 0.0, 0.0
    centred = (rows[metric] - rows[metric].mean()).to_numpy(float)
    cells = (
        pd.Series(centred, index=rows.index).groupby([rows[a], rows[b]]).transform("mean")
    ).to_numpy()
    plan = design(rows, [a, b])
    additive = sum_of_squares(plan.stacked(plan.columns), centred) if plan.columns else 0.0
    return additive / total, max(0.0, float(cells @ cells) - additive) / total


def interaction_p(results: Results, a: str, b: str, metric: str = DISTANCE) -> float:
    """The p value of an interaction: the largest deviation of a cell from the sum of two axes.

    Args:
        results: The results.
        a: An axis.
        b: Another axis.
        metric: The metric.

    Returns:
        p, see `chance.contrast_p`; NaN where no cell can deviate.
    """
    rows = results.models.dropna(subset=[a, b, metric])
    cells, means = cell_scores(results, a, b, metric)
    plan = design(cells, [a, b])
    if len(plan.columns) < 2 or rows.empty:
        return float("nan")
    additive = np.concatenate([np.ones((len(cells), 1)), plan.stacked(plan.columns)], axis=1)
    project = np.eye(len(cells)) - additive @ np.linalg.pinv(additive)
    if np.abs(project).max() < 1e-9:
        return float("nan")
    return contrast_p(means, seed_noise(results, metric), project)


def cell_scores(
    results: Results, a: str, b: str, metric: str = DISTANCE
) -> tuple[pd.DataFrame, list[Mean]]:
    """The cells of two axes that hold a score, with their means.

    Args:
        results: The results.
        a: An axis.
        b: Another axis.
        metric: The metric.

    Returns:
        The values of the two axes, one row a cell, and the mean of each.
    """
    rows = results.models.dropna(subset=[a, b, metric])
    places, scores = group_places(rows, [a, b]), Scores(results, rows)
    cells = rows.iloc[[at[0] for at in places]][[a, b]].reset_index(drop=True)
    return cells, [scores.mean(metric, at) for at in places]


def cell_means(results: Results, a: str, b: str, metric: str = DISTANCE) -> pd.DataFrame:
    """The mean of a metric in each cell of two axes.

    Args:
        results: The results.
        a: The axis across: columns.
        b: The axis upwards: rows.
        metric: The metric.

    Returns:
        [values of b, values of a], all that were asked for; NaN where nothing was scored.
    """
    asked = results.requested.dropna(subset=[a, b])
    means = results.models.pivot_table(index=b, columns=a, values=metric, aggfunc="mean")
    return means.reindex(
        index=pd.Index(sorted(asked[b].unique()), name=b),
        columns=pd.Index(sorted(asked[a].unique()), name=a),
    )
