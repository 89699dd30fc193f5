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

from oneshot.contracts import Items, Losses, Player, TrainedFamily
from oneshot.nn import data_parallel
from oneshot.training.optimizer import ClippedAdam, Plateau
from oneshot.training.owners import check_owners, freeze
from oneshot.training.phase import is_tuning, phase_of, players_of

ALIGNMENT = 64  # numbers: parameters start at multiples of it, where products are fastest
State = dict[str, Any]


@dataclass
class StackedPlayer:
    """One player of all models of a stack: its parameters and the rules by which they move.

    Args:
        player: of the first model.
        names: of its parameters.
        shapes: of each parameter, of one model.
        sizes: how many of the N numbers each parameter has, and, after each, how many are padding.
        flat: the parameters of all models, [K, N].
        adam: the optimizer.
        plateau: the schedule of the step size.
    """

    player: Player
    names: list[str]
    shapes: list[torch.Size]
    sizes: list[int]
    flat: Tensor
    adam: ClippedAdam
    plateau: Plateau

    @staticmethod
    def of(models: Sequence[TrainedFamily], turn: int, device: torch.device) -> StackedPlayer:
        """One player of these models, with copies of their weights.

        Args:
            models: of one shape.
            turn: the number of the player.
            device: of the copies.

        Returns:
            The player, its optimizer and its schedule.
        """
        players = [players_of(model)[turn] for model in models]
        names_by_id = {id(p): name for name, p in models[0].named_parameters()}
        names = [names_by_id[id(p)] for p in players[0].parameters()]
        parameters = [dict(model.named_parameters()) for model in models]
        shapes = [parameters[0][name].shape for name in names]
        sizes = [n for shape in shapes for n in (shape.numel(), -shape.numel() % ALIGNMENT)]
        flat = torch.zeros(len(models), sum(sizes), device=device)
        for k, own in enumerate(parameters):
            for name, part in zip(names, flat[k].split(sizes)[::2]):
                part.copy_(own[name].detach().flatten())
        adam = ClippedAdam.start(flat, players)
        plateau = Plateau.start([phase_of(model).plateau for model in models], flat)
        return StackedPlayer(players[0], names, shapes, sizes, flat.requires_grad_(), adam, plateau)

    def weights(self) -> dict[str, Tensor]:
        """The parameters by name, each [K, *shape].

        They are views, so that their gradient arrives as one [K, N] tensor at `flat`.
        """
        parts = self.flat.split(self.sizes, 1)[::2]
        return {n: part.unflatten(1, s) for n, s, part in zip(self.names, self.shapes, parts)}

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training changes, by the name it has in checkpoints; not copied."""
        m, p = self.adam, self.plateau
        return dict(
            flat=self.flat.detach(),
            first=m.first,
            second=m.second,
            steps=m.steps,
            rate=m.rate,
            passed=m.skipped,
            alive=m.alive,
            best=p.best,
            bad=p.bad,
        )


class Stack:
    """K models that train together, or are tuned together.

    In a tuning, frozen parameters are those of the first model, and shared by all rows.

    Args:
        models: of one family, image size and player count, with equal settings but for train-stage
            or tune-stage ones that keep all shapes; the weights that move are copied.
        device: of the training.
        accelerated: compile the family's hot functions.

    Raises:
        ValueError: a parameter belongs to no player, or to two; one that is frozen differs between
            the models.
    """

    def __init__(
        self, models: Sequence[TrainedFamily], device: torch.device, accelerated: bool = False
    ):
        check_owners(models[0])
        self.size = len(models)
        if is_tuning(models[0]):
            freeze(models)
        self.template = models[0].to(device)
        if accelerated:
            self.template.accelerate(_compiled)
        count = len(players_of(models[0]))
        self.players = [StackedPlayer.of(models, turn, device) for turn in range(count)]
        stored = [{n: b for n, b in m.named_buffers() if n in m.state_dict()} for m in models]
        self.buffers = {n: torch.stack([one[n].to(device) for one in stored]) for n in stored[0]}
        self.rounds = 0
        self.peers = data_parallel.current_group()

    @property
    def alive(self) -> Tensor:
        """Which rows have had finite losses and gradients so far: bool [K]."""
        return torch.cat([one.adam.alive for one in self.players], 1).all(1)

    def next_players(self) -> tuple[int, ...]:
        """Count a round and return the numbers of the players that move in it."""
        self.rounds += 1
        return tuple(i for i, one in enumerate(self.players) if self.rounds % one.player.every == 0)

    def train_step(
        self,
        items: Items,
        noise: Tensor,
        hyper: Mapping[str, Tensor],
        moving: Sequence[int],
        share: float = 1.0,
    ) -> dict[str, Tensor]:
        """One round on one batch: players move, one after the other.

        A batch that a row skips leaves nothing behind: the row's buffers are as before.

        Args:
            items: the batch.
            noise: of the batch, [B, *noise_shape].
            hyper: hyperparameters by name, each [K].
            moving: the numbers of the players that move.
            share: the part of the batch that these items are, where several processes share it.

        Returns:
            The batch means of the players' losses, each [K]: the first player's by their own
            names, the others' after the player's, as in "generator_loss".
        """
        self.template.train()
        means: dict[str, Tensor] = {}
        for i in moving:
            one = self.players[i]
            before = {n: b.clone() for n, b in self.buffers.items()} if one.player.skips else {}
            each = self.losses_of(i, items, noise, hyper)
            losses = {n: v.mean(1) * share for n, v in each.items()}
            # The rows do not touch each other, so the gradient of the sum holds each row's own,
            # whatever the others' values.
            (gradient,) = torch.autograd.grad(losses["loss"].sum(), one.flat)
            gradient = self.peers.all_reduce(gradient)
            losses = {n: self.peers.all_reduce(v.detach()) for n, v in losses.items()}
            moved = one.adam.step(one.flat, gradient, losses["loss"])
            for name, old in before.items():
                rows = moved.view(-1, *[1] * (old.dim() - 1))
                self.buffers[name].copy_(torch.where(rows, self.buffers[name], old))
            means |= {f"{one.player.name}_{n}" if i else n: v for n, v in losses.items()}
        return means

    @torch.no_grad()
    def losses(self, items: Items, noise: Tensor, hyper: Mapping[str, Tensor]) -> Losses:
        """The first player's losses in evaluation mode.

        Args:
            items: a batch.
            noise: of the batch, [B, *noise_shape].
            hyper: hyperparameters by name, each [K].

        Returns:
            Losses by name, each [K, B].
        """
        self.template.eval()
        return self.losses_of(0, items, noise, hyper)

    def losses_of(
        self, turn: int, items: Items, noise: Tensor, hyper: Mapping[str, Tensor]
    ) -> Losses:
        """The losses of a player, to be differentiated by its own parameters alone.

        Args:
            turn: the number of the player.
            items: a batch.
            noise: of the batch, [B, *noise_shape].
            hyper: hyperparameters by name, each [K].

        Returns:
            Losses by name, each [K, B].
        """
        weights: dict[str, Tensor] = {}
        for i, one in enumerate(self.players):
            own = one.weights()
            weights |= own if i == turn else {n: w.detach() for n, w in own.items()}
        player = self.players[turn].player
        if player.stacked is not None:
            return player.stacked(weights, items, noise, hyper)
        return by_vmap(self.template, turn, {**weights, **self.buffers}, items, noise, hyper)

    def end_epoch(self, monitored: Tensor, fading: float) -> Tensor:
        """Move the schedules of the step sizes.

        Args:
            monitored: what drives them, less is better, [K].
            fading: the next epoch's share of the step size of this one, where it fades.

        Returns:
            The first player's step sizes for the next epoch, [K].
        """
        for one in self.players:
            one.plateau.end_epoch(monitored, one.adam.rate)
            if one.player.fades:
                one.adam.rate.mul_(fading)
        return self.players[0].adam.rate[:, 0].clone()

    def snapshot(self) -> Snapshot:
        """A copy, on the device, of all that training changes."""
        players = {
            one.player.name: {n: t.clone() for n, t in one.state().items()} for one in self.players
        }
        return Snapshot(self, players, {n: b.clone() for n, b in self.buffers.items()}, self.rounds)

    @torch.no_grad()
    def restore(self, k: int, state: State) -> None:
        """Put one row where it was.

        Args:
            k: the row.
            state: of `Snapshot.state`.
        """
        for one in self.players:
            saved = state["sides"][one.player.name]
            for name, tensor in one.state().items():
                if name in saved:  # else it is a count that an earlier version did not keep
                    tensor[k].copy_(saved[name])
        for name, tensor in self.buffers.items():
            tensor[k].copy_(state["buffers"][name])
        self.rounds = state["rounds"]

    @torch.no_grad()
    def rewind(self, snapshot: Snapshot) -> None:
        """Put every row back where the snapshot has it, in place."""
        for one in self.players:
            for name, tensor in one.state().items():
                tensor.copy_(snapshot.players[one.player.name][name])
        for name, tensor in self.buffers.items():
            tensor.copy_(snapshot.buffers[name])
        self.rounds = snapshot.rounds


@dataclass
class Snapshot:
    """The state of a stack at one moment.

    Args:
        stack: whose.
        players: the tensors of each player by name, as of `StackedPlayer.state`.
        buffers: of the models, each [K, ...].
        rounds: done so far.
    """

    stack: Stack
    players: dict[str, dict[str, Tensor]]
    buffers: dict[str, Tensor]
    rounds: int

    def weights(self, k: int) -> dict[str, Tensor]:
        """What of the state dict of model k moves, on the CPU: all of it, unless it is a tuning."""
        state: dict[str, Tensor] = {}
        for one in self.stack.players:
            parts = self.players[one.player.name]["flat"][k].cpu().split(one.sizes)[::2]
            named = zip(one.names, one.shapes, parts)
            state |= {n: part.reshape(s).clone() for n, s, part in named}
        return state | {n: b[k].cpu().clone() for n, b in self.buffers.items()}

    def state(self, k: int) -> State:
        """Everything that a resume of model k needs, on the CPU; checkpoints have these names."""
        sides = {
            name: {n: t[k].cpu().clone() for n, t in tensors.items()}
            for name, tensors in self.players.items()
        }
        return {
            "sides": sides,
            "buffers": {n: b[k].cpu().clone() for n, b in self.buffers.items()},
            "rounds": self.rounds,
        }

    @torch.no_grad()
    def copy_rows(self, other: Snapshot, rows: Tensor) -> None:
        """Replace the weights and buffers of some rows.

        Args:
            other: a snapshot of the same stack.
            rows: which, bool [K].
        """
        for name, tensors in self.players.items():
            tensors["flat"][rows] = other.players[name]["flat"][rows]
        for name, tensor in self.buffers.items():
            tensor[rows] = other.buffers[name][rows]


def by_vmap(
    template: TrainedFamily,
    turn: int,
    state: Mapping[str, Tensor],
    items: Items,
    noise: Tensor,
    hyper: Mapping[str, Tensor],
) -> Losses:
    """The losses of a player for each row of the state, for any family.

    Args:
        template: a model of the stack's shape.
        turn: the number of the player.
        state: parameters and buffers by name, each [K, ...].
        items: a batch.
        noise: of the batch, [B, *noise_shape].
        hyper: hyperparameters by name, each [K].

    Returns:
        Losses by name, each [K, B].

    Raises:
        RuntimeError: an operator has no batching rule; one with only a slow fallback warns.
    """
    caller = _Caller(template, lambda values: players_of(template)[turn].loss(items, noise, values))

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
    """The function compiled for fixed shapes, once a process."""
    if function not in _compilations:
        # a worker meets many shapes, each worth its compilation
        torch._dynamo.config.recompile_limit = 1000
        torch._dynamo.config.accumulated_recompile_limit = 1000
        _compilations[function] = torch.compile(function, dynamic=False)
    return _compilations[function]


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Within it, GPUs multiply float32 matrices in tf32 or float32.

    Args:
        precision: of a family: "float32", or "tf32" and "bfloat16" for tf32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision in ("tf32", "bfloat16") else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
