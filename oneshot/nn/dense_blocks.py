"""Blocks of DAGAN (Antoniou et al. 2017): densely connected 3x3 convolutions, which halve or
enlarge a map, and what is built of them.

Where the published code has transposed convolutions, of stride 1, there are plain ones here: the
same functions, with their kernels turned. Masks of dropout come from standard normal numbers that
the caller gives and a `Draws` hands out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, pad

from oneshot.nn.set_layers import BatchNorm

SLOPE = 0.2  # of the leaky ReLU
Norm = Callable[[int], nn.Module]


def ladder(image_size: int) -> list[int]:
    """Widths of the maps, each half of the one before, rounded up: of the image, then of four
    levels.
    """
    return [-(-image_size // 2**level) for level in range(5)]


def by_batch(channels: int) -> nn.Module:
    """Normalisation of each channel over the batch, as in the generators."""
    return BatchNorm(channels, eps=1e-3, momentum=0.01)


def by_image(channels: int) -> nn.Module:
    """Normalisation of each image over all its channels and pixels, with a scale and a shift a
    channel, as in the critic.
    """
    return nn.GroupNorm(1, channels, eps=1e-12)


class Draws:
    """Hands out the random numbers of a batch in order: noise [B, N], standard normal. `used`: how
    many of the N were taken.
    """

    def __init__(self, noise: Tensor):
        self.noise, self.used = noise, 0

    def take(self, shape: torch.Size) -> Tensor:
        """The next numbers, [B, *shape]. Raises RuntimeError if there are not as many."""
        start, self.used = self.used, self.used + math.prod(shape)
        return self.noise[:, start : self.used].unflatten(1, shape)


class Dropout(nn.Module):
    """In training mode, 0 with probability p, else scaled by 1 / (1 - p): an element is kept if its
    number is above the p-quantile.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.quantile = NormalDist().inv_cdf(p) if p else -math.inf

    def forward(self, x: Tensor, draws: Draws) -> Tensor:
        if not (self.training and self.p):
            return x
        return x * ((draws.take(x.shape[1:]) > self.quantile) / (1 - self.p))


class Convolution(nn.Conv2d):
    """3x3 convolution to ceil(size / stride); with stride 2, an even map is padded right and below
    alone, any other on all sides.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__(inputs, outputs, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2 and x.shape[-1] % 2 == 0:
            return conv2d(pad(x, (0, 1, 0, 1)), self.weight, self.bias, 2)
        return conv2d(x, self.weight, self.bias, self.stride, 1)


class Unit(nn.Module):
    """Convolution, leaky ReLU, normalisation, dropout: [B, I, s, s] -> [B, O, s', s']."""

    def __init__(
        self, inputs: int, outputs: int, norm: Norm, stride: int = 1, dropout: float = 0.0
    ):
        super().__init__()
        self.convolution, self.norm, self.dropout = (
            Convolution(inputs, outputs, stride),
            norm(outputs),
            Dropout(dropout),
        )

    def forward(self, x: Tensor, draws: Draws) -> Tensor:
        result: Tensor = self.dropout(self.norm(leaky_relu(self.convolution(x), SLOPE)), draws)
        return result


class EncoderBlock(nn.Module):
    """Halves a map. Every convolution sees the block's input and the outputs of all convolutions
    before it; the last one has stride 2.

    previous [B, P, 2 s, 2 s], or one less wide: the feature before x, which the first convolution
    sees as well, through one that halves it. x: [B, I, s, s]. inner: convolutions before the last
    one. Returns the outputs of the last two convolutions, [B, O, s, s] and [B, O, s / 2, s / 2].
    """

    def __init__(
        self, previous: int, inputs: int, outputs: int, inner: int, norm: Norm, dropout: float
    ):
        super().__init__()
        self.carry = Convolution(previous, previous, 2)
        seen = [inputs + previous, *(inputs + i * outputs for i in range(1, inner))]
        self.units = nn.ModuleList(Unit(n, outputs, norm) for n in seen)
        self.last = Unit(inputs + inner * outputs, outputs, norm, 2, dropout)

    def forward(self, previous: Tensor, x: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        first, *others = self.units
        features = [x, first(torch.cat([x, self.carry(previous)], 1), draws)]
        for unit in others:
            features.append(unit(torch.cat(features, 1), draws))
        return features[-1], self.last(torch.cat(features, 1), draws)


class DecoderBlock(nn.Module):
    """Enlarges a map: `inner` convolutions, then, unless `larger` is 0, one more at a width of
    `larger` pixels.

    Every convolution sees x [B, I, size, size] and the outputs of all before it; the inner ones
    also see `previous`, the feature before x, [B, P, ., .] (None if P is 0), resized and through a
    convolution of their own. Maps are resized by copying the nearest pixel. Returns the outputs of
    the last two convolutions.
    """

    def __init__(
        self,
        previous: int,
        inputs: int,
        outputs: int,
        inner: int,
        size: int,
        larger: int,
        norm: Norm,
        dropout: float,
    ):
        super().__init__()
        self.size, self.larger = size, larger
        self.carries = nn.ModuleList(
            Convolution(previous, previous) for _ in range(inner if previous else 0)
        )
        self.units = nn.ModuleList(
            Unit(inputs + i * outputs + previous, outputs, norm) for i in range(inner)
        )
        self.last = Unit(inputs + inner * outputs, outputs, norm, 1, dropout) if larger else None

    def forward(self, previous: Tensor | None, x: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        features = [x]
        resized = interpolate(previous, size=self.size) if previous is not None else None
        for i, unit in enumerate(self.units):
            extra = [self.carries[i](resized)] if self.carries else []
            features.append(unit(torch.cat(features + extra, 1), draws))
        if self.last is not None:
            features.append(self.last(interpolate(torch.cat(features, 1), size=self.larger), draws))
        return features[-2], features[-1]


class Encoder(nn.Module):
    """A first convolution with stride 2 and three blocks, of widths c, c, 2 c, 2 c: [B, images, H,
    H] -> the four maps, finest first.

    masks: how many random numbers its dropout takes for an item in training mode; likewise of
    `Decoder`.
    """

    def __init__(
        self, images: int, channels: int, inner: int, image_size: int, norm: Norm, dropout: float
    ):
        super().__init__()
        c, sizes = channels, ladder(image_size)
        self.stem = Unit(images, c, norm, 2)
        widths = [(images, c, c), (c, c, 2 * c), (2 * c, 2 * c, 2 * c)]
        self.blocks = nn.ModuleList(EncoderBlock(*each, inner, norm, dropout) for each in widths)
        self.masks = (
            sum(o * size**2 for (_, _, o), size in zip(widths, sizes[2:])) if dropout else 0
        )

    def forward(self, images: Tensor, draws: Draws) -> list[Tensor]:
        maps, previous = [self.stem(images, draws)], images
        for block in self.blocks:
            previous, x = block(previous, maps[-1], draws)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """Five blocks from the coarsest level to the image, [B, 2 c, ., .] -> [B, c, H, H], with
    further maps to see at each level.

    extra: channels of these maps, coarsest first; forward takes the maps themselves, of each level
    in a list.
    """

    def __init__(
        self,
        channels: int,
        inner: int,
        image_size: int,
        extra: list[int],
        norm: Norm,
        dropout: float,
    ):
        super().__init__()
        c, up = channels, [*ladder(image_size)[::-1], 0]
        widths = (2 * c, 2 * c, 2 * c, c, c, c)
        self.blocks = nn.ModuleList(
            DecoderBlock(
                widths[i] if i else 0,
                widths[i] + extra[i],
                widths[i + 1],
                inner,
                up[i],
                up[i + 1],
                norm,
                dropout,
            )
            for i in range(5)
        )
        self.masks = (
            sum(width * size**2 for width, size in zip(widths[1:], up[1:])) if dropout else 0
        )

    def forward(self, x: Tensor, extra: list[list[Tensor]], draws: Draws) -> Tensor:
        previous = None
        for block, maps in zip(self.blocks, extra):
            previous, x = block(previous, torch.cat([x, *maps], 1), draws)
        return x
