"""Rows of all processes, with the other process played by numbers that are known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oneshot.nn import data_parallel
from oneshot.nn.data_parallel import ProcessGroup, rows_of_all


@dataclass(frozen=True)
class Played(ProcessGroup):
    """Process 1 of two, whose other one has three rows of 7, and a gradient of 2 everywhere."""

    rank: int = 1
    size: int = 2

    def all_reduce(self, tensor: Tensor) -> Tensor:
        other = torch.zeros_like(tensor)
        if tensor.dtype == torch.int64:
            other[0] = 3
        elif not tensor[:3].any():
            other[:3] = 7
        else:
            other += 2
        return tensor + other


def test_rows_of_two_processes_stand_in_their_order_and_gradients_come_back_from_both() -> None:
    own = torch.arange(1.0, 9.0).view(4, 2).requires_grad_()
    assert rows_of_all(own) is own, "alone"
    with data_parallel.use_group(Played()):
        rows = rows_of_all(own)
        (gradient,) = torch.autograd.grad((rows * torch.full((7, 2), 5.0)).sum(), own)
    assert torch.equal(rows, torch.cat([torch.full((3, 2), 7.0), own]))
    assert torch.equal(gradient, torch.full((4, 2), 5.0 + 2.0))
