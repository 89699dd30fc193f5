"""Terms of a bound with Bernoulli pixels and Gaussian latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def bernoulli_nll(logits: Tensor, target: Tensor, published: bool = False) -> Tensor:
    """-log p(target) of independent Bernoulli pixels.

    Args:
        logits: [..., C, H, W].
        target: of 0 and 1, [..., C, H, W]; broadcast to the logits.
        published: go through the sigmoid first, with log clamped at -100, as published code does;
            it saturates in float32.

    Returns:
        In nats, summed over the last three dimensions, [...].
    """
    target = target.expand_as(logits)
    if published:
        loss = nn.functional.binary_cross_entropy(torch.sigmoid(logits), target, reduction="none")
    else:
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return loss.sum((-3, -2, -1))


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)); Kingma and Welling (2014), appendix B.

    Args:
        mean: [..., T, Z].
        log_variance: [..., T, Z].

    Returns:
        In nats, summed over the last two dimensions, [...].
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum((-2, -1))
