"""Frechet distance against closed forms, a second implementation and the published packages."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from gaussian_drawings import gaussian, rotation
from scipy.linalg import sqrtm

from oneshot.metrics.frechet import frechet_distance


def by_matrix_root(a: np.ndarray, b: np.ndarray) -> float:
    """The published formula as it is written, with scipy's root of a product."""
    one, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(one @ other))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root))


def test_gaussians_of_known_distance():
    # commuting covariances: the sum over axes of (difference of standard deviations)^2
    one = gaussian(40, [0.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    other = gaussian(25, [3.0, 4.0, 0.0], [2.0, 2.0, 5.0], seed=1)
    assert frechet_distance(one, other) == pytest.approx(25 + 1 + 0 + 4, rel=1e-12)
    # one covariance the identity: the trace of the root is the sum of the standard deviations
    turned = gaussian(25, [0.0, 0.0, 0.0], [2.0, 0.5, 5.0], seed=1) @ rotation(3, 2)
    white = gaussian(30, [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], seed=3)
    assert frechet_distance(turned, white) == pytest.approx(1 + 0.25 + 16, rel=1e-12)


def test_a_set_has_no_distance_to_itself_and_a_shift_has_its_square():
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e4):
        rows = scale * rng.standard_normal((600, 128)) @ rng.standard_normal((128, 128))
        rows[:, 5] = 1.0  # a dead unit of a critic: the covariance has no full rank
        rows[:, 6] = rows[:, 7]
        assert frechet_distance(rows, rows) == 0.0
        assert frechet_distance(rows, rows[::-1]) == 0.0
        shift = 0.5 * scale
        assert frechet_distance(rows, rows + shift) == pytest.approx(128 * shift**2, rel=1e-9)


@pytest.mark.parametrize("dimensions", [1, 2, 7, 40])
def test_it_equals_the_formula_with_a_matrix_root(dimensions: int):
    rng = np.random.default_rng(dimensions)
    mix = rng.standard_normal((dimensions, dimensions))
    one = rng.standard_normal((dimensions + 30, dimensions)) @ mix + 2.0
    other = np.exp(rng.standard_normal((dimensions + 50, dimensions)))
    expected = (
        by_matrix_root(one, other)
        if dimensions > 1
        else (one.mean() - other.mean()) ** 2 + (one.std(ddof=1) - other.std(ddof=1)) ** 2
    )
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-8)


def test_small_variances_are_not_lost_beside_large_ones():
    one = gaussian(30, [0.0, 0.0], [1e6, 1e-3])
    other = gaussian(40, [0.0, 0.0], [1e6, 3e-3], seed=1)
    assert frechet_distance(one / 1e6, other / 1e6) == 0.0  # 4e-18 beside 2 is rounding
    # eigenvalues of the product of the covariances would be 1e12 and 9e-12
    turn = rotation(2)
    one = gaussian(30, [0.0, 0.0], [1e3, 1e-3]) @ turn
    other = gaussian(40, [0.0, 0.0], [1e3, 3e-3], seed=1) @ turn
    assert frechet_distance(one, other) == pytest.approx(4e-6, rel=1e-2)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32 - 1), dimensions=st.integers(1, 6))
def test_it_is_symmetric_and_blind_to_order_rotation_and_common_shift(seed: int, dimensions: int):
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((12, dimensions)), 1 + rng.random((9, dimensions))
    base = frechet_distance(one, other)
    assert base > 0
    assert frechet_distance(other, one) == pytest.approx(base, rel=1e-9)
    assert frechet_distance(rng.permutation(one), other) == pytest.approx(base, rel=1e-9)
    turn, shift = rotation(dimensions, seed), rng.standard_normal(dimensions)
    assert frechet_distance(one @ turn + shift, other @ turn + shift) == pytest.approx(
        base, rel=1e-9
    )
    assert frechet_distance(3 * one, 3 * other) == pytest.approx(9 * base, rel=1e-9)


def test_it_refuses_too_few_rows_and_says_how_many_are_needed():
    rows = np.random.default_rng(0).standard_normal((20, 8))
    assert frechet_distance(rows[:9], rows) > 0
    with pytest.raises(ValueError, match=r"at least 9 rows of each set, given 8 .* and 20 drawn"):
        frechet_distance(rows[:8], rows)
    with pytest.raises(ValueError, match="given 20 of the reference and 8 drawn"):
        frechet_distance(rows, rows[:8])
    with pytest.raises(ValueError, match="reference has 8 dimensions and the drawings have 7"):
        frechet_distance(rows, rows[:, :7])
    rows[3, 2] = np.inf
    with pytest.raises(ValueError, match="drawn features must be finite, but 1 of 20 rows"):
        frechet_distance(rows[5:], rows)
    with pytest.raises(ValueError, match=r"must be \[N, D\]"):
        frechet_distance(rows[0], rows)


def test_it_agrees_with_torch_fidelity():
    fid = pytest.importorskip(
        "torch_fidelity.metric_fid", reason="needs torch-fidelity: pip install torch-fidelity"
    )
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    one, other = rng.standard_normal((300, 32)), rng.random((200, 32)) * 3
    statistics = [fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (one, other)]
    published = fid.fid_statistics_to_metric(*statistics, verbose=False)
    value = published["frechet_inception_distance"]
    assert frechet_distance(one, other) == pytest.approx(value, rel=1e-6)
