"""Reptile's loss against a plain loop of deep copies and torch's own SGD."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from oneshot.contracts import Weights
from oneshot.nn import meta


def pair() -> tuple[nn.Module, nn.Module]:
    """A critic of points of the plane, and a generator of them, in double precision."""
    torch.manual_seed(0)
    d = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    g = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    return d, g


def weights(network: nn.Module) -> Weights:
    return {n: p.detach() for n, p in network.named_parameters()}


def ours(d: nn.Module, g: nn.Module, real: Tensor, noise: Tensor, rate: Any) -> meta.Adapted:
    def of_d(own: Weights, other: Weights, z: Tensor) -> Tensor:
        fake = functional_call(g, other, (z[0],))
        scores = functional_call(d, own, (torch.cat([real, fake]),)).chunk(2)
        return softplus(-scores[0]).mean() + softplus(scores[1]).mean()

    def of_g(own: Weights, other: Weights, z: Tensor) -> Tensor:
        fake = functional_call(g, own, (z[1],))
        return softplus(-functional_call(d, other, (fake,))).mean()

    return meta.adapted(weights(d), weights(g), (of_d, of_g), noise, rate)


def plain(
    d: nn.Module, g: nn.Module, real: Tensor, noise: Tensor, rate: float
) -> tuple[nn.Module, nn.Module, list[list[float]]]:
    """Working copies, moved by torch's optimiser."""
    d, g = copy.deepcopy(d), copy.deepcopy(g)
    moves = [torch.optim.SGD(net.parameters(), lr=rate) for net in (d, g)]
    losses: list[list[float]] = [[], []]
    for z in noise:
        for turn, move in enumerate(moves):
            if turn == 0:
                loss = softplus(-d(real)).mean() + softplus(d(g(z[0]).detach())).mean()
            else:
                loss = softplus(-d(g(z[1]))).mean()
            move.zero_grad()
            loss.backward()
            move.step()
            losses[turn].append(loss.item())
    return d, g, losses


def given(steps: int = 4, tasks: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    real = torch.randn(tasks, 6, 2, generator=generator, dtype=torch.double) + 1
    return real, torch.randn(tasks, steps, 2, 6, 3, generator=generator, dtype=torch.double)


def test_steps_in_turn_are_those_of_working_copies() -> None:
    (d, g), (real, noise) = pair(), given()
    end = ours(d, g, real[0], noise[0], 0.5)
    copy_d, copy_g, losses = plain(d, g, real[0], noise[0], 0.5)
    for moved, plainly in ((end.first, copy_d), (end.second, copy_g)):
        for name, weight in plainly.named_parameters():
            torch.testing.assert_close(moved[name], weight.detach())
    assert end.losses.tolist() == pytest.approx([sum(one) / len(one) for one in losses])
    assert not torch.allclose(end.first["0.weight"], weights(d)["0.weight"], atol=1e-2)


def test_an_outer_step_of_rate_1_is_the_mean_of_the_tuned_networks() -> None:
    """The gradient of the loss is the mean way of the tasks, so of one task it is fine-tuning."""
    (d, g), (real, noise) = pair(), given()
    end = meta.of_each_task(lambda x, z: ours(d, g, x, z, 0.5), real, noise)
    loss, distance = meta.reptile_loss(dict(g.named_parameters()), end.second)
    loss.mean().backward()
    tuned = [plain(d, g, x, z, 0.5)[1] for x, z in zip(real, noise)]
    for name, theta in g.named_parameters():
        mean = torch.stack([dict(one.named_parameters())[name].detach() for one in tuned]).mean(0)
        assert theta.grad is not None
        torch.testing.assert_close(theta.detach() - theta.grad, mean)
    ways = [
        sum(
            float((p - q).detach().square().sum()) for p, q in zip(g.parameters(), one.parameters())
        )
        / 2
        for one in tuned
    ]
    assert distance.tolist() == pytest.approx(ways)


def test_one_task_is_what_it_is_among_others() -> None:
    (d, g), (real, noise) = pair(), given()
    both = meta.of_each_task(lambda x, z: ours(d, g, x, z, 0.5), real, noise)
    alone = meta.of_each_task(lambda x, z: ours(d, g, x, z, 0.5), real[1:2], noise[1:2])
    for some, all_ in zip(alone[:2], both[:2]):
        assert all(torch.allclose(some[n], w[1:2]) for n, w in all_.items())
    torch.testing.assert_close(alone.losses, both.losses[1:2])


@pytest.mark.parametrize("tasks", [1, 3])
def test_without_steps_there_is_no_gradient(tasks: int) -> None:
    (d, g), (real, noise) = pair(), given(0, tasks)
    end = meta.of_each_task(lambda x, z: ours(d, g, x, z, 0.5), real, noise)
    assert torch.equal(end.losses, torch.zeros(tasks, 2, dtype=torch.double))
    for net, moved in ((d, end.first), (g, end.second)):
        loss, distance = meta.reptile_loss(dict(net.named_parameters()), moved)
        loss.mean().backward()
        assert not distance.any() and loss.shape == (tasks,)
        assert all(p.grad is not None and not p.grad.any() for p in net.parameters())
