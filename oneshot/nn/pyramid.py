"""A pyramid of latent maps that grow from one pixel: encoder, levels, decoder.

Child (2021), Very deep VAEs (https://arxiv.org/abs/2011.10650); for sets, SCHA-VAE (Giannone and
Winther 2022, https://arxiv.org/abs/2110.12279). Levels write into two streams, one of the set's
context and one of each image. Nothing is normalised. Layouts are (resolution, count) of groups,
finest first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, gelu, interpolate

from oneshot.contracts import Features
from oneshot.nn.set_gaussian import Gaussian
from oneshot.nn.set_layers import Pointwise, each, join
from oneshot.nn.set_pooling import Pool
from oneshot.nn.set_shapes import Layout


class Bottleneck(nn.Module):
    """Four convolutions through a quarter of the width: [N, I, r, r] -> [N, O, r, r].

    GELU stands before each. The middle ones are 3x3, or 1x1 where the group's resolution is 2 or
    less. Biases begin at zero.

    Args:
        inputs: I.
        outputs: O.
        width: four times the width of the middle ones.
        resolution: of the group.
        residual: whether the input is added to the output.
        last: factor of the last convolution's initial weights.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        resolution: int,
        residual: bool = False,
        last: float = 1.0,
    ):
        super().__init__()
        narrow = width // 4
        self.residual = residual
        self.enter, self.leave = Pointwise(inputs, narrow), Pointwise(narrow, outputs)
        if resolution > 2:
            self.middle = nn.ModuleList(nn.Conv2d(narrow, narrow, 3, padding=1) for _ in range(2))
        else:
            self.middle = nn.ModuleList(Pointwise(narrow, narrow) for _ in range(2))
        _zero_biases(self)
        _scale_weights(self.leave, last)

    def forward(self, x: Tensor) -> Tensor:
        y = self.enter(gelu(x))
        for layer in self.middle:
            y = layer(gelu(y))
        y = self.leave(gelu(y))
        return x + y if self.residual else y


@torch.no_grad()
def _zero_biases(module: nn.Module) -> None:
    """Set every bias of the module to zero."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()


@torch.no_grad()
def _scale_weights(layer: nn.Linear | nn.Conv2d, factor: float) -> None:
    """Multiply a layer's weights by the factor."""
    layer.weight.mul_(factor)


def _enlarge(x: Tensor, resolution: int) -> Tensor:
    """Copy pixels, [..., r, r] -> [..., resolution, resolution], a multiple of r."""
    factor = resolution // x.shape[-1]
    return x if factor == 1 else x.repeat_interleave(factor, -1).repeat_interleave(factor, -2)


class Stage(nn.Module):
    """Residual blocks at one resolution: [N, W, r', r'] -> [N, W, r, r].

    The first block works before the change of resolution: halved ("down"), enlarged ("up") or
    kept ("").
    """

    def __init__(self, count: int, width: int, resolution: int, change: str, last: float):
        super().__init__()
        self.resolution, self.change = resolution, change
        self.blocks = nn.ModuleList(
            Bottleneck(width, width, width, resolution, True, last) for _ in range(count)
        )

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == 0 and self.change:
                x = avg_pool2d(x, 2) if self.change == "down" else _enlarge(x, self.resolution)
        return x


class PyramidEncoder(nn.Module):
    """Images [B, S, C, H, W] -> {r: features [B, S, width, r, r]} at the given resolutions."""

    def __init__(self, layout: Layout, inputs: int, width: int, resolutions: list[int]):
        super().__init__()
        self.resolution, self.resolutions = layout[0][0], resolutions
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        _zero_biases(self.first)
        last = sum(n for _, n in layout) ** -0.5
        self.stages = nn.ModuleList(
            Stage(n, width, r, "down" if i else "", last) for i, (r, n) in enumerate(layout)
        )

    def forward(self, images: Tensor) -> Features:
        x = self.first(interpolate(images.flatten(0, 1), size=self.resolution, mode="nearest"))
        features = {}
        for stage in self.stages:
            x = stage(x)
            if x.shape[-1] in self.resolutions:
                features[x.shape[-1]] = x.unflatten(0, images.shape[:2])
        return features


@dataclass(frozen=True)
class Flow:
    """The streams, to which the levels above have added.

    Args:
        c: of the context, [B, W, r, r].
        z: of the images, [B, S, W, r, r].
        images: S.
    """

    c: Tensor
    z: Tensor
    images: int


class Streams(nn.Module):
    """The streams at the top, a learned pixel each, zero at first: (noise [B, N], S) -> `Flow`."""

    def __init__(self, width: int):
        super().__init__()
        self.c, self.z = (nn.Parameter(torch.zeros(width, 1, 1)) for _ in range(2))

    def forward(self, noise: Tensor, images: int) -> Flow:
        sets = len(noise)
        return Flow(
            self.c.expand(sets, -1, -1, -1), self.z.expand(sets, images, -1, -1, -1), images
        )


class Latent(nn.Module):
    """The networks of one latent: posterior, prior, sample to stream, and a residual block after.

    The prior gives mu, log_var and features for the stream. Its last layer begins at zero, so that
    the prior begins as N(0, I).

    Args:
        seen: channels that the posterior sees.
        width: W, of the stream.
        size: channels of the latent.
        resolution: r.
        last: factor of the initial weights of what writes into the stream.
    """

    def __init__(self, seen: int, width: int, size: int, resolution: int, last: float):
        super().__init__()
        self.posterior = Bottleneck(seen, 2 * size, width, resolution)
        self.prior = Bottleneck(width, 2 * size + width, width, resolution, last=0.0)
        self.write = Pointwise(size, width)
        _zero_biases(self.write)
        _scale_weights(self.write, last)
        self.block = Bottleneck(width, width, width, resolution, True, last)


class _StreamLevel(nn.Module):
    """One level of the pyramid.

    The prior of the context sees the contexts above alone; its posterior sees the images' latents
    too.
    """

    def __init__(
        self, resolution: int, width: int, c: int, z: int, pooling: str, top: bool, last: float
    ):
        super().__init__()
        self.resolution = resolution
        self.c_shape, self.z_shape = (c, resolution, resolution), (z, resolution, resolution)
        self.of_z = None if top else _projection(width, last)
        self.of_c = _projection(width, last)
        self.pool = Pool(pooling, width)
        self.c = Latent(width, width, c, resolution, last)
        self.z = Latent(2 * width, width, z, resolution, last)
        self.split = (2 * c, 2 * z)

    def enter(self, state: Flow) -> Flow:
        return replace(
            state, c=_enlarge(state.c, self.resolution), z=_enlarge(state.z, self.resolution)
        )

    def c_prior(self, state: Flow) -> tuple[Gaussian, Tensor]:
        parameters = self.c.prior(state.c)
        return Gaussian.from_parameters(parameters[:, : self.split[0]]), parameters[
            :, self.split[0] :
        ]

    def c_posterior(self, state: Flow, features: Features) -> tuple[Gaussian, Tensor | None]:
        seen = state.c.unsqueeze(1) + features[self.resolution]
        pooled, weights = self.pool(seen if self.of_z is None else seen + self.of_z(state.z))
        return Gaussian.from_parameters(self.c.posterior(pooled)), weights

    def add_c(self, state: Flow, c: Tensor, prior_features: Tensor) -> Flow:
        stream = self.c.block(state.c + prior_features + self.c.write(c))
        return replace(state, c=stream, z=state.z + self.of_c(stream).unsqueeze(1))

    def z_prior(self, state: Flow) -> tuple[Gaussian, Tensor]:
        parameters = each(self.z.prior, state.z)
        return Gaussian.from_parameters(parameters[:, :, : self.split[1]]), parameters[
            :, :, self.split[1] :
        ]

    def z_posterior(self, state: Flow, features: Features) -> Gaussian:
        return Gaussian.from_parameters(
            each(self.z.posterior, join((state.z, features[self.resolution])))
        )

    def add_z(self, state: Flow, z: Tensor, prior_features: Tensor) -> Flow:
        return replace(state, z=each(self.z.block, state.z + prior_features + self.z.write(z)))


def stream_levels(layout: Layout, width: int, c: int, z: int, pooling: str) -> list[nn.Module]:
    """The levels of a pyramid, each a `top_down.Level`.

    Args:
        layout: of the latents, (resolution, levels).
        width: of the streams.
        c: channels of a context.
        z: channels of an image's latent.
        pooling: of a set's features, "mean", "max" or "attention".

    Returns:
        The levels, coarsest first.
    """
    last = sum(n for _, n in layout) ** -0.5
    resolutions = [r for r, n in reversed(layout) for _ in range(n)]
    return [_StreamLevel(r, width, c, z, pooling, i == 0, last) for i, r in enumerate(resolutions)]


def _projection(width: int, last: float) -> Pointwise:
    """A product without bias at first, its weights scaled by `last`."""
    layer = Pointwise(width, width)
    _zero_biases(layer)
    _scale_weights(layer, last)
    return layer


class ObservationNet(nn.Module):
    """`Flow` at the latents' finest resolution -> parameters of the pixels, [B, S, outputs, H, W].

    Args:
        layout: of the decoder, (resolution, blocks).
        width: of the streams.
        outputs: parameters of a pixel.
        image_size: H and W.
        corner: whether only the upper left position of the context is seen, everywhere, as in the
            published code.
    """

    def __init__(self, layout: Layout, width: int, outputs: int, image_size: int, corner: bool):
        super().__init__()
        self.image_size, self.corner = image_size, corner
        self.of_z, self.of_c = (
            nn.Conv2d(width, width, 3, padding=1),
            nn.Conv2d(width, width, 3, padding=1),
        )
        last = sum(n for _, n in layout) ** -0.5
        self.stages = nn.ModuleList(
            Stage(n, width, r, "up" if i else "", last) for i, (r, n) in enumerate(reversed(layout))
        )
        self.last = Pointwise(width, outputs)
        _scale_weights(self.last, last)
        for layer in (self.of_z, self.of_c, self.last):
            _zero_biases(layer)

    def forward(self, state: Flow) -> Tensor:
        c = self.of_c(state.c[..., :1, :1] if self.corner else state.c)
        x = (each(self.of_z, state.z) + c.unsqueeze(1)).flatten(0, 1)
        for stage in self.stages:
            x = stage(x)
        x = self.last(interpolate(x, size=self.image_size, mode="nearest"))
        return x.unflatten(0, (len(state.c), state.images))
