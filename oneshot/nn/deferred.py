"""Linear layers of a recurrence whose weight gradients are formed once, after the loop.

Automatic differentiation forms one weight gradient a time step and adds it to the others: T small
products and T passes over the whole matrix. Here the weight enters the loop as a constant and the
bias as one tensor a time step, whose gradient is that of the layer's output dy_t; the weight
gradient is then a single product over all time steps, dW = sum_t dy_t x_t^T, as recurrent layers of
GPU libraries do it. All tensors have a leading K, for K models at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class DeferredLinear:
    """y_t = x_t W^T + b for K models, t = 1 .. T, with the gradient of W formed after the loop.

    The loop computes `linear_step(biases[t], x, matrix)`, and `record(x)` keeps each input, in
    order. `biases` holds T tensors [K, B, O], each the bias; `matrix` is W^T, [K, I, O], without a
    gradient.

    Args:
        weight: W, [K, O, I].
        bias: b, [K, O].
        steps: T.
        batch: B.
        low: whether products are in bfloat16, accumulated in float32.
    """

    def __init__(self, weight: Tensor, bias: Tensor, steps: int, batch: int, low: bool = False):
        self.inputs: list[Tensor] = []
        self.biases: Sequence[Tensor] = _BiasByStep.apply(
            weight, bias, steps, batch, self.inputs, low
        ).unbind(1)
        matrix = weight.detach().transpose(1, 2)
        self.matrix = matrix.bfloat16() if low else matrix

    def record(self, x: Tensor) -> None:
        """Keep the input [K, B, I] of the next time step for the weight gradient."""
        self.inputs.append(x)


def linear_step(bias: Tensor, x: Tensor, matrix: Tensor) -> Tensor:
    """bias + x @ matrix in float32, the product in bfloat16 where the matrix is.

    Args:
        bias: of the time step, [K, B, O].
        x: [K, B, I].
        matrix: [K, I, O].

    Returns:
        [K, B, O].
    """
    if matrix.dtype == torch.bfloat16:
        return bias + torch.bmm(x.bfloat16(), matrix).float()
    return torch.baddbmm(bias, x, matrix)


class _BiasByStep(torch.autograd.Function):
    """The bias of each time step, [K, T, B, O].

    Their gradient and the recorded inputs give the gradient of the weight.
    """

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        steps: int,
        batch: int,
        inputs: list[Tensor],
        low: bool,
    ) -> Tensor:
        ctx.inputs, ctx.low = inputs, low
        return bias.detach()[:, None, None].expand(-1, steps, batch, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dy = gradients[0].flatten(1, 2)
        x = torch.stack(ctx.inputs, 1).flatten(1, 2)
        ctx.inputs.clear()
        bias = dy.sum(1)
        if ctx.low:
            dy, x = dy.bfloat16(), x.bfloat16()
        return torch.bmm(dy.transpose(1, 2), x).float(), bias, None, None, None, None
