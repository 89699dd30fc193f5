"""One training round for any number of players: a VAE has one, an adversarial pair two."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from oneshot.contracts import Hyper, Pairs, Player


class Game:
    """The players of a model with their optimisers (Adam) and, where asked for, their plateau schedules."""

    def __init__(self, players: list[Player], plateau: int = 0):
        self.players = players
        self.optimisers = {p.name: torch.optim.Adam(p.parameters(), lr=p.learning_rate, betas=p.betas) for p in players}
        rule = torch.optim.lr_scheduler.ReduceLROnPlateau
        self.schedules = {n: rule(o, mode="min", patience=plateau, factor=0.5) for n, o in self.optimisers.items() if plateau}
        self.rounds = 0

    def play(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> dict[str, Tensor]:
        """One batch: every player whose turn it is takes one step. Returns batch means, detached, still on the device."""
        self.rounds += 1
        means: dict[str, Tensor] = {}
        for player in self.players:
            if self.rounds % player.every:
                continue
            losses = {name: value.mean() for name, value in player.loss(pairs, noise, hyper).items()}
            optimiser = self.optimisers[player.name]
            optimiser.zero_grad(set_to_none=True)
            losses["loss"].backward()
            if player.clip:
                torch.nn.utils.clip_grad_norm_(player.parameters(), player.clip)
            optimiser.step()
            means |= {name: value.detach() for name, value in losses.items()}
        return means

    def end_epoch(self, validation_loss: float) -> float:
        """Move the schedules; returns the first player's step size for the next epoch."""
        for schedule in self.schedules.values():
            schedule.step(validation_loss)
        return float(next(iter(self.optimisers.values())).param_groups[0]["lr"])

    def state(self) -> dict[str, object]:
        """Everything a resume needs besides the weights; a copy, which later rounds do not move."""
        return {
            "optimisers": {n: copy.deepcopy(o.state_dict()) for n, o in self.optimisers.items()},
            "schedules": {n: s.state_dict() for n, s in self.schedules.items()},
            "rounds": self.rounds,
        }

    def restore(self, state: Mapping[str, object]) -> None:
        optimisers, schedules, rounds = state["optimisers"], state["schedules"], state["rounds"]
        assert isinstance(optimisers, dict) and isinstance(schedules, dict) and isinstance(rounds, int)
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(optimisers[name])
        for name, schedule in self.schedules.items():
            schedule.load_state_dict(schedules[name])
        self.rounds = rounds
