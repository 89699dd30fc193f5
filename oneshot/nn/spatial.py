"""Differentiable attention windows: the spatial transformer (Jaderberg et al. 2015) as a read and a
write on an image.

theta [B, 6] holds the rows of the affine map A | b from window to image coordinates, both in [-1,
1] (align_corners False). On a GPU the grids are plain multiply-adds, as a matrix product would
round coordinates to tf32; affine_grid has no batching rule.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def centres(size: int) -> Tensor:
    """Pixel centres of a side of `size` pixels, in [-1, 1]: [size], formed in float64 and rounded
    once.
    """
    return ((2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1).float()


def base(side: int) -> Tensor:
    """The homogeneous pixel centres (x, y, 1) of a square image, row by row: [3, side * side]."""
    one = centres(side)
    y, x = torch.meshgrid(one, one, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).flatten(1)


def grid(theta: Tensor, base: Tensor) -> Tensor:
    """Where the pixels of a square window lie in the image: theta [B, 6], base [3, S * S] -> [B, S,
    S, 2] as (x, y).
    """
    side = math.isqrt(base.shape[-1])
    if theta.device.type == "cpu":  # one product, which a CPU does in full precision
        return (theta.reshape(-1, 3) @ base).view(-1, 2, side, side).permute(0, 2, 3, 1)
    x, y = base[:2].unsqueeze(-1).unbind(0)
    a, b, c = theta.unflatten(-1, (2, 3)).unsqueeze(-3).unbind(-1)
    return torch.addcmul(torch.addcmul(c, b, y), a, x).unflatten(-2, (side, side))


def read(images: Tensor, theta: Tensor, base: Tensor) -> Tensor:
    """Glimpses of the images through the window: [B, C, H, W], [B, 6] -> [B, C, S, S]; zero outside
    the image.
    """
    return sample(images, grid(theta, base))


def sample(images: Tensor, points: Tensor) -> Tensor:
    """Images at these points: [B, C, H, W], [B, S, S, 2] -> [B, C, S, S]; bilinear, zero outside
    the image.
    """
    return grid_sample(images, points, mode="bilinear", padding_mode="zeros", align_corners=False)


def invert(theta: Tensor) -> Tensor:
    """The map from image to window coordinates (A^-1, -A^-1 b), in closed form: [B, 6] -> [B, 6]. A
    singular A gives inf.

    Written with few operators, as it runs in every time step.
    """
    a, b, _, d, e, _ = theta.unbind(-1)
    determinant = torch.addcmul(a * e, b, d, value=-1)
    linear = torch.stack([e, -b, -d, a], -1).unflatten(-1, (2, 2)) / determinant[..., None, None]
    shift = theta.unflatten(-1, (2, 3))[..., 2]
    return torch.cat([linear, -(linear * shift.unsqueeze(-2)).sum(-1, keepdim=True)], -1).flatten(
        -2
    )


def write(glimpse: Tensor, theta: Tensor, base: Tensor) -> Tensor:
    """Paint a glimpse [B, 1, S, S] into the window on an empty canvas: [B, 1, H, W], base [3, H *
    W]; zero outside the window.
    """
    return read(glimpse, invert(theta), base)
