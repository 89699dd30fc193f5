"""DAGAN: sizes as published, the losses by a second implementation, the game of two players."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oneshot.contracts import Pairs
from oneshot.models.dagan import VARIANTS, Config, Dagan
from oneshot.nn.dense_blocks import NoiseStream, map_sizes
from oneshot.store.store import Store
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import fit
from oneshot.training.pair_batches import PairBatches
from oneshot.training.stack import Stack

CPU = torch.device("cpu")
SIZE = 16


def model(variant: str = "tiny", image_size: int = SIZE, **changed: Any) -> Dagan:
    torch.manual_seed(0)
    return Dagan(Config(**{**VARIANTS[variant], **changed}), image_size)


def batch(family: Dagan, n: int = 6) -> tuple[Pairs, Tensor]:
    generator = torch.Generator().manual_seed(1)
    drawings, exemplars = (
        torch.rand(2, n, 1, family.image_size, family.image_size, generator=generator) > 0.7
    ).float()
    return Pairs(drawings, exemplars), torch.randn(n, *family.noise_shape, generator=generator)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("z", [1, 10, 128, 1000])
def test_both_generators_and_the_critic_have_the_published_sizes(z: int) -> None:
    for generator, expected in dict(resnet=6_064_417, uresnet=10_507_489).items():
        with torch.device("meta"):
            family = Dagan(Config(generator=generator, z=z), 50)
        assert count(family.generator) == expected + 662 * z
        assert count(family.critic) == 7_074_087


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (16, [16, 8, 4, 2, 1]),
        (28, [28, 14, 7, 4, 2]),
        (48, [48, 24, 12, 6, 3]),
        (50, [50, 25, 13, 7, 4]),
        (105, [105, 53, 27, 14, 7]),
    ],
)
@pytest.mark.parametrize("variant", ["tiny", "tiny_resnet"])
def test_maps_halve_four_times(variant: str, size: int, widths: list[int]) -> None:
    family = model(variant, size).eval()
    image, none = torch.zeros(1, 1, size, size), NoiseStream(torch.zeros(1, 0))
    assert (
        map_sizes(size) == widths
        and [m.shape[-1] for m in family.generator.encoder(image, none)] == widths[1:]
    )
    with torch.no_grad():
        assert family.generator(image, torch.zeros(1, family.config.z), none).shape == image.shape
        assert family.critic(image, image, none).shape == (1,)


@pytest.mark.parametrize("variant", ["tiny", "tiny_resnet"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_pass_takes_as_many_numbers_as_it_asked_for(variant: str, dropout: float) -> None:
    family = model(variant, 28, dropout=dropout)
    pairs, noise = batch(family, 2)
    draws = NoiseStream(noise)
    family.generator(pairs.target, torch.zeros(2, family.config.z), draws)
    assert draws.used == family.generator.mask_numbers
    family.critic(pairs.target, pairs.exemplar, draws)
    assert draws.used == family.generator.mask_numbers + family.critic.mask_numbers and (
        draws.used > 0
    ) == (dropout > 0)
    assert family.noise_shape == (
        2 * family.config.z
        + 1
        + 2 * family.generator.mask_numbers
        + 4 * family.critic.mask_numbers,
    )


def test_every_pass_of_a_round_has_masks_of_its_own() -> None:
    """The critic's four passes and the generator's two share no number: each changes a loss, and no
    loss depends on another's.
    """
    family = model(dropout=0.5)
    pairs, noise = batch(family, 4)
    z, own = family.config.z, family.critic.mask_numbers
    ends = np.cumsum(
        [z, z, 1, family.generator.mask_numbers, own, own, own, family.generator.mask_numbers, own]
    ).tolist()
    names = [
        "z",
        "other z",
        "place",
        "masks",
        "of drawn",
        "of real",
        "of mixture",
        "other masks",
        "of other drawn",
    ]

    def losses(given: Tensor) -> dict[str, Tensor]:
        critic = family._critic_loss(pairs, given, {"penalty": 1.0})
        return {**critic, "generator": family._generator_loss(pairs, given, {})["loss"]}

    with torch.no_grad():
        before, changes = losses(noise), {}
        for name, start, end in zip(names, [0, *ends], ends):
            changed = noise.clone()
            changed[:, start:end] = -changed[:, start:end]
            changes[name] = {n for n, v in losses(changed).items() if not torch.equal(v, before[n])}
    critic, both = {"loss", "wasserstein", "penalty"}, {"loss", "wasserstein"}
    expected = [
        critic,
        {"generator"},
        critic - {"wasserstein"},
        critic,
        both,
        both,
        critic - {"wasserstein"},
        {"generator"},
        {"generator"},
    ]
    assert changes == dict(zip(names, expected)) and ends[-1] == noise.shape[1]


def test_the_critics_loss_is_that_of_a_plain_second_implementation() -> None:
    family = model(dropout=0.0).eval()
    pairs, noise = batch(family)
    none = NoiseStream(noise[:, :0])
    drawn = family.generator(pairs.exemplar, noise[:, : family.config.z], none).detach()
    terms = []
    for i, number in enumerate(noise[:, 2 * family.config.z].tolist()):  # one item at a time
        condition, real, fake = (
            images[i : i + 1] for images in (pairs.exemplar, pairs.target, drawn)
        )
        share = 0.5 * (1 + math.erf(number / math.sqrt(2)))
        mixture = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(
            family.critic(condition, mixture, none).squeeze(), mixture, create_graph=True
        )
        gap = (
            family.critic(condition, fake, none) - family.critic(condition, real, none)
        ).squeeze()
        terms.append(gap + 7.0 * (gradient.norm() - 1) ** 2)
    expected = torch.stack(terms)
    found = family._critic_loss(pairs, noise, {"penalty": 7.0})
    torch.testing.assert_close(found["loss"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["loss"], 7.0 * found["penalty"] - found["wasserstein"])
    weights = list(family.critic.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(found["loss"].mean(), weights),
        torch.autograd.grad(expected.mean(), weights),
    ):
        torch.testing.assert_close(
            mine, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()) + 1e-6
        )
    assert not any(p.grad is not None for p in family.generator.parameters())


def test_the_pair_direction_swaps_the_roles() -> None:
    forward, published = (
        model(dropout=0.0).eval(),
        model(dropout=0.0, pair_direction="drawing_to_exemplar").eval(),
    )
    pairs, noise = batch(forward)
    swapped = Pairs(pairs.exemplar, pairs.target)
    for name in ("_critic_loss", "_generator_loss"):
        one = getattr(forward, name)(pairs, noise, {"penalty": 10.0})["loss"]
        assert torch.equal(one, getattr(published, name)(swapped, noise, {"penalty": 10.0})["loss"])
        assert not torch.equal(
            one, getattr(published, name)(pairs, noise, {"penalty": 10.0})["loss"]
        )
    given: list[Tensor] = []
    for family in (forward, published):
        family.generator.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        family._critic_loss(pairs, noise, {"penalty": 10.0})
        family.sample(pairs.exemplar, noise[:, : family.config.z])
    assert [next(n for n, v in vars(pairs).items() if v is g) for g in given] == [
        "exemplar",
        "exemplar",
        "target",
        "exemplar",
    ]


def test_the_critic_always_moves_and_the_generator_at_every_fifth_batch() -> None:
    family = model()
    stack = Stack([family], CPU)
    pairs, noise = batch(family)
    moved = []
    for _ in range(11):
        before = [side.flat.detach().clone() for side in stack.players]
        stack.train_step(pairs, noise, {"penalty": torch.tensor([10.0])}, stack.next_players())
        moved.append([not torch.equal(side.flat, old) for side, old in zip(stack.players, before)])
    assert moved == [[True, step % 5 == 4] for step in range(11)]
    assert [(p.name, p.betas, p.monitor) for p in family.players()] == [
        ("critic", (0.0, 0.9), "wasserstein"),
        ("generator", (0.0, 0.9), "loss"),
    ]


def bars() -> PairBatches:
    """8 classes of 5 images: a broad bar at a place of the class's own; the last two classes for
    validation.
    """
    rng = np.random.default_rng(0)
    images = np.zeros((40, SIZE, SIZE), np.uint8)
    for i in range(40):
        start = i // 5
        images[i, start : start + 6] = rng.random((6, SIZE)) < 0.9
    return PairBatches(
        torch.from_numpy(images), torch.arange(40) // 5 * 5, np.arange(30), np.arange(30, 40)
    )


def train(families: Sequence[Dagan], folder: Path) -> list[Training]:
    checkpoints = [Checkpoint(Store(folder), f"{k}.pt", 1e9) for k in range(len(families))]
    return fit(families, bars(), 3, checkpoints, lambda *_: None)  # type: ignore[return-value]


@pytest.mark.slow
def test_a_stack_over_step_size_and_penalty_is_its_solo_trainings(tmp_path: Path) -> None:
    """Two epochs, in which the generator moves twice."""
    settings: list[dict[str, Any]] = [
        dict(penalty=1.0),
        dict(learning_rate=5e-4),
        dict(penalty=30.0, learning_rate=2e-5),
    ]
    settings = [dict(critic_rounds=3, **own) for own in settings]
    together = train([model(**s) for s in settings], tmp_path / "stack")
    for k, own in enumerate(settings):
        (alone,) = train([model(**own)], tmp_path / str(k))
        for name in ("train_loss", "train_penalty", "validation_wasserstein"):
            one, other = together[k].curve[name], alone.curve[name]
            np.testing.assert_allclose(
                one[0], other[0], rtol=1e-3, atol=1e-5, err_msg=f"{name} of {own}"
            )
            # Adam follows rounding errors
            np.testing.assert_allclose(one, other, rtol=2e-2, atol=1e-3, err_msg=f"{name} of {own}")
        for name, weight in alone.end.items():
            torch.testing.assert_close(
                together[k].end[name].float(), weight.float(), rtol=2e-2, atol=2e-3
            )
    assert (
        together[0].how == "stack of 3, eager"
        and together[0].curve["train_loss"] != together[1].curve["train_loss"]
    )


@pytest.mark.parametrize(("player", "sign"), [(0, 1), (1, -1)], ids=["critic", "generator"])
def test_the_critic_widens_the_distance_and_the_generator_narrows_it(
    player: int, sign: int
) -> None:
    """One small step of one player on one batch: a wrong sign in its loss turns the movement round.

    Adam's first step moves each weight by the learning rate along the sign of its gradient, so to
    first order the distance changes by the learning rate times the sum of the gradient's
    magnitudes. No number that many steps have learned is looked at: rounding differs between
    processors, and an adversarial training enlarges it.
    """
    family = model("tiny_resnet", dropout=0.0, learning_rate=1e-5).train()
    stack, (pairs, noise) = Stack([family], CPU), batch(family, 8)
    z, none = noise[:, : 2 * family.config.z].chunk(2, 1)[player], NoiseStream(noise[:, :0])

    def distance() -> Tensor:
        """The Wasserstein distance, written anew from the two networks."""
        drawn = family.generator(pairs.exemplar, z, none)
        return (
            family.critic(pairs.exemplar, pairs.target, none)
            - family.critic(pairs.exemplar, drawn, none)
        ).mean()

    before, weights = distance(), list((family.critic, family.generator)[player].parameters())
    steepness = sum(float(g.abs().sum()) for g in torch.autograd.grad(before, weights))
    stack.train_step(pairs, noise, {"penalty": torch.zeros(1)}, (player,))
    family.load_state_dict(stack.snapshot().weights(0))
    change = float((distance() - before).detach())
    assert change == pytest.approx(sign * 1e-5 * steepness, rel=0.2)
