"""Training K models of one family and one shape as a single stacked model.

The parameters of each player are rows of one [K, N] tensor; the losses of all rows come from one
pass, through the family's own stacked form or through vmap. Batches and noise are shared; weights,
moments, step size, schedule, clipping and divergence are a row's own, so that row k ends where
point k would end alone, up to rounding. A single model is a stack of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from oneshot.contracts import Losses, Pairs, Player, Sets, TrainedFamily
from oneshot.nn import data_parallel
from oneshot.training.optimizer import Moves, Plateau

ALIGNMENT = 64  # numbers: parameters start at multiples of it, where products are fastest
State = dict[str, Any]


@dataclass
class Side:
    """One player of the stack: its parameters [K, N] with names and shapes, and the rules by which
    they move.

    sizes: how many of the N numbers each parameter has, and, after each, how many are padding.
    """

    player: Player
    names: list[str]
    shapes: list[torch.Size]
    sizes: list[int]
    flat: Tensor
    moves: Moves
    plateau: Plateau

    @staticmethod
    def of(models: Sequence[TrainedFamily], turn: int, device: torch.device) -> Side:
        """The player number `turn` of each of the models."""
        players = [model.players()[turn] for model in models]
        names = {id(p): name for name, p in models[0].named_parameters()}
        mine = [names[id(p)] for p in players[0].parameters()]
        parameters = [dict(model.named_parameters()) for model in models]
        shapes = [parameters[0][name].shape for name in mine]
        sizes = [n for shape in shapes for n in (shape.numel(), -shape.numel() % ALIGNMENT)]
        flat = torch.zeros(len(models), sum(sizes), device=device)
        for k, own in enumerate(parameters):
            for name, part in zip(mine, flat[k].split(sizes)[::2]):
                part.copy_(own[name].detach().flatten())
        moves = Moves.begin(flat, players)
        plateau = Plateau.begin([model.config.plateau for model in models], flat)
        return Side(players[0], mine, shapes, sizes, flat.requires_grad_(), moves, plateau)

    def weights(self) -> dict[str, Tensor]:
        """The parameters by name, each [K, *shape]; their gradient arrives as one [K, N] tensor at
        `flat`.
        """
        parts = self.flat.split(self.sizes, 1)[::2]
        return {n: part.unflatten(1, s) for n, s, part in zip(self.names, self.shapes, parts)}

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training changes, a row a model; not copied."""
        m, p = self.moves, self.plateau
        return dict(
            flat=self.flat.detach(),
            first=m.first,
            second=m.second,
            steps=m.steps,
            rate=m.rate,
            passed=m.passed,
            alive=m.alive,
            best=p.best,
            bad=p.bad,
        )


class Stack:
    """K models that train together, on `device`.

    models: of one family, image size and player count, with equal settings but for train-stage ones
    that keep all shapes; their weights are copied. accelerated: compile the family's hot functions.
    """

    def __init__(
        self, models: Sequence[TrainedFamily], device: torch.device, accelerated: bool = False
    ):
        self.size = len(models)
        self.template = models[0].to(device)
        if accelerated:
            self.template.accelerate(_compiled)
        self.sides = [Side.of(models, i, device) for i in range(len(models[0].players()))]
        kept = [{n: b for n, b in m.named_buffers() if n in m.state_dict()} for m in models]
        self.buffers = {n: torch.stack([one[n].to(device) for one in kept]) for n in kept[0]}
        self.rounds = 0
        self.peers = data_parallel.current_group()

    @property
    def alive(self) -> Tensor:
        """Which rows have had finite losses and gradients so far: [K]."""
        return torch.cat([side.moves.alive for side in self.sides], 1).all(1)

    def moving(self) -> tuple[int, ...]:
        """Count a round, and say which players' turn it is."""
        self.rounds += 1
        return tuple(i for i, side in enumerate(self.sides) if self.rounds % side.player.every == 0)

    def play(
        self,
        items: Pairs | Sets,
        noise: Tensor,
        hyper: Mapping[str, Tensor],
        moving: Sequence[int],
        share: float = 1.0,
    ) -> dict[str, Tensor]:
        """One batch: the players whose turn it is move, one after the other. Returns the batch
        means of their losses, each [K].

        The first player's go by their own names, the others' by theirs with the player's before it,
        as in "generator_loss". Of a batch that a row passes over nothing stays: its buffers are as
        before. share: of the batch that the peers play, the part of these items.
        """
        self.template.train()
        means: dict[str, Tensor] = {}
        for i in moving:
            side = self.sides[i]
            before = {n: b.clone() for n, b in self.buffers.items()} if side.player.skips else {}
            losses = {
                n: v.mean(1) * share for n, v in self.losses_of(i, items, noise, hyper).items()
            }
            # The rows do not touch each other, so the gradient of the sum holds each row's own,
            # whatever the others' values.
            (gradient,) = torch.autograd.grad(losses["loss"].sum(), side.flat)
            gradient, losses = (
                self.peers.all_reduce(gradient),
                {n: self.peers.all_reduce(v.detach()) for n, v in losses.items()},
            )
            moved = side.moves.move(side.flat, gradient, losses["loss"])
            for name, old in before.items():
                self.buffers[name].copy_(
                    torch.where(moved.view(-1, *[1] * (old.dim() - 1)), self.buffers[name], old)
                )
            means |= {f"{side.player.name}_{n}" if i else n: v for n, v in losses.items()}
        return means

    @torch.no_grad()
    def losses(self, items: Pairs | Sets, noise: Tensor, hyper: Mapping[str, Tensor]) -> Losses:
        """The first player's losses of each example, each [K, B], in evaluation mode."""
        self.template.eval()
        return self.losses_of(0, items, noise, hyper)

    def losses_of(
        self, turn: int, items: Pairs | Sets, noise: Tensor, hyper: Mapping[str, Tensor]
    ) -> Losses:
        weights: dict[str, Tensor] = {}
        for i, side in enumerate(self.sides):
            weights |= (
                side.weights() if i == turn else {n: w.detach() for n, w in side.weights().items()}
            )
        player = self.sides[turn].player
        if player.stacked is not None:
            return player.stacked(weights, items, noise, hyper)
        return by_vmap(self.template, turn, {**weights, **self.buffers}, items, noise, hyper)

    def end_epoch(self, monitored: Tensor, left: float) -> Tensor:
        """Move the schedules by what is monitored [K] (less is better); returns the first player's
        step sizes for the next epoch, [K].

        left: the next epoch's share of the step size of this one, where it fades.
        """
        for side in self.sides:
            side.plateau.end_epoch(monitored, side.moves.rate)
            if side.player.fades:
                side.moves.rate.mul_(left)
        return self.sides[0].moves.rate[:, 0].clone()

    def snapshot(self) -> Snapshot:
        """A copy, on the device, of all that training changes."""
        sides = {
            side.player.name: {n: t.clone() for n, t in side.state().items()} for side in self.sides
        }
        return Snapshot(self, sides, {n: b.clone() for n, b in self.buffers.items()}, self.rounds)

    @torch.no_grad()
    def restore(self, k: int, state: State) -> None:
        """Put row k where `Snapshot.state` found it."""
        for side in self.sides:
            saved = state["sides"][side.player.name]
            for name, tensor in side.state().items():
                if name in saved:  # else it is a count that an earlier version did not keep
                    tensor[k].copy_(saved[name])
        for name, tensor in self.buffers.items():
            tensor[k].copy_(state["buffers"][name])
        self.rounds = state["rounds"]

    @torch.no_grad()
    def rewind(self, snapshot: Snapshot) -> None:
        """Put every row back where the snapshot found it, in place."""
        for side in self.sides:
            for name, tensor in side.state().items():
                tensor.copy_(snapshot.sides[side.player.name][name])
        for name, tensor in self.buffers.items():
            tensor.copy_(snapshot.buffers[name])
        self.rounds = snapshot.rounds


@dataclass
class Snapshot:
    """The state of a stack at one moment."""

    stack: Stack
    sides: dict[str, dict[str, Tensor]]
    buffers: dict[str, Tensor]
    rounds: int

    def weights(self, k: int) -> dict[str, Tensor]:
        """The state dict of model k, on the CPU."""
        found: dict[str, Tensor] = {}
        for side in self.stack.sides:
            parts = self.sides[side.player.name]["flat"][k].cpu().split(side.sizes)[::2]
            found |= {
                n: part.reshape(s).clone() for n, s, part in zip(side.names, side.shapes, parts)
            }
        return found | {n: b[k].cpu().clone() for n, b in self.buffers.items()}

    def state(self, k: int) -> State:
        """Everything that a resume of model k needs, on the CPU."""
        sides = {
            name: {n: t[k].cpu().clone() for n, t in tensors.items()}
            for name, tensors in self.sides.items()
        }
        return {
            "sides": sides,
            "buffers": {n: b[k].cpu().clone() for n, b in self.buffers.items()},
            "rounds": self.rounds,
        }

    @torch.no_grad()
    def take(self, other: Snapshot, rows: Tensor) -> None:
        """Replace these rows, [K] of bool, by the other's."""
        for name, tensors in self.sides.items():
            tensors["flat"][rows] = other.sides[name]["flat"][rows]
        for name, tensor in self.buffers.items():
            tensor[rows] = other.buffers[name][rows]


def by_vmap(
    template: TrainedFamily,
    turn: int,
    state: Mapping[str, Tensor],
    items: Pairs | Sets,
    noise: Tensor,
    hyper: Mapping[str, Tensor],
) -> Losses:
    """The losses of player `turn` for each row of the state (parameters and buffers by name, [K,
    ...]), each [K, B], for any family.

    Raises RuntimeError if an operator has no batching rule; one that has only a slow fallback
    warns.
    """
    caller = _Caller(template, lambda values: template.players()[turn].loss(items, noise, values))

    def one(row: dict[str, Tensor], values: dict[str, Tensor]) -> Losses:
        return torch.func.functional_call(
            caller, {f"model.{n}": t for n, t in row.items()}, (values,)
        )

    if len(next(iter(state.values()))) == 1:
        single = one({n: t[0] for n, t in state.items()}, {n: v[0] for n, v in hyper.items()})
        return {n: v.unsqueeze(0) for n, v in single.items()}
    return torch.func.vmap(one)(dict(state), dict(hyper))


class _Caller(nn.Module):
    """Lets functional_call run another method than forward."""

    def __init__(self, model: nn.Module, call: Callable[[Mapping[str, Tensor]], Losses]):
        super().__init__()
        self.model, self.call = model, call

    def forward(self, values: Mapping[str, Tensor]) -> Losses:
        return self.call(values)


_compilations: dict[Any, Any] = {}


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled for fixed shapes, once a process; a worker meets many shapes, each
    worth its compilation.
    """
    if function not in _compilations:
        torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = (
            1000
        )
        _compilations[function] = torch.compile(function, dynamic=False)
    return _compilations[function]


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Matrix products of float32 on GPUs in tf32 or float32, as a family's `precision` asks, and as
    before afterwards.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision in ("tf32", "bfloat16") else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
