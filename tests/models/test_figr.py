"""FIGR: its meta-gradient by a plain loop of working copies, its losses, and what it adapts to."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from oneshot.contracts import Sets
from oneshot.models.figr import VARIANTS, Config, Figr, gradient_penalty
from oneshot.training.stack import Stack

CPU = torch.device("cpu")
SIZE = 16


def model(variant: str = "tiny", seed: int = 0, **changed: Any) -> Figr:
    torch.manual_seed(seed)
    return Figr(Config(**{**VARIANTS[variant], **changed}), SIZE)


def batch(family: Figr, tasks: int) -> tuple[Sets, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (tasks, family.config.set_size, 1, SIZE, SIZE)
    images = (torch.rand(shape, generator=generator) > 0.7).to(torch.get_default_dtype())
    return Sets(images), torch.randn(tasks, *family.noise_shape, generator=generator)


def penalty_of_each(d: Any, x_hat: Tensor) -> Tensor:
    """The gradient penalty by one backward pass an image."""
    terms = []
    for one in x_hat:
        x = one[None].detach().requires_grad_()
        (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
        terms.append((slope.flatten().norm() - 1) ** 2)
    return torch.stack(terms)


def working_copies(family: Figr, images: Tensor, noise: Tensor) -> Figr:
    """The family after the steps of one task, by torch's optimiser and its automatic gradients."""
    moved, config = copy.deepcopy(family), family.config
    d, g = moved.discriminator, moved.generator
    real, rate = 2 * images - 1, config.inner_rate
    of_d, of_g = (torch.optim.SGD(net.parameters(), lr=rate) for net in (d, g))
    for row in noise:
        z, other_z, place = row[:, : config.z], row[:, config.z : -1], row[:, -1]
        fake = g(z).detach()
        if config.loss == "bce":
            loss = softplus(-d(real)).mean() + softplus(d(fake)).mean()
        else:
            epsilon = torch.special.ndtr(place).view(-1, 1, 1, 1)
            penalty = penalty_of_each(d, epsilon * real + (1 - epsilon) * fake).mean()
            loss = (d(fake).mean() - d(real).mean()) * (0.5 if config.half_weight else 1.0)
            loss = loss + config.penalty * penalty
        of_d.zero_grad()
        loss.backward()
        of_d.step()
        scores = d(g(other_z))
        loss = softplus(-scores).mean() if config.loss == "bce" else -scores.mean()
        of_g.zero_grad()
        loss.backward()
        of_g.step()
    return moved


def test_the_gradient_penalty_is_that_of_each_image_alone() -> None:
    family = model()
    x = torch.rand(5, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    d = family.discriminator
    weights = {n: p.detach() for n, p in d.named_parameters()}
    torch.testing.assert_close(
        gradient_penalty(d, weights, x), penalty_of_each(d, x).detach(), rtol=1e-4, atol=1e-5
    )
    # not over the channels of each pixel, of which there is one
    slope = torch.autograd.grad(d(x.requires_grad_()).sum(), x)[0]
    by_pixel = (slope.norm(dim=1) - 1).square().mean((1, 2))
    assert not torch.allclose(gradient_penalty(d, weights, x.detach()), by_pixel, rtol=0.1)


@pytest.mark.parametrize(
    ("variant", "changed"),
    [("tiny", {}), ("tiny", dict(half_weight=True)), ("tiny_bce", {}), ("tiny_resnet", {})],
)
def test_stacked_meta_gradients_are_those_of_working_copies(
    variant: str, changed: dict[str, Any]
) -> None:
    """Three models with inner step sizes of their own, three tasks: nested vmap."""
    rates = (3e-3, 1e-2, 3e-2)
    models = [model(variant, k, inner_rate=rate, **changed) for k, rate in enumerate(rates)]
    sets, noise = batch(models[0], 3)
    stack = Stack(models, CPU)
    losses = stack.losses_of(0, sets, noise, {})
    (player,) = stack.players
    (gradient,) = torch.autograd.grad(losses["loss"].mean(1).sum(), player.flat)
    for k, one in enumerate(models):
        ends = [working_copies(one, x, z) for x, z in zip(sets.images, noise)]
        of_ends = [dict(end.named_parameters()) for end in ends]
        parts = gradient[k].split(player.sizes)[::2]
        ours = {n: p.view(s) for n, p, s in zip(player.names, parts, player.shapes)}
        gap = scale = 0.0
        for name, theta in one.named_parameters():
            way = theta.detach() - torch.stack([end[name].detach() for end in of_ends]).mean(0)
            gap += float((ours[name] - way).square().sum())
            scale += float(way.square().sum())
        assert scale > 0 and (gap / scale) ** 0.5 < 4e-4, (k, gap, scale)
        distance = [
            sum(
                float((p - q).detach().square().sum())
                for p, q in zip(one.parameters(), end.parameters())
            )
            for end in ends
        ]
        torch.testing.assert_close(
            losses["distance"][k].detach(), torch.tensor(distance) / 2, rtol=1e-3, atol=1e-9
        )


def test_validation_adapts_by_the_step_size_of_each_model() -> None:
    models = [model(inner_rate=rate) for rate in (1e-4, 1e-2)]
    sets, noise = batch(models[0], 3)
    slow, fast = Stack(models, CPU).losses(sets, noise, {})["distance"]
    # the way of a step grows as its size, its square faster
    assert (fast > 1000 * slow).all() and (slow > 0).all()


def test_adapting_is_the_training_s_own_steps_on_the_supports() -> None:
    family = model("tiny_bce", adapt_steps=3, shots=5, inner_rate=0.05).eval()
    assert family.adapting_noise_shape == (3, 5, 2 * 4 + 1)
    supports = (torch.rand(5, 1, SIZE, SIZE) > 0.7).float()
    noise = torch.randn(family.adapting_noise_shape)
    moved = dict(working_copies(family, supports, noise).named_parameters())
    weights = family.adapted(supports, noise)
    assert set(weights) == {n for n in moved if n.startswith("generator.")}
    for name, weight in weights.items():
        torch.testing.assert_close(weight, moved[name].detach(), rtol=1e-4, atol=1e-5)
    still = model("tiny_bce", adapt_steps=0)
    unmoved = still.adapted(supports, torch.zeros(still.adapting_noise_shape[0], 1, 9))
    assert all(torch.equal(w, still.state_dict()[n]) for n, w in unmoved.items())
    assert model(adapt_steps=-1, inner_steps=7).adapting_noise_shape[0] == 7


def test_half_the_weight_is_another_game() -> None:
    sets, noise = batch(model(), 2)
    whole, half, free = (
        model(**changed)._loss(sets, noise, {})["discriminator"]
        for changed in (dict(), dict(half_weight=True), dict(penalty=0.0))
    )
    assert not torch.allclose(whole, half) and not torch.allclose(whole, free)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (dict(), ""),
        (dict(levels=4), "image_size = 28: levels = 4 halve it 4 times, so it is a multiple of 16"),
        (dict(shots=21), "shots = 21: classes have 20 images"),
        (dict(set_size=30), "set_size = 30: classes have 20 images"),
        (dict(half_weight=True, loss="bce"), "half_weight is of the loss wgan_gp, not of bce"),
    ],
)
def test_what_cannot_be_is_named(changed: dict[str, Any], told: str) -> None:
    problems = Config(**{**VARIANTS["tiny"], **changed}).problems(28, 1, 20)
    assert len(problems) == bool(told) and all(told in problem for problem in problems)


def test_other_sides_are_named() -> None:
    (problem,) = Config().problems(28, 1, 20)
    assert problem.endswith("16, as 16 or 32") and not Config().problems(32, 1, 20)
