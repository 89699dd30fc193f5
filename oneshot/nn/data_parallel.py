"""Data-parallel training: several processes train one model, each on its rows of every batch.

Batches and noise are those of a training by one process, cut into rows; losses, gradients and batch
statistics are summed over the processes, so they are those of the whole batch. A training by
several processes has the losses of one process up to rounding, and its checkpoints are the same
files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True)
class ProcessGroup:
    """This process's place among `size` processes; a group of one exchanges nothing.

    Args:
        rank: number of this process, 0 .. size - 1; number 0 reports and writes.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    def shard(
        self, item: Mapping[str, Tensor], noise: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, float]:
        """Cut this process's rows out of a batch.

        Args:
            item: tensors of the batch by name, [B, ...] each.
            noise: of the batch, [B, ...].

        Returns:
            The rows of the items, the rows of the noise, and their share of the whole batch. A
            batch of fewer rows than processes goes to every process whole, with share 1 / size.
        """
        count = len(noise)
        if self.size == 1 or count < self.size:
            return dict(item), noise, 1 / self.size
        rows = slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)
        share = (rows.stop - rows.start) / count
        return {n: v[rows] for n, v in item.items()}, noise[rows], share

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, the same bits in each; not differentiated."""
        if self.size > 1:
            tensor = tensor.contiguous()
            dist.all_reduce(tensor)
        return tensor

    def broadcast_flag(self, flag: bool) -> bool:
        """The flag of process number 0, in every process."""
        if self.size == 1:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        word = torch.tensor(int(flag), device=device)
        dist.broadcast(word, 0)
        return bool(word.item())


SINGLE_PROCESS = ProcessGroup()
_current = SINGLE_PROCESS


def current_group() -> ProcessGroup:
    """The group that this process trains with at the moment."""
    return _current


@contextmanager
def use_group(group: ProcessGroup) -> Iterator[None]:
    """Train with this group for as long as the context lasts."""
    global _current
    before, _current = _current, group
    try:
        yield
    finally:
        _current = before


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs, differentiable again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return current_group().all_reduce(x.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient)


def global_mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean and variance of each channel over the rows of all processes, twice differentiable.

    Args:
        x: this process's rows, [N, C, H, W].

    Returns:
        Mean [C], biased variance [C], and the number of values of each channel.
    """
    add: Callable[[Tensor], Tensor] = _Sum.apply
    own = torch.tensor(float(x.numel() // x.shape[1]), dtype=torch.float64, device=x.device)
    count = float(current_group().all_reduce(own))
    mean = add(x.sum((0, 2, 3))) / count
    return mean, add((x - mean[:, None, None]).square().sum((0, 2, 3))) / count, count


def rows_of_all(x: Tensor) -> Tensor:
    """The rows of all processes in the order of these, differentiable: [N, ...] -> [M, ...]."""
    group = current_group()
    if group.size == 1:
        return x
    counts = torch.zeros(group.size, dtype=torch.int64, device=x.device)
    counts[group.rank] = len(x)
    before, own, after = (
        int(part.sum())
        for part in group.all_reduce(counts).tensor_split([group.rank, group.rank + 1])
    )
    assert own == len(x)
    parts = [x.new_zeros(before, *x.shape[1:]), x, x.new_zeros(after, *x.shape[1:])]
    add: Callable[[Tensor], Tensor] = _Sum.apply
    return add(torch.cat(parts))
