"""The U-Net of pixel diffusion models, with three ways for exemplars to enter.

In the form of Boutin et al. (2023), Diffusion models as artists (https://arxiv.org/abs/2301.11722),
with ConvNeXt-like blocks, linear attention and three levels. There the exemplar is a second channel
of the input; without it, a vector may scale and shift the features of each block (FiLM, Perez et
al. 2018) and tokens may be attended to after each attention (Rombach et al. 2022; Giannone et al.
2022, https://arxiv.org/abs/2205.15463). As published, the decoder has one level less than the
encoder has blocks, and the encoder's first features are not used again.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from oneshot.nn.attention import attend

HEADS, HEAD = 4, 32
LEVELS = (1, 2, 4)  # widths as multiples of n
MULTIPLE = 4  # images are halved twice


class Block(nn.Module):
    """[B, a, h, w], time embedding, context -> [B, b, h, w].

    Depthwise 7x7 convolution, a shift by the time, two 3x3 convolutions, the first to twice the
    width, and a skip.

    Args:
        a: channels in.
        b: channels out.
        time: width of the time embedding, 0 without.
        vector: width of the context that scales and shifts, 0 without.
    """

    def __init__(self, a: int, b: int, time: int = 0, vector: int = 0):
        super().__init__()
        self.depthwise = nn.Conv2d(a, a, 7, padding=3, groups=a)
        self.time = nn.Linear(time, a) if time else None
        self.film = nn.Linear(vector, 2 * a) if vector else None
        self.wide = nn.Sequential(
            nn.GroupNorm(1, a),
            nn.Conv2d(a, 2 * b, 3, padding=1),
            nn.GELU(),
            nn.GroupNorm(1, 2 * b),
            nn.Conv2d(2 * b, b, 3, padding=1),
        )
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()
        if self.film:  # begins without a context
            for parameter in self.film.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self, x: Tensor, time: Tensor | None = None, vector: Tensor | None = None
    ) -> Tensor:
        h = self.depthwise(x)
        if self.time is not None and time is not None:
            h = h + self.time(nn.functional.gelu(time))[..., None, None]
        if self.film is not None and vector is not None:
            scale, shift = self.film(vector)[..., None, None].chunk(2, 1)
            h = h * (1 + scale) + shift
        result: Tensor = self.wide(h) + self.skip(x)
        return result


class LinearAttention(nn.Module):
    """Attention whose cost is linear in the positions, residual: [B, c, h, w] -> [B, c, h, w].

    Shen et al. (2021), Efficient attention.
    """

    def __init__(self, c: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, c)
        self.qkv = nn.Conv2d(c, 3 * HEADS * HEAD, 1, bias=False)
        self.out = nn.Sequential(nn.Conv2d(HEADS * HEAD, c, 1), nn.GroupNorm(1, c))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = _heads(self.qkv(self.norm(x)), 3)
        context = k.softmax(-1) @ v.transpose(-1, -2)  # [B, heads, 32, 32]
        seen = context.transpose(-1, -2) @ (q.softmax(-2) * HEAD**-0.5)
        result: Tensor = x + self.out(seen.flatten(1, 2).unflatten(2, x.shape[2:]))
        return result


class Attention(nn.Module):
    """Attention of all positions to all, residual: [B, c, h, w] -> [B, c, h, w]."""

    def __init__(self, c: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, c)
        self.qkv = nn.Conv2d(c, 3 * HEADS * HEAD, 1, bias=False)
        self.out = nn.Conv2d(HEADS * HEAD, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.transpose(-1, -2) for part in _heads(self.qkv(self.norm(x)), 3))
        seen = attend(q, k, v)
        result: Tensor = x + self.out(
            seen.transpose(-1, -2).flatten(1, 2).unflatten(2, x.shape[2:])
        )
        return result


class CrossAttention(nn.Module):
    """Attention of all positions to tokens: [B, c, h, w], [B, P, width] -> [B, c, h, w].

    Residual; its last layer is zero at first, so that it begins without a context.
    """

    def __init__(self, c: int, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, c)
        self.q = nn.Conv2d(c, HEADS * HEAD, 1, bias=False)
        self.kv = nn.Linear(width, 2 * HEADS * HEAD, bias=False)
        self.out = nn.Conv2d(HEADS * HEAD, c, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        q = _heads(self.q(self.norm(x)), 1)[0].transpose(-1, -2)
        k, v = (part.transpose(-1, -2) for part in _heads(self.kv(tokens).transpose(1, 2), 2))
        seen = attend(q, k, v)
        result: Tensor = x + self.out(
            seen.transpose(-1, -2).flatten(1, 2).unflatten(2, x.shape[2:])
        )
        return result


def _heads(x: Tensor, parts: int) -> tuple[Tensor, ...]:
    """[B, parts * heads * 32, ...] as `parts` tensors [B, heads, 32, positions]."""
    return x.flatten(2).unflatten(1, (parts, HEADS, HEAD)).unbind(1)


class Stage(nn.Module):
    """Two blocks and an attention at one resolution: [B, a, h, w] -> [B, b, h, w].

    With tokens, also an attention to them.
    """

    def __init__(
        self,
        a: int,
        b: int,
        attention: type[LinearAttention] | type[Attention],
        time: int,
        vector: int,
        tokens: int,
    ):
        super().__init__()
        # published: the middle attends between its blocks, the others after them
        middle = attention is Attention
        self.blocks = nn.ModuleList([Block(a, b, time, vector), Block(b, b, time, vector)])
        self.attention = attention(b)
        self.cross = CrossAttention(b, tokens) if tokens else None
        self.middle = middle

    def forward(self, x: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        x = self.blocks[0](x, time, context)
        if not self.middle:
            x = self.blocks[1](x, time, context)
        x = self.attention(x)
        if self.cross is not None and context is not None:
            x = self.cross(x, context)
        return self.blocks[1](x, time, context) if self.middle else x


class UNet(nn.Module):
    """epsilon_theta: x [B, channels, H, W], time [B], context -> the noise in x, [B, 1, H, W].

    time is any real number; context is [B, vector] if `vector`, [B, P, tokens] if `tokens`, else
    None. 8,488,721 parameters at n 48 with 2 channels, 13,123,221 at n 60. Sides that are no
    multiple of 4 are padded by zeros inside.

    Args:
        n: width of the first level; the others have twice and four times as many channels.
        channels: of x.
        vector: width of a context that scales and shifts, 0 without.
        tokens: width of the tokens of a context, 0 without.
    """

    def __init__(self, n: int, channels: int, vector: int = 0, tokens: int = 0):
        super().__init__()
        first, widths, embedded = 2 * (n // 3), [n * m for m in LEVELS], 4 * n
        more = (embedded, vector, tokens)
        self.register_buffer("frequencies", _frequencies(n), persistent=False)
        self.frequencies: Tensor
        self.first = nn.Conv2d(channels, first, 7, padding=3)
        self.time = nn.Sequential(nn.Linear(n, embedded), nn.GELU(), nn.Linear(embedded, embedded))
        self.down = nn.ModuleList(
            [Stage(a, b, LinearAttention, *more) for a, b in zip([first, *widths], widths)]
        )
        self.shrink = nn.ModuleList([nn.Conv2d(c, c, 4, stride=2, padding=1) for c in widths[:-1]])
        self.middle = Stage(widths[-1], widths[-1], Attention, *more)
        self.up = nn.ModuleList(
            [
                Stage(2 * b, a, LinearAttention, *more)
                for a, b in reversed(list(itertools.pairwise(widths)))
            ]
        )
        self.grow = nn.ModuleList(
            [nn.ConvTranspose2d(c, c, 4, stride=2, padding=1) for c in reversed(widths[:-1])]
        )
        self.last = Block(n, n)
        self.out = nn.Conv2d(n, 1, 1)

    def forward(self, x: Tensor, time: Tensor, context: Tensor | None = None) -> Tensor:
        height, width = x.shape[-2:]
        x = pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE))
        angles = time.unsqueeze(-1) * self.frequencies
        t = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        x, skips = self.first(x), []
        for i, stage in enumerate(self.down):
            x = stage(x, t, context)
            skips.append(x)
            if i < len(self.shrink):
                x = self.shrink[i](x)
        x = self.middle(x, t, context)
        for stage, grow in zip(self.up, self.grow):
            x = grow(stage(torch.cat([x, skips.pop()], 1), t, context))
        result: Tensor = self.out(self.last(x))
        return result[..., :height, :width]


def _frequencies(n: int) -> Tensor:
    """The n / 2 frequencies of a sinusoidal embedding, 1 .. 1e-4 (Vaswani et al. 2017, 3.5)."""
    half = n // 2
    return torch.exp(-math.log(1e4) * torch.arange(half) / (half - 1))
