"""Trajectories against scipy and numpy, closed forms, and refusing what is no path."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from oneshot.metrics.trajectory import fit_trajectory, golden_section


def test_golden_section_finds_the_minimum_that_scipy_finds():
    def f(v: float) -> float:
        return math.cosh(v - 0.3) + 0.2 * v

    assert golden_section(f, -1, 2) == pytest.approx(
        minimize_scalar(f, bounds=(-1, 2), method="bounded").x, abs=1e-4
    )


def test_trajectory_recovers_a_polynomial_curve_that_it_can_represent():
    u = np.linspace(0, 1, 9)
    truth = np.stack([4 * u, 2.7 - 0.8 * u + 0.1 * u**2, 36 + 150 * u - 140 * u**2], axis=1)
    fit = fit_trajectory(truth, degree=2)
    assert (
        fit.coefficients.shape == (3, 3)
        and fit.at(0.5).shape == (3,)
        and fit.at(np.ones((2, 4))).shape == (2, 4, 3)
    )
    assert fit.u[0] == 0 and fit.u[-1] == 1 and (np.diff(fit.u) > 0).all()
    assert fit.error == pytest.approx(np.linalg.norm(truth - fit.at(fit.u), axis=1).sum())
    assert fit.error / 9 < 0.05  # the second coordinate spans 0.7, the third 40


def test_trajectory_improves_on_the_centripetal_start_which_is_numpys_polynomial_fit():
    rng = np.random.default_rng(11)
    points = np.stack(
        [np.arange(10.0), np.sin(np.arange(10) / 3), 5 * np.cos(np.arange(10) / 4)], axis=1
    ) + 0.3 * rng.random((10, 3))
    points[:, 0] = np.arange(10)
    chord = [math.dist(a, b) ** 0.5 for a, b in itertools.pairwise(points)]
    u = np.array([0, *itertools.accumulate(chord)]) / sum(chord)
    start = np.stack(
        [np.polynomial.polynomial.polyfit(u, points[:, k], 3) for k in range(3)], axis=1
    )
    error = np.linalg.norm(points - np.polynomial.polynomial.polyval(u, start).T, axis=1).sum()
    fit = fit_trajectory(points, degree=3)
    assert 0 < fit.error < 0.95 * error


def test_trajectory_through_as_many_points_as_coefficients_passes_through_them():
    points = np.array([[0.0, 2.0, 50.0], [1.0, 1.5, 80.0], [2.0, 1.0, 70.0]])
    fit = fit_trajectory(points, degree=2)
    assert fit.error == pytest.approx(0, abs=1e-9) and fit.at(fit.u) == pytest.approx(points)


def test_weights_pin_and_drop_points():
    u = np.linspace(0, 1, 8)
    points = np.stack([u, u**2, np.sin(9 * u)], axis=1)
    pinned = fit_trajectory(points, 2, np.array([1e5, 1, 1, 1, 1, 1, 1, 1e5]))
    assert pinned.at(1.0) == pytest.approx(points[-1], abs=1e-3) and pinned.at(
        0.0
    ) == pytest.approx(points[0], abs=1e-3)
    assert np.linalg.norm(fit_trajectory(points, 2).at(1.0) - points[-1]) > 0.01
    moved = points.copy()
    line = np.stack([u, 2 * u, 3 * u], axis=1)
    moved[:, :] = line
    moved[3, 2] = 40.0
    assert (
        fit_trajectory(moved, 1, np.where(np.arange(8) == 3, 0.0, 1.0)).error
        < fit_trajectory(moved, 1).error / 10
    )


def test_trajectory_refuses():
    points = np.stack([np.arange(4.0)] * 3, axis=1)
    with pytest.raises(ValueError, match="at least 5 points of positive weight, given 4"):
        fit_trajectory(points, degree=4)
    with pytest.raises(ValueError, match="given 3"):
        fit_trajectory(points, 3, np.array([1.0, 1.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match="must rise"):
        fit_trajectory(points[::-1], degree=1)
    with pytest.raises(ValueError, match="must rise"):
        fit_trajectory(np.concatenate([points[:2], points[1:]]), degree=1)
    with pytest.raises(ValueError, match="degree must be at least 1"):
        fit_trajectory(points, degree=0)
    with pytest.raises(ValueError, match=r"\[P, 3\]"):
        fit_trajectory(points[:, :2], degree=1)
    with pytest.raises(ValueError, match="weights"):
        fit_trajectory(points, 1, np.array([1.0, -1.0, 1.0, 1.0]))
