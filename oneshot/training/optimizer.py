"""The rules by which a player moves: gradient clipping, Adam and the plateau schedule, each for K
models at once.

The parameters of a player are rows of one [K, N] tensor, a row a model. Every quantity of a rule
has a value a row, so a row moves exactly as it would alone. On a GPU no rule looks at a value on
the host, so that a whole round can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adam import adam

from oneshot.contracts import Player

EPSILON = 1e-8  # of Adam
SMALLEST_CHANGE = 1e-8  # of a step size


@dataclass
class Moves:
    """Adam (Kingma and Ba 2015) with clipping of the gradient's L2 norm, as torch.optim.Adam and
    clip_grad_norm_ compute them.

    first, second: moments [K, N]; steps: moves made, rate: step size, both float64 [K, 1], as 1 -
    0.999 needs it; clip: largest norm,
    clamp: largest absolute value of an element, which comes first, decay: of the L2 term, which is
    not clipped, each [K, 1] (inf, inf, 0: none); skips: batches in a row that may be passed over,
    passed: those that were, float64 [K, 1]; alive [K, 1]: false once more losses or gradients in a
    row than that were not finite; such a row keeps its last good parameters.
    """

    first: Tensor
    second: Tensor
    steps: Tensor
    rate: Tensor
    clip: Tensor
    clamp: Tensor
    decay: Tensor
    skips: Tensor
    passed: Tensor
    alive: Tensor
    betas: tuple[float, float]
    # whether any row does: known on the host, so that others pay no pass through memory
    clamps: bool = False
    decays: bool = False

    @staticmethod
    def begin(flat: Tensor, players: Sequence[Player]) -> Moves:
        """Before the first move of these players, one a row of flat [K, N]."""

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values).to(flat).unsqueeze(1)

        rate = torch.tensor(
            [p.learning_rate for p in players], dtype=torch.float64, device=flat.device
        ).unsqueeze(1)
        clip, clamp = (
            column([p.clip or float("inf") for p in players]),
            column([p.clamp or float("inf") for p in players]),
        )
        alive, decay = (
            torch.ones_like(rate, dtype=torch.bool),
            column([p.weight_decay for p in players]),
        )
        moments = torch.zeros_like(flat), torch.zeros_like(flat)
        skips = torch.tensor([p.skips for p in players]).to(rate).unsqueeze(1)
        limits = clip, clamp, decay, skips
        moves = Moves(
            *moments,
            torch.zeros_like(rate),
            rate,
            *limits,
            torch.zeros_like(rate),
            alive,
            players[0].betas,
        )
        moves.clamps, moves.decays = (
            any(p.clamp for p in players),
            any(p.weight_decay for p in players),
        )
        return moves

    @torch.no_grad()
    def move(self, flat: Tensor, gradient: Tensor, loss: Tensor) -> Tensor:
        """One update of flat [K, N] in place; gradient [K, N] is overwritten; loss: [K]. Returns
        which rows have moved, [K].
        """
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        finite = torch.isfinite(norm) & torch.isfinite(loss).unsqueeze(1)
        self.passed.copy_(torch.where(finite, 0.0, self.passed + 1))
        self.alive &= self.passed <= self.skips
        moving = self.alive & finite
        if self.clamps:  # after the check: a clamp would hide an infinite element
            torch.clamp(gradient, -self.clamp, self.clamp, out=gradient)
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        scale = (self.clip / (norm + 1e-6)).clamp(max=1.0)
        self.steps += moving
        if flat.device.type == "cpu":
            self.row_by_row(flat, gradient, scale, moving)
        else:
            self.all_rows(flat, gradient, scale, moving)
        return moving[:, 0]

    def row_by_row(self, flat: Tensor, gradient: Tensor, scale: Tensor, moving: Tensor) -> None:
        """Move rows by the library's fused kernel, which goes through memory once; asking who moves
        is free on a CPU.
        """
        for k in moving[:, 0].nonzero()[:, 0].tolist():
            if float(scale[k]) < 1:
                gradient[k].mul_(scale[k])
            tensors = [flat[k]], [gradient[k]], [self.first[k]], [self.second[k]]
            adam(
                *tensors,
                [],
                [(self.steps[k, 0] - 1).float()],
                fused=True,
                amsgrad=False,
                maximize=False,
                weight_decay=float(self.decay[k]),
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=float(self.rate[k]),
                eps=EPSILON,
            )

    def all_rows(self, flat: Tensor, gradient: Tensor, scale: Tensor, moving: Tensor) -> None:
        """Move all rows at once, those that stand still by nothing: p -= pace * m / (sqrt(v) / root
        + epsilon).
        """
        b1, b2 = self.betas
        root = (1 - b2**self.steps).sqrt().to(flat)
        pace = (self.rate / (1 - b1**self.steps)).to(flat)
        gradient.mul_(scale)
        if self.decays:
            gradient.addcmul_(flat, self.decay)
        gradient.masked_fill_(~moving, 0.0)  # a product with 0 would keep a NaN
        self.first.lerp_(gradient, (1 - b1) * moving.to(flat))
        self.second.mul_(torch.where(moving, b2, 1.0).to(flat)).addcmul_(
            gradient, gradient, value=1 - b2
        )
        update = self.second.sqrt().div_(root).add_(EPSILON)
        torch.div(self.first, update, out=update).mul_(pace).masked_fill_(~moving, 0.0)
        flat.sub_(update)


@dataclass
class Plateau:
    """Halve a row's step size when its validation loss has not fallen by a ten-thousandth for
    `patience` epochs: ReduceLROnPlateau.

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
