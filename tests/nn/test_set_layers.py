"""Layers of set models: normalisation over all outputs at once, and of a single value."""

from __future__ import annotations

import math

import torch

from oneshot.nn.set_layers import BatchNorm, GlobalNorm


def test_batch_normalisation_of_heads_has_one_mean_and_variance() -> None:
    norm, x = GlobalNorm().train(), 3 + 2 * torch.randn(7, 6, 1, 1)
    torch.testing.assert_close(norm(x), (x - x.mean()) / (x.var(correction=0) + 1e-3).sqrt())
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, 0.01 * x.mean().reshape(1))
    alone, single = BatchNorm(6).train(), torch.randn(1, 6, 1, 1)
    torch.testing.assert_close(alone(single), single / math.sqrt(1 + 1e-5))
    assert alone.running_mean is not None and not alone.running_mean.any()
