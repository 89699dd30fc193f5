"""Reptile for two adversaries: their steps on one task, and the loss that learns where they start.

Nichol, Achiam and Schulman (2018), On first-order meta-learning algorithms
(https://arxiv.org/abs/1803.02999), algorithm 1; of a generator and a discriminator that move in
turn as in Clouatre and Demers (2019), FIGR: few-shot image generation with Reptile
(https://arxiv.org/abs/1901.02199). Nothing here has a state: weights come in and go out, so that
the steps of many tasks, and of many models, run at once by vmap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from oneshot.contracts import Weights

# (weights of the network that moves, those of the other, noise of the step) -> loss, a number
InnerLoss = Callable[[Weights, Weights, Tensor], Tensor]


class Adapted(NamedTuple):
    """Two networks after their steps on a task.

    Args:
        first: weights of the one that moves first.
        second: those of the other.
        losses: of both, means over the steps, [2].
    """

    first: Weights
    second: Weights
    losses: Tensor


def adapted(
    first: Weights,
    second: Weights,
    losses: tuple[InnerLoss, InnerLoss],
    noise: Tensor,
    rate: Tensor | float,
) -> Adapted:
    """U_S of algorithm 1: S steps of plain gradient descent, in each of which both move in turn.

    Args:
        first: weights of the network that moves first, by name.
        second: those of the other, which sees the first one moved.
        losses: of both.
        noise: of each step, [S, ...]; without any, nothing moves.
        rate: step size, a number.

    Returns:
        Both networks after the steps.
    """
    total = noise.new_zeros(2)
    for of_step in noise.unbind(0):
        gradient, one = grad_and_value(losses[0])(first, second, of_step)
        first = _descended(first, gradient, rate)
        gradient, other = grad_and_value(losses[1])(second, first, of_step)
        second = _descended(second, gradient, rate)
        total = total + torch.stack([one, other])
    return Adapted(first, second, total / max(len(noise), 1))


def of_each_task(
    steps: Callable[[Tensor, Tensor], Adapted], images: Tensor, noise: Tensor
) -> Adapted:
    """The steps on each of several tasks, all from the same start.

    Args:
        steps: from the images and the noise of a task to its networks.
        images: of B tasks, [B, ...].
        noise: [B, ...].

    Returns:
        Both networks of every task: weights [B, *shape], losses [B, 2].
    """
    if len(noise) > 1:
        of_all: Adapted = vmap(steps)(images, noise)
        return of_all
    one = steps(images[0], noise[0])  # vmap would only cost time
    first, second = ({n: w.unsqueeze(0) for n, w in part.items()} for part in one[:2])
    return Adapted(first, second, one.losses.unsqueeze(0))


def reptile_loss(start: Weights, end: Weights) -> tuple[Tensor, Tensor]:
    """A loss whose gradient is the step of Reptile, and how far adapting went.

    Its value means nothing; its gradient by the start theta is theta - theta', the direction that
    algorithm 1 gives to the outer optimiser. Half the squared distance between both is what this
    direction lessens (section 5.2).

    Args:
        start: theta by name, each [*shape].
        end: theta' of B tasks, each [B, *shape].

    Returns:
        <theta, theta - theta'>, where the second factor counts as constant, and
        |theta - theta'|^2 / 2, each [B].
    """
    losses, distances = [], []
    for name, theta in start.items():
        gap = (theta - end[name]).detach()
        losses.append((theta * gap).flatten(1).sum(1))
        distances.append(gap.square().flatten(1).sum(1) / 2)
    return torch.stack(losses).sum(0), torch.stack(distances).sum(0)


def _descended(weights: Weights, gradient: Weights, rate: Tensor | float) -> Weights:
    """theta - rate * gradient, of every tensor."""
    return {name: weight - rate * gradient[name] for name, weight in weights.items()}
