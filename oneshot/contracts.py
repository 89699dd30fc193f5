"""What a model family must do. A family file in models/ holds a `Config`, a `VERSION`, `VARIANTS` with a `tiny` one, and one `Family`.

A trained family obeys five rules, so that one loop trains them all and many points train as one stack (`stack.py`):
noise and train-stage hyperparameters come in as arguments; there is no data-dependent control flow, no state outside parameters and
buffers, no global random state, and no operator without a batching rule. `tests/test_contract.py` holds every family to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.episodes import DataSet, Drawings

Hyper = Mapping[str, Tensor | float]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Pairs:
    """A batch of one-shot training items: `target` and the `exemplar` of its class, float32 [B, 1, H, W] of 0 and 1."""

    target: Tensor
    exemplar: Tensor


@dataclass(frozen=True)
class Player:
    """One optimised part of a model: what it minimises, with which parameters and how.

    loss: (pairs, noise, hyper) -> per-example losses in nats, each [B]; the entry "loss" is minimised, the others are reported.
    clip: largest L2 norm of the gradient (0: none). every: the player moves at each `every`-th batch.
    stacked: the same losses of K models at once, each [K, B], where the family has a faster form than vmap: (weights by name, each with a
    leading K; pairs and noise, which all slices share; hyper by name, each [K]).
    """

    name: str
    parameters: Callable[[], list[nn.Parameter]]
    loss: Callable[[Pairs, Tensor, Hyper], Losses]
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 0.0
    every: int = 1
    stacked: Callable[[Mapping[str, Tensor], Pairs, Tensor, Mapping[str, Tensor]], Losses] | None = None


class TrainedFamily(nn.Module, ABC):
    """A model that learns. `config` is its Config; images are square, `image_size` pixels wide.

    cannot_stack: why models of this family cannot train as one stack; "" if they can, as they should.
    """

    trained: ClassVar[bool] = True
    cannot_stack: ClassVar[str] = ""
    config: Any
    image_size: int

    @abstractmethod
    def players(self) -> list[Player]: ...

    @abstractmethod
    def hyper(self, epoch: int) -> dict[str, float]:
        """The train-stage hyperparameters that enter the loss at this epoch (annealing is resolved here)."""

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that one example needs, in training and in drawing alike."""

    def accelerate(self, compiled: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace the family's hot functions, if it has any, by their compiled form; called where compiling pays."""
        return None

    @abstractmethod
    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """Draw one image for each exemplar: [B, 1, H, W], noise [B, *noise_shape] -> pixel values in [0, 1], [B, 1, H, W]."""


class LikelihoodFamily(TrainedFamily):
    """A trained family with a bound on the likelihood."""

    @abstractmethod
    def elbo(self, pairs: Pairs, noise: Tensor) -> Losses:
        """Per-example terms in nats: "reconstruction" and "kl"; the negative ELBO is their sum."""


class ReferenceFamily(ABC):
    """A family that learns nothing: people, copies, noise, or images made elsewhere. Goes the same way as any model after training."""

    trained: ClassVar[bool] = False

    def __init__(self, config: Any):
        self.config = config

    @abstractmethod
    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        """Drawings for the test classes of `data`; exemplars: image index of each class's exemplar; n: drawings a class asked for."""


def bernoulli_nll(logits: Tensor, target: Tensor, published: bool = False) -> Tensor:
    """-log p(target) of independent Bernoulli pixels, summed over the last three dimensions: [..., C, H, W] -> [...], in nats.

    published: go through the sigmoid first, with log clamped at -100, as the reference does; it saturates in float32.
    """
    target = target.expand_as(logits)
    if published:
        loss = nn.functional.binary_cross_entropy(torch.sigmoid(logits), target, reduction="none")
    else:
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return loss.sum((-3, -2, -1))


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over the last two dimensions: [..., T, Z] -> [...], in nats."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum((-2, -1))
