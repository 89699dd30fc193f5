"""Whether a finding is more than chance: differences, effects, and the best of many.

Tests compare settings that were scored on the same classes: these are drawn again together. The
noise of trainings is that between seeds of one setting, pooled over all settings. With one seed
each it is unknown, and a test speaks of other classes only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from oneshot.metrics.distance import human_distance
from oneshot.report.analysis.intervals import DISTANCE, Mean, group_places, setting_means
from oneshot.report.analysis.resampling import CHANCE, DRAWS, Z, freedom, holm, t_limit, t_tail
from oneshot.report.averages import over_seeds, setting_keys
from oneshot.report.results import Results

NOTHING = 1e-9  # a share of the values; a smaller spread is rounding


@dataclass(frozen=True)
class Noise:
    """How much the seeds of one setting differ, pooled over settings.

    Attributes:
        sd: Their standard deviation; 0 where it is unknown.
        df: Its degrees of freedom; 0 where each setting has one seed.
    """

    sd: float
    df: int

    def variance(self, points: float) -> tuple[float, int]:
        """The variance of a mean over so many points, and how many seeds tell of it."""
        return self.sd**2 / points, self.df + 1


def seed_noise(results: Results, metric: str = DISTANCE) -> Noise:
    """The noise of trainings in a metric.

    Args:
        results: The results.
        metric: The metric.

    Returns:
        The noise, from all settings with several seeds.
    """
    rows = results.evaluated.dropna(subset=metric)
    if rows.empty:
        return Noise(0.0, 0)
    keys = setting_keys(results, rows)
    setting = rows.groupby(keys, dropna=False, sort=False).ngroup()
    by_seed = rows[metric].groupby([setting, rows["seed"]]).mean().groupby(level=0)
    count, spread = by_seed.size(), by_seed.var()
    df = int((count - 1).sum())
    if not df:
        return Noise(0.0, 0)
    return Noise(float(np.sqrt((spread.fillna(0.0) * (count - 1)).sum() / df)), df)


def difference_p(one: Mean, other: Mean, noise: Noise) -> float:
    """The two-sided p value of a difference of two means of points that share their classes.

    Args:
        one: A mean.
        other: Another one.
        noise: The noise of trainings.

    Returns:
        p by Student's t; NaN where neither classes nor seeds tell of an error.
    """
    classes = min(one.classes, other.classes)
    shared = np.nanvar(one.class_draws - other.class_draws, ddof=1)
    parts = [
        noise.variance(1 / (1 / one.points + 1 / other.points)),
        (float(shared) * classes / max(classes - 1, 1), classes),
    ]
    difference, error = one.value - other.value, np.sqrt(sum(v for v, n in parts if n > 1))
    if error <= NOTHING * max(abs(one.value), abs(other.value)):
        error = 0.0
    df = freedom(parts)
    if not error and df:
        return float(abs(difference) <= 1e-6 * max(abs(one.value), abs(other.value), 1e-12))
    return t_tail(difference / error, df) if df else float("nan")


def alike_to_first(means: Sequence[Mean], noise: Noise) -> int:
    """How many of the other means cannot be told from the first, after Holm's correction.

    Args:
        means: The means; the first is the one to compare with.
        noise: The noise of trainings.

    Returns:
        Their number; those without a test count.
    """
    p = holm(np.array([difference_p(means[0], other, noise) for other in means[1:]]))
    return int((~(p < CHANCE)).sum())


def contrast_p(means: Sequence[Mean], noise: Noise, project: np.ndarray | None = None) -> float:
    """Whether contrasts of several means differ from 0: the largest one against its chance.

    Args:
        means: The means, which share their classes.
        noise: The noise of trainings.
        project: Matrix [n, n] that makes contrasts of means; by default each less the mean of all.

    Returns:
        The p value of the largest contrast over its standard error, by bootstrap; NaN where neither
        classes nor seeds tell of an error, or of fewer than two means.
    """
    count = len(means)
    classes = min((mean.classes for mean in means), default=1)
    if count < 2 or (classes < 2 and not noise.df):
        return float("nan")
    matrix = np.eye(count) - 1 / count if project is None else project
    values = np.array([mean.value for mean in means])
    contrasts = matrix @ values
    chance = np.zeros((DRAWS, count))
    variances = []
    if classes > 1:
        drawn = np.stack([mean.class_draws for mean in means], axis=1)
        by_class = (drawn - values) @ matrix.T * np.sqrt(classes / (classes - 1))
        chance += by_class - np.nanmean(by_class, axis=0)
        variances.append((float(np.nanvar(by_class, axis=0).mean()), classes))
    if noise.df:
        points = np.array([mean.points for mean in means])
        normal = np.random.default_rng(3).normal(size=(DRAWS, count))
        by_seed = (normal * noise.sd / np.sqrt(points)) @ matrix.T
        chance += by_seed
        variances.append((float(by_seed.var(axis=0).mean()), noise.df + 1))
    chance = chance[np.isfinite(chance).all(axis=1)]
    scale = np.abs(values).max()
    errors = chance.std(axis=0)
    if errors.max(initial=0.0) <= NOTHING * scale:
        return float(np.abs(contrasts).max() <= 1e-6 * scale)
    errors = np.maximum(errors, 1e-3 * errors.max())
    longer = t_limit(freedom(variances)) / Z
    largest = (np.abs(chance) / errors).max(axis=1) * longer
    beyond = int((largest >= (np.abs(contrasts) / errors).max()).sum())
    return (1 + beyond) / (1 + len(chance))


@dataclass(frozen=True)
class Luck:
    """How near to people the best of as many equal models would come by luck.

    Attributes:
        settings: How many settings there are.
        nearest: The distance of the nearest one.
        expected: Where the nearest of as many equal ones would be, on average.
        limit: Where it would be nearer than in one of 20 cases.
        seeds: Whether the noise is that between seeds; else that of drawing alone.
    """

    settings: int
    nearest: float
    expected: float
    limit: float
    seeds: bool

    @property
    def beaten(self) -> bool:
        """Whether the nearest is nearer than luck explains."""
        return self.nearest < self.limit


def luck(results: Results) -> Luck | None:
    """Compare the setting nearest to people with the best of as many equal ones.

    All are taken to lie at the mean distance, each with the noise that was measured: that between
    seeds where there are several, else the standard errors of its drawings.

    Args:
        results: The results.

    Returns:
        The comparison; None of fewer than two settings, or where no error is known.
    """
    means, noise = over_seeds(results, results.models), seed_noise(results)
    errors = (
        noise.sd / np.sqrt(means["seeds"].to_numpy(float))
        if noise.df
        else _errors_of_drawing(results.models, setting_keys(results, results.models))
    )
    known = means[DISTANCE].notna().to_numpy()
    distances, errors = means[DISTANCE].to_numpy(float)[known], errors[known]
    if len(distances) < 2 or not np.isfinite(errors).all():
        return None
    rng = np.random.default_rng(4)
    least = np.full(DRAWS, np.inf)
    for error in errors:
        np.minimum(least, np.abs(distances.mean() + error * rng.normal(size=DRAWS)), out=least)
    limit = float(np.quantile(least, CHANCE))
    return Luck(len(errors), float(distances.min()), float(least.mean()), limit, noise.df > 0)


def _errors_of_drawing(rows: pd.DataFrame, keys: list[str]) -> np.ndarray:
    """The standard error of each setting's distance that follows from those of its points."""
    place = ["diversity", "recognizability"]
    needed = [*place, *(f"human_{name}" for name in place), *(f"{name}_se" for name in place)]
    groups = group_places(rows, keys)
    if not set(needed) <= set(rows):
        return np.full(len(groups), np.nan)
    squares = np.full(len(rows), np.nan)
    for i, (x, y, *people, dx, dy) in enumerate(rows[needed].to_numpy(float)):
        if np.isfinite([*people, dx, dy]).all() and people[0] > 0:
            moved = human_distance(
                np.array([x + dx, x - dx, x, x]), np.array([y, y, y + dy, y - dy]), *people
            )
            change = np.abs(moved - human_distance(x, y, *people))
            squares[i] = max(change[:2]) ** 2 + max(change[2:]) ** 2
    return np.array([np.sqrt(squares[group].sum()) / len(group) for group in groups])


def beats(one: Mean, other: Mean, noise: Noise) -> bool:
    """Whether a mean is lower than another beyond chance.

    Args:
        one: The mean that may be lower.
        other: The other one.
        noise: The noise of trainings.

    Returns:
        Whether it is.
    """
    return one.value < other.value and difference_p(one, other, noise) < CHANCE


def noise_reference(results: Results) -> Mean | None:
    """The distance of noise to people; None if noise was not scored."""
    rows = results.references.query("model == 'noise'").dropna(subset=DISTANCE)
    means = setting_means(results, DISTANCE, rows)
    return min(means, key=lambda mean: mean.value) if means else None
