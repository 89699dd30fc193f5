"""Which places of a grid to compute next, so that the map of all of them is known early.

Arrays in, choices out: what the numbers stem from, and what runs, is for `choices.py`.

Two neighbours on the grid may lie far apart on the plane. What is between them is then unknown, the
more so the farther apart they are on the grid: such places are chosen. Each choice counts as known
for the next, with the place that is expected there. One in eight choices is the least known place
of those where the best values are expected.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NEIGHBOURS = 8  # of a place, from which is known what may be there
BEST_EVERY = 8  # one choice in so many goes to where the best value is expected
BEST_SHARE = 0.1  # of the candidates, by the value expected there: where the best ones are
NOISE = 0.1  # places that are less apart count as one, in the units of the places
LEAST_WEIGHT = 0.1  # of an axis along which places hardly change, beside the one of most change
CHUNK = 1024  # candidates whose distances are computed at a time


class Known(NamedTuple):
    """What is known of a grid.

    Attributes:
        at: where on the grid, float64 [known, axes].
        places: where that is on the map, float64 [known, coordinates].
        values: what ranks it, the lower the better, float64 [known].
    """

    at: np.ndarray
    places: np.ndarray
    values: np.ndarray


class Choice(NamedTuple):
    """One candidate that was chosen.

    Attributes:
        candidate: its index.
        for_best: whether it was chosen because the best value is expected there.
        between: of the known neighbours, those two whose places differ most.
        apart: how far these two are apart on the map.
        expected: the value that is expected there.
    """

    candidate: int
    for_best: bool
    between: tuple[int, int]
    apart: float
    expected: float


def choose(
    known: Known, candidates: np.ndarray, count: int, tried: np.ndarray | None = None
) -> list[Choice]:
    """Choose candidates, the most useful one first.

    Args:
        known: at least two places.
        candidates: where they are on the grid, float64 [candidates, axes].
        count: how many are wanted.
        tried: where on the grid something ran and left no place, float64 [tried, axes].

    Returns:
        So many choices, or one for each candidate where there are fewer.
    """
    weight = axis_weights(known)
    at, free = known.at * weight, candidates * weight
    tried = at[:0] if tried is None else tried * weight
    distance, nearest = _nearest(free, at, min(NEIGHBOURS, len(at)))
    of_rows = nearest.copy()  # the neighbours that are rows, which words can name
    visited = distance.min(1)
    for spot in tried:
        visited = np.minimum(visited, np.linalg.norm(free - spot, axis=1))
    places, values, chosen = known.places, known.values, []
    for step in range(min(count, len(candidates))):
        share = 1.0 / np.maximum(distance, 1e-9) ** 2
        share /= share.sum(1, keepdims=True)
        expected_place = np.einsum("ck,ckp->cp", share, places[nearest])
        expected = (share * values[nearest]).sum(1)
        spread = ((places[nearest] - expected_place[:, None]) ** 2).sum(-1)
        unknown = np.sqrt((share * spread).sum(1) + NOISE**2) * visited**2
        for_best = step % BEST_EVERY == BEST_EVERY - 1
        eligible = visited > 0
        if for_best:
            eligible &= expected <= np.quantile(expected[eligible], BEST_SHARE)
        best = int(np.argmax(np.where(eligible, unknown, -1.0)))
        pair, apart = _farthest_pair(known.places, of_rows[best])
        chosen.append(Choice(best, for_best, pair, apart, float(expected[best])))
        places = np.concatenate([places, expected_place[best : best + 1]])
        values = np.append(values, expected[best])
        gap = np.linalg.norm(free - free[best], axis=1)
        visited = np.minimum(visited, gap)
        _put_in(distance, nearest, gap, len(places) - 1)
    return chosen


def axis_weights(known: Known) -> np.ndarray:
    """How much a step along each axis moves places, as a factor of distances on the grid.

    The squared distances of neighbours on the map are fitted by a sum over axes of squared steps.

    Args:
        known: what is fitted.

    Returns:
        float64 [axes], at most 1; 1 for all where too little is known.
    """
    rows, axes = known.at.shape
    if rows < 2 * axes + 2:
        return np.ones(axes)
    # each place is its own nearest
    _, nearest = _nearest(known.at, known.at, min(NEIGHBOURS + 1, rows))
    first, second = np.repeat(np.arange(rows), nearest.shape[1]), nearest.ravel()
    first, second = first[first != second], second[first != second]
    steps = (known.at[first] - known.at[second]) ** 2
    moved = ((known.places[first] - known.places[second]) ** 2).sum(1)
    scale = 1.0 / np.sqrt(np.maximum(steps.sum(1), 1e-12))
    fitted = np.linalg.lstsq(steps * scale[:, None], moved * scale, rcond=None)[0]
    if fitted.max() <= 0:
        return np.ones(axes)
    return np.sqrt(np.clip(fitted / fitted.max(), LEAST_WEIGHT, 1.0))


def _nearest(places: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The distances of each place to the nearest of the others, and which these are."""
    distances, indices = [], []
    for start in range(0, len(places), CHUNK):
        chunk = places[start : start + CHUNK]
        between = np.sqrt(((chunk[:, None] - others[None]) ** 2).sum(-1))
        which = np.argsort(between, axis=1, kind="stable")[:, :count]
        distances.append(np.take_along_axis(between, which, 1))
        indices.append(which)
    return np.concatenate(distances), np.concatenate(indices)


def _farthest_pair(places: np.ndarray, indices: np.ndarray) -> tuple[tuple[int, int], float]:
    """Of some places the two that are farthest apart on the map, and how far that is."""
    between = np.linalg.norm(places[indices][:, None] - places[indices][None], axis=-1)
    one, other = np.unravel_index(int(np.argmax(between)), between.shape)
    return (int(indices[one]), int(indices[other])), float(between[one, other])


def _put_in(distance: np.ndarray, nearest: np.ndarray, gap: np.ndarray, index: int) -> None:
    """Let a new place replace the farthest neighbour of those candidates to which it is nearer."""
    farthest = distance.argmax(1)
    rows = np.flatnonzero(gap < distance[np.arange(len(gap)), farthest])
    distance[rows, farthest[rows]], nearest[rows, farthest[rows]] = gap[rows], index
