"""Differentiable attention windows: the spatial transformer (Jaderberg et al. 2015) as a read and a write on an image.

theta [B, 6] holds the rows of the affine map A | b from window to image coordinates, both in [-1, 1] (align_corners False).
The grids are plain multiply-adds: a matrix product would round coordinates on GPUs with tf32, and affine_grid has no batching rule.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def centres(size: int) -> Tensor:
    """Pixel centres of a side of `size` pixels, in [-1, 1]: [size], formed in float64 and rounded once."""
    return ((2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1).float()


def grid(theta: Tensor, side: Tensor) -> Tensor:
    """Where the pixels of a square window lie in the image: theta [B, 6], side [S] pixel centres -> [B, S, S, 2] as (x, y)."""
    a, b, c, d, e, f = theta.unflatten(-1, (6, 1, 1)).unbind(-3)
    x, y = side.view(1, 1, -1), side.view(1, -1, 1)
    return torch.stack([a * x + (b * y + c), d * x + (e * y + f)], -1)


def read(images: Tensor, theta: Tensor, side: Tensor) -> Tensor:
    """Glimpses of the images through the window: [B, C, H, W], [B, 6] -> [B, C, S, S]; zero outside the image."""
    return grid_sample(images, grid(theta, side), mode="bilinear", padding_mode="zeros", align_corners=False)


def invert(theta: Tensor) -> Tensor:
    """The map from image to window coordinates (A^-1, -A^-1 b), in closed form: [B, 6] -> [B, 6]. A singular A gives inf."""
    a, b, c, d, e, f = theta.unbind(-1)
    scale = 1 / (a * e - b * d)
    return torch.stack([e * scale, -b * scale, (b * f - e * c) * scale, -d * scale, a * scale, (d * c - a * f) * scale], -1)


def write(glimpse: Tensor, theta: Tensor, side: Tensor) -> Tensor:
    """Paint a glimpse [B, 1, S, S] into the window on an empty canvas of side pixels: [B, 1, H, W]; zero outside the window."""
    return read(glimpse, invert(theta), side)
