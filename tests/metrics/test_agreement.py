"""Kendall's tau-b against a double loop and scipy."""

from __future__ import annotations

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy.stats import kendalltau

from oneshot.metrics.agreement import kendall_tau


def by_pairs(one: list[float], other: list[float]) -> float:
    """tau-b with the counts of ties in the denominator, pair by pair."""
    alike = opposite = tie_one = tie_other = 0
    for (a, b), (c, d) in itertools.combinations(zip(one, other), 2):
        if a == c and b == d:
            continue
        if a == c:
            tie_one += 1
        elif b == d:
            tie_other += 1
        elif (a < c) == (b < d):
            alike += 1
        else:
            opposite += 1
    whole = (alike + opposite + tie_one) * (alike + opposite + tie_other)
    return (alike - opposite) / math.sqrt(whole) if whole else math.nan


ranks = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=0, max_size=25)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(pairs=ranks)
def test_it_equals_a_count_of_pairs_and_scipy(pairs: list[tuple[int, int]]):
    one, other = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    tau = kendall_tau(one, other)
    assert tau == pytest.approx(by_pairs(one, other), nan_ok=True, abs=1e-12)
    if len(pairs) > 1:
        expected = kendalltau(one, other, variant="b").statistic
        assert tau == pytest.approx(expected, nan_ok=True, abs=1e-12)
    assert kendall_tau(other, one) == pytest.approx(tau, nan_ok=True)
    assert kendall_tau(one, [-v for v in other]) == pytest.approx(-tau, nan_ok=True)


def test_closed_forms():
    order = np.random.default_rng(0).permutation(300).astype(float)
    assert kendall_tau(order, order**3) == 1.0  # only the order counts
    assert kendall_tau(order, -order) == -1.0
    assert kendall_tau([1, 1, 2, 3], [1, 1, 5, 5]) == pytest.approx(4 / math.sqrt(5 * 4))
    # one model swapped with its neighbour among four: (5 - 1) / 6
    assert kendall_tau([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(2 / 3)


def test_many_values_agree_with_scipy():
    rng = np.random.default_rng(1)
    one = rng.integers(0, 200, 1500).astype(float)
    other = one + rng.integers(-80, 80, 1500)
    assert kendall_tau(one, other) == pytest.approx(kendalltau(one, other).statistic, rel=1e-12)


def test_what_is_missing_is_left_out_and_infinity_is_a_value():
    nan = math.nan
    assert kendall_tau([1, nan, 3, 4], [2, 9, nan, 7]) == 1.0
    assert kendall_tau([1, 2, math.inf, math.inf], [1, 2, 3, 3]) == 1.0
    assert math.isnan(kendall_tau([1, nan], [1, 2]))
    assert math.isnan(kendall_tau([], []))
    assert math.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))


def test_it_refuses():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        kendall_tau([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="same n things"):
        kendall_tau(np.ones((2, 2)), np.ones((2, 2)))
