"""Precision, recall, density and coverage: which drawings lie among people's, and the reverse.

The neighbourhood of a row is the ball that reaches to its k-th nearest other row of its own set.
Precision and recall are those of Kynkaanniemi et al. 2019 (https://arxiv.org/abs/1904.06991),
density and coverage those of Naeem et al. 2020 (https://arxiv.org/abs/2002.09797). A ball does not
contain its surface (strictly nearer), as in the published code of the latter.

Distances are compared as if each had been summed from squared differences, so that copies are at
distance 0 exactly and no comparison is left to the rounding of a matrix product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oneshot.metrics.blocks import blocks
from oneshot.metrics.checks import checked_pair, checked_rows

NEIGHBOURS = 5  # as Naeem et al. recommend
CACHED = 2**15  # numbers of a part of the exact distances: 256 KB


class Prdc(NamedTuple):
    """How two sets lie in each other's neighbourhoods.

    Attributes:
        precision: share of the drawings inside some neighbourhood of the reference.
        recall: share of the reference inside some neighbourhood of the drawings.
        density: neighbourhoods of the reference that hold a drawing, mean over drawings, over k;
            it can exceed 1.
        coverage: share of the neighbourhoods of the reference that hold a drawing.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(reference: np.ndarray, drawn: np.ndarray, k: int = NEIGHBOURS) -> Prdc:
    """Precision, recall, density and coverage of a set of drawings.

    A set against itself scores 1 four times, where no k + 1 of its rows coincide and no row has its
    k-th nearest neighbour as far away as the one before. Of k + 1 or more coinciding rows the
    neighbourhood is empty, so many copies of each of a few exemplars have recall 0. Where only
    distances tie, density alone falls below 1.

    >>> people, copies = [[0.0], [1.0]], [[0.5], [0.5], [0.5]]
    >>> prdc(people, copies, k=1)
    Prdc(precision=1.0, recall=0.0, density=2.0, coverage=1.0)

    Args:
        reference: [N, D], features of people's drawings, N > k.
        drawn: [M, D], features of a model's drawings, M > k.
        k: which neighbour a neighbourhood reaches to, 1 or more.

    Returns:
        The four shares.

    Raises:
        ValueError: a set has no more than k rows, k is below 1, or a feature is not finite.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, given {k}")
    reference, drawn = checked_pair(reference, drawn, least=k + 1)
    of_reference, of_drawn = _squared_radii(reference, k), _squared_radii(drawn, k)
    hits = np.zeros(len(drawn), np.int64)  # neighbourhoods of the reference that hold each drawing
    covered, recalled = np.zeros(len(reference), bool), np.zeros(len(reference), bool)
    distances = _SquaredDistances(reference, drawn)
    for part in blocks(len(reference), len(drawn)):
        value, error = distances.near(part)
        inside = distances.below(part, value, error, of_reference[part, None])
        hits += inside.sum(axis=0)
        covered[part] = inside.any(axis=1)
        recalled[part] = distances.below(part, value, error, of_drawn[None, :]).any(axis=1)
    return Prdc(
        precision=float((hits > 0).mean()),
        recall=float(recalled.mean()),
        density=float(hits.sum() / (k * len(drawn))),
        coverage=float(covered.mean()),
    )


def nearest(rows: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Distance of each row of a set to the nearest row of another set, or of its own.

    >>> nearest([[0.0], [1.0], [5.0]], [[1.0], [2.0]]).tolist()
    [1.0, 0.0, 3.0]
    >>> nearest([[0.0], [1.0], [5.0]]).tolist()
    [1.0, 1.0, 4.0]

    Args:
        rows: [N, D], features.
        others: [M, D], features; None for the rows themselves, each without the row of its own
            index, so that 0 means that a copy exists.

    Returns:
        Euclidean distances, float64 [N].

    Raises:
        ValueError: there is no row, or only one and others is None; or a feature is not finite.
    """
    if others is None:
        return np.sqrt(_squared_radii(checked_rows(rows, least=2), 1))
    others, rows = checked_pair(others, rows)
    return np.sqrt(_kth_smallest(rows, _distinct(others)[0], 1))


class _SquaredDistances:
    """Squared distances of the rows of a [N, D] to those of b [M, D].

    A matrix product gives all of them fast, to within a bound of its rounding. What a comparison
    cannot decide by the bound is summed from squared differences.
    """

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        self.a, self.b = a, b
        middle = b.mean(axis=0)  # rounding grows with the distance from the origin
        of_a, self._of_b = a - middle, b - middle
        self._size_a, self._size_b = (of_a**2).sum(axis=1), (self._of_b**2).sum(axis=1)
        self._of_a = -2.0 * of_a
        # Of sums of D products (Higham 2002, section 3.1), with room for the steps around them.
        relative = (a.shape[1] + 64) * np.finfo(np.float64).eps
        self._error = relative * (self._size_a + self._size_b.max())

    def near(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """The squared distances of some rows of a nearly, [n, M], and their bounds of error."""
        value = self._of_a[part] @ self._of_b.T
        value += self._size_b
        value += self._size_a[part, None]
        return value, self._error[part, None]

    def exact(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The squared distances of pairs of a row of a and a row of b, [P]."""
        found = np.empty(len(rows))
        for part in blocks(len(rows), self.a.shape[1], CACHED):
            found[part] = ((self.a[rows[part]] - self.b[columns[part]]) ** 2).sum(axis=1)
        return found

    def below(
        self, part: slice, value: np.ndarray, error: np.ndarray, limit: np.ndarray
    ) -> np.ndarray:
        """Which squared distances lie below a limit, bool [n, M], given what `near` gives."""
        below = value < limit - error
        rows, columns = np.nonzero((value < limit + error) & ~below)
        limits = np.broadcast_to(limit, below.shape)[rows, columns]
        below[rows, columns] = self.exact(rows + part.start, columns) < limits
        return below


def _kth_smallest(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each row of a [N, D] to its k-th nearest row of b [M, D], M >= k."""
    distances, found = _SquaredDistances(a, b), np.empty(len(a))
    for part in blocks(len(a), len(b)):
        value, error = distances.near(part)
        kth = value.min(axis=1) if k == 1 else np.partition(value, k - 1, axis=1)[:, k - 1]
        # the k nearest, and what may be as near
        rows, columns = np.nonzero(value <= kth[:, None] + 2.0 * error)
        values = distances.exact(rows + part.start, columns)
        order = np.lexsort((values, rows))
        first = np.searchsorted(rows, np.arange(part.stop - part.start))
        found[part] = values[order[first + k - 1]]
    return found


def _squared_radii(rows: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row, [N]."""
    distinct, place, count = _distinct(rows)
    # more copies of a row than k + 1 are nobody's k-th neighbour
    others = np.repeat(distinct, np.minimum(count, k + 1), axis=0)
    return _kth_smallest(distinct, others, k + 1)[place]  # each row is the nearest to itself


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows without repetitions [U, D], which of them each row is [N], how often each occurs."""
    seen: dict[bytes, int] = {}
    place = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows])
    _, first = np.unique(place, return_index=True)
    return rows[first], place, np.bincount(place)
