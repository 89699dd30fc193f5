"""Hits of a class that was left out: closed forms, and a second implementation in plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from oneshot.metrics import removed
from oneshot.metrics.removed import (
    FEWEST,
    covered,
    diversity_ratio,
    entropy,
    mean_distance,
    shares,
    to_shots_ratio,
)


def random_probabilities(rows: int, classes: int, seed: int = 0) -> np.ndarray:
    draws = np.random.default_rng(seed).gamma(0.3, size=(rows, classes))
    return draws / draws.sum(1, keepdims=True)


@pytest.mark.parametrize("least", [0.0, 0.5, 0.9])
def test_shares_by_loop(least: float) -> None:
    probability = random_probabilities(400, 6)
    counts = [0] * 6
    for row in probability.tolist():
        best = max(range(6), key=lambda c: row[c])
        counts[best] += row[best] >= least
    assert shares(probability, least).tolist() == [count / 400 for count in counts]
    assert sum(counts) == 400 or least > 0


def test_shares_of_what_is_known() -> None:
    sure = np.eye(4)[[0, 0, 2, 3, 3, 3, 3, 3]]
    assert shares(sure, 0.9).tolist() == [0.25, 0, 0.125, 0.625]
    undecided = np.full((5, 4), 0.25)
    assert shares(undecided).tolist() == [0, 0, 0, 0] and shares(undecided, 0).sum() == 1
    assert shares(np.array([[0.5, 0.5]]), 0.5).tolist() == [1, 0]  # from .5 on it is sure


def test_entropy_of_what_is_known() -> None:
    assert entropy(np.eye(7)) == 0
    for classes in (2, 10):
        assert entropy(np.full((3, classes), 1 / classes)) == pytest.approx(math.log(classes))
    probability = random_probabilities(50, 5)
    by_loop = np.mean([-sum(p * math.log(p) for p in row if p > 0) for row in probability])
    assert entropy(probability) == pytest.approx(by_loop, rel=1e-12)


def test_classes_covered() -> None:
    share = np.array([0.5, 0.01, 0.0099, 0.3, 0.0])
    assert covered(share, np.arange(5)) == 3 and covered(share, np.array([1, 2, 4])) == 1
    assert covered(share, np.empty(0, np.int64)) == 0


@pytest.mark.parametrize("bad", [np.empty((0, 3)), np.ones(3), np.array([[-0.1, 1.1]]), [[np.nan]]])
def test_what_is_no_probability_is_refused(bad: np.ndarray) -> None:
    for metric in (shares, entropy):
        with pytest.raises(ValueError, match="probabilities must"):
            metric(np.asarray(bad))


def test_mean_distance_by_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).standard_normal((40, 7)) + 1000
    by_pairs = np.mean([math.dist(a, b) for a, b in itertools.combinations(rows, 2)])
    assert mean_distance(rows) == pytest.approx(by_pairs, rel=1e-9)
    monkeypatch.setattr(removed, "blocks", lambda n, _: (slice(i, i + 1) for i in range(n)))
    assert mean_distance(rows) == pytest.approx(by_pairs, rel=1e-9)


def test_mean_distance_of_what_is_known() -> None:
    assert mean_distance(np.eye(5)) == pytest.approx(math.sqrt(2))
    assert mean_distance(np.full((6, 3), 0.3)) == pytest.approx(0, abs=1e-7)
    with pytest.raises(ValueError, match="at least 2 rows"):
        mean_distance(np.ones((1, 2)))


def test_diversity_ratio() -> None:
    real = np.random.default_rng(2).standard_normal((30, 4))
    assert diversity_ratio(real, real) == pytest.approx(1)
    assert diversity_ratio(0.25 * real + 7, real) == pytest.approx(0.25)
    copies = np.repeat(real[:1], 12, axis=0)
    assert diversity_ratio(copies, real) == pytest.approx(0, abs=1e-7)
    assert math.isnan(diversity_ratio(real[: FEWEST - 1], real))
    assert math.isnan(diversity_ratio(real, copies[:2])) and math.isnan(
        diversity_ratio(real, real[:1])
    )


def test_copies_of_shots_are_near_to_them() -> None:
    rng = np.random.default_rng(3)
    shots, real = rng.standard_normal((3, 5)), rng.standard_normal((60, 5))
    copies = shots[rng.integers(0, 3, 20)]
    assert to_shots_ratio(copies, real, shots) == 0
    assert to_shots_ratio(real, real, shots) == pytest.approx(1)
    near = [min(math.dist(row, shot) for shot in shots) for row in real]
    moved = copies + np.array([3.0, 0, 0, 0, 0])
    far = [min(math.dist(row, shot) for shot in shots) for row in moved]
    expected = np.mean(far) / np.mean(near)
    assert to_shots_ratio(moved, real, shots) == pytest.approx(expected, rel=1e-9)
    assert math.isnan(to_shots_ratio(copies[: FEWEST - 1], real, shots))
    assert math.isnan(to_shots_ratio(copies, real, shots[:0]))
    assert math.isnan(to_shots_ratio(copies, shots, shots))
    assert math.isnan(to_shots_ratio(copies, real[:0], shots))
