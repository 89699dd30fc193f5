"""Vendi score against closed forms, a second implementation and the published package."""

from __future__ import annotations

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from gaussian_drawings import clusters, rotation

from oneshot.metrics.vendi import vendi, vendi_of_classes


def by_definition(features: np.ndarray) -> float:
    """The score from the matrix of all cosines, in plain loops but for its eigenvalues."""
    n = len(features)
    cosines = np.empty((n, n))
    for i, x in enumerate(features):
        for j, y in enumerate(features):
            cosines[i, j] = (x @ y) / math.sqrt((x @ x) * (y @ y))
    shares = np.linalg.eigvals(cosines / n).real.tolist()
    return math.exp(-sum(share * math.log(share) for share in shares if share > 1e-14))


@pytest.mark.parametrize(("rows", "dimensions"), [(1, 1), (5, 3), (4, 9), (30, 30), (40, 2)])
def test_it_equals_the_definition(rows: int, dimensions: int):
    features = np.random.default_rng(rows).standard_normal((rows, dimensions)) + 0.5
    assert vendi(features) == pytest.approx(by_definition(features), rel=1e-9)


def test_orthogonal_rows_count_one_each_and_equal_ones_count_once():
    for n in (1, 2, 7):
        turned = np.diag(np.arange(1.0, n + 1)) @ rotation(n, n)
        assert vendi(turned) == pytest.approx(n, rel=1e-12)
        assert vendi(np.hstack([turned, np.zeros((n, 5))])) == pytest.approx(n, rel=1e-12)
        assert vendi(np.repeat(turned, 3, axis=0)) == pytest.approx(n, rel=1e-12)
    assert vendi(np.full((50, 4), 0.3)) == pytest.approx(1.0, abs=1e-12)
    assert vendi(np.full((3, 400), 0.3)) == pytest.approx(1.0, abs=1e-12)


def test_it_is_never_below_one():
    rng = np.random.default_rng(0)
    for n in range(1, 40):
        assert vendi(np.outer(1 + rng.random(n), rng.standard_normal(5))) >= 1.0


def test_two_rows_at_an_angle():
    for angle in (0.1, 1.0, 2.0):
        shares = [(1 + math.cos(angle)) / 2, (1 - math.cos(angle)) / 2]
        entropy = -sum(share * math.log(share) for share in shares)
        rows = [[2.0, 0.0], [math.cos(angle), math.sin(angle)]]
        assert vendi(rows) == pytest.approx(math.exp(entropy), rel=1e-12)


def test_rows_of_zeros_are_one_more_kind():
    assert vendi(np.zeros((4, 3))) == 1.0
    assert vendi([[0.0, 0.0], [1.0, 0.0]]) == pytest.approx(2.0, rel=1e-12)
    # shares 1/2, 1/4, 1/4
    rows = [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert vendi(rows) == pytest.approx(2 ** (0.5 * 1 + 0.5 * 2), rel=1e-12)


def test_length_does_not_count_however_small():
    rows = np.random.default_rng(0).standard_normal((6, 4))
    sizes = np.array([1e-200, 1e-30, 1.0, 7.0, 1e30, 1e200])
    assert vendi(rows * sizes[:, None]) == pytest.approx(vendi(rows), rel=1e-12)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 12), dimensions=st.integers(1, 12)
)
def test_it_is_blind_to_order_rotation_and_repetition(seed: int, rows: int, dimensions: int):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, dimensions))
    base = vendi(features)
    assert 1.0 <= base <= min(rows, dimensions) * (1 + 1e-9)
    assert vendi(rng.permutation(features)) == pytest.approx(base, rel=1e-9)
    assert vendi(features @ rotation(dimensions, seed)) == pytest.approx(base, rel=1e-9)
    assert vendi(np.vstack([features, features])) == pytest.approx(base, rel=1e-9)


def test_classes_are_scored_alone():
    features, label, _ = clusters(4, 6, 3, 0.5)
    order = np.random.default_rng(1).permutation(len(label))
    expected = [by_definition(features[label == c]) for c in range(4)]
    assert vendi_of_classes(features[order], label[order]) == pytest.approx(expected, rel=1e-9)


def test_it_refuses():
    with pytest.raises(ValueError, match="at least 1 row, given 0"):
        vendi(np.empty((0, 3)))
    with pytest.raises(ValueError, match="1 of 2 rows hold NaN"):
        vendi([[1.0, np.nan], [0.0, 1.0]])
    with pytest.raises(ValueError, match="class 1 has 0"):
        vendi_of_classes(np.ones((2, 2)), [0, 2])
    with pytest.raises(ValueError, match="class 2 has 0"):
        vendi_of_classes(np.ones((2, 2)), [0, 1], classes=3)


def test_it_agrees_with_vendi_score():
    published = pytest.importorskip(
        "vendi_score.vendi", reason="needs vendi-score: pip install vendi-score"
    )
    features = np.random.default_rng(3).standard_normal((40, 12)) + 0.3
    assert vendi(features) == pytest.approx(published.score_dual(features, normalize=True))
    assert vendi(features[:8]) == pytest.approx(published.score_X(features[:8], normalize=True))
