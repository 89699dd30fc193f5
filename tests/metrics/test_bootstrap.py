"""Intervals over classes and seeds: against all resamples, closed forms and simulated tables."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from scipy.stats import t as student_t

from oneshot.metrics.bootstrap import interval, paired_difference, student

NAN = math.nan


def table(
    rng: np.random.Generator, seeds: int, classes: int, spread: tuple[float, float, float]
) -> np.ndarray:
    """Values about 0 of seeds that differ, classes that differ, and cells that differ."""
    of_seed, of_class, of_cell = spread
    return (
        of_seed * rng.standard_normal((seeds, 1))
        + of_class * rng.standard_normal((1, classes))
        + of_cell * rng.standard_normal((seeds, classes))
    )


def stretch(pulls: list[list[float]]) -> float:
    """The correction for few seeds and classes, from how much each pulls the mean away."""
    naive = [sum(p * p for p in pull) for pull in pulls]
    fair = [v * len(pull) / (len(pull) - 1) for v, pull in zip(naive, pulls)]
    freedom = sum(fair) ** 2 / sum(f * f / (len(pull) - 1) for f, pull in zip(fair, pulls))
    normal = statistics.NormalDist().inv_cdf(0.975)
    return math.sqrt(sum(fair) / sum(naive)) * student_t.ppf(0.975, freedom) / normal


def all_resamples(values: np.ndarray) -> list[float]:
    """The mean of every choice of seeds and of classes, cell by cell."""
    means = []
    seeds, classes = range(values.shape[0]), range(values.shape[1])
    for rows in itertools.product(seeds, repeat=len(seeds)):
        for columns in itertools.product(classes, repeat=len(classes)):
            cells = [values[s, c] for s in rows for c in columns]
            cells = [v for v in cells if not math.isnan(v)]
            if cells:
                means.append(statistics.fmean(cells))
    return means


# ---------------------------------------------------------------- one table


@pytest.mark.parametrize("missing", [[], [(0, 1), (2, 3)]])
def test_the_interval_equals_that_of_all_resamples(missing: list[tuple[int, int]]):
    values = table(np.random.default_rng(4), 3, 4, (1.0, 1.0, 0.5)) + 7.0
    for cell in missing:
        values[cell] = NAN
    present = ~np.isnan(values)
    mean = values[present].mean()
    left = np.where(present, values - mean, 0.0) / present.sum()
    factor = stretch([left.sum(axis=0).tolist(), left.sum(axis=1).tolist()])
    means = np.array(all_resamples(values))
    low, high = mean + factor * (np.quantile(means, [0.025, 0.975]) - mean)
    found = interval(values, draws=100_000)
    assert found.mean == pytest.approx(mean, rel=1e-12)
    width = high - low
    assert found.low == pytest.approx(low, abs=0.02 * width)
    assert found.high == pytest.approx(high, abs=0.02 * width)
    assert found[3:] == (3, 4)


def test_many_classes_of_one_seed_have_the_classical_interval():
    values = np.random.default_rng(1).standard_normal((1, 300)) * 3.0 + 10.0
    found = interval(values, draws=20_000)
    half = student_t.ppf(0.975, 299) * values.std(ddof=1) / math.sqrt(300)
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.06)
    assert found.mean - found.low == pytest.approx(half, rel=0.06)
    assert found[3:] == (1, 300)
    # the same values as seeds of one class
    assert interval(values.T, draws=20_000)[1:3] == pytest.approx(found[1:3], rel=0.02)


def test_one_value_has_no_interval_and_no_value_no_mean():
    assert interval([[3.0]])[:1] == (3.0,)
    for values in ([[3.0]], [[NAN, 3.0], [NAN, NAN]]):
        found = interval(values)
        assert found.mean == 3.0
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found[3:] == (1, 1)
    for empty in ([[NAN, NAN]], np.empty((0, 3)), np.empty((2, 0))):
        found = interval(empty)
        assert all(math.isnan(v) for v in found[:3])
        assert found[3:] == (0, 0)


def test_equal_values_have_an_interval_of_one_point():
    found = interval(np.full((3, 5), 0.1))
    assert found[:3] == pytest.approx((0.1, 0.1, 0.1), abs=1e-12)


def test_seeds_and_classes_without_a_value_do_not_count():
    values = table(np.random.default_rng(2), 3, 6, (1.0, 1.0, 1.0))
    padded = np.full((5, 8), NAN)
    padded[np.ix_([0, 2, 3], [1, 2, 3, 4, 6, 7])] = values
    assert interval(padded) == interval(values)


def test_an_interval_is_deterministic_and_moves_with_its_table():
    values = table(np.random.default_rng(3), 3, 20, (1.0, 1.0, 1.0))
    found = interval(values)
    assert interval(values) == found
    assert interval(values, seed=1)[1:3] != found[1:3]
    moved = interval(2.0 * values + 5.0)
    assert moved[:3] == pytest.approx([2.0 * v + 5.0 for v in found[:3]], rel=1e-9)
    # another order of classes is another draw of the same distribution
    other, width = interval(values[:, ::-1]), found.high - found.low
    assert other.mean == pytest.approx(found.mean)
    assert other.low == pytest.approx(found.low, abs=0.1 * width)


@pytest.mark.parametrize(
    ("seeds", "classes", "spread"),
    [
        (3, 30, (1.0, 0.0, 0.3)),
        (3, 30, (0.3, 1.0, 0.3)),
        (5, 20, (0.5, 1.0, 1.0)),
        (2, 50, (0.2, 1.0, 1.0)),
        (1, 12, (0.0, 1.0, 0.0)),
        (10, 40, (0.0, 0.0, 1.0)),
    ],
)
def test_intervals_hold_the_true_mean_as_often_as_they_say(
    seeds: int, classes: int, spread: tuple[float, float, float]
):
    rng, hits, repetitions = np.random.default_rng(5), 0, 300
    for _ in range(repetitions):
        found = interval(table(rng, seeds, classes, spread), draws=300)
        hits += found.low < 0 < found.high
    # 300 repetitions know a share of 95 % to 1.3 %; noise of cells alone makes them wider
    assert hits / repetitions > 0.90
    if spread[2] < 0.5:
        assert hits / repetitions < 0.995


def test_missing_cells_leave_intervals_right():
    rng, hits = np.random.default_rng(6), 0
    for _ in range(300):
        values = table(rng, 4, 30, (0.4, 1.0, 0.5))
        values[rng.random(values.shape) < 0.3] = NAN
        found = interval(values, draws=300)
        hits += found.low < 0 < found.high
    assert 0.90 < hits / 300 < 0.995


@pytest.mark.parametrize("freedom", [1.0, 1.5, 2.0, 3.7, 30.0, 999.0, 1e6])
def test_the_quantile_of_student_is_that_of_scipy(freedom: float):
    assert student(freedom) == pytest.approx(student_t.ppf(0.975, freedom), rel=2e-4)


# ---------------------------------------------------------------- two tables


def test_a_difference_of_the_same_seeds_is_that_of_the_cells():
    rng = np.random.default_rng(7)
    one, other = table(rng, 3, 15, (1.0, 1.0, 0.5)), table(rng, 3, 15, (1.0, 1.0, 0.5))
    found, cells = paired_difference(one, other), interval(one - other)
    assert found[:3] == cells[:3]
    assert (found.pairs, found.classes) == (3, 15)
    back = paired_difference(other, one)
    assert back[:3] == pytest.approx([-cells.mean, -cells.high, -cells.low])
    assert back.p == pytest.approx(found.p)


def test_seeds_are_compared_with_themselves_wherever_they_stand():
    rng = np.random.default_rng(8)
    one, other = table(rng, 3, 9, (1.0, 1.0, 0.1)), table(rng, 4, 9, (1.0, 1.0, 0.1))
    found = paired_difference(one, other, seeds=([5, 7, 9], [9, 1, 5, 2]))
    assert found[:3] == interval(one[[0, 2]] - other[[2, 0]])[:3]
    assert found.pairs == 2
    alone = paired_difference(one, other, seeds=([5, 7, 9], [9, 1, 4, 2]))
    assert alone.pairs == 0
    assert alone.mean == pytest.approx(one.mean() - other.mean())


def test_what_classes_have_in_common_does_not_hide_a_difference():
    rng = np.random.default_rng(9)
    hard = 20.0 * rng.standard_normal((1, 40))  # classes differ far more than models
    one = hard + 0.5 + 0.3 * rng.standard_normal((3, 40))
    other = hard + 0.3 * rng.standard_normal((3, 40))
    for seeds in (None, ([0, 1, 2], [3, 4, 5])):
        found = paired_difference(one, other, seeds)
        assert found.low > 0
        assert found.p < 0.05
        assert found.high - found.low < 1.0
    width = interval(one).high - interval(one).low
    assert width > 8.0


def test_the_p_value_and_the_interval_say_the_same():
    rng, beyond = np.random.default_rng(10), 0
    for _ in range(60):
        one = table(rng, 3, 20, (0.3, 1.0, 0.5)) + 0.5
        found = paired_difference(one, np.zeros((3, 20)), draws=999)
        outside = found.low > 0 or found.high < 0
        beyond += outside
        if abs(found.p - 0.05) > 0.005:
            assert outside == (found.p < 0.05)
    assert 10 < beyond < 60


@pytest.mark.parametrize("seeds", [None, ([0, 1, 2], [3, 4, 5])])
def test_equal_models_seldom_differ(seeds: tuple[list[int], list[int]] | None):
    rng, small, repetitions = np.random.default_rng(11), 0, 300
    for _ in range(repetitions):
        both = rng.standard_normal((1, 30))
        one, other = (both + table(rng, 3, 30, (0.4, 0.4, 0.3)) for _ in range(2))
        small += paired_difference(one, other, seeds, draws=300).p < 0.05
    assert 0.005 < small / repetitions < 0.10


def test_equal_tables_do_not_differ():
    values = table(np.random.default_rng(12), 3, 10, (1.0, 1.0, 1.0))
    assert paired_difference(values, values) == (0.0, 0.0, 0.0, 1.0, 3, 10)


def test_what_cannot_be_resampled_has_no_p_value():
    found = paired_difference([[3.0]], [[1.0]])
    assert found.mean == 2.0
    assert all(math.isnan(v) for v in (found.low, found.high, found.p))
    assert found[4:] == (0, 1)
    # no class that both have
    found = paired_difference([[1.0, NAN]], [[NAN, 2.0]])
    assert all(math.isnan(v) for v in found[:4])
    assert found[4:] == (0, 0)
    # a class that one lacks is left out of both
    found = paired_difference([[1.0, 2.0, 90.0]], [[0.0, 0.5, NAN]])
    assert found.mean == pytest.approx(1.25)
    assert found.classes == 2


def test_bad_tables_are_refused():
    with pytest.raises(ValueError, match=r"one value a seed is values\[:, None\]"):
        interval([1.0, 2.0])
    with pytest.raises(ValueError, match="1 of 2 values are infinite"):
        interval([[1.0, math.inf]])
    with pytest.raises(ValueError, match="at least 1 draw"):
        interval([[1.0, 2.0]], draws=0)
    two, three = np.ones((2, 2)), np.ones((2, 3))
    with pytest.raises(ValueError, match="same classes, given 2 and 3"):
        paired_difference(two, three)
    with pytest.raises(ValueError, match=r"each of 2 rows .* given \[2, 1\]"):
        paired_difference(two, two, seeds=([0, 1], [0]))
    with pytest.raises(ValueError, match="occur once"):
        paired_difference(two, two, seeds=([0, 0], [0, 1]))
