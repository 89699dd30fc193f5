"""Diagonal Gaussians: their density and divergence are those of the library."""

from __future__ import annotations

import torch
from torch.distributions import Independent, Normal, kl_divergence

from oneshot.nn.set_gaussian import Gaussian


def gaussian(seed: int, *shape: int) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    return Gaussian.from_parameters(torch.randn(*shape, generator=generator))


def library(one: Gaussian) -> Independent:
    return Independent(Normal(one.mu, (0.5 * one.log_var).exp()), 3)


def test_gaussians_are_those_of_the_library() -> None:
    q, p = gaussian(0, 5, 6, 2, 2), gaussian(1, 5, 6, 2, 2)
    torch.testing.assert_close(q.kl(p), kl_divergence(library(q), library(p)))
    x = q.sample(torch.randn(5, 3, 2, 2))
    torch.testing.assert_close(q.log_prob(x), library(q).log_prob(x))
