"""An encoder of a few exemplars into one vector or into tokens: a transformer over their patches.

In the form of Giannone et al. (2022), Few-shot diffusion models (https://arxiv.org/abs/2205.15463),
after Dosovitskiy et al. (2021): pre-normalised layers, a class token, learned places that all
images share. Left out are the token of the diffusion time, which the published sampler replaces by
zeros, so that a context is encoded once a drawing; the second pass over averaged tokens; and
dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, unfold

from oneshot.nn.attention import attend


class Layer(nn.Module):
    """Attention of `heads` heads of 64, then a perceptron: [B, L, width] -> [B, L, width].

    Each comes after a normalisation, and is residual.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * 64 * heads, bias=False)
        self.out = nn.Linear(64 * heads, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            self.qkv(self.before(x))
            .unflatten(-1, (3, self.heads, 64))
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        x = x + self.out(attend(q, k, v).transpose(1, 2).flatten(2))
        result: Tensor = x + self.perceptron(x)
        return result


class SetEncoder(nn.Module):
    """Images [B, K, 1, H, W] -> vector [B, width], and tokens [B, P, width], means over the set.

    Sets are of any size K, and their order does not matter. Sides that are no multiple of the
    patch's are padded by zeros.

    Args:
        image_size: H and W.
        patch: side of a patch.
        width: of the tokens.
        depth: layers.
        heads: of a layer.
    """

    def __init__(self, image_size: int, patch: int, width: int, depth: int, heads: int):
        super().__init__()
        self.patch, count = patch, (-(-image_size // patch)) ** 2
        self.embed = nn.Linear(patch * patch, width)
        self.place = nn.Parameter(0.02 * torch.randn(count + 1, width))
        self.cls = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        (batch, members), side = images.shape[:2], images.shape[-1]
        more = -side % self.patch
        patches = unfold(
            pad(images.flatten(0, 1), (0, more, 0, more)), self.patch, stride=self.patch
        ).transpose(1, 2)
        tokens = (self.embed(patches) + self.place[1:]).unflatten(0, (batch, members))
        cls = (self.cls + self.place[0]).expand(batch, 1, -1)
        x = self.out(self.layers(torch.cat([cls, tokens.flatten(1, 2)], 1)))
        return x[:, 0], x[:, 1:].unflatten(1, (members, -1)).mean(1)


def leave_one_out(images: Tensor) -> Tensor:
    """The other images of a set, for each of its images: [B, S, ...] -> [B, S, S - 1, ...]."""
    members = range(images.shape[1])
    return torch.stack([torch.cat([images[:, :i], images[:, i + 1 :]], 1) for i in members], 1)
