"""Which modes of a mixture drawings fall into: for any centres in the plane, and their sigma.

A mode is a Gaussian, or a curve of many. A drawing hits a mode if it lies within so many sigma of
a centre of it, and no centre of another mode is nearer. For one Gaussian of the plane the mode's
own points do so with probability 1 - exp(-r^2 / 2): 0.9889 within 3 sigma, 0.99966 within 4.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from oneshot.metrics.blocks import blocks
from oneshot.metrics.checks import checked_pair, checked_rows
from oneshot.metrics.neighbours import nearest

LEAST_SHARE = 0.01  # of the drawings that must hit a mode, for it to be covered


class Places(NamedTuple):
    """Where drawings lie among the centres.

    Attributes:
        mode: that of the nearest centre, int64 [N].
        distance: to that centre, float64 [N].
    """

    mode: np.ndarray
    distance: np.ndarray


def places(points: np.ndarray, centres: np.ndarray, owner: np.ndarray) -> Places:
    """The nearest centre of each point.

    >>> places([[0.1, 0.0], [2.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]], [0, 1]).mode.tolist()
    [0, 1]

    Args:
        points: [N, 2].
        centres: [C, 2].
        owner: the mode of each centre, [C].

    Returns:
        The mode that each point is nearest to, and how near.

    Raises:
        ValueError: there is no point or no centre, or one is not finite.
    """
    centres, points = checked_pair(centres, points)
    chosen, distance = np.empty(len(points), np.int64), np.empty(len(points))
    for part in blocks(len(points), len(centres)):
        squared = sum(
            (points[part, axis, None] - centres[:, axis]) ** 2 for axis in range(points.shape[1])
        )
        chosen[part] = np.argmin(squared, axis=1)
        distance[part] = np.sqrt(np.min(squared, axis=1))
    return Places(np.asarray(owner)[chosen], distance)


def hits(where: Places, radius: float, modes: int) -> np.ndarray:
    """The share of the drawings that hit each mode.

    Args:
        where: the drawings among the centres.
        radius: how near a hit is, as 3 sigma.
        modes: how many there are.

    Returns:
        float64 [modes], each from 0 to 1.
    """
    near = where.mode[where.distance <= radius]
    return np.bincount(near, minlength=modes) / len(where.mode)


def shares(where: Places, modes: int) -> np.ndarray:
    """The share of the drawings that lie nearest to each mode, however far.

    Args:
        where: the drawings among the centres.
        modes: how many there are.

    Returns:
        float64 [modes], with a sum of 1.
    """
    return hits(where, math.inf, modes)


def least_distances(points: np.ndarray, centres: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """How near any of the drawings comes to each mode.

    >>> least_distances([[0.0, 0.0], [4.0, 0.0]], [[1.0, 0.0], [9.0, 0.0]], [0, 1]).tolist()
    [1.0, 5.0]

    Args:
        points: [N, 2].
        centres: [C, 2].
        owner: the mode of each centre, [C], 0 .. modes - 1.

    Returns:
        float64 [modes]; infinity of a mode without a centre.
    """
    centres, points = checked_pair(centres, points)
    owner = np.asarray(owner)
    least = np.full(int(owner.max()) + 1, math.inf)
    np.minimum.at(least, owner, places(centres, points, np.zeros(len(points), int)).distance)
    return least


def covered(hit: np.ndarray, least: float = LEAST_SHARE) -> int:
    """How many modes are covered.

    >>> covered(np.array([0.5, 0.01, 0.009]))
    2

    Args:
        hit: the share of the drawings that hits each of these modes.
        least: the share that a covered mode has at least.

    Returns:
        The number of modes.
    """
    return int((np.asarray(hit) >= least).sum())


def off_share(where: Places, radius: float) -> float:
    """The share of the drawings that hit no mode at all.

    Args:
        where: the drawings among the centres.
        radius: how near a hit is, as 3 sigma.

    Returns:
        From 0 to 1.
    """
    return float((where.distance > radius).mean())


def mode_distance(hit: np.ndarray, expected: np.ndarray) -> float:
    """How far the shares of the modes are from those of the data: their total variation.

    Half the sum of the differences, drawings that hit no mode being one more share, of which the
    data have none. Both a collapse to few modes and drawings off all modes count.

    >>> mode_distance([0.5, 0.0, 0.25], [0.5, 0.5, 0.0])
    0.5

    Args:
        hit: the share of the drawings that hits each mode, [modes].
        expected: the share of the data that is of each mode, 0 of one left out, [modes].

    Returns:
        From 0, the same shares, to 1, no share in common; real points have 0.011 at 3 sigma.
    """
    hit, expected = np.asarray(hit, np.float64), np.asarray(expected, np.float64)
    off = 1.0 - hit.sum()
    return float(0.5 * (np.abs(hit - expected).sum() + off))


def radius_error(points: np.ndarray, radius: float) -> float:
    """How far drawings lie off a circle round the origin: the mean of | |x| - R |.

    >>> radius_error([[0.0, 2.0], [3.0, 4.0]], 3.0)
    1.5

    Args:
        points: [N, 2].
        radius: R of the circle.

    Returns:
        From 0, in the units of the points.
    """
    return float(np.abs(np.linalg.norm(checked_rows(points), axis=1) - radius).mean())


def nearest_distance(points: np.ndarray, train: np.ndarray) -> float:
    """The mean distance of drawings to the nearest training point.

    Args:
        points: [N, 2].
        train: the training points, [M, 2].

    Returns:
        From 0, in the units of the points.
    """
    return float(nearest(points, train).mean())


def nearest_ratio(points: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> float:
    """How near drawings come to training points, in multiples of how near real points do.

    1 is ideal; far below are copies, far above drawings that are none of the data.

    Args:
        points: the drawings, [N, 2].
        train: the training points, [M, 2].
        held_out: real points of the same classes that were not trained on, [H, 2].

    Returns:
        A ratio of two mean distances, from 0.
    """
    return nearest_distance(points, train) / nearest_distance(held_out, train)
