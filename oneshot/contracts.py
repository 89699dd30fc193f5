"""What a model family must do.

A family file in models/ holds a `Config`, a `VERSION`, `VARIANTS` with a `tiny` one, and one
`FAMILY`. A Config whose settings depend on each other has a method `problems`, which names every
combination that cannot be. A family that models more than bits, or other things, says which
`KINDS` of data it models.

A trained family obeys five rules, so that one loop trains them all and many points train as one
stack (`training/stack.py`):

- noise and train-stage hyperparameters come in as arguments;
- there is no control flow that depends on data;
- there is no state but parameters and buffers, which only a training pass forward may change;
- there is no global random state;
- there is no operator without a batching rule for vmap.

`tests/models/test_contract.py` and `tests/models/test_meta_device.py` hold every family to them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from oneshot.types import DataSet, Drawings

Hyper = Mapping[str, Tensor | float]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Pairs:
    """A batch of one-shot training items.

    Args:
        target: images to learn, float32 [B, 1, H, W] of 0 and 1.
        exemplar: that of each one's class, of the same shape.
    """

    target: Tensor
    exemplar: Tensor


@dataclass(frozen=True)
class Sets:
    """A batch of sets, each of S different images of one class.

    Args:
        images: float32 [B, S, C, H, W] in [0, 1], of 0 and 1 where C is 1.
    """

    images: Tensor


@dataclass(frozen=True)
class Labelled:
    """A batch of images, or points of the plane, with their classes.

    Args:
        images: float32 [B, C, H, W] in [0, 1], or points, [B, 2].
        label: one-hot, float32 [B, classes], over all classes of the data set.
    """

    images: Tensor
    label: Tensor


Items = Pairs | Sets | Labelled
Weights = dict[str, Tensor]  # parameters and buffers by name
Features = dict[int, Tensor]


@dataclass(frozen=True)
class Player:
    """One optimised part of a model: what it minimises, with which parameters and how.

    Args:
        name: in the columns of its losses, unless it is the first.
        parameters: returns those it moves.
        loss: (items, noise, hyper) -> losses by name, each [B], in nats where they are of a
            likelihood; "loss" is minimised, the others are reported. Items: see `trains_on`.
        learning_rate: step size of Adam.
        betas: of Adam.
        clip: largest L2 norm of the gradient; 0: any.
        clamp: largest absolute value of each of its elements; 0: any.
        weight_decay: of Adam, as an L2 term.
        fades: the step size falls linearly from epoch to epoch, to reach 0 after the last.
        monitor: of the first player, the validation loss that drives schedule and best epoch.
        least: the lowest value of what it monitors that can make an epoch the best: below it the
            value says that the training is wrong, and not that the model is good.
        every: the player moves at each `every`-th batch; 1 for the first player.
        skips: batches in a row whose loss or gradient is not finite that are skipped, before the
            training counts as diverged.
        stacked: the losses of K models at once, each [K, B], where the family has a faster form
            than vmap: (weights by name, each [K, *shape]; items and noise, which all models
            share; hyper by name, each [K]).
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
    least: float = -math.inf
    every: int = 1
    skips: int = 0
    stacked: Callable[[Mapping[str, Tensor], Any, Tensor, Mapping[str, Tensor]], Losses] | None = (
        None
    )


class TrainedFamily(nn.Module, ABC):
    """A model that learns.

    Args:
        trains_on: what a batch of training items is: Pairs, Sets or Labelled.
        asks: what a drawing is asked by: "exemplar", "class" or "nothing".
        cannot_stack: why models of this family cannot train as one stack; "" if they can, as they
            should.
        gpu_share: how much of a GPU a trial of this family asks for.
        evaluation_batch: most images that it evaluates at a time, for the memory that takes.
        drawing_batch: most images that it draws at a time, likewise.
        cached_batch: likewise, on a processor, whose cache they should not leave.
        config: its Config.
        image_size: pixels a side.
    """

    trained: ClassVar[bool] = True
    trains_on: type = Pairs
    asks: ClassVar[str] = "exemplar"
    cannot_stack: ClassVar[str] = ""
    gpu_share: ClassVar[float] = 1.0
    evaluation_batch: ClassVar[int] = 512
    drawing_batch: ClassVar[int] = 3000
    cached_batch: ClassVar[int] = 250
    config: Any
    image_size: int

    @abstractmethod
    def players(self) -> list[Player]:
        """The optimised parts of the model, in the order in which they move."""

    @abstractmethod
    def hyper(self, epoch: int) -> dict[str, float]:
        """The train-stage hyperparameters of the loss at this epoch, annealed if need be."""

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that one training item needs."""

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that one drawing needs."""
        return self.noise_shape

    def set_trained_classes(self, trained: Tensor) -> None:
        """Note, before a training on Labelled, which of all classes it is on: bool [classes]."""
        return None

    def published_state(self, path: str) -> dict[str, Tensor]:
        """A whole state dict from the file that `weights_file` names, or StateFileError."""
        raise NotImplementedError(f"{type(self).__name__} reads no published weights")

    def accelerate(self, compiled: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace the family's hot functions, if it has any, by what `compiled` makes of them."""
        return None

    @abstractmethod
    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """Draw one image for each exemplar, or for what else the family `asks`.

        Args:
            exemplars: [B, C, H, W]; weights over the classes, [B, classes], of a family that is
                asked by a class, one-hot unless classes are mixed; [B, 0] of one that is asked by
                nothing.
            noise: standard normal, [B, *drawing_noise_shape].

        Returns:
            Pixel values in [0, 1], [B, C, H, W], or points, [B, 2].
        """


class ShotFamily(TrainedFamily):
    """A trained family that adapts its weights to a few examples of a class before it draws."""

    @abstractmethod
    def adapted(self, supports: Tensor, noise: Tensor) -> Weights:
        """The weights that draw one class, after the steps that the sample settings ask for.

        Args:
            supports: images of one class, [k, C, H, W].
            noise: standard normal, [*adapting_noise_shape].

        Returns:
            Parameters and buffers by name, all of those that `sample` reads.
        """

    @property
    @abstractmethod
    def adapting_noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that adapting to one class needs."""


class ExplainedFamily(TrainedFamily):
    """A trained family that says which pixels of an exemplar its drawings rest on."""

    @property
    @abstractmethod
    def importance_noise_shape(self) -> tuple[int, ...]:
        """Shape of the standard normal noise that the map of one exemplar needs for one seed."""

    @abstractmethod
    def importance(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """The importance of each pixel, for one seed each.

        Args:
            exemplars: [B, C, H, W].
            noise: standard normal, [B, *importance_noise_shape].

        Returns:
            At least 0, [B, H, W].
        """


class LikelihoodFamily(TrainedFamily):
    """A trained family with a bound on the likelihood."""

    @abstractmethod
    def elbo(self, items: Any, noise: Tensor) -> Losses:
        """The terms of the bound.

        Args:
            items: as the family `trains_on`.
            noise: [B, *noise_shape].

        Returns:
            In nats, each [B]: "reconstruction" and "kl", whose sum is the negative ELBO, and parts
            of "kl".
        """


class SheetFamily(TrainedFamily):
    """A trained family that lays out what it can draw in sheets, which figures show."""

    @abstractmethod
    def sheets(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Images in rows and columns, by the name of the sheet.

        Args:
            images: of each class, held out, [classes, n, C, H, W].
            noise: standard normal, [m, *drawing_noise_shape].

        Returns:
            Pixel values in [0, 1], each [rows, columns, C, H, W].
        """


@dataclass(frozen=True)
class SetTerms:
    """The one-sample bound of B sets of S images by its terms, in nats.

    Args:
        log_likelihood: log p(x_s | latents), [B, S].
        kl_c: of each level of the context, top first, for the whole set, [B, levels of c].
        kl_z: of each level of each image's latents, top first, [B, S, levels of z].
        log_ratio: log p - log q of all latents of the set at the sample that was drawn, [B]; its
            negative has the mean sum(kl_c) + sum(kl_z).
    """

    log_likelihood: Tensor
    kl_c: Tensor
    kl_z: Tensor
    log_ratio: Tensor


class SetFamily(LikelihoodFamily):
    """A family that models sets of images of a class by a context of the set and latents of images.

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
        """Features of each image by resolution r, [B, S, width, r, r]; its samples share them."""

    @abstractmethod
    def terms(self, images: Tensor, noise: Tensor, features: Features | None = None) -> SetTerms:
        """The bound at one sample of the latents.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].
            features: `encode(images)`, if it is at hand.

        Returns:
            The terms of the bound.
        """

    @abstractmethod
    def context(self, images: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The posteriors q(c_l | set) of the context, along a walk that takes them at their means.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].

        Returns:
            Mean and log-variance of each level, top first, each [B, D]; [] without a context.
        """

    @abstractmethod
    def reconstruct(self, images: Tensor, noise: Tensor) -> Tensor:
        """The images, with every latent from its posterior.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].

        Returns:
            Pixel values in [0, 1], [B, S, C, H, W].
        """

    @abstractmethod
    def draw(self, images: Tensor, noise: Tensor, mode: str) -> Tensor:
        """A new set for each given set.

        Args:
            images: [B, S, C, H, W].
            noise: [B, rounds, noise_size(S)], a round for the first drawing and one for each
                refinement.
            mode: one of the family's drawing modes.

        Returns:
            Pixel values in [0, 1], [B, S, C, H, W].
        """

    @abstractmethod
    def attention(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The weights of learned pooling in the posteriors of the context.

        Args:
            images: [B, S, C, H, W].
            noise: [B, noise_size(S)].

        Returns:
            Of each level ("c1" is the top), each [B, heads, S] with sums of 1 over S; {} without
            learned pooling.
        """


class ReferenceFamily(ABC):
    """A family that learns nothing: people, copies, noise, or images made elsewhere.

    Args:
        config: its Config.
    """

    trained: ClassVar[bool] = False
    gpu_share: ClassVar[float] = 0.25

    def __init__(self, config: Any):
        self.config = config

    @abstractmethod
    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        """Drawings for the test classes.

        Args:
            data: images and classes.
            exemplars: image index of each class's exemplar.
            n: drawings a class.
            seed: of the point.

        Returns:
            The drawings; of fewer than n a class where there are no more.
        """
