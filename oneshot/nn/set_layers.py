"""Layers shared by the networks of set models: 1x1 products, batch normalisation, residual blocks.

A latent vector is a map of one pixel, so every layer takes [N, C, r, r] and vector models and map
models share their code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, linear

from oneshot.nn import data_parallel
from oneshot.nn.recompute import is_recomputing


class Pointwise(nn.Linear):
    """A linear map of the channels at each position: [..., I, r, r] -> [..., O, r, r]."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] == 1:  # a product of matrices
            return linear(x.flatten(-3), self.weight, self.bias)[..., None, None]
        flat = x.flatten(0, -4) if x.dim() > 4 else x
        return conv2d(flat, self.weight[..., None, None], self.bias).unflatten(0, x.shape[:-3])


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation by channel: [N, C, r, r] -> [N, C, r, r].

    A training batch of one value a channel is normalised by the running statistics, as they are.
    Where several processes train together, the statistics are those of their whole batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and data_parallel.current_group().size > 1:
            return self.over_all_processes(x, slice(None))
        if self.training and math.prod(x.shape) == x.shape[1]:
            return batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        if self.training and is_recomputing():  # as many tensors as the first time, but not these
            mean, variance = (
                None if t is None else t.clone() for t in (self.running_mean, self.running_var)
            )
            return batch_norm(x, mean, variance, self.weight, self.bias, True, 0.0, self.eps)
        return super().forward(x)

    def over_all_processes(self, x: Tensor, channels: slice) -> Tensor:
        """As `forward` in training, over the batch of all processes.

        Args:
            x: this process's rows, [N, c, r, r].
            channels: which of the C channels they are.

        Returns:
            [N, c, r, r].
        """
        assert (
            self.running_mean is not None
            and self.running_var is not None
            and self.momentum is not None
        )
        running = self.running_mean[channels], self.running_var[channels]
        mean, variance, count = data_parallel.global_mean_and_variance(x)
        if count == 1:
            mean, variance = running
        elif not is_recomputing():
            with torch.no_grad():
                if channels == slice(None) and self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
                running[0].lerp_(mean, self.momentum)
                running[1].lerp_(variance * (count / (count - 1)), self.momentum)
        scale = (variance + self.eps).rsqrt() * self.weight[channels]
        return (x - mean[:, None, None]) * scale[:, None, None] + self.bias[channels][:, None, None]


class GlobalNorm(BatchNorm):
    """Batch normalisation with one mean, variance, scale and shift for all channels.

    [N, C, 1, 1] -> [N, C, 1, 1].
    """

    def __init__(self) -> None:
        super().__init__(1, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def convolution(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ELU.

    The activation overwrites its input, which nothing needs for the gradient.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: side.
        stride: of the convolution.
        padding: on all sides.

    Returns:
        [N, inputs, r, r] -> [N, outputs, r', r'].
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding),
        BatchNorm(outputs),
        nn.ELU(inplace=True),
    )


def dense(inputs: int, outputs: int) -> nn.Sequential:
    """Product of the channels, batch normalisation, ELU.

    Args:
        inputs: channels.
        outputs: channels.

    Returns:
        [N, inputs, r, r] -> [N, outputs, r, r].
    """
    return nn.Sequential(Pointwise(inputs, outputs), BatchNorm(outputs), nn.ELU(inplace=True))


class Residual(nn.Module):
    """ELU(x + f(x)): [N, W, r, r] -> [N, W, r, r].

    f is `depth` products (vectors) or 3x3 convolutions (maps), each normalised, ELU between.
    """

    def __init__(self, width: int, depth: int, maps: bool):
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [
                nn.Conv2d(width, width, 3, padding=1) if maps else Pointwise(width, width),
                BatchNorm(width),
                nn.ELU(inplace=True),
            ]
        self.branch = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.elu(x + self.branch(x))


def each(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module of images to the images of sets.

    Args:
        module: [N, C, H, W] -> [N, C', H', W'].
        x: [B, S, C, H, W].

    Returns:
        [B, S, C', H', W'].
    """
    result: Tensor = module(x.flatten(0, 1))
    return result.unflatten(0, x.shape[:2])


def total(terms: list[Tensor]) -> Tensor:
    """The sum of these tensors, which broadcast."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def join(tensors: tuple[Tensor, ...]) -> Tensor:
    """Side by side along the channels, the third dimension from the end."""
    return torch.cat(tensors, -3)
