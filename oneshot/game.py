"""The rules by which a player moves: gradient clipping, Adam and the plateau schedule, each for K models at once.

The parameters of a player are rows of one [K, N] tensor, a row a model. Every quantity of a rule has a value a row, so a row moves exactly
as it would alone. No rule looks at a value on the host, so that a whole round can be captured in a CUDA graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-8  # of Adam
SMALLEST_CHANGE = 1e-8  # of a step size
CHUNK = 1 << 16  # numbers that a CPU core keeps in its cache while it updates them


@dataclass
class Moves:
    """Adam (Kingma and Ba 2015) with clipping of the gradient's L2 norm, as torch.optim.Adam and clip_grad_norm_ compute them.

    first, second: moments [K, N]; steps: moves made, rate: step size, both float64 [K, 1], as 1 - 0.999 needs it; clip: largest norm
    [K, 1] (inf: none); alive [K, 1]: false once a loss or gradient of this row was not finite; it keeps its last good parameters.
    """

    first: Tensor
    second: Tensor
    steps: Tensor
    rate: Tensor
    clip: Tensor
    alive: Tensor
    betas: tuple[float, float]

    @staticmethod
    def begin(flat: Tensor, rates: list[float], clips: list[float], betas: tuple[float, float]) -> Moves:
        rate = torch.tensor(rates, dtype=torch.float64, device=flat.device).unsqueeze(1)
        limit = torch.tensor([c if c else float("inf") for c in clips]).to(flat).unsqueeze(1)
        alive = torch.ones_like(rate, dtype=torch.bool)
        return Moves(torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros_like(rate), rate, limit, alive, betas)

    @torch.no_grad()
    def move(self, flat: Tensor, gradient: Tensor, loss: Tensor) -> None:
        """One update of flat [K, N] in place; gradient [K, N] is overwritten; loss: [K]."""
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        self.alive &= torch.isfinite(norm) & torch.isfinite(loss).unsqueeze(1)
        # A product with 0 would keep a NaN, so rows that died are replaced; on a CPU, where asking is cheap, only if there are any.
        dead = None if flat.device.type == "cpu" and bool(self.alive.all()) else ~self.alive
        scale = (self.clip / (norm + 1e-6)).clamp(max=1.0)
        self.steps += self.alive
        b1, b2 = self.betas
        root = (1 - b2**self.steps).sqrt().to(flat)
        pace = (self.rate / (1 - b1**self.steps)).to(flat)
        for part in _columns(flat):
            _adam(flat[:, part], gradient[:, part], self.first[:, part], self.second[:, part], scale, root, pace, dead, self.betas)


def _columns(flat: Tensor) -> list[slice]:
    """Column ranges to be updated one after the other: the whole on a GPU, pieces that stay in the cache on a CPU."""
    width = flat.shape[1] if flat.device.type != "cpu" else max(CHUNK // len(flat), 1024)
    return [slice(start, start + width) for start in range(0, flat.shape[1], width)]


def _adam(
    flat: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    scale: Tensor,
    root: Tensor,
    pace: Tensor,
    dead: Tensor | None,
    betas: tuple[float, float],
) -> None:
    """p -= pace * m / (sqrt(v) / root + epsilon), with m and v moved towards the clipped gradient and its square."""
    gradient.mul_(scale)
    if dead is not None:
        gradient.masked_fill_(dead, 0.0)
    first.lerp_(gradient, 1 - betas[0])
    second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    update = second.sqrt().div_(root).add_(EPSILON)
    torch.div(first, update, out=update).mul_(pace)
    if dead is not None:
        update.masked_fill_(dead, 0.0)
    flat.sub_(update)


@dataclass
class Plateau:
    """Halve a row's step size when its validation loss has not fallen by a ten-thousandth for `patience` epochs: ReduceLROnPlateau.

    best, bad (epochs without progress), patience: [K, 1]; a patience of 0 never halves.
    """

    best: Tensor
    bad: Tensor
    patience: Tensor

    @staticmethod
    def begin(patience: list[int], like: Tensor) -> Plateau:
        column = torch.tensor(patience, dtype=torch.float64, device=like.device).unsqueeze(1)
        return Plateau(torch.full_like(column, float("inf")), torch.zeros_like(column), column)

    def end_epoch(self, loss: Tensor, rate: Tensor) -> None:
        """Take the validation losses [K] of an epoch; changes rate [K, 1] in place."""
        loss = loss.unsqueeze(1)
        better = loss < self.best * (1 - 1e-4)
        self.best.copy_(torch.where(better, loss, self.best))
        self.bad.copy_(torch.where(better, torch.zeros_like(self.bad), self.bad + 1))
        late = (self.bad > self.patience) & (self.patience > 0)
        self.bad.masked_fill_(late, 0.0)
        rate.copy_(torch.where(late & (rate * 0.5 > SMALLEST_CHANGE), rate * 0.5, rate))
