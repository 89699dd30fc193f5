"""Which player of a model moves each of its parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from oneshot.contracts import TrainedFamily
from oneshot.training.phase import is_tuning, players_of


def check_owners(model: TrainedFamily) -> None:
    """Make sure that every parameter of a model belongs to exactly one of its players.

    In a stack, one of nobody would be that of the first model in every row, and missing in what is
    stored; of one of two players there would be two copies, which part. In a tuning, those of
    nobody are frozen.

    Raises:
        ValueError: one belongs to no player, or to two, or a player moves what is not the model's.
    """
    owners: dict[int, list[str]] = {id(p): [] for p in model.parameters()}
    for player in players_of(model):
        for parameter in player.parameters():
            if id(parameter) not in owners:
                raise ValueError(
                    f"the player {player.name!r} of {type(model).__name__} moves a parameter that"
                    " is none of the model's: register it, or leave it out"
                )
            owners[id(parameter)].append(player.name)
    for name, parameter in model.named_parameters():
        owned_by = owners[id(parameter)]
        if not owned_by and is_tuning(model):
            continue
        if len(owned_by) != 1:
            raise ValueError(
                f"the parameter {name} of {type(model).__name__} belongs to"
                f" {' and to '.join(map(repr, owned_by)) or 'no player'}: each belongs to exactly"
                " one; what never moves is a buffer"
            )


def freeze(models: Sequence[TrainedFamily]) -> None:
    """Let no gradient reach what tuning leaves alone, in the first model, which stands for all.

    Raises:
        ValueError: a frozen parameter is not the same in all models.
    """
    owned = {id(p) for player in players_of(models[0]) for p in player.parameters()}
    others = [dict(model.named_parameters()) for model in models[1:]]
    for name, parameter in models[0].named_parameters():
        frozen = id(parameter) not in owned
        parameter.requires_grad_(not frozen)
        if frozen and not all(torch.equal(parameter, other[name]) for other in others):
            raise ValueError(
                f"{name}, which tuning leaves alone, differs between models of a stack"
            )
