"""Pooling of sets: attention against the library, and no dependence on order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from oneshot.nn.set_pooling import Pool


@pytest.mark.parametrize("side", [1, 3])
def test_attention_is_that_of_the_library_with_the_mean_as_query(side: int) -> None:
    torch.manual_seed(0)
    pool, x = Pool("attention", 8), torch.randn(5, 6, 8, side, side)

    # [B, S, W, r, r] -> [B, heads, S, W / heads * r * r]
    def heads(layer: nn.Linear, y: Tensor) -> Tensor:
        projected = torch.einsum("oi,bsihw->bsohw", layer.weight, y) + layer.bias[:, None, None]
        return projected.unflatten(2, (4, -1)).flatten(3).transpose(1, 2)

    pooled, weights = pool(x)
    assert weights is not None and weights.shape == (5, 4, 6)
    torch.testing.assert_close(weights.sum(2), torch.ones(5, 4))
    theirs = scaled_dot_product_attention(
        heads(pool.query, x.mean(1, keepdim=True)), heads(pool.key, x), heads(pool.value, x)
    )
    torch.testing.assert_close(pooled, theirs.reshape(5, 8, side, side), rtol=1e-4, atol=1e-5)
    one, weights = pool(x[:, :1])
    assert weights is not None and torch.equal(weights, torch.ones(5, 4, 1))
    torch.testing.assert_close(one, pool.value(x[:, 0]))


@pytest.mark.parametrize("kind", ["mean", "max", "attention"])
def test_pooling_ignores_order(kind: str) -> None:
    torch.manual_seed(0)
    pool, x = Pool(kind, 8), torch.randn(2, 5, 8, 3, 3)
    torch.testing.assert_close(pool(x)[0], pool(x.flip(1))[0])
    assert not torch.allclose(pool(x)[0], pool(x[:, :4])[0])
