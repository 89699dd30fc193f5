"""Few-shot drawings: how good they are by shots and mode, and what a classifier gains by them.

Pure functions of results, without torch and without figures. The units of every test and interval
are class splits where there are several, as these differ most; else points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from oneshot.report.analysis.resampling import CHANCE, holm, t_limit, t_tail
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results, taught
from oneshot.report.select import varying_axes
from oneshot.report.text import value_text

SHOTS, DRAWN = "shots", "generated_per_class"
QUALITY = ("fid", "sample_recall")
MOST_OF = {"fid": math.inf, "sample_recall": 1.0}
UNIT = ["dataset", "split"]
REAL = "real"  # the family of real images in place of drawings
# axes that say of what a mode is tried, or what a classifier makes of its drawings
NOT_OF_MODE = (*UNIT, SHOTS, "shot_seed", "image_size", DRAWN, "unfreeze", "mixup", "head_steps")


class Spread(NamedTuple):
    """A mean with its 95 % interval.

    Attributes:
        mean: The mean over units.
        low: The lower end; NaN of one unit.
        high: The upper end; NaN of one unit.
        units: How many splits, or points of one split.
        splits: How many splits.
    """

    mean: float
    low: float
    high: float
    units: int
    splits: int


def has_few_shot(results: Results) -> bool:
    """Whether a classifier was taught with drawings of these results."""
    return bool(taught(results.evaluated).any())


def require_few_shot(results: Results) -> pd.DataFrame:
    """The rows of models whose drawings taught a classifier; AnalysisError if there are none."""
    rows = results.evaluated
    rows = rows[taught(rows)]
    if rows.empty:
        raise AnalysisError("no classifier was taught with drawings of novel classes")
    return rows


def of_models(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of models; those of real images where there are no others."""
    drawn = rows[rows["model"] != REAL]
    return drawn if len(drawn) else rows


def spread(rows: pd.DataFrame, metric: str) -> Spread:
    """The mean of a metric over splits, or over points of one split, by Student's t.

    Args:
        rows: Rows of points, at least one of which has the metric.
        metric: The metric.

    Returns:
        The mean and its interval.
    """
    known = rows.dropna(subset=metric)
    by_split = known.groupby(UNIT, sort=False)[metric].mean()
    values = by_split.to_numpy(float) if len(by_split) > 1 else known[metric].to_numpy(float)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Spread(mean, math.nan, math.nan, count, len(by_split))
    reach = t_limit(count - 1) * float(values.std(ddof=1)) / math.sqrt(count)
    return Spread(mean, mean - reach, mean + reach, count, len(by_split))


def mode_axes(results: Results, most: int) -> list[str]:
    """The axes that say how a model was taught.

    Args:
        results: The results.
        most: So many modes at most; the last axes are left out until there are no more.

    Returns:
        Their names.
    """
    rows = of_models(require_few_shot(results))
    axes: list[str] = []
    for axis in varying_axes(results):
        # one that goes with another, as a weight with the switch of its term, says nothing more
        finer = len(rows.drop_duplicates([*axes, axis])) > (
            len(rows.drop_duplicates(axes)) if axes else 1
        )
        if axis not in NOT_OF_MODE and finer:
            axes.append(axis)
    while len(axes) > 1 and len(rows.drop_duplicates(axes)) > most:
        axes = axes[:-1]
    return axes


def with_modes(rows: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Rows of points with the text of their mode in `mode`.

    Args:
        rows: Rows of points.
        axes: See `mode_axes`.

    Returns:
        The rows in the order of modes; without an axis the model is the mode.
    """
    if not axes:
        return rows.assign(mode=rows["model"].astype(str))
    rows = rows.sort_values(list(axes), kind="stable")
    texts = [
        rows[a].map(value_text) if a == "model" else f"{a} " + rows[a].map(value_text) for a in axes
    ]
    mode = texts[0]
    for text in texts[1:]:
        mode = mode + ", " + text
    return rows.assign(mode=mode)


def across(results: Results) -> str:
    """The axis across gains: shots, unless only the number of drawings varies."""
    axes = varying_axes(results)
    return DRAWN if DRAWN in axes and SHOTS not in axes else SHOTS


def quality_table(results: Results, most: int) -> pd.DataFrame:
    """How good drawings are, by data set, mode and number of shots.

    Args:
        results: The results.
        most: So many modes at most.

    Returns:
        One row each, and metric of QUALITY that is known there: `mean`, `low`, `high`, `units`,
        `splits`.

    Raises:
        AnalysisError: No classifier was taught, or no metric is known.
    """
    rows = with_modes(of_models(require_few_shot(results)), mode_axes(results, most))
    keys = ["dataset", "mode", SHOTS]
    table = _table(rows, keys, [name for name in QUALITY if name in rows])
    most_of = table["metric"].map(MOST_OF)  # few splits have intervals beyond what can be
    table["low"] = table["low"].clip(lower=0.0)
    table["high"] = table["high"].clip(upper=most_of)
    if table.empty:
        raise AnalysisError("drawings are too few for a distance to images for tests")
    return table


def gain_table(results: Results) -> pd.DataFrame:
    """What a classifier gains, by data set, model, split and number of shots (or drawings).

    Args:
        results: The results.

    Returns:
        One row each, the means over splits under the split "": `mean`, `low`, `high`, `units`,
        `splits`. Points without drawings are left out.

    Raises:
        AnalysisError: No classifier was taught with drawings.
    """
    rows, axis = with_drawings(results), across(results)
    own = _table(rows, ["dataset", "model", "split", axis], ["classified_gain"])
    over = _table(rows, ["dataset", "model", axis], ["classified_gain"]).assign(split="")
    over = over[over["splits"] > 1]
    return pd.concat([own, over], ignore_index=True).drop(columns="metric")


def with_drawings(results: Results) -> pd.DataFrame:
    """The rows of points whose classifier was taught with at least one drawing.

    Args:
        results: The results.

    Returns:
        Rows of points.

    Raises:
        AnalysisError: There are none.
    """
    rows = require_few_shot(results)
    if "generated_images" in rows:
        rows = rows[rows["generated_images"].fillna(1) > 0]
    if rows.empty:
        raise AnalysisError("no classifier was taught with drawings of novel classes")
    return rows


def best_mode(results: Results, most: int) -> pd.DataFrame:
    """The mode of the lowest FID, tested against each other one on the same data and shots.

    Args:
        results: The results.
        most: So many modes at most.

    Returns:
        One row a mode, the best first: `fid`, its `difference` to the best, `blocks` (data set,
        split and shots that both were tried on), two-sided `p` of a paired t test, `p_holm`
        (Holm's correction over all pairs of modes, as the best is chosen by the same numbers).
    """
    rows = with_modes(of_models(require_few_shot(results)), mode_axes(results, most))
    if "fid" not in rows or rows["fid"].isna().all():
        return pd.DataFrame(columns=["mode", "fid", "difference", "blocks", "p", "p_holm"])
    cells = rows.pivot_table(index=[*UNIT, SHOTS], columns="mode", values="fid", aggfunc="mean")
    whole = cells.dropna()
    cells = whole if len(whole) else cells
    means = cells.mean().sort_values(kind="stable")
    best = str(means.index[0])
    pairs = list(itertools.combinations(means.index, 2))
    away = {pair: (cells[pair[1]] - cells[pair[0]]).dropna().to_numpy(float) for pair in pairs}
    p = {pair: _paired_p(values) for pair, values in away.items()}
    corrected = dict(zip(pairs, holm(np.array(list(p.values())))))
    found = [
        dict(
            mode=mode,
            fid=value,
            difference=value - means[best],
            blocks=len(away.get((best, mode), cells[mode].dropna())),
            p=p.get((best, mode), math.nan),
            p_holm=corrected.get((best, mode), math.nan),
        )
        for mode, value in means.items()
    ]
    return pd.DataFrame(found)


def is_alike(table: pd.DataFrame) -> pd.Series:
    """Which modes of `best_mode` cannot be told from the best; those without a test count."""
    return ~(table["p_holm"] < CHANCE) & (np.arange(len(table)) > 0)


def _table(rows: pd.DataFrame, keys: list[str], metrics: Sequence[str]) -> pd.DataFrame:
    """The spread of metrics in each group of rows that has them."""
    found = []
    groups = rows.groupby(keys, sort=True, dropna=False)
    for metric, (key, part) in itertools.product(metrics, groups):
        if part[metric].notna().any():
            found.append(
                {**dict(zip(keys, key)), "metric": metric, **spread(part, metric)._asdict()}
            )
    return pd.DataFrame(found, columns=[*keys, "metric", *Spread._fields])


def _paired_p(away: np.ndarray) -> float:
    """The two-sided p value that differences have the mean 0; NaN of fewer than two."""
    if len(away) < 2:
        return math.nan
    error = float(away.std(ddof=1)) / math.sqrt(len(away))
    if error <= 1e-12 * max(abs(float(away.mean())), 1e-12):
        return float(abs(away.mean()) < 1e-12)
    return t_tail(float(away.mean()) / error, len(away) - 1)
