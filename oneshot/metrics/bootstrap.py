"""Intervals of means over classes and seeds, and of differences between two models.

A table holds a value a seed and class. Seeds (rows) and classes (columns) are resampled with
replacement, independently of each other, as in the pigeonhole bootstrap (Owen 2007,
https://arxiv.org/abs/0712.1111). So an interval says where the mean over all seeds and all classes
of this kind may lie, not only where that of more drawings would.

Resampling few seeds gives too narrow intervals: n values spread by sqrt((n - 1) / n) too little,
and their spread is itself uncertain. Deviations from the mean are therefore stretched by both
factors (Hesterberg 2015, https://arxiv.org/abs/1411.5279, section 2.3), the second with the degrees
of freedom of Satterthwaite 1946. Where neither seeds nor classes differ systematically, resampling
both counts the variance of the cells up to three times: the interval is then wider than needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

DRAWS = 2000
LEVEL = 0.95
MOST_FREEDOM = 10_000.0  # from there on Student's distribution is the normal one


class Interval(NamedTuple):
    """A mean and its 95 % interval.

    Attributes:
        mean: over the cells that have a value.
        low: where the interval begins; NaN where there is one seed of one class.
        high: where it ends; NaN likewise.
        seeds: how many seeds were resampled; with 1 the interval says nothing of other seeds.
        classes: how many classes were resampled; with 1 it says nothing of other classes.
    """

    mean: float
    low: float
    high: float
    seeds: int
    classes: int


class Difference(NamedTuple):
    """A difference of two means, its 95 % interval and its p value.

    Attributes:
        mean: that of the first table less that of the second.
        low: where the interval begins; NaN where each table has one seed of one class.
        high: where it ends; NaN likewise.
        p: two-sided; below 0.05 where the interval leaves out 0. 2 / 2,001 at least.
        pairs: how many seeds were compared with themselves; 0 where seeds of both tables were
            resampled on their own.
        classes: how many classes were compared with themselves.
    """

    mean: float
    low: float
    high: float
    p: float
    pairs: int
    classes: int


def interval(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The mean of a table with its 95 % interval, over classes and seeds.

    A table of one seed is resampled over classes alone, one of one class over seeds alone. One
    value alone has no interval, and a table without a value no mean: NaN.

    >>> table = np.array([[1.0, 2.0, 6.0], [2.0, 3.0, np.nan]])  # two seeds, three classes
    >>> found = interval(table)
    >>> found.mean, found.low < 1.5, found.high > 4.0, found.seeds, found.classes
    (2.8, True, True, 2, 3)
    >>> interval([[3.0]])
    Interval(mean=3.0, low=nan, high=nan, seeds=1, classes=1)

    Args:
        values: [seeds, classes]; NaN where a cell is missing.
        draws: how often to resample.
        seed: of the resampling; the same one gives the same interval.

    Returns:
        The mean over present cells, and its interval.

    Raises:
        ValueError: the table is not two-dimensional or holds infinity, or draws is below 1.
    """
    table = _Table.of(_filled(_checked(values)))
    moved, _ = _resample([(1.0, table)], draws, seed)
    low, high = _ends(table.mean + moved)
    return Interval(table.mean, low, high, *table.present.shape)


def paired_difference(
    one: np.ndarray,
    other: np.ndarray,
    seeds: Sequence[Sequence[int]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Difference:
    """How much higher the mean of one table is than that of another of the same classes.

    Each class is compared with itself. So is each seed, where both tables have at least two seeds
    in common; other seeds are then left out. Else the seeds of each table are resampled on their
    own. Classes that a table lacks altogether are left out of both.

    >>> hard, easy = np.array([[1.0, 5.0, 9.0]]), np.array([[2.1, 6.0, 9.9]])
    >>> found = paired_difference(easy, hard)
    >>> round(found.mean, 9), found.low > 0.5, found.high < 1.5, found.p < 0.05
    (1.0, True, True, True)

    Args:
        one: [seeds, classes]; NaN where a cell is missing.
        other: [seeds, classes], the same classes in the same order.
        seeds: which seed each row of one, and each row of other is; None for 0, 1, 2, ...
        draws: how often to resample.
        seed: of the resampling.

    Returns:
        The difference, its interval and p value.

    Raises:
        ValueError: the classes differ in number, seeds do not fit the rows or are repeated, or as
            `interval` does.
    """
    one, other = _checked(one), _checked(other)
    if one.shape[1] != other.shape[1]:
        raise ValueError(
            f"both tables must hold the same classes, given {one.shape[1]} and {other.shape[1]}"
        )
    names = _checked_seeds(seeds, len(one), len(other))
    shared = [name for name in names[0] if name in set(names[1])]
    if len(shared) > 1:
        rows = [[of.index(name) for name in shared] for of in names]
        sides = [(1.0, _Table.of(_filled(one[rows[0]] - other[rows[1]])))]
    else:
        both = ~np.isnan(one).all(axis=0) & ~np.isnan(other).all(axis=0)
        sides = [
            (1.0, _Table.of(_filled(one[:, both], classes=False))),
            (-1.0, _Table.of(_filled(other[:, both], classes=False))),
        ]
    mean = sum(sign * table.mean for sign, table in sides)
    moved, count = _resample(sides, draws, seed)
    low, high = _ends(mean + moved)
    beyond = min((mean + moved <= 0).sum(), (mean + moved >= 0).sum())
    p = min(1.0, 2.0 * float(beyond + 1) / (count + 1)) if count else float("nan")
    paired = len(sides[0][1].present) if len(sides) == 1 else 0
    return Difference(mean, low, high, p, paired, sides[0][1].present.shape[1])


@dataclass(frozen=True, eq=False)
class _Table:
    """A table whose missing cells weigh nothing.

    Attributes:
        mean: over present cells; NaN without any.
        values: less the mean, 0 where missing, [S, C].
        present: 1 or 0, [S, C].
    """

    mean: float
    values: np.ndarray
    present: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> _Table:
        """From values with NaN where a cell is missing."""
        present = ~np.isnan(values)
        mean = float(values[present].mean()) if present.any() else float("nan")
        return cls(mean, np.where(present, values - mean, 0.0), present.astype(np.float64))

    def moved(self, seeds: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """How far the mean moves with weights of seeds [B, S] and classes [B, C]; NaN: empty."""
        above = ((seeds @ self.values) * classes).sum(axis=1)
        below = ((seeds @ self.present) * classes).sum(axis=1)
        return above / np.where(below > 0, below, np.nan)

    def pulls(self, axis: int) -> np.ndarray:
        """By how much each class (axis 0) or seed (axis 1) pulls the mean away from the others'."""
        return self.values.sum(axis=axis) / self.present.sum()


def _resample(sides: list[tuple[float, _Table]], draws: int, seed: int) -> tuple[np.ndarray, int]:
    """How a signed sum of means of tables of the same classes moves: [B], and B; [] if unknown."""
    if draws < 1:
        raise ValueError(f"need at least 1 draw, given {draws}")
    rng = np.random.default_rng(seed)
    count = sides[0][1].present.shape[1]
    if count == 0 or any(len(table.present) == 0 for _, table in sides):
        return np.empty(0), 0
    classes, moved = _weights(rng, draws, count), np.zeros(draws)
    for sign, table in sides:
        moved += sign * table.moved(_weights(rng, draws, len(table.present)), classes)
    pulls = [np.sum([sign * table.pulls(0) for sign, table in sides], axis=0)]
    pulls += [table.pulls(1) for _, table in sides]
    moved = moved[np.isfinite(moved)] * _stretch(pulls)
    moved = moved[np.isfinite(moved)]
    return moved, len(moved)


def _weights(rng: np.random.Generator, draws: int, count: int) -> np.ndarray:
    """How often each of some things is drawn when as many are drawn with replacement, [B, n]."""
    return rng.multinomial(count, np.full(count, 1.0 / count), size=draws).astype(np.float64)


def _stretch(pulls: list[np.ndarray]) -> float:
    """By how much resampling falls short of a 95 % interval; NaN where nothing can be resampled."""
    many = [pull for pull in pulls if len(pull) > 1]
    if not many:
        return float("nan")
    size = np.array([len(pull) for pull in many], np.float64)
    variance = np.array([pull @ pull for pull in many])
    if not variance.any():
        return 1.0
    fair = variance * size / (size - 1.0)
    freedom = fair.sum() ** 2 / (fair**2 / (size - 1.0)).sum()
    longer = student(freedom) / NormalDist().inv_cdf((1.0 + LEVEL) / 2.0)
    return float(np.sqrt(fair.sum() / variance.sum()) * longer)


def student(freedom: float) -> float:
    """The number within which 95 % of Student's distribution lie, either side of 0.

    With t = sqrt(f) tan(a), the density of the angle a is proportional to cos(a)^(f - 1).

    >>> [round(student(f), 3) for f in (1.0, 2.0, 10.0)]
    [12.706, 4.303, 2.228]

    Args:
        freedom: degrees of freedom, 1 or more.

    Returns:
        The 97.5 % quantile.
    """
    freedom = min(freedom, MOST_FREEDOM)
    angle = np.linspace(0.0, np.pi / 2.0, 20_001)
    density = np.cos(angle) ** (freedom - 1.0)
    area = np.append(0.0, np.cumsum(density[1:] + density[:-1]))
    return float(np.sqrt(freedom) * np.tan(np.interp(LEVEL * area[-1], area, angle)))


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Between which two values the middle 95 % lie; NaN of none."""
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(low), float(high)


def _checked(values: np.ndarray) -> np.ndarray:
    """A table as float64 [S, C], or ValueError."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise ValueError(
            f"values must be [seeds, classes], given shape {values.shape}: one value a seed is"
            " values[:, None]"
        )
    if np.isinf(values).any():
        raise ValueError(f"{int(np.isinf(values).sum())} of {values.size} values are infinite")
    return values


def _filled(values: np.ndarray, classes: bool = True) -> np.ndarray:
    """A table without the seeds, and the classes if so asked, that have no value at all."""
    present = ~np.isnan(values)
    values = values[present.any(axis=1)]
    return values[:, present.any(axis=0)] if classes else values


def _checked_seeds(
    seeds: Sequence[Sequence[int]] | None, rows: int, others: int
) -> list[list[int]]:
    """The seeds of the rows of two tables, or ValueError."""
    if seeds is None:
        return [list(range(rows)), list(range(others))]
    names = [[int(name) for name in of] for of in seeds]
    if [len(of) for of in names] != [rows, others]:
        raise ValueError(
            f"need a seed for each of {rows} rows of the first table and {others} of the second,"
            f" given {[len(of) for of in names]}"
        )
    if any(len(set(of)) < len(of) for of in names):
        raise ValueError(f"a seed may occur once in a table, given {names}")
    return names
