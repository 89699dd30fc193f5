"""What a model family must do. A family file in models/ holds a `Config`, a `VERSION`, `VARIANTS`
with a `tiny` one, and one `Family`.

A trained family obeys five rules, so that one loop trains them all and many points train as one
stack (`stack.py`): noise and train-stage hyperparameters come in as arguments; there is no
data-dependent control flow, no state outside parameters and buffers (which only a forward pass in
training mode may change), no global random state, and no operator without a batching rule.
`tests/test_contract.py` holds every family to them. A Config whose settings depend on each other
has a method `problems`, which names every combination that cannot be; a family of colour images
says `COLOUR = True`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.types import DataSet, Drawings

Hyper = Mapping[str, Tensor | float]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Pairs:
    """A batch of one-shot training items: `target` and the `exemplar` of its class, float32 [B, 1,
    H, W] of 0 and 1.
    """

    target: Tensor
    exemplar: Tensor


@dataclass(frozen=True)
class Sets:
    """A batch of sets, each of S different images of one class: float32 [B, S, C, H, W] in [0, 1],
    of 0 and 1 where C is 1.
    """

    images: Tensor


@dataclass(frozen=True)
class Player:
    """One optimised part of a model: what it minimises, with which parameters and how.

    loss: (items, noise, hyper) -> per-item losses, each [B], in nats where they are of a
    likelihood; the entry "loss" is minimised, the others are reported. Items are Pairs or Sets, as
    the family `trains_on`.
    monitor: the entry that drives the schedule and the choice of the best epoch, on the validation
    classes; of the first player only.
    clip: largest L2 norm of the gradient (0: none). clamp: largest absolute value of each of its
    elements (0: none).
    weight_decay: of Adam, as an L2 term. fades: the step size falls from epoch to epoch, linearly,
    to reach 0 after the last. every: the player moves at each `every`-th batch; the first one at
    each. skips: how many batches in a row whose loss or gradient is not finite are passed over,
    before the training counts as diverged.
    stacked: the same losses of K models at once, each [K, B], where the family has a faster form
    than vmap: (weights by name, each with a leading K; items and noise, which all slices share;
    hyper by name, each [K]).
    """

    name: str
    parameters: Callable[[], list[nn.Parameter]]
    loss: Callable[[Any, Tensor, Hyper], Losses]
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 0.0
    clamp: float = 0.0
    weight_decay: float = 0.0
    fades: bool = False
    monitor: str = "loss"
    every: int = 1
    skips: int = 0
    stacked: Callable[[Mapping[str, Tensor], Any, Tensor, Mapping[str, Tensor]], Losses] | None = (
        None
    )


class TrainedFamily(nn.Module, ABC):
    """A model that learns. `config` is its Config; images are square, `image_size` pixels wide.

    trains_on: what a batch of training items is. cannot_stack: why models of this family cannot
    train as one stack; "" if they can, as they should. evaluation_batch, drawing_batch: most images
    that it evaluates, or draws, at a time, for the memory that takes;
    cached_batch: most that it draws at a time on a processor, whose cache they should not leave.
    gpu_share: how much of a GPU a trial of this family asks for.
    """

    trained: ClassVar[bool] = True
    trains_on: type = Pairs
    cannot_stack: ClassVar[str] = ""
    gpu_share: ClassVar[float] = 1.0
    evaluation_batch: ClassVar[int] = 512
    drawing_batch: ClassVar[int] = 3000
    cached_batch: ClassVar[int] = 250
    config: Any
    image_size: int

    @abstractmethod
    def players(self) -> list[Player]: ...

    @abstractmethod
    def hyper(self, epoch: int) -> dict[str, float]:
        """The train-stage hyperparameters that enter the loss at this epoch (annealing is resolved
        here).
        """

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that one training item needs."""

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that one drawing needs."""
        return self.noise_shape

    def accelerate(self, compiled: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace the family's hot functions, if it has any, by their compiled form; called where
        compiling pays.
        """
        return None

    @abstractmethod
    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """Draw one image for each exemplar: [B, C, H, W], noise [B, *drawing_noise_shape] -> pixel
        values in [0, 1], [B, C, H, W].
        """


class ExplainedFamily(TrainedFamily):
    """A trained family that says which pixels of an exemplar its drawings rest on."""

    @property
    @abstractmethod
    def importance_noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that the map of one exemplar needs for one seed."""

    @abstractmethod
    def importance(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """Importance of each pixel, at least 0, for one seed each: [B, C, H, W], noise [B,
        *importance_noise_shape] -> [B, H, W].
        """


class LikelihoodFamily(TrainedFamily):
    """A trained family with a bound on the likelihood."""

    @abstractmethod
    def elbo(self, items: Any, noise: Tensor) -> Losses:
        """Per-item terms in nats, each [B]: "reconstruction" and "kl" (and parts of it); the
        negative ELBO is the sum of these two.
        """


Features = dict[int, Tensor]


@dataclass(frozen=True)
class SetTerms:
    """The one-sample bound of B sets of S images, taken apart; in nats.

    log_likelihood: log p(x_s | latents) [B, S]. kl_c: of each level of the context, top first, for
    the whole set [B, levels of c].
    kl_z: of each level of each image's latents, top first [B, S, levels of z]. log_ratio: log p -
    log q of all latents of the set at the sample that was drawn, [B]: its negative has the mean
    sum(kl_c) + sum(kl_z).
    """

    log_likelihood: Tensor
    kl_c: Tensor
    kl_z: Tensor
    log_ratio: Tensor


class SetFamily(LikelihoodFamily):
    """A family that models sets of images of one class through a context of the set and latents of
    each image.

    Images are [B, S, C, H, W]; S may differ from the set size of training. The noise of a set is
    one vector: that of its context, then that of image 0, image 1, ... A set's terms do not depend
    on the others in evaluation mode. `elbo` gives per image (a set's sums divided by S):
    "reconstruction", "kl", "kl_c", "kl_z".
    """

    trains_on = Sets

    @abstractmethod
    def noise_size(self, set_size: int) -> int:
        """How many standard normal numbers one walk over a set of this size takes."""

    @abstractmethod
    def encode(self, images: Tensor) -> Features:
        """Features of each image, by resolution: [B, S, width, r, r] each; what all samples of a
        set's latents have in common.
        """

    @abstractmethod
    def terms(self, images: Tensor, noise: Tensor, features: Features | None = None) -> SetTerms:
        """The bound at one sample of the latents; noise: [B, noise_size(S)]; features:
        `encode(images)`, if it is at hand.
        """

    @abstractmethod
    def context(self, images: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Means and log-variances [B, D] of q(c_l | set), top first, along a walk that takes
        contexts at their means; [] without.
        """

    @abstractmethod
    def reconstruct(self, images: Tensor, noise: Tensor) -> Tensor:
        """Every latent from its posterior: pixel values in [0, 1], [B, S, C, H, W]."""

    @abstractmethod
    def draw(self, images: Tensor, noise: Tensor, mode: str) -> Tensor:
        """A new set for each given set, in one of the family's drawing modes: images and result [B,
        S, C, H, W].

        noise: [B, rounds, noise_size(S)], a round for the first drawing and one for each
        refinement.
        """

    @abstractmethod
    def attention(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Weights of learned pooling in the posterior of each level ("c1" is the top), [B, heads,
        S] each, sums 1 over S; {} without.
        """


class ReferenceFamily(ABC):
    """A family that learns nothing: people, copies, noise, or images made elsewhere. Goes the same
    way as any model after training.
    """

    trained: ClassVar[bool] = False
    gpu_share: ClassVar[float] = 0.25

    def __init__(self, config: Any):
        self.config = config

    @abstractmethod
    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        """Drawings for the test classes of `data`; exemplars: image index of each class's exemplar;
        n: drawings a class asked for.
        """


def bernoulli_nll(logits: Tensor, target: Tensor, published: bool = False) -> Tensor:
    """-log p(target) of independent Bernoulli pixels, summed over the last three dimensions: [...,
    C, H, W] -> [...], in nats.

    published: go through the sigmoid first, with log clamped at -100, as the reference does; it
    saturates in float32.
    """
    target = target.expand_as(logits)
    if published:
        loss = nn.functional.binary_cross_entropy(torch.sigmoid(logits), target, reduction="none")
    else:
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return loss.sum((-3, -2, -1))


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over the last two dimensions: [..., T, Z]
    -> [...], in nats.
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum((-2, -1))
