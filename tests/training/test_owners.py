"""A parameter that belongs to no player, or to two, is an error where a stack is made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from oneshot.contracts import Pairs, Player
from oneshot.models.vae_stn import VARIANTS, Config, VaeStn
from oneshot.training.stack import Stack

CPU = torch.device("cpu")
Owned = Callable[["Model"], list[list[nn.Parameter]]]


class Model(VaeStn):
    """A VAE-STN whose players own what a test says."""

    owned: Owned

    def __init__(self, owned: Owned):
        super().__init__(Config(**VARIANTS["tiny"]), 20)
        self.owned = owned

    def players(self) -> list[Player]:
        (whole,) = super().players()
        return [
            Player(name, lambda p=p: p, whole.loss, 1e-3)  # type: ignore[misc]
            for name, p in zip(("a", "b"), self.owned(self))
        ]


def own(model: Model) -> list[nn.Parameter]:
    return list(model.parameters())


@pytest.mark.parametrize(
    ("owned", "told"),
    [
        (lambda m: [own(m)[1:]], r"location\.0\.weight of Model belongs to no player"),
        (
            lambda m: [own(m), own(m)[2:3]],
            r"location\.2\.weight of Model belongs to 'a' and to 'b'",
        ),
        (lambda m: [[*own(m), own(m)[0]]], r"location\.0\.weight .* belongs to 'a' and to 'a'"),
        (
            lambda m: [own(m), [nn.Parameter(torch.ones(1))]],
            "player 'b' of Model moves a parameter that is none of the model's",
        ),
    ],
    ids=["nobody's", "two players'", "twice one player's", "another model's"],
)
def test_parameters_belong_to_exactly_one_player(owned: Owned, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Stack([Model(owned), Model(owned)], CPU)


def test_parameters_may_be_shared_out_among_players() -> None:
    models = [Model(lambda m: [own(m)[:5], own(m)[5:]]) for _ in range(2)]
    stack = Stack(models, CPU)
    assert [len(player.names) for player in stack.players] == [5, len(own(models[0])) - 5]
    x = torch.zeros(2, 1, 20, 20)
    noise = torch.zeros(2, *models[0].noise_shape)
    losses = stack.losses(Pairs(x, x), noise, {"beta": torch.ones(2)})
    assert torch.isfinite(losses["loss"]).all()
