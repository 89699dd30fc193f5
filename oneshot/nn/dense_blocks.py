"""Blocks of DAGAN: densely connected 3x3 convolutions that halve or enlarge a map.

Antoniou et al. (2017), Data augmentation generative adversarial networks
(https://arxiv.org/abs/1711.04340). Where the published code has transposed convolutions, of stride
1, there are plain ones here: the same functions, with their kernels turned. Masks of dropout come
from standard normal numbers that the caller gives as a `NoiseStream`.
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


def map_sizes(image_size: int) -> list[int]:
    """Widths of the maps: of the image, then of four levels, each half as wide, rounded up."""
    return [-(-image_size // 2**level) for level in range(5)]


def batch_norm(channels: int) -> nn.Module:
    """Normalisation of each channel over the batch, as in the generators."""
    return BatchNorm(channels, eps=1e-3, momentum=0.01)


def image_norm(channels: int) -> nn.Module:
    """Normalisation of each image over all its channels and pixels, as in the critic.

    Each channel has its own scale and shift.
    """
    return nn.GroupNorm(1, channels, eps=1e-12)


class NoiseStream:
    """The random numbers of a batch, handed out in order; `used` counts those handed out.

    Args:
        noise: standard normal, [B, N].
    """

    def __init__(self, noise: Tensor):
        self.noise, self.used = noise, 0

    def next(self, shape: torch.Size) -> Tensor:
        """The next numbers, [B, *shape]. Raises RuntimeError if there are not as many."""
        start, self.used = self.used, self.used + math.prod(shape)
        return self.noise[:, start : self.used].unflatten(1, shape)


class Dropout(nn.Module):
    """Dropout by given numbers: [B, C, r, r] and a `NoiseStream` -> [B, C, r, r].

    In training mode an element is 0 with probability p, else scaled by 1 / (1 - p). It is kept if
    its standard normal number is above the p-quantile.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.quantile = NormalDist().inv_cdf(p) if p else -math.inf

    def forward(self, x: Tensor, noise: NoiseStream) -> Tensor:
        if not (self.training and self.p):
            return x
        return x * ((noise.next(x.shape[1:]) > self.quantile) / (1 - self.p))


class Convolution(nn.Conv2d):
    """3x3 convolution, [B, I, s, s] -> [B, O, s', s'] with s' = ceil(s / stride).

    With stride 2 an even map is padded right and below alone, any other on all sides.
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

    def forward(self, x: Tensor, noise: NoiseStream) -> Tensor:
        result: Tensor = self.dropout(self.norm(leaky_relu(self.convolution(x), SLOPE)), noise)
        return result


class EncoderBlock(nn.Module):
    """Halves a map: previous [B, P, 2 s, 2 s], x [B, I, s, s] -> [B, O, s, s], [B, O, s/2, s/2].

    Every convolution sees x and the outputs of all convolutions before it; the last one has stride
    2. `previous` is the feature before x (its sides may be one less); the first convolution sees it
    as well, through one that halves it. The outputs are those of the last two convolutions.

    Args:
        previous: P.
        inputs: I.
        outputs: O.
        inner: convolutions before the last one.
        norm: makes the normalisation of so many channels.
        dropout: share of the last output that is dropped.
    """

    def __init__(
        self, previous: int, inputs: int, outputs: int, inner: int, norm: Norm, dropout: float
    ):
        super().__init__()
        self.carry = Convolution(previous, previous, 2)
        seen = [inputs + previous, *(inputs + i * outputs for i in range(1, inner))]
        self.units = nn.ModuleList(Unit(n, outputs, norm) for n in seen)
        self.last = Unit(inputs + inner * outputs, outputs, norm, 2, dropout)

    def forward(self, previous: Tensor, x: Tensor, noise: NoiseStream) -> tuple[Tensor, Tensor]:
        first, *others = self.units
        features = [x, first(torch.cat([x, self.carry(previous)], 1), noise)]
        for unit in others:
            features.append(unit(torch.cat(features, 1), noise))
        return features[-1], self.last(torch.cat(features, 1), noise)


class DecoderBlock(nn.Module):
    """Enlarges a map: previous [B, P, ., .], x [B, I, s, s] -> the last two convolutions' outputs.

    `inner` convolutions, then, unless `larger` is 0, one more at a width of `larger` pixels. Every
    convolution sees x and the outputs of all before it; the inner ones also see `previous`, the
    feature before x (None if P is 0), resized and through a convolution of their own. Maps are
    resized by copying the nearest pixel.

    Args:
        previous: P.
        inputs: I.
        outputs: O, of every convolution.
        inner: convolutions at the size of x.
        size: s.
        larger: width of the last output.
        norm: makes the normalisation of so many channels.
        dropout: share of the last output that is dropped.
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

    def forward(
        self, previous: Tensor | None, x: Tensor, noise: NoiseStream
    ) -> tuple[Tensor, Tensor]:
        features = [x]
        resized = interpolate(previous, size=self.size) if previous is not None else None
        for i, unit in enumerate(self.units):
            extra = [self.carries[i](resized)] if self.carries else []
            features.append(unit(torch.cat(features + extra, 1), noise))
        if self.last is not None:
            features.append(self.last(interpolate(torch.cat(features, 1), size=self.larger), noise))
        return features[-2], features[-1]


class Encoder(nn.Module):
    """A first convolution and three blocks: [B, images, H, H] -> four maps, finest first.

    Their channels are c, c, 2 c, 2 c. `mask_numbers` is how many random numbers the dropout of an
    item takes in training mode; likewise of `Decoder`.
    """

    def __init__(
        self, images: int, channels: int, inner: int, image_size: int, norm: Norm, dropout: float
    ):
        super().__init__()
        c, sizes = channels, map_sizes(image_size)
        self.stem = Unit(images, c, norm, 2)
        widths = [(images, c, c), (c, c, 2 * c), (2 * c, 2 * c, 2 * c)]
        self.blocks = nn.ModuleList(EncoderBlock(*each, inner, norm, dropout) for each in widths)
        self.mask_numbers = (
            sum(o * size**2 for (_, _, o), size in zip(widths, sizes[2:])) if dropout else 0
        )

    def forward(self, images: Tensor, noise: NoiseStream) -> list[Tensor]:
        maps, previous = [self.stem(images, noise)], images
        for block in self.blocks:
            previous, x = block(previous, maps[-1], noise)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """Five blocks from the coarsest level to the image: [B, 2 c, ., .] -> [B, c, H, H].

    Each level sees further maps: `extra` has their channels, coarsest first, and forward takes the
    maps themselves, of each level in a list.
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
        c, up = channels, [*map_sizes(image_size)[::-1], 0]
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
        self.mask_numbers = (
            sum(width * size**2 for width, size in zip(widths[1:], up[1:])) if dropout else 0
        )

    def forward(self, x: Tensor, extra: list[list[Tensor]], noise: NoiseStream) -> Tensor:
        previous = None
        for block, maps in zip(self.blocks, extra):
            previous, x = block(previous, torch.cat([x, *maps], 1), noise)
        return x
