"""Diagonal Gaussians over latent maps, and the networks' last layers that make them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from oneshot.nn.set_layers import BatchNorm, GlobalNorm, Pointwise, Residual, dense


@dataclass(frozen=True)
class Gaussian:
    """N(mean, exp(log_variance)), each [..., C, r, r]; the last three dimensions are one event."""

    mean: Tensor
    log_variance: Tensor

    @staticmethod
    def of(parameters: Tensor) -> Gaussian:
        """From means and log-variances side by side: [..., 2 C, r, r]."""
        return Gaussian(*parameters.chunk(2, -3))

    def sample(self, noise: Tensor) -> Tensor:
        """mean + standard deviation * noise, with standard normal noise of the same shape."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def log_density(self, x: Tensor) -> Tensor:
        """log N(x), in nats: [...]."""
        square = (x - self.mean).square() * (-self.log_variance).exp()
        return -0.5 * (square + self.log_variance + math.log(2 * math.pi)).sum((-3, -2, -1))

    def divergence(self, other: Gaussian) -> Tensor:
        """KL(self || other) in closed form, in nats: [...]."""
        ratio = self.log_variance - other.log_variance
        square = (self.mean - other.mean).square() * (-other.log_variance).exp()
        return 0.5 * (ratio.exp() + square - 1 - ratio).sum((-3, -2, -1))


class Head(nn.Module):
    """Features [N, W, r, r] -> means and log-variances side by side, [N, 2 D, r, r]: trunk, 1x1
    product, normalisation.

    Vectors are normalised over all outputs at once, maps by channel. trunk: "residual" (depth
    products or convolutions) or "dense" (two layers).
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
