"""Weights, images and noise by formulas, for numbers that other code gave for the same ones."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def filled(module: M, gain: float) -> M:
    """The module in float64 and evaluation mode, with weights by a formula.

    With s_i = sin(1 + 0.37 i + n) in the n-th tensor of the state dict: running variances are
    1 + .5 s^2, running means .1 s, tensors of more dimensions gain * s / sqrt(fan in), weights of
    normalisations 1 + .1 s, all others .1 s.

    Args:
        module: changed in place.
        gain: of tensors with more than one dimension.

    Returns:
        The module.
    """
    module = module.double().eval()
    state = module.state_dict()
    module.load_state_dict(
        {name: _fill(name, n, t, gain) for n, (name, t) in enumerate(state.items())}
    )
    return module


def _fill(name: str, n: int, tensor: Tensor, gain: float) -> Tensor:
    """The n-th tensor of a state dict; counters stay as they are."""
    if not tensor.is_floating_point():
        return tensor
    s = torch.sin(1 + 0.37 * torch.arange(tensor.numel(), dtype=torch.float64) + n)
    s = s.view(tensor.shape)
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        return 1 + 0.5 * s.square()
    if kind == "running_mean":
        return 0.1 * s
    if tensor.dim() > 1:
        return gain * s / tensor[0].numel() ** 0.5
    return 1 + 0.1 * s if kind == "weight" else 0.1 * s


def sines(count: int, start: float, step: float = 1.0) -> Tensor:
    """sin(start + step i) for i below `count`, float64 [count]."""
    return torch.sin(start + step * torch.arange(count, dtype=torch.float64))


def square(side: int) -> Tensor:
    """An image [1, 1, side, side] with ink in rows and columns 20 .. 29."""
    image = torch.zeros(1, 1, side, side, dtype=torch.float64)
    image[..., 20:30, 20:30] = 1
    return image


def cross(side: int) -> Tensor:
    """An image [1, 1, side, side] with ink in rows 24, 25 of columns 5 .. 44, and the transpose."""
    image = torch.zeros(1, 1, side, side, dtype=torch.float64)
    image[..., 24:26, 5:45] = 1
    image[..., 5:45, 24:26] = 1
    return image


def centres(side: int) -> Tensor:
    """The homogeneous pixel centres of a square image, [3, side * side], as `spatial.base`.

    In float64; models have them rounded to float32.
    """
    one = (2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1
    y, x = torch.meshgrid(one, one, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).flatten(1)
