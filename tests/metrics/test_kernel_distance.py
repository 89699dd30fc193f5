"""Kernel distance against double loops, closed forms and the published package."""

from __future__ import annotations

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from gaussian_drawings import rotation

from oneshot.metrics import blocks, kernel_distance
from oneshot.metrics.kernel_distance import kernel_distance as kid


def by_loops(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimator, pair by pair in plain Python."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(x.tolist(), y.tolist())) / len(x) + 1) ** 3

    def mean(pairs: list[float]) -> float:
        return sum(pairs) / len(pairs)

    own = [mean([kernel(x, y) for x, y in itertools.permutations(rows, 2)]) for rows in (a, b)]
    return sum(own) - 2 * mean([kernel(x, y) for x in a for y in b])


@pytest.mark.parametrize(("n", "m", "dimensions"), [(2, 2, 1), (7, 5, 3), (12, 20, 9)])
@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_it_equals_double_loops(n: int, m: int, dimensions: int, shift: float):
    rng = np.random.default_rng(n)
    one, other = rng.standard_normal((n, dimensions)), rng.standard_normal((m, dimensions)) + shift
    assert kid(one, other) == pytest.approx(by_loops(one, other), rel=1e-10, abs=1e-12)


def test_closed_forms():
    # constant sets: k(x, x) + k(y, y) - 2 k(x, y)
    one, other = np.full((3, 4), 1.0), np.full((5, 4), 2.0)
    assert kid(one, other) == pytest.approx(2**3 + 5**3 - 2 * 3**3, rel=1e-12)
    assert kid(one, one) == pytest.approx(0.0, abs=1e-12)
    # a set against itself: own pairs (j = i) enter the mixed mean alone, so it is negative
    rows = np.array([[1.0], [-1.0]])
    assert kid(rows, rows) == pytest.approx(2 * 0.0 - 2 * (8 + 0) / 2)


def test_parts_of_the_pairs_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((31, 6)), rng.standard_normal((17, 6)) + 0.3
    whole = kid(one, other)
    parts = []

    def small(rows: int, columns: int):
        parts.extend(blocks.blocks(rows, columns, numbers=100))
        return blocks.blocks(rows, columns, numbers=100)

    monkeypatch.setattr(kernel_distance, "blocks", small)
    assert kid(one, other) == pytest.approx(whole, rel=1e-12)
    assert len(parts) > 15


def test_it_is_unbiased():
    # Equal distributions: the mean of many values lies within four of its standard errors of 0.
    rng = np.random.default_rng(2)
    values = [kid(rng.standard_normal((6, 3)), rng.standard_normal((9, 3))) for _ in range(400)]
    error = np.std(values, ddof=1) / 20
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0 < max(values)
    # with the pairs of a row with itself the mean would be off by far more
    assert error < 0.1 * (2**3 - 1) / 6


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32 - 1), dimensions=st.integers(1, 6))
def test_it_is_symmetric_and_blind_to_order_and_rotation(seed: int, dimensions: int):
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((8, dimensions)), 1 + rng.random((5, dimensions))
    base = pytest.approx(kid(one, other), rel=1e-9, abs=1e-9)
    turn = rotation(dimensions, seed)
    assert kid(other, one) == base
    assert kid(rng.permutation(one), other[::-1]) == base
    assert kid(one @ turn, other @ turn) == base


def test_it_refuses():
    rows = np.ones((4, 3))
    with pytest.raises(ValueError, match="the drawn features must have at least 2 rows, given 1"):
        kid(rows, rows[:1])
    with pytest.raises(ValueError, match="the reference features must have at least 2 rows"):
        kid(rows[:1], rows)
    with pytest.raises(ValueError, match="same critic"):
        kid(rows, rows[:, :2])
    rows[0, 0] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        kid(rows, rows)


def test_it_agrees_with_torch_fidelity():
    published = pytest.importorskip(
        "torch_fidelity.metric_kid", reason="needs torch-fidelity: pip install torch-fidelity"
    )
    rng = np.random.default_rng(4)
    one, other = rng.standard_normal((60, 16)), rng.standard_normal((60, 16)) + 0.4
    value = published.kernel_mmd(one, other, kid_kernel="poly")  # cubic by default
    assert kid(one, other) == pytest.approx(float(value), rel=1e-6)
