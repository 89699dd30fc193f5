"""The slope at the end of a curve against a closed form, scipy and simulated curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import linregress

from oneshot.metrics.trend import last_third


def test_a_straight_line_has_its_slope_and_no_error():
    trend = last_third(5.0 - 0.25 * np.arange(30))
    assert trend == pytest.approx((-0.25, 0.0, 10), abs=1e-12)
    assert trend.falling is True
    assert last_third(5.0 + 0.25 * np.arange(30)).falling is False
    # the beginning does not count
    assert last_third([*np.linspace(90, 7, 20), *([0.1] * 10)]) == (0.0, 0.0, 10)
    assert last_third([0.1] * 30).falling is False


def test_a_constant_curve_has_no_slope_by_rounding():
    rng = np.random.default_rng(1)
    for value in rng.random(50):
        assert last_third(np.full(30, value), np.cumsum(rng.random(30))) == (0.0, 0.0, 10)


def test_four_points_by_hand():
    # 3, 1, 2, 0: slope -0.8; residuals .3, -.9, .9, -.3: 1.8 / 2 / 5 is the variance
    trend = last_third([math.nan] * 8 + [3.0, 1.0, 2.0, 0.0])
    assert trend == pytest.approx((-0.8, math.sqrt(0.18), 4))
    assert trend.falling is False  # -0.8 against 2 x 0.42


@pytest.mark.parametrize("n", [10, 11, 12, 13, 50])
@pytest.mark.parametrize("step", [1.0, 2.5])
def test_it_equals_the_regression_of_scipy(n: int, step: float):
    rng = np.random.default_rng(n)
    epochs, values = step * np.arange(n) + 3, rng.standard_normal(n)
    first = n - math.ceil(n / 3)
    expected = linregress(epochs[first:], values[first:])
    trend = last_third(values, epochs)
    assert trend == pytest.approx((expected.slope, expected.stderr, n - first), rel=1e-10)
    if step == 1.0:
        assert last_third(values) == pytest.approx(trend, rel=1e-10)


def test_missing_and_infinite_losses_are_left_out():
    epochs = np.arange(30.0)
    values = np.random.default_rng(0).standard_normal(30)
    values[[21, 25]] = math.nan, math.inf
    keep = np.delete(np.arange(20, 30), [1, 5])
    expected = linregress(epochs[keep], values[keep])
    assert last_third(values) == pytest.approx((expected.slope, expected.stderr, 8), rel=1e-10)


def test_fewer_than_four_points_decide_nothing():
    for curve in ([], [1.0], list(range(9)), [*range(11), math.nan], [math.nan] * 40):
        trend = last_third(curve)
        assert math.isnan(trend.slope)
        assert math.isnan(trend.se)
        assert trend.falling is None
    assert last_third(range(9)).points == 3
    assert last_third(range(10)).points == 4


def test_flat_noise_is_seldom_called_falling_and_a_clear_fall_always():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((1000, 90))
    # Student's t with 28 degrees of freedom lies below -2 in 2.8 % of cases
    share = np.mean([last_third(curve).falling for curve in noise])
    assert 0.01 < share < 0.05
    falls = [last_third(curve - 0.2 * np.arange(90)).falling for curve in noise[:200]]
    assert all(falls)  # the error of the slope is 0.021


def test_it_refuses():
    with pytest.raises(ValueError, match=r"must be \[n\]"):
        last_third(np.ones((3, 4)))
    with pytest.raises(ValueError, match="rising and one for each of 4"):
        last_third([1.0, 2.0, 3.0, 4.0], [0, 1, 1, 2])
    with pytest.raises(ValueError, match="one for each of 2"):
        last_third([1.0, 2.0], [0, 1, 2])
