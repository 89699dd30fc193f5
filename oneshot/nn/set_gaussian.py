"""Diagonal Gaussians over latent maps, and the networks' last layers that make them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from oneshot.nn.set_layers import BatchNorm, GlobalNorm, Pointwise, Residual, dense


@dataclass(frozen=True)
class Gaussian:
    """N(mu, exp(log_var)), each [..., C, r, r]; the last three dimensions are one event."""

    mu: Tensor
    log_var: Tensor

    @staticmethod
    def from_parameters(parameters: Tensor) -> Gaussian:
        """From mu and log_var side by side along the channels, [..., 2 C, r, r]."""
        return Gaussian(*parameters.chunk(2, -3))

    def sample(self, noise: Tensor) -> Tensor:
        """mu + sigma * noise, with standard normal noise of the same shape."""
        return self.mu + (0.5 * self.log_var).exp() * noise

    def log_prob(self, x: Tensor) -> Tensor:
        """log N(x; mu, exp(log_var)) in nats, [...]."""
        square = (x - self.mu).square() * (-self.log_var).exp()
        return -0.5 * (square + self.log_var + math.log(2 * math.pi)).sum((-3, -2, -1))

    def kl(self, other: Gaussian) -> Tensor:
        """KL(self || other) in closed form, in nats, [...]."""
        log_ratio = self.log_var - other.log_var
        square = (self.mu - other.mu).square() * (-other.log_var).exp()
        return 0.5 * (log_ratio.exp() + square - 1 - log_ratio).sum((-3, -2, -1))


class Head(nn.Module):
    """Features [N, W, r, r] -> mu and log_var side by side, [N, 2 D, r, r].

    A trunk, a 1x1 product and a normalisation: of vectors over all outputs at once, of maps by
    channel.

    Args:
        width: W.
        outputs: D.
        maps: whether r may be above 1.
        depth: products or convolutions of a residual trunk.
        trunk: "residual", or "dense" for two dense layers.
    """

    def __init__(self, width: int, outputs: int, maps: bool, depth: int, trunk: str):
        super().__init__()
        residual = trunk == "residual"
        self.trunk = (
            Residual(width, depth, maps)
            if residual
            else nn.Sequential(dense(width, width), dense(width, width))
        )
        self.last = Pointwise(width, 2 * outputs)
        self.norm = BatchNorm(2 * outputs) if maps else GlobalNorm()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.last(self.trunk(x)))
        return result
