"""Is a class that was left out drawn all the same? Hits beside the classifier's own mistakes.

Pure functions of results, without torch and without figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from oneshot.report.analysis.resampling import CHANCE, holm
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.select import varying_axes

# axes that say what is left out, or of what
OF_DATA = ("dataset", "split", "image_size")
SHOTS = "shots"  # the axis that says how many of the class left out were shown all the same


def first_axis(results: Results) -> str:
    """The first axis that varies and is not one of data; "" if there is none.

    `shots` goes before all others: a class of which a model was shown a few is another question.
    """
    axes = [axis for axis in varying_axes(results) if axis not in OF_DATA]
    return SHOTS if SHOTS in axes else next(iter(axes), "")


def hits_by_class(results: Results) -> pd.DataFrame:
    """The hits of each class that was left out, by the value of the first axis.

    Args:
        results: The results.

    Returns:
        One row a data set, class and value of `first_axis`: `points`, `drawings`, `hits_missing`
        with the `lowest` and `highest` of a point, `false_hits`, `real_images`, `p` that so many
        hits are the classifier's mistakes (Fisher's exact test, one-sided), `p_holm` (Holm's
        correction over all rows) and `above` (p_holm below 0.05).

    Raises:
        AnalysisError: No point of a model tells of a class that was left out.
    """
    known = results.predicted
    known = known[known["left_out"] == 1] if len(known) else known
    rows = results.evaluated
    if known.empty or "hits_missing" not in rows or rows["hits_missing"].isna().all():
        raise AnalysisError("no class was left out of training, or no drawings were classified")
    axis = first_axis(results)
    rows = rows.merge(known[["point_id", "class_name", "left_out", "real_images"]], on="point_id")
    keys = ["dataset", "class_name", *([axis] if axis else [])]
    groups = rows.groupby(keys, dropna=False, sort=False)
    out = groups["point_id"].nunique().rename("points").to_frame()
    out["drawings"] = groups["drawings"].sum()
    for name, how in (("hits_missing", "mean"), ("lowest", "min"), ("highest", "max")):
        out[name] = groups["hits_missing"].agg(how)
    out["false_hits"] = groups["false_hits"].mean()
    out["real_images"] = groups["real_images"].first()
    out = out.reset_index()
    out["p"] = [_by_mistake(row) for row in out.to_dict("records")]
    out["p_holm"] = holm(out["p"].to_numpy(float))
    out["above"] = out["p_holm"] < CHANCE
    return out


def fisher_tail(hits: int, drawings: int, false: int, real: int) -> float:
    """The one-sided p value of Fisher's exact test of two shares.

    >>> round(fisher_tail(3, 4, 1, 4), 6)
    0.242857

    Args:
        hits: Drawings that are taken for the class.
        drawings: All drawings.
        false: Real images of other classes that are taken for it.
        real: All real images of other classes.

    Returns:
        The chance of so many hits or more, if drawings are taken for it as often as real images.
    """
    both, total = hits + false, drawings + real

    def log_ways(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    every = log_ways(total, both)
    ways = (
        math.exp(log_ways(drawings, k) + log_ways(real, both - k) - every)
        for k in range(hits, min(both, drawings) + 1)
        if both - k <= real
    )
    return min(1.0, math.fsum(ways))


def _by_mistake(row: Mapping[Any, Any]) -> float:
    """The p value of a row of `hits_by_class`."""
    drawings, real = int(row["drawings"]), int(row["real_images"])
    if np.isnan(row["hits_missing"]) or np.isnan(row["false_hits"]):
        return float("nan")
    hits, false = round(row["hits_missing"] * drawings), round(row["false_hits"] * real)
    return fisher_tail(hits, drawings, false, real)
