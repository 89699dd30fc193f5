"""What chance may do: bootstrap weights, Student's t, Holm's correction.

Pure functions of arrays. The bootstrap is the pigeonhole bootstrap (Owen 2007,
https://arxiv.org/abs/0712.1111): classes and seeds are drawn again independently of each other, so
that an interval holds for other classes and other trainings. Few of them spread too little;
`stretch` makes up for it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from oneshot.metrics.bootstrap import student

DRAWS = 2000
Z = 1.959964  # within so many standard errors lie 95 % of a normal distribution
CHANCE = 0.05  # what happens by luck more often than this is no finding
NORMAL_FROM = 200  # degrees of freedom from which t is taken as normal


@functools.lru_cache(maxsize=64)
def class_weights(classes: int, draws: int = DRAWS) -> np.ndarray:
    """How often each class is drawn; the same on every call.

    Args:
        classes: How many there are.
        draws: How many samples.

    Returns:
        float64 [draws, classes]; each line sums to `classes`.
    """
    rng = np.random.default_rng([1, classes])
    return rng.multinomial(classes, np.full(classes, 1 / classes), draws).astype(float)


@functools.lru_cache(maxsize=64)
def seed_weights(seeds: int, draws: int = DRAWS) -> np.ndarray:
    """How often each seed is drawn; the same on every call.

    Args:
        seeds: How many there are.
        draws: How many samples.

    Returns:
        float64 [draws, seeds]; each line sums to `seeds`.
    """
    rng = np.random.default_rng([2, seeds])
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws).astype(float)


def t_tail(t: float, df: int) -> float:
    """The two-sided p value of Student's t (Abramowitz and Stegun 26.7.3 and 26.7.4).

    Args:
        t: The statistic.
        df: Degrees of freedom, 1 or more; 0 where nothing is known, which gives NaN.

    Returns:
        The probability of a larger one of either sign.
    """
    if df < 1 or math.isnan(t):
        return float("nan")
    if math.isinf(t):
        return 0.0
    if df >= NORMAL_FROM:
        return math.erfc(abs(t) / math.sqrt(2))
    angle = math.atan2(abs(t), math.sqrt(df))
    odd, square = df % 2, math.cos(angle) ** 2
    term = math.cos(angle) if odd else 1.0
    total = term if df > 1 else 0.0
    for k in range(3 if odd else 2, df - 1, 2):
        term *= square * ((k - 1) / k)
        total += term
    total *= math.sin(angle)
    return max(0.0, 1 - (2 / math.pi * (angle + total) if odd else total))


@functools.lru_cache(maxsize=512)
def t_limit(df: int) -> float:
    """The t that is exceeded by chance in 5 % (either sign); NaN without freedom."""
    return student(float(df)) if df >= 1 else float("nan")


def freedom(parts: Sequence[tuple[float, int]]) -> int:
    """Degrees of freedom of a sum of variances (Satterthwaite 1946), rounded down.

    Args:
        parts: Unbiased variances of a mean, each with the number of seeds or classes that it rests
            on; a number of 1 tells nothing, and is left out.

    Returns:
        At least 1; 0 where nothing is known.
    """
    known = [(variance, count - 1) for variance, count in parts if count > 1]
    weighted = sum(variance**2 / count for variance, count in known)
    if not weighted > 0:
        return max((count for _, count in known), default=0)
    return max(1, int(sum(variance for variance, _ in known) ** 2 / weighted + 1e-9))


def stretch(parts: Sequence[tuple[float, int]]) -> float:
    """By how much draws of few seeds and classes fall short of a 95 % interval.

    n values drawn again spread by (n - 1) / n too little, and their spread is itself uncertain
    (Hesterberg 2015, https://arxiv.org/abs/1411.5279).

    Args:
        parts: The variance of the draws due to seeds, and that due to classes, each with how many
            there are.

    Returns:
        A factor of deviations from the mean, 1 or more; NaN where there is one of each.
    """
    known = [(v, v * count / (count - 1), count) for v, count in parts if count > 1]
    if not known:
        return float("nan")
    drawn, fair = (sum(part[i] for part in known) for i in (0, 1))
    if not drawn > 0:
        return 1.0
    return math.sqrt(fair / drawn) * t_limit(freedom([(f, n) for _, f, n in known])) / Z


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's correction of several p values (Holm 1979, Scandinavian Journal of Statistics 6).

    Args:
        p: p values; NaN is no test, and counts for none.

    Returns:
        The corrected values, in the same order.
    """
    p = np.asarray(p, float)
    out = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return out
