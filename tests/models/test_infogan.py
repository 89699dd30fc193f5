"""InfoGAN: its size, its losses by a second implementation, the game of two players, its sheets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import SIDE, made
from torch import Tensor, nn
from torch.nn import functional

from oneshot.contracts import Labelled
from oneshot.models.infogan import STEPS, VARIANTS, Config, InfoGan
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.owners import check_owners
from oneshot.training.stack import Stack

CPU = torch.device("cpu")


def model(seed: int = 0, image_size: int = SIDE, **changed: Any) -> InfoGan:
    torch.manual_seed(seed)
    return InfoGan(Config(**{**VARIANTS["tiny"], **changed}), image_size)


def batch(family: InfoGan, n: int = 6) -> tuple[Labelled, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(n, 1, family.image_size, family.image_size, generator=generator)
    label = torch.eye(5)[torch.arange(n) % 5]
    return Labelled(images, label), torch.randn(n, *family.noise_shape, generator=generator)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("categories", "generator", "discriminator"),
    [(10, 6_652_481, 6_571_469), (7, 6_649_409, 6_568_394)],
)
def test_both_players_have_the_size_of_the_seed(
    categories: int, generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        family = InfoGan(Config(categories=categories), 28)
    assert (count(family.generator), count(family.discriminator)) == (generator, discriminator)
    check_owners(family)
    assert count(family) == generator + discriminator


def test_weights_begin_small_and_biases_at_0() -> None:
    family = model(width=32)
    for module in family.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            assert module.bias is not None and not module.bias.any()
            if module.weight.numel() > 2000:
                assert float(module.weight.std()) == pytest.approx(0.02, rel=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and not module.bias.any()


@pytest.mark.parametrize("size", [16, 20, 28, 48])
def test_images_have_the_size_that_was_asked_for_in_0_to_1(size: int) -> None:
    family = model(image_size=size).eval()
    drawn = family.sample(torch.empty(3, 0), torch.randn(3, *family.drawing_noise_shape))
    assert drawn.shape == (3, 1, size, size) and 0 <= drawn.min() <= drawn.max() <= 1
    assert not family.config.problems(size, 1, 20)


def test_a_size_that_is_no_multiple_of_4_is_refused() -> None:
    assert Config().problems(50, 1, 20) == [
        "image_size = 50 of infogan: its maps need a multiple of 4"
    ]


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_noise_becomes_uniform_numbers_a_category_and_codes(kind: str) -> None:
    family = model(noise=kind, categories=4, codes=3)
    noise = torch.randn(
        20_000, *family.drawing_noise_shape, generator=torch.Generator().manual_seed(0)
    )
    free, category, codes = family._parts(noise)
    if kind == "uniform":
        assert free.min() >= 0 and free.max() <= 1
        assert float(free.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(free.var()) == pytest.approx(1 / 12, abs=0.002)
    else:
        assert torch.equal(free, noise[:, : family.config.z])
    assert torch.equal(category.sum(1), torch.ones(20_000)) and category.shape == (20_000, 4)
    np.testing.assert_allclose(category.mean(0), 0.25, atol=0.02)
    assert codes.shape == (20_000, 3) and codes.abs().max() <= 1
    assert float(codes.var()) == pytest.approx(1 / 3, abs=0.01)
    # the largest and smallest normal numbers still have a category
    extreme = torch.cat([torch.full((1, 9), -40.0), torch.full((1, 9), 40.0)])
    assert family._parts(extreme)[1].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]


def plain_losses(
    family: InfoGan, items: Labelled, noise: Tensor, lambda_: float
) -> dict[str, dict[str, float]]:
    """Both losses as the paper and the sheet write them, with the library's loss functions."""
    config, n = family.config, len(noise)
    size = config.z + 1 + config.codes
    found: dict[str, dict[str, float]] = {}
    for player, own in (("discriminator", noise[:, :size]), ("generator", noise[:, size:])):
        uniform = torch.distributions.Normal(0, 1).cdf(own.double()).float()
        place = (uniform[:, config.z] * config.categories).long()
        codes = 2 * uniform[:, config.z + 1 :] - 1
        one_hot = functional.one_hot(place, config.categories).float()
        drawn = family.generator(torch.cat([uniform[:, : config.z], one_hot, codes], 1))

        def outputs(x: Tensor) -> Tensor:
            d = family.discriminator
            x = functional.leaky_relu(d.first(x), 0.2)
            x = functional.leaky_relu(d.second_norm(d.second(x)), 0.2).flatten(1)
            x = functional.linear(x, d.dense.weight, d.dense.bias)[..., None, None]
            x = functional.leaky_relu(d.dense_norm(x), 0.2).flatten(1)
            return functional.linear(x, d.heads.weight, d.heads.bias)

        of_drawn, ones = outputs(drawn), torch.ones(n)
        bce = functional.binary_cross_entropy_with_logits
        if player == "discriminator":
            of_real = outputs(items.images * 2 - 1)
            adversarial = bce(of_real[:, 0], ones) + bce(of_drawn[:, 0], 0 * ones)
        else:
            adversarial = bce(of_drawn[:, 0], ones)
        last = 1 + config.codes
        information = functional.cross_entropy(of_drawn[:, last:], place)
        information = information + functional.mse_loss(of_drawn[:, 1:last], codes)
        found[player] = {
            "adversarial": float(adversarial),
            "information": float(information),
            "loss": float(adversarial + lambda_ * information),
        }
    return found


@pytest.mark.parametrize("training", [False, True])
def test_the_losses_are_those_of_a_plain_second_implementation(training: bool) -> None:
    family = model(width=8)
    with torch.no_grad():  # larger weights, so that no term is near its value at the start
        for parameter in family.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)
    items, noise = batch(family, 8)
    family.train(training)
    expected = plain_losses(family, items, noise, 0.7)
    for player in family.players():
        losses = player.loss(items, noise, {"lambda_info": 0.7})
        assert {n: v.shape for n, v in losses.items()} == dict.fromkeys(losses, (8,))
        means = {n: float(v.mean()) for n, v in losses.items()}
        assert means == pytest.approx(expected[player.name], rel=1e-3, abs=1e-4)


def test_a_player_moves_its_own_parameters_alone() -> None:
    family = model()
    items, noise = batch(family, 8)
    for turn, player in enumerate(family.players()):
        stack = Stack([model()], CPU)
        before = stack.snapshot().weights(0)
        loss = stack.losses_of(turn, items, noise, {"lambda_info": torch.ones(1)})["loss"].sum()
        others = [side.flat for i, side in enumerate(stack.players) if i != turn]
        gradients = torch.autograd.grad(loss, others, allow_unused=True)
        assert all(g is None or not g.any() for g in gradients)
        stack.train_step(items, noise, {"lambda_info": torch.ones(1)}, [turn])
        names = {n for n, _ in family.named_parameters()}
        moved = {
            n for n, w in stack.snapshot().weights(0).items() if not torch.equal(w, before[n])
        } & names
        assert moved == {n for n in names if n.startswith(player.name)}


def test_the_discriminator_never_helps_the_generator() -> None:
    """Its gradient is that of its own loss: a step lowers it, where the published one mixed L_G
    in.
    """
    family = model(width=8).train()
    items, noise = batch(family, 8)
    discriminator = family.players()[0]
    parameters = discriminator.parameters()

    def gradient(loss: Tensor) -> Tensor:
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return torch.cat([g.flatten() for g in found if g is not None])

    own = gradient(discriminator.loss(items, noise, {"lambda_info": 1.0})["loss"].mean())
    free, category, codes = family._parts(noise.chunk(2, 1)[0])
    with torch.no_grad():
        drawn = family.generator(torch.cat([free, category, codes], 1))
    of_real = family.discriminator(items.images * 2 - 1)[0]
    of_drawn, logits, recovered = family.discriminator(drawn)
    l_d = (functional.softplus(-of_real) + functional.softplus(of_drawn)).mean()
    l_info = functional.cross_entropy(logits, category) + functional.mse_loss(recovered, codes)
    torch.testing.assert_close(own, gradient(l_d + l_info), rtol=1e-3, atol=1e-6)


def test_a_stack_has_the_gradients_of_each_model_alone() -> None:
    lambdas, source = [0.1, 1.0, 3.0], LabelledBatches.of(made("greys", 2), Config(), CPU)
    items = source.batch(next(source.epoch(1, 0, 8)))
    noise = torch.randn(8, *model().noise_shape, generator=torch.Generator().manual_seed(3))

    def gradients(places: list[int]) -> tuple[list[Tensor], Stack]:
        stack = Stack([model(k, lambda_info=lambdas[k]) for k in places], CPU)
        hyper = {"lambda_info": torch.tensor([lambdas[k] for k in places])}
        found = []
        for turn, side in enumerate(stack.players):
            loss = stack.losses_of(turn, items, noise, hyper)["loss"].mean(1).sum()
            found += torch.autograd.grad(loss, side.flat)
        return found, stack

    together, stack = gradients([0, 1, 2])
    for k in range(3):
        alone, single = gradients([k])
        for row, own in zip(together, alone):
            # that of a bias before a normalisation is 0 but for rounding
            assert own.abs().max() > 0.1
            torch.testing.assert_close(row[k], own[0], rtol=1e-3, atol=1e-4)
        for name, buffer in single.buffers.items():
            torch.testing.assert_close(stack.buffers[name][k], buffer[0], rtol=1e-4, atol=1e-6)
        assert int(single.buffers["generator.maps.1.num_batches_tracked"]) == 2, "both draw"


def test_the_sheet_of_categories_changes_the_category_alone() -> None:
    family = model(categories=4).eval()
    noise = torch.randn(6, *family.drawing_noise_shape, generator=torch.Generator().manual_seed(2))
    sheet = family.sheets(torch.empty(0), noise)["categories"]
    assert sheet.shape == (4, 6, 1, SIDE, SIDE)
    free, _, codes = family._parts(noise)
    for row in range(4):
        given = torch.cat([free, torch.eye(4)[row].expand(6, -1), codes], 1)
        torch.testing.assert_close(sheet[row], (family.generator(given).detach() + 1) / 2)


@pytest.mark.parametrize("codes", [1, 2, 3])
def test_the_sheet_of_codes_runs_over_their_range(codes: int) -> None:
    family = model(categories=4, codes=codes).eval()
    noise = torch.randn(2, *family.drawing_noise_shape, generator=torch.Generator().manual_seed(2))
    sheet = family.sheets(torch.empty(0), noise)["codes"]
    assert sheet.shape == (4 if codes == 1 else STEPS, STEPS, 1, SIDE, SIDE)
    free = family._parts(noise)[0][:1]
    row, column = 3, STEPS - 1
    code = torch.zeros(1, codes)
    code[0, 0] = 1.0
    if codes > 1:
        code[0, 1] = 1 - 2 * row / (STEPS - 1)
    category = torch.eye(4)[3 if codes == 1 else 0][None]
    expected = (family.generator(torch.cat([free, category, code], 1)).detach() + 1) / 2
    torch.testing.assert_close(sheet[row, column], expected[0])
