"""What each axis does to a metric: main effects, shares of variance, and the interaction of two."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

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


def main_effect(results: Results, axis: str, metric: str) -> pd.DataFrame:
    """The main effect of an axis: the mean over the rest at each of its values.

    Args:
        results: The results.
        axis: The axis.
        metric: The metric.

    Returns:
        One row a value: the axis, the metric, `<metric>_se` (over seeds) and `n` (points).
    """
    rows = comparable_points(results, axis).dropna(subset=metric)
    by_seed = rows.groupby([axis, "seed"])[metric].mean().groupby(axis)
    out = pd.DataFrame(
        {
            metric: rows.groupby(axis)[metric].mean(),
            f"{metric}_se": by_seed.sem(),
            "n": rows.groupby(axis).size(),
        }
    )
    return out.reset_index()


def variance_share(results: Results, keys: Sequence[str], metric: str = "human_distance") -> float:
    """The share of a metric's variance that lies between the values of axes.

    Args:
        results: The results.
        keys: One axis, or several, whose cells are compared.
        metric: The metric.

    Returns:
        Between 0 and 1, of the variance over all points.
    """
    rows = comparable_points(results, keys[0]) if len(keys) == 1 else results.models
    rows = rows.dropna(subset=[*keys, metric])
    spread = results.models[metric].var(ddof=0)
    if rows.empty or not spread > 0:
        return 0.0
    between = rows.groupby(list(keys))[metric].transform("mean").var(ddof=0)
    return float(min(1.0, between * len(rows) / (spread * results.models[metric].count())))


def exceeds_noise(means: pd.DataFrame, metric: str) -> bool:
    """Whether an effect's range exceeds twice the standard error over seeds.

    Args:
        means: The table of `main_effect`.
        metric: Its metric.

    Returns:
        Whether it does; True with one seed, as there is no noise to compare with.
    """
    noise = float(np.sqrt((means[f"{metric}_se"] ** 2).mean()))
    return not (means[metric].max() - means[metric].min() < 2 * noise)


def main_effects(results: Results, metric: str = "human_distance") -> pd.DataFrame:
    """How strongly each axis that varies acts on a metric.

    Args:
        results: The results.
        metric: The metric.

    Returns:
        One row an axis, the strongest first: `axis`, `share` of the metric's variance (0 to 1) and
        `range` of its means.
    """
    rows = []
    for axis in varying_axes(results):
        means = main_effect(results, axis, metric)[metric]
        rows.append(
            {
                "axis": axis,
                "share": variance_share(results, [axis], metric),
                "range": means.max() - means.min(),
            }
        )
    return pd.DataFrame(rows, columns=["axis", "share", "range"]).sort_values(
        "share", ascending=False, kind="stable", ignore_index=True
    )


def strongest_pair(
    results: Results, metric: str = "human_distance"
) -> tuple[str, str, float] | None:
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
            joint = variance_share(results, [a, b], metric)
            if best is None or joint > best[0]:
                best = (joint, a, b)
    if best is None:
        return None
    joint, a, b = best
    return a, b, interaction(results, a, b, metric)


def interaction(results: Results, a: str, b: str, metric: str = "human_distance") -> float:
    """The share of a metric's variance that two axes explain together beyond the sum of the two.

    Args:
        results: The results.
        a: An axis.
        b: Another axis.
        metric: The metric.

    Returns:
        Between 0 and 1.
    """
    joint = variance_share(results, [a, b], metric)
    alone = variance_share(results, [a], metric), variance_share(results, [b], metric)
    return max(0.0, joint - alone[0] - alone[1])


def cell_means(results: Results, a: str, b: str, metric: str = "human_distance") -> pd.DataFrame:
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
