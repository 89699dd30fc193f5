"""Which axes were varied apart: aliased and unbalanced designs, and shares of variance.

Source of the shares: the mean over all orders in which axes enter a linear model of what each adds
to the explained variance (Lindeman, Merenda and Gold 1980). On a full grid this is the variance
between the means of an axis; shares never add to more than 100 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from oneshot.report.results import Results
from oneshot.report.select import varying_axes

EXACT = 5  # axes up to which all orders are taken
ORDERS = 200  # of more axes


@dataclass(frozen=True, eq=False)
class Design:
    """How a sweep varied its axes.

    Attributes:
        columns: Contrasts of each axis [rows, levels]; 0 where a row has no value of it.
        groups: The axes by what can be told apart: an axis alone, or those that are aliased.
        balanced: Whether all axes that can be told apart are orthogonal.
    """

    columns: dict[str, np.ndarray]
    groups: list[tuple[str, ...]]
    balanced: bool

    def confounded_with(self, axis: str) -> list[str]:
        """The axes that an axis is aliased with."""
        group = next((group for group in self.groups if axis in group), (axis,))
        return [other for other in group if other != axis]

    def stacked(self, axes: Iterable[str]) -> np.ndarray:
        """The contrasts of several axes side by side: [rows, columns]."""
        return np.concatenate([self.columns[axis] for axis in axes], axis=1)


def design(rows: pd.DataFrame, axes: list[str]) -> Design:
    """How rows vary some axes.

    Args:
        rows: Rows of points.
        axes: The axes.

    Returns:
        The design, of the axes that take several values.
    """
    columns = {axis: _contrasts(rows[axis]) for axis in axes if rows[axis].nunique() > 1}
    ranks = {axis: _rank(block) for axis, block in columns.items()}
    pairs = [
        (a, b)
        for a, b in itertools.combinations(columns, 2)
        if _rank(np.concatenate([columns[a], columns[b]], axis=1)) < ranks[a] + ranks[b]
    ]
    groups = _joined(list(columns), pairs)
    whole = {group: np.concatenate([columns[a] for a in group], axis=1) for group in groups}
    alone = {group: _rank(block) for group, block in whole.items()}
    if whole and _rank(np.concatenate(list(whole.values()), axis=1)) < sum(alone.values()):
        groups = _joined_by_others(groups, whole, alone)
        whole = {group: np.concatenate([columns[a] for a in group], axis=1) for group in groups}
    balanced = all(
        np.abs(whole[a].T @ whole[b]).max() <= 1e-6 * len(rows)
        for a, b in itertools.combinations(groups, 2)
    )
    return Design(columns, groups, balanced)


def design_of(results: Results, metric: str) -> Design:
    """How the scored points of models vary the axes.

    Args:
        results: The results.
        metric: The metric that they must have.

    Returns:
        The design.
    """
    return design(results.models.dropna(subset=metric), varying_axes(results))


def shares(plan: Design, values: np.ndarray) -> dict[tuple[str, ...], float]:
    """The share of a metric's variance that each axis, or group of aliased axes, explains.

    Args:
        plan: The design.
        values: The metric of each row of it.

    Returns:
        Shares between 0 and 1 by group; they add to 1 at most.
    """
    centred = values - values.mean()
    total = float(centred @ centred)
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    if not total > 1e-18 * scale**2 * len(values):
        return dict.fromkeys(plan.groups, 0.0)
    known: dict[frozenset[tuple[str, ...]], float] = {frozenset(): 0.0}

    def explained(groups: frozenset[tuple[str, ...]]) -> float:
        if groups not in known:
            matrix = plan.stacked(axis for group in sorted(groups) for axis in group)
            known[groups] = sum_of_squares(matrix, centred) / total
        return known[groups]

    if len(plan.groups) <= EXACT:
        orders = list(itertools.permutations(plan.groups))
    else:
        rng, count = np.random.default_rng(5), len(plan.groups)
        picks = [rng.permutation(count) for _ in range(ORDERS)]
        orders = [tuple(plan.groups[i] for i in pick) for pick in picks]
    out = dict.fromkeys(plan.groups, 0.0)
    for order in orders:
        for i, group in enumerate(order):
            gain = explained(frozenset(order[: i + 1])) - explained(frozenset(order[:i]))
            out[group] += max(0.0, gain) / len(orders)
    return out


def sum_of_squares(matrix: np.ndarray, centred: np.ndarray) -> float:
    """The part of a sum of squares that a linear model explains.

    Args:
        matrix: [rows, columns] of the model, besides a constant.
        centred: The values less their mean, [rows].

    Returns:
        The squares of the fitted values.
    """
    matrix = matrix - matrix.mean(axis=0)
    right = matrix.T @ centred
    return float(right @ np.linalg.pinv(matrix.T @ matrix, rcond=1e-9, hermitian=True) @ right)


def _contrasts(values: pd.Series) -> np.ndarray:
    """An indicator of each value less its share, 0 in rows without a value: [rows, values]."""
    known = values.notna().to_numpy()
    codes, names = pd.factorize(values)
    out = np.zeros((len(values), len(names)))
    out[known] = np.eye(len(names))[codes[known]]
    out[known] -= out[known].mean(axis=0)
    return out


def _rank(matrix: np.ndarray) -> int:
    """The rank of the columns, from their products."""
    return int(
        np.linalg.matrix_rank(matrix.T @ matrix, tol=1e-6 * len(matrix) ** 0.5, hermitian=True)
    )


def _joined(axes: list[str], pairs: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Axes in groups, so that the two of each pair are in one."""
    group_of = {axis: {axis} for axis in axes}
    for a, b in pairs:
        both = group_of[a] | group_of[b]
        for axis in both:
            group_of[axis] = both
    return list(dict.fromkeys(tuple(a for a in axes if a in group_of[axis]) for axis in axes))


def _joined_by_others(
    groups: list[tuple[str, ...]],
    whole: dict[tuple[str, ...], np.ndarray],
    alone: dict[tuple[str, ...], int],
) -> list[tuple[str, ...]]:
    """Groups of which each is aliased with several others together become one group."""
    total = _rank(np.concatenate(list(whole.values()), axis=1))
    bound = [
        group
        for group in groups
        if total - _rank_of([whole[other] for other in groups if other != group]) < alone[group]
    ]
    merged = tuple(axis for group in groups if group in bound for axis in group)
    rest = [group for group in groups if group not in bound]
    return [merged, *rest]


def _rank_of(blocks: list[np.ndarray]) -> int:
    """The rank of several blocks of columns together."""
    return _rank(np.concatenate(blocks, axis=1)) if blocks else 0
