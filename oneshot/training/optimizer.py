"""The rules by which a player moves: gradient clipping, Adam and a schedule, for K models at once.

The parameters of a player are rows of one [K, N] tensor, a row a model. Every quantity of a rule
has a value a row, so a row moves exactly as it would alone. On a GPU no rule reads a value on the
host, so that a whole round can be captured in a CUDA graph.
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
class ClippedAdam:
    """Adam with clipping of the gradient's L2 norm, like torch.optim.Adam and clip_grad_norm_.

    Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 1; Pascanu et al.
    (2013), On the difficulty of training recurrent neural networks, algorithm 1.

    Args:
        first: first moments m, [K, N].
        second: second moments v, [K, N].
        steps: steps made t, float64 [K, 1], as 1 - 0.999^t needs it.
        rate: step size alpha, float64 [K, 1].
        clip: largest L2 norm of the gradient, [K, 1]; inf: any.
        clamp: largest absolute value of an element, which comes first, [K, 1]; inf: any.
        decay: weight of the L2 term, which is not clipped, [K, 1]; 0: none.
        skips: batches in a row that may be skipped, [K, 1].
        skipped: those that were, float64 [K, 1].
        alive: False once more losses or gradients in a row than `skips` were not finite, bool
            [K, 1]; such a row keeps its last good parameters.
        betas: beta_1 and beta_2.
        clamps: whether any row has a clamp; known on the host, so that others pay no pass through
            memory.
        decays: whether any row has an L2 term.
    """

    first: Tensor
    second: Tensor
    steps: Tensor
    rate: Tensor
    clip: Tensor
    clamp: Tensor
    decay: Tensor
    skips: Tensor
    skipped: Tensor
    alive: Tensor
    betas: tuple[float, float]
    clamps: bool = False
    decays: bool = False

    @staticmethod
    def start(flat: Tensor, players: Sequence[Player]) -> ClippedAdam:
        """The optimizer before its first step.

        Args:
            flat: parameters, [K, N].
            players: whose rows they are.

        Returns:
            The optimizer, on the device of the parameters.
        """

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values).to(flat).unsqueeze(1)

        rates = torch.tensor([p.learning_rate for p in players], dtype=torch.float64)
        rate = rates.to(flat.device).unsqueeze(1)
        return ClippedAdam(
            first=torch.zeros_like(flat),
            second=torch.zeros_like(flat),
            steps=torch.zeros_like(rate),
            rate=rate,
            clip=column([p.clip or float("inf") for p in players]),
            clamp=column([p.clamp or float("inf") for p in players]),
            decay=column([p.weight_decay for p in players]),
            skips=torch.tensor([p.skips for p in players]).to(rate).unsqueeze(1),
            skipped=torch.zeros_like(rate),
            alive=torch.ones_like(rate, dtype=torch.bool),
            betas=players[0].betas,
            clamps=any(p.clamp for p in players),
            decays=any(p.weight_decay for p in players),
        )

    @torch.no_grad()
    def step(self, flat: Tensor, gradient: Tensor, loss: Tensor) -> Tensor:
        """One update, in place.

        Args:
            flat: parameters, [K, N].
            gradient: [K, N]; overwritten.
            loss: [K].

        Returns:
            Which rows have moved, bool [K].
        """
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        finite = torch.isfinite(norm) & torch.isfinite(loss).unsqueeze(1)
        self.skipped.copy_(torch.where(finite, 0.0, self.skipped + 1))
        self.alive &= self.skipped <= self.skips
        moving = self.alive & finite
        if self.clamps:  # after the check: a clamp would hide an infinite element
            torch.clamp(gradient, -self.clamp, self.clamp, out=gradient)
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        scale = (self.clip / (norm + 1e-6)).clamp(max=1.0)  # Pascanu et al. (2013), algorithm 1
        self.steps += moving
        if flat.device.type == "cpu":
            self.row_by_row(flat, gradient, scale, moving)
        else:
            self.all_rows(flat, gradient, scale, moving)
        return moving[:, 0]

    def row_by_row(self, flat: Tensor, gradient: Tensor, scale: Tensor, moving: Tensor) -> None:
        """Move rows by the library's fused kernel, which goes through memory once.

        Args:
            flat: parameters, [K, N].
            gradient: [K, N]; overwritten.
            scale: of the gradient, [K, 1].
            moving: which rows move, bool [K, 1]; reading it is free on a CPU.
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
        """Move all rows at once, those that stand still by nothing, and read no value.

        Args:
            flat: parameters, [K, N].
            gradient: [K, N]; overwritten.
            scale: of the gradient, [K, 1].
            moving: which rows move, bool [K, 1].
        """
        # Kingma and Ba (2015), algorithm 1, with the bias corrections taken into scalars:
        # theta <- theta - alpha / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)
        b1, b2 = self.betas
        root = (1 - b2**self.steps).sqrt().to(flat)
        rate = (self.rate / (1 - b1**self.steps)).to(flat)
        gradient.mul_(scale)
        if self.decays:
            gradient.addcmul_(flat, self.decay)
        gradient.masked_fill_(~moving, 0.0)  # a product with 0 would keep a NaN
        # m <- b1 m + (1 - b1) g
        self.first.lerp_(gradient, (1 - b1) * moving.to(flat))
        # v <- b2 v + (1 - b2) g^2
        self.second.mul_(torch.where(moving, b2, 1.0).to(flat))
        self.second.addcmul_(gradient, gradient, value=1 - b2)
        update = self.second.sqrt().div_(root).add_(EPSILON)
        torch.div(self.first, update, out=update).mul_(rate).masked_fill_(~moving, 0.0)
        flat.sub_(update)


@dataclass
class Plateau:
    """Halves a row's step size when its validation loss stays, as torch's ReduceLROnPlateau.

    Args:
        best: lowest loss so far, float64 [K, 1].
        bad: epochs in a row that were not lower by a ten-thousandth, float64 [K, 1].
        patience: after more than so many of these the step size halves, float64 [K, 1]; 0: never.
    """

    best: Tensor
    bad: Tensor
    patience: Tensor

    @staticmethod
    def start(patience: list[int], like: Tensor) -> Plateau:
        """The schedule before the first epoch.

        Args:
            patience: of each row, in epochs.
            like: a tensor on the device of training.

        Returns:
            The schedule, on that device.
        """
        column = torch.tensor(patience, dtype=torch.float64, device=like.device).unsqueeze(1)
        return Plateau(torch.full_like(column, float("inf")), torch.zeros_like(column), column)

    def end_epoch(self, loss: Tensor, rate: Tensor) -> None:
        """Note the losses of an epoch, and halve step sizes where it is time.

        Args:
            loss: on the validation classes, [K].
            rate: step sizes, [K, 1]; changed in place.
        """
        loss = loss.unsqueeze(1)
        better = loss < self.best * (1 - 1e-4)
        self.best.copy_(torch.where(better, loss, self.best))
        self.bad.copy_(torch.where(better, torch.zeros_like(self.bad), self.bad + 1))
        late = (self.bad > self.patience) & (self.patience > 0)
        self.bad.masked_fill_(late, 0.0)
        rate.copy_(torch.where(late & (rate * 0.5 > SMALLEST_CHANGE), rate * 0.5, rate))
