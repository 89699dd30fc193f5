"""Linear layers of a recurrence whose weight gradients are formed once, after the loop, for a stack
of models at once.

Automatic differentiation forms one weight gradient per time step and adds it to the others: T small
products and T passes over the whole matrix. Here the weight enters the loop as a constant and the
bias as one tensor a time step, whose gradient is that of the layer's output; the weight gradient is
then a single product over all time steps, dW = sum_t dy_t x_t^T, as recurrent layers of GPU
libraries do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Deferred:
    """y = x W^T + b for K models and `steps` time steps of a batch: weight [K, O, I], bias [K, O].

    `taps[t]` [K, B, O] is the bias at time step t and `matrix` [K, I, O] the weight, without a
    gradient: the loop computes `product(taps[t], x, matrix)`, and `record(x)` keeps each input, in
    order. low: products in bfloat16, accumulated in float32.
    """

    def __init__(self, weight: Tensor, bias: Tensor, steps: int, batch: int, low: bool = False):
        self.inputs: list[Tensor] = []
        self.taps: Sequence[Tensor] = _Taps.apply(
            weight, bias, steps, batch, self.inputs, low
        ).unbind(1)
        matrix = weight.detach().transpose(1, 2)
        self.matrix = matrix.bfloat16() if low else matrix

    def record(self, x: Tensor) -> None:
        self.inputs.append(x)


def product(tap: Tensor, x: Tensor, matrix: Tensor) -> Tensor:
    """tap + x @ matrix: [K, B, O], [K, B, I], [K, I, O] -> [K, B, O], float32; in bfloat16 where
    the matrix is.
    """
    if matrix.dtype == torch.bfloat16:
        return tap + torch.bmm(x.bfloat16(), matrix).float()
    return torch.baddbmm(tap, x, matrix)


class _Taps(torch.autograd.Function):
    """Biases by time step, [K, T, B, O]; their gradient and the recorded inputs give the gradient
    of the weight.
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
        g = gradients[0].flatten(1, 2)
        x = torch.stack(ctx.inputs, 1).flatten(1, 2)
        ctx.inputs.clear()
        bias = g.sum(1)
        if ctx.low:
            g, x = g.bfloat16(), x.bfloat16()
        return torch.bmm(g.transpose(1, 2), x).float(), bias, None, None, None, None
