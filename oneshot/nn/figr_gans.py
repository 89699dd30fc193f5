"""The networks of FIGR: generators and discriminators without statistics of a batch.

Clouatre and Demers (2019), FIGR: few-shot image generation with Reptile
(https://arxiv.org/abs/1901.02199). Every layer is normalised within its image, as four images of a
class are too few for statistics of a batch. Each network has L levels; the width doubles, and the
side halves, from one to the next. "dcgan" has a 5 x 5 convolution a level; "resnet" two residual
pairs of 3 x 3 convolutions and one to the next width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

SLOPE = 0.25  # of PReLU, at the start


class Prelu(nn.Module):
    """PReLU, x where it is positive and a x elsewhere, with one slope a of each channel.

    torch's own has no batching rule for slopes that differ between models and tasks.

    Args:
        channels: of the input, its second dimension.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.slope = nn.Parameter(torch.full((channels,), SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        slope = self.slope.view(-1, *[1] * (x.dim() - 2))
        return torch.where(x > 0, x, slope * x)


class Doubled(nn.Module):
    """Each pixel becomes two by two."""

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=2, mode="nearest")


class Halved(nn.Module):
    """Two by two pixels become their mean."""

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(x, 2)


class GlobalMean(nn.Module):
    """Each map becomes its mean."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class ResidualPair(nn.Module):
    """x plus two convolutions of it, each followed by PReLU and normalisation.

    Args:
        channels: of input and output.
        side: of the maps.
    """

    def __init__(self, channels: int, side: int):
        super().__init__()
        self.body = nn.Sequential(
            *_then_normalised(channels, channels, 3, side),
            *_then_normalised(channels, channels, 3, side),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Generator(nn.Module):
    """G: z [B, Z] -> images in [-1, 1], [B, 1, S, S].

    Args:
        arch: "dcgan" or "resnet".
        z: size of the noise.
        hidden: width h of the finest level.
        levels: L; the coarsest maps have h 2^L channels and S / 2^L pixels a side.
        side: S, of the images.
    """

    def __init__(self, arch: str, z: int, hidden: int, levels: int, side: int):
        super().__init__()
        widths = [hidden * 2**level for level in reversed(range(levels + 1))]
        coarsest = side // 2**levels
        self.shape = (widths[0], coarsest, coarsest)
        size = math.prod(self.shape)
        self.start = nn.Sequential(nn.Linear(z, size), Prelu(size), nn.LayerNorm(size))
        layers: list[nn.Module] = []
        for level, (wide, narrow) in enumerate(pairwise(widths)):
            at = coarsest * 2**level
            if arch == "resnet":
                layers += [ResidualPair(wide, at), ResidualPair(wide, at)]
            kernel = 3 if arch == "resnet" else 5
            layers += [*_then_normalised(wide, narrow, kernel, at), Doubled()]
        self.body = nn.Sequential(*layers, _convolution(hidden, 1, 5))

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.body(self.start(z).unflatten(1, self.shape)))


class Discriminator(nn.Module):
    """D: images in [-1, 1], [B, 1, S, S] -> scores [B], not bounded.

    Args:
        arch: "dcgan" or "resnet".
        hidden: width h of the finest level.
        levels: L, as of the generator.
        side: S, of the images.
    """

    def __init__(self, arch: str, hidden: int, levels: int, side: int):
        super().__init__()
        widths = [hidden * 2**level for level in range(levels + 1)]
        resnet = arch == "resnet"
        unit: Callable[[int, int, int, int], list[nn.Module]]
        unit = _then_normalised if resnet else _first_normalised
        layers = unit(1, hidden, 7 if resnet else 5, side)
        for level, (narrow, wide) in enumerate(pairwise(widths)):
            at = side // 2**level
            if resnet:
                layers += [ResidualPair(narrow, at), ResidualPair(narrow, at)]
            layers += [*unit(narrow, wide, 3 if resnet else 5, at), Halved()]
        features = widths[-1] if resnet else widths[-1] * (side // 2**levels) ** 2
        self.body = nn.Sequential(*layers, GlobalMean() if resnet else nn.Flatten())
        self.score = nn.Linear(features, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.score(self.body(images)).squeeze(1)


def _convolution(before: int, after: int, kernel: int) -> nn.Conv2d:
    """A convolution that keeps the side of its maps."""
    return nn.Conv2d(before, after, kernel, padding=kernel // 2)


def _then_normalised(before: int, after: int, kernel: int, side: int) -> list[nn.Module]:
    """Convolution, PReLU, normalisation within the image."""
    normalised = nn.LayerNorm([after, side, side])
    return [_convolution(before, after, kernel), Prelu(after), normalised]


def _first_normalised(before: int, after: int, kernel: int, side: int) -> list[nn.Module]:
    """Convolution, normalisation within the image, PReLU."""
    normalised = nn.LayerNorm([after, side, side])
    return [_convolution(before, after, kernel), normalised, Prelu(after)]
