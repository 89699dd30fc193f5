"""Convolutional encoder and decoder of images, in stages of three layers.

For any even image size that the stages can mirror (`set_shapes.problems`). Images of 64 pixels and
more are halved on the way in (2x2 means) and doubled on the way out (nearest).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, conv_transpose2d, elu, interpolate

from oneshot.contracts import Features
from oneshot.nn import data_parallel
from oneshot.nn.recompute import is_recomputing, recomputed
from oneshot.nn.set_layers import BatchNorm, Pointwise, convolution, dense, each, join
from oneshot.nn.set_levels import Samples
from oneshot.nn.set_shapes import HALVED, encoder_sizes

SHARES = 4  # of the channels of the last maps, one after the other where memory is short


def _run(stages: Iterable[nn.Module], x: Tensor, recompute: bool) -> Tensor:
    """One stage after the other; recompute: keep only their inputs for the backward pass."""
    if recompute and torch.is_grad_enabled():
        return recomputed(stages, x)
    for stage in stages:
        x = stage(x)
    return x


class ConvEncoder(nn.Module):
    """Images [B, S, C, H, W] -> {r: features [B, S, hidden, r, r]}.

    r is 1 for vectors, else the size after the last stage. Each stage is three 3x3 convolutions,
    the last with stride 2; widths double from stage to stage.

    Args:
        image_size: H and W.
        inputs: C.
        channels: of the first stage.
        stages: how many.
        hidden: channels of the features.
        maps: whether features are maps; else they are vectors.
    """

    recompute = False

    def __init__(
        self, image_size: int, inputs: int, channels: int, stages: int, hidden: int, maps: bool
    ):
        super().__init__()
        self.halves = image_size >= HALVED
        widths = [inputs] + [channels * 2**i for i in range(stages)]
        self.stages = nn.ModuleList(
            nn.Sequential(convolution(a, b), convolution(b, b), convolution(b, b, stride=2))
            for a, b in itertools.pairwise(widths)
        )
        last = encoder_sizes(image_size, stages)[-1]
        self.resolution = last if maps else 1
        self.project = dense(widths[-1] if maps else widths[-1] * last**2, hidden)

    def forward(self, images: Tensor) -> Features:
        flat = images.flatten(0, 1)
        x = _run(self.stages, avg_pool2d(flat, 2) if self.halves else flat, self.recompute)
        if self.resolution == 1:
            x = x.flatten(1)[..., None, None]
        return {self.resolution: self.project(x).unflatten(0, images.shape[:2])}


class _Share(nn.Module):
    """What a share of the channels contributes to the pixels: [N, W, r, r] -> [N, O, 2 r, 2 r].

    The last doubling and the last product, whose maps are the largest of all. Channels are
    normalised each on their own and meet only in the final sum, so that one share of the maps is in
    memory at a time.
    """

    def __init__(self, growing: nn.Module, last: Pointwise, share: int):
        super().__init__()
        self.growing, self.last, self.share = growing, last, share

    def forward(self, x: Tensor) -> Tensor:
        grow, norm, _ = self.growing.children()
        assert (
            isinstance(grow, nn.ConvTranspose2d)
            and isinstance(norm, BatchNorm)
            and grow.bias is not None
        )
        assert (
            norm.running_mean is not None
            and norm.running_var is not None
            and norm.momentum is not None
        )
        mine = slice(self.share, None, SHARES)
        y = conv_transpose2d(x, grow.weight[:, mine], grow.bias[mine], stride=2)
        if data_parallel.current_group().size > 1:
            return conv2d(
                elu(norm.over_all_processes(y, mine), inplace=True),
                self.last.weight[:, mine, None, None],
            )
        mean, variance = norm.running_mean[mine], norm.running_var[mine]
        if is_recomputing():
            mean, variance = mean.clone(), variance.clone()
        y = elu(
            batch_norm(
                y, mean, variance, norm.weight[mine], norm.bias[mine], True, norm.momentum, norm.eps
            ),
            inplace=True,
        )
        return conv2d(y, self.last.weight[:, mine, None, None])


class ConvDecoder(nn.Module):
    """All latents of a pass -> parameters of the pixels' distributions, [B, S, outputs, H, W].

    The stages mirror the encoder's: convolution, convolution, transposed convolution that doubles
    the size. From the third stage on, the second convolution is unpadded where it must shrink the
    map to the encoder's size (4 -> 8 -> 16 -> 14 -> 28 pixels).

    Args:
        image_size: H and W.
        outputs: parameters of a pixel.
        channels: of the last stage.
        stages: how many.
        hidden: width of the first product.
        maps: whether latents are maps; else they are vectors.
        c: channels of all contexts together.
        z: channels of an image's latents together.
    """

    recompute = False

    def __init__(
        self,
        image_size: int,
        outputs: int,
        channels: int,
        stages: int,
        hidden: int,
        maps: bool,
        c: int,
        z: int,
    ):
        super().__init__()
        self.doubles = image_size >= HALVED
        self.of_z = Pointwise(z, hidden)
        self.of_c = Pointwise(c, hidden) if c else None
        wanted = encoder_sizes(image_size, stages)[:0:-1]
        widths = [channels * 2**i for i in reversed(range(stages))]
        self.first = (widths[0], wanted[0], wanted[0])
        self.stem = Pointwise(hidden, widths[0] if maps else widths[0] * wanted[0] ** 2)
        built, size = [], wanted[0]
        for i, (inputs, width) in enumerate(zip([widths[0], *widths], widths)):
            excess = size - wanted[i] if i >= 2 else 0
            second = (
                convolution(width, width, excess + 1, padding=0)
                if excess
                else convolution(width, width)
            )
            double = nn.Sequential(
                nn.ConvTranspose2d(width, width, 2, stride=2),
                BatchNorm(width),
                nn.ELU(inplace=True),
            )
            built.append(nn.Sequential(convolution(inputs, width), second, double))
            size = 2 * (size - excess)
        self.stages = nn.ModuleList(built)
        self.last = Pointwise(widths[-1], outputs)

    def forward(self, state: Samples) -> Tensor:
        x = self.of_z(join(state.zs))
        if self.of_c is not None:
            x = x + self.of_c(join(state.cs)).unsqueeze(1)
        x = each(self.stem, elu(x))
        sets = x.shape[:2]
        first, second, double = self.stages[-1].children()
        x = _run(
            [*self.stages[:-1], nn.Sequential(first, second)],
            x.reshape(math.prod(sets), *self.first),
            self.recompute,
        )
        if self.recompute and torch.is_grad_enabled():
            x = sum(
                (recomputed([_Share(double, self.last, i)], x) for i in range(SHARES)),
                self.last.bias[:, None, None],
            )
        else:
            x = self.last(double(x))
        x = interpolate(x, scale_factor=2, mode="nearest") if self.doubles else x
        return x.unflatten(0, sets)
