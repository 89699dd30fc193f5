"""The path of a family across the plane as one hyperparameter moves: a parametric polynomial.

It goes through points (parameter, x, y). This follows the fit behind the beta curves of Boutin et
al. 2022 (https://arxiv.org/abs/2205.10370, Fig. 4b): each coordinate is a polynomial of a hidden
parameter u, and u is improved in turn with the polynomials. The axes are not rescaled, so the one
with the largest numbers weighs most in the choice of u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ROUNDS = 20
LEAST_DROP = 1e-5  # relative drop of the error below which the fit has settled
TOLERANCE = 1e-4  # of u, in the golden-section search
GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A fitted curve f(u).

    Attributes:
        coefficients: [degree + 1, 3], lowest power first.
        u: place of each of the P points on the curve, [P] in [0, 1].
        error: sum of w_i |P_i - f(u_i)|.
    """

    coefficients: np.ndarray
    u: np.ndarray
    error: float

    def at(self, u: float | np.ndarray) -> np.ndarray:
        """Points of the curve: [..., 3] for u [...]."""
        powers = np.vander(np.ravel(u), len(self.coefficients), increasing=True)
        return powers.dot(self.coefficients).reshape(*np.shape(u), 3)


def fit_trajectory(
    points: np.ndarray, degree: int = 3, weights: np.ndarray | None = None
) -> Trajectory:
    """Fit a curve to the points of a family.

    u starts from the centripetal rule (steps proportional to the square root of the chord; Lee
    1989). Then, at most ROUNDS times, every inner u_i moves to the nearest point of the curve
    between its neighbours, and the polynomials are fitted again.

    >>> line = np.array([[0.0, 1.0, 50.0], [1.0, 2.0, 60.0], [2.0, 3.0, 70.0]])
    >>> fit_trajectory(line, degree=1).at(0.5).round(6).tolist()
    [1.0, 2.0, 60.0]

    Args:
        points: [P, 3], (parameter, diversity or originality, recognizability), ordered by a
            strictly rising parameter.
        degree: of the polynomials.
        weights: of the squared residuals, [P] >= 0; None for 1 each. 1e5 pins a point, 0 drops it.

    Returns:
        The curve.

    Raises:
        ValueError: fewer than degree + 1 points have weight, the parameter does not rise, or a
            value is not finite.
    """
    points = np.asarray(points, np.float64)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
    _check(points, degree, weights)
    step = np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1))
    u = np.concatenate([[0.0], np.cumsum(step) / step.sum()])
    best = _fit(points, u, degree, weights)
    for _ in range(ROUNDS):
        trial = _fit(points, _nearest(best, points), degree, weights)
        drop = best.error - trial.error
        settled = drop < LEAST_DROP * best.error
        best = trial if drop > 0 else best
        if settled:
            break
    return best


def _fit(points: np.ndarray, u: np.ndarray, degree: int, weights: np.ndarray) -> Trajectory:
    """The polynomials of weighted least squares for places u [P] of the points."""
    root = np.sqrt(weights)[:, None]
    coefficients = np.linalg.lstsq(
        root * np.vander(u, degree + 1, increasing=True), root * points, rcond=None
    )[0]
    curve = Trajectory(coefficients, u, 0.0)
    return Trajectory(
        coefficients, u, float((weights * np.linalg.norm(points - curve.at(u), axis=1)).sum())
    )


def _nearest(curve: Trajectory, points: np.ndarray) -> np.ndarray:
    """Move each inner u to the nearest place of the curve between its neighbours.

    They move one after another, so that they stay in order.
    """
    u = curve.u.copy()
    for i in range(1, len(u) - 1):

        def distance(v: float, point: np.ndarray = points[i]) -> float:
            return float(np.linalg.norm(point - curve.at(v)))

        nearest = golden_section(distance, u[i - 1], u[i + 1])
        # the search assumes one minimum; where there are two, it may end in the worse
        if distance(nearest) < distance(u[i]):
            u[i] = nearest
    return u


def golden_section(
    f: Callable[[float], float], low: float, high: float, tolerance: float = TOLERANCE
) -> float:
    """The place of the minimum of a function that has only one in a range (Kiefer 1953).

    >>> float(round(golden_section(lambda x: (x - 0.3) ** 2, 0.0, 1.0), 3))
    0.3

    Args:
        f: the function.
        low: where the range begins.
        high: where it ends.
        tolerance: length of the range in which the search ends.

    Returns:
        The middle of that range.
    """
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = f(left), f(right)
    while high - low > tolerance:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = f(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = f(right)
    return (low + high) / 2.0


def _check(points: np.ndarray, degree: int, weights: np.ndarray) -> None:
    """Raise ValueError for points that `fit_trajectory` refuses."""
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(f"points must be finite and [P, 3], given shape {points.shape}")
    if weights.shape != (len(points),) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(
            f"weights must be finite, not negative, one for each of {len(points)} points"
        )
    if degree < 1:
        raise ValueError(f"the degree must be at least 1, given {degree}")
    if (given := int((weights > 0).sum())) < degree + 1:
        raise ValueError(
            f"a curve of degree {degree} needs at least {degree + 1} points of positive weight,"
            f" given {given}"
        )
    if (np.diff(points[:, 0]) <= 0).any():
        raise ValueError(
            "the parameter (first column) must rise from each point to the next; sort the points"
            " and merge equal ones"
        )
