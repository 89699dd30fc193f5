"""Differentiable attention windows: the spatial transformer as a read and a write on an image.

Jaderberg et al. (2015), Spatial transformer networks (https://arxiv.org/abs/1506.02025). theta
[B, 6] holds the rows of the affine map A | b from window to image coordinates, both in [-1,
1] (align_corners False). On a GPU the grids are plain multiply-adds, as a matrix product would
round coordinates to tf32; affine_grid has no batching rule.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _centres(size: int) -> Tensor:
    """Pixel centres of a side of `size` pixels in [-1, 1], [size], rounded once from float64."""
    return ((2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1).float()


def base(side: int) -> Tensor:
    """The homogeneous pixel centres (x, y, 1) of a square image, row by row, [3, side * side]."""
    one = _centres(side)
    y, x = torch.meshgrid(one, one, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).flatten(1)


def grid(theta: Tensor, base: Tensor) -> Tensor:
    """Where the pixels of a square window lie in the image (equation 1).

    Args:
        theta: [B, 6].
        base: pixel centres of the window, [3, S * S].

    Returns:
        Points (x, y) of the image, [B, S, S, 2].
    """
    side = math.isqrt(base.shape[-1])
    if theta.device.type == "cpu":  # one product, which a CPU does in full precision
        return (theta.reshape(-1, 3) @ base).view(-1, 2, side, side).permute(0, 2, 3, 1)
    x, y = base[:2].unsqueeze(-1).unbind(0)
    a, b, c = theta.unflatten(-1, (2, 3)).unsqueeze(-3).unbind(-1)
    return torch.addcmul(torch.addcmul(c, b, y), a, x).unflatten(-2, (side, side))


def read(images: Tensor, theta: Tensor, base: Tensor) -> Tensor:
    """Glimpses of the images through the window.

    Args:
        images: [B, C, H, W].
        theta: [B, 6].
        base: pixel centres of the window, [3, S * S].

    Returns:
        [B, C, S, S]; zero outside the image.
    """
    return sample(images, grid(theta, base))


def sample(images: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of the images at these points (equation 5).

    Args:
        images: [B, C, H, W].
        points: (x, y), [B, S, S, 2].

    Returns:
        [B, C, S, S]; zero outside the image.
    """
    return grid_sample(images, points, mode="bilinear", padding_mode="zeros", align_corners=False)


def invert(theta: Tensor) -> Tensor:
    """The map from image to window coordinates, (A^-1, -A^-1 b): [B, 6] -> [B, 6].

    In closed form, with few operators, as it runs in every time step. A singular A gives inf.
    """
    a, b, _, d, e, _ = theta.unbind(-1)
    determinant = torch.addcmul(a * e, b, d, value=-1)
    linear = torch.stack([e, -b, -d, a], -1).unflatten(-1, (2, 2)) / determinant[..., None, None]
    shift = theta.unflatten(-1, (2, 3))[..., 2]
    return torch.cat([linear, -(linear * shift.unsqueeze(-2)).sum(-1, keepdim=True)], -1).flatten(
        -2
    )


def write(glimpse: Tensor, theta: Tensor, base: Tensor) -> Tensor:
    """Paint a glimpse into the window on an empty canvas.

    Args:
        glimpse: [B, 1, S, S].
        theta: [B, 6].
        base: pixel centres of the canvas, [3, H * W].

    Returns:
        [B, 1, H, W]; zero outside the window.
    """
    return read(glimpse, invert(theta), base)
