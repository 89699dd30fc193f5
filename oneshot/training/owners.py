"""Which player of a model moves each of its parameters."""

from __future__ import annotations

from oneshot.contracts import TrainedFamily


def check_owners(model: TrainedFamily) -> None:
    """Make sure that every parameter of a model belongs to exactly one of its players.

    In a stack, one of nobody would be that of the first model in every row, and missing in what is
    stored; of one of two players there would be two copies, which part.

    Raises:
        ValueError: one belongs to no player, or to two, or a player moves what is not the model's.
    """
    owners: dict[int, list[str]] = {id(p): [] for p in model.parameters()}
    for player in model.players():
        for parameter in player.parameters():
            if id(parameter) not in owners:
                raise ValueError(
                    f"the player {player.name!r} of {type(model).__name__} moves a parameter that"
                    " is none of the model's: register it, or leave it out"
                )
            owners[id(parameter)].append(player.name)
    for name, parameter in model.named_parameters():
        if len(owned_by := owners[id(parameter)]) != 1:
            raise ValueError(
                f"the parameter {name} of {type(model).__name__} belongs to"
                f" {' and to '.join(map(repr, owned_by)) or 'no player'}: each belongs to exactly"
                " one; what never moves is a buffer"
            )
