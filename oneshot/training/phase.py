"""What a family's training and its tuning have in common: who moves, how long, in which batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from oneshot.contracts import Player, TrainedFamily, TunedFamily

TUNING_EPOCH = 50  # most optimizer steps between two checks of a tuning: its epochs


@dataclass(frozen=True)
class Phase:
    """The schedule of what a model does now, training or tuning.

    Args:
        epochs: how many.
        batch_size: items a step.
        plateau: epochs without progress before a step size halves; 0: never.
    """

    epochs: int
    batch_size: int
    plateau: int


def is_tuning(model: TrainedFamily) -> bool:
    """Whether a model is being tuned."""
    return isinstance(model, TunedFamily) and model.tuning


def phase_of(model: TrainedFamily) -> Phase:
    """The schedule of a model by its settings; an epoch of a tuning is at most 50 steps."""
    config = model.config
    if is_tuning(model):
        return Phase(math.ceil(config.tune_steps / TUNING_EPOCH), config.tune_batch, 0)
    return Phase(config.epochs, config.batch_size, config.plateau)


def players_of(model: TrainedFamily) -> list[Player]:
    """The optimised parts of a model, in training or in tuning."""
    if isinstance(model, TunedFamily) and model.tuning:
        return model.tuners()
    return model.players()


def moving_state(model: TrainedFamily) -> dict[str, Tensor]:
    """What training or tuning changes of a state dict: of a tuning, no frozen parameter."""
    state: dict[str, Tensor] = model.state_dict()
    if not is_tuning(model):
        return state
    moved = {id(p) for player in players_of(model) for p in player.parameters()}
    frozen = {name for name, p in model.named_parameters() if id(p) not in moved}
    return {name: value for name, value in state.items() if name not in frozen}
