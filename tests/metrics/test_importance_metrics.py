"""Sparsity and rank correlation of importance maps, in closed form and by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oneshot.metrics.importance import sparsity, spearman

CPU = torch.device("cpu")


def test_sparsity_in_closed_form() -> None:
    single = np.zeros((4, 5))
    single[2, 3] = 7
    # half of 40 is 6 2/3 pixels of 3
    halves = np.concatenate([np.full(10, 3.0), np.full(10, 1.0)]).reshape(4, 5)
    found = sparsity(np.stack([np.full((4, 5), 0.3), single, halves, np.zeros((4, 5))]))
    assert found[:3] == pytest.approx([0.5, 0.5 / 20, 20 / 3 / 20]) and math.isnan(found[3])
    assert sparsity(np.full((1, 6, 6), 2.0), 0.9) == pytest.approx([0.9])
    # 100 + 99 + .. + 72 is 2494, and 31 / 71 of the next make it half of 5050
    ramp = np.arange(1, 101.0).reshape(1, 10, 10)
    assert sparsity(ramp) == pytest.approx([0.29 + 31 / 7100]) and sparsity(
        1e-9 * ramp
    ) == pytest.approx([0.29 + 31 / 7100])


def test_sparsity_does_not_ask_where_the_pixels_are() -> None:
    rng = np.random.default_rng(0)
    maps = rng.gamma(0.3, size=(5, 8, 9))
    shuffled = rng.permutation(maps.reshape(5, -1), axis=1).reshape(5, 9, 8)
    assert sparsity(maps) == pytest.approx(sparsity(shuffled))
    for one, share in zip(maps, sparsity(maps)):  # whole pixels alone, counted one by one
        ordered = sorted(one.ravel().tolist(), reverse=True)
        whole = next(n for n in range(1, 73) if sum(ordered[:n]) >= one.sum() / 2)
        assert whole - 1 < share * 72 <= whole


def ranks(values: list[float]) -> list[float]:
    """Ranks by counting: those below, and half of the others that are equal."""
    return [sum(v < w for v in values) + (sum(v == w for v in values) - 1) / 2 for w in values]


def test_spearman_agrees_with_ranks_by_counting() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 6, (4, 7, 5)).astype(float), rng.random((4, 7, 5))
    b[0] += a[0]
    b[1] = b[1].round(1)
    for x, y, found in zip(a, b, spearman(a, b)):
        p, q = np.array(ranks(x.ravel().tolist())), np.array(ranks(y.ravel().tolist()))
        p, q = p - p.mean(), q - q.mean()
        assert found == pytest.approx((p @ q) / math.sqrt((p @ p) * (q @ q)))


def test_spearman_in_closed_form() -> None:
    ramp = np.arange(12.0).reshape(1, 3, 4)
    assert spearman(ramp, np.exp(ramp)) == pytest.approx([1]) and spearman(
        ramp, 20 - ramp
    ) == pytest.approx([-1])
    assert (
        np.isnan(spearman(ramp, np.ones((1, 3, 4)))).all()
        and np.isnan(spearman(np.zeros((1, 3, 4)), ramp)).all()
    )
    assert spearman(np.array([[[0.0, 1, 2]]]), np.array([[[0.0, 0, 1]]])) == pytest.approx(
        [math.sqrt(3) / 2]
    )
    assert (
        spearman(np.empty((0, 3, 4)), np.empty((0, 3, 4))).shape
        == (0,)
        == sparsity(np.empty((0, 3, 4))).shape
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full((2, 3, 3), -1.0), "but 2 of 2 are not"),
        (np.array([[[1.0, np.nan]], [[1.0, 1.0]]]), "but 1 of 2 are not"),
        (np.array([[[1.0, np.inf]]]), "but 1 of 1 are not"),
        (np.ones((3, 3)), r"given shape \(3, 3\)"),
        (np.ones((1, 0, 3)), "with a pixel at least"),
    ],
)
def test_numbers_refuse_what_is_no_map(wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sparsity(wrong)
    with pytest.raises(ValueError, match=message):
        spearman(wrong, wrong)


def test_numbers_refuse_other_shapes_and_shares() -> None:
    with pytest.raises(ValueError, match="one shape"):
        spearman(np.ones((1, 2, 3)), np.ones((1, 3, 2)))
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            sparsity(np.ones((1, 2, 2)), share)
