"""Processes that train one point together, data-parallel: each computes its rows of every batch,
and all add up what they found.

Batches and noise are those of a training alone, cut into rows; losses, gradients and batch
statistics are those of the whole batch. So a training by several processes has the losses of one
process up to rounding, and their checkpoints are the same files.
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
class Peers:
    """One of `size` processes, number `rank`; number 0 reports and writes. Of one process alone,
    nothing is exchanged.
    """

    rank: int = 0
    size: int = 1

    def cut(
        self, item: Mapping[str, Tensor], noise: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, float]:
        """My rows of a batch and its noise, and their share of the whole; a batch of fewer rows
        than processes is everybody's.
        """
        count = len(noise)
        if self.size == 1 or count < self.size:
            return dict(item), noise, 1 / self.size
        mine = slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)
        return {n: v[mine] for n, v in item.items()}, noise[mine], (mine.stop - mine.start) / count

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, the same bits in each; not differentiated."""
        if self.size > 1:
            tensor = tensor.contiguous()
            dist.all_reduce(tensor)
        return tensor

    def agree(self, flag: bool) -> bool:
        """What number 0 says."""
        if self.size == 1:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        word = torch.tensor(int(flag), device=device)
        dist.broadcast(word, 0)
        return bool(word.item())


ALONE = Peers()
_now = ALONE


def now() -> Peers:
    """With whom this process trains now."""
    return _now


@contextmanager
def together(peers: Peers) -> Iterator[None]:
    """Train with these peers for as long as the context lasts."""
    global _now
    before, _now = _now, peers
    try:
        yield
    finally:
        _now = before


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs, which can be differentiated
    again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return now().add(x.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient)


def mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Of each channel of [N, C, H, W] over the rows of all processes, differentiable (twice): [C],
    [C], and how many values each has.
    """
    add: Callable[[Tensor], Tensor] = _Sum.apply
    count = float(
        now().add(
            torch.tensor(float(x.numel() // x.shape[1]), dtype=torch.float64, device=x.device)
        )
    )
    mean = add(x.sum((0, 2, 3))) / count
    return mean, add((x - mean[:, None, None]).square().sum((0, 2, 3))) / count, count
