"""A pyramid of latent maps that grow from one pixel: bottleneck blocks, encoder, levels that write
into two streams, decoder.

Child (2021), Very deep VAEs; for sets, SCHA-VAE (Giannone and Winther 2022): one stream of the
set's context, one of each image. Nothing is normalised. Layouts are (resolution, count) of groups,
finest first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, gelu, interpolate

from oneshot.nn.set_gaussian import Gaussian
from oneshot.nn.set_layers import Pointwise, each, join
from oneshot.nn.set_pooling import Pool

Layout = list[tuple[int, int]]


class Bottleneck(nn.Module):
    """Four convolutions through a quarter of the width, GELU before each: [N, I, r, r] -> [N, O, r,
    r].

    The middle ones are 3x3, or 1x1 where the group's resolution is 2 or less. residual: the input
    is added to the output. last: factor of the last convolution's initial weights; biases begin at
    zero.
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
        unbiased(self)
        scaled(self.leave, last)

    def forward(self, x: Tensor) -> Tensor:
        y = self.enter(gelu(x))
        for layer in self.middle:
            y = layer(gelu(y))
        y = self.leave(gelu(y))
        return x + y if self.residual else y


@torch.no_grad()
def unbiased(module: nn.Module) -> None:
    """Set every bias of the module to zero."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()


@torch.no_grad()
def scaled(layer: nn.Linear | nn.Conv2d, factor: float) -> None:
    """Multiply a layer's weights."""
    layer.weight.mul_(factor)


def grow(x: Tensor, resolution: int) -> Tensor:
    """Nearest-neighbour enlargement to this resolution, a multiple of the present one: [..., r, r]
    -> [..., resolution, resolution].
    """
    factor = resolution // x.shape[-1]
    return x if factor == 1 else x.repeat_interleave(factor, -1).repeat_interleave(factor, -2)


class Stage(nn.Module):
    """Residual blocks of one resolution; the first works before the change of resolution: halved
    ("down"), grown ("up") or kept ("").
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
                x = avg_pool2d(x, 2) if self.change == "down" else grow(x, self.resolution)
        return x


class PyramidEncoder(nn.Module):
    """Images [B, S, C, H, W] -> {r: features [B, S, width, r, r]} at the `kept` resolutions."""

    def __init__(self, layout: Layout, inputs: int, width: int, kept: list[int]):
        super().__init__()
        self.resolution, self.kept = layout[0][0], kept
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        unbiased(self.first)
        last = sum(n for _, n in layout) ** -0.5
        self.stages = nn.ModuleList(
            Stage(n, width, r, "down" if i else "", last) for i, (r, n) in enumerate(layout)
        )

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self.first(interpolate(images.flatten(0, 1), size=self.resolution, mode="nearest"))
        found = {}
        for stage in self.stages:
            x = stage(x)
            if x.shape[-1] in self.kept:
                found[x.shape[-1]] = x.unflatten(0, images.shape[:2])
        return found


@dataclass(frozen=True)
class Flow:
    """What the levels above have written: for the context c [B, W, r, r], for the images z [B, S,
    W, r, r]; images: S.
    """

    c: Tensor
    z: Tensor
    images: int


class Streams(nn.Module):
    """The streams at the top: one learned pixel each, zero at first."""

    def __init__(self, width: int):
        super().__init__()
        self.c, self.z = (nn.Parameter(torch.zeros(width, 1, 1)) for _ in range(2))

    def forward(self, noise: Tensor, images: int) -> Flow:
        sets = len(noise)
        return Flow(
            self.c.expand(sets, -1, -1, -1), self.z.expand(sets, images, -1, -1, -1), images
        )


class Latent(nn.Module):
    """The networks of one latent: posterior, prior, what its sample adds to the stream, and a
    residual block after it.

    The prior gives mean, log-variance and a term for the stream; its last layer begins at zero, so
    that the prior begins as N(0, 1).
    """

    def __init__(self, seen: int, width: int, size: int, resolution: int, last: float):
        super().__init__()
        self.posterior = Bottleneck(seen, 2 * size, width, resolution)
        self.prior = Bottleneck(width, 2 * size + width, width, resolution, last=0.0)
        self.write = Pointwise(size, width)
        unbiased(self.write)
        scaled(self.write, last)
        self.block = Bottleneck(width, width, width, resolution, True, last)


class StreamLevel(nn.Module):
    """One level of the pyramid. The prior of the context sees the contexts above alone; its
    posterior sees the images' latents too.
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
        return replace(state, c=grow(state.c, self.resolution), z=grow(state.z, self.resolution))

    def c_prior(self, state: Flow) -> tuple[Gaussian, Tensor]:
        parameters = self.c.prior(state.c)
        return Gaussian.of(parameters[:, : self.split[0]]), parameters[:, self.split[0] :]

    def c_posterior(
        self, state: Flow, features: dict[int, Tensor]
    ) -> tuple[Gaussian, Tensor | None]:
        seen = state.c.unsqueeze(1) + features[self.resolution]
        pooled, weights = self.pool(seen if self.of_z is None else seen + self.of_z(state.z))
        return Gaussian.of(self.c.posterior(pooled)), weights

    def with_c(self, state: Flow, value: Tensor, beside: Tensor) -> Flow:
        c = self.c.block(state.c + beside + self.c.write(value))
        return replace(state, c=c, z=state.z + self.of_c(c).unsqueeze(1))

    def z_prior(self, state: Flow) -> tuple[Gaussian, Tensor]:
        parameters = each(self.z.prior, state.z)
        return Gaussian.of(parameters[:, :, : self.split[1]]), parameters[:, :, self.split[1] :]

    def z_posterior(self, state: Flow, features: dict[int, Tensor]) -> Gaussian:
        return Gaussian.of(each(self.z.posterior, join((state.z, features[self.resolution]))))

    def with_z(self, state: Flow, value: Tensor, beside: Tensor) -> Flow:
        return replace(state, z=each(self.z.block, state.z + beside + self.z.write(value)))


def stream_levels(layout: Layout, width: int, c: int, z: int, pooling: str) -> list[StreamLevel]:
    """The levels of a pyramid, coarsest first."""
    last = sum(n for _, n in layout) ** -0.5
    resolutions = [r for r, n in reversed(layout) for _ in range(n)]
    return [StreamLevel(r, width, c, z, pooling, i == 0, last) for i, r in enumerate(resolutions)]


def _projection(width: int, last: float) -> Pointwise:
    layer = Pointwise(width, width)
    unbiased(layer)
    scaled(layer, last)
    return layer


class ObservationNet(nn.Module):
    """The streams at the latents' finest resolution -> parameters of the pixels, [B, S, outputs, H,
    W].

    corner: of the context, only the upper left position is seen, everywhere, as in the published
    code.
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
        for layer in (self.of_z, self.of_c, self.last):
            unbiased(layer)

    def forward(self, state: Flow) -> Tensor:
        c = self.of_c(state.c[..., :1, :1] if self.corner else state.c)
        x = (each(self.of_z, state.z) + c.unsqueeze(1)).flatten(0, 1)
        for stage in self.stages:
            x = stage(x)
        x = self.last(interpolate(x, size=self.image_size, mode="nearest"))
        return x.unflatten(0, (len(state.c), state.images))
