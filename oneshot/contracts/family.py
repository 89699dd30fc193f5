"""Families that learn, by what they can do besides; and those that learn nothing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from oneshot.contracts.batches import Hyper, Labelled, Losses, Pairs, Weights
from oneshot.types import DataSet, Drawings


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


class TunedFamily(TrainedFamily):
    """A trained family that is tuned on a few examples of classes it was not trained on.

    It is trained as any other, on the classes for training. Then it is tuned: `tuners` move, and
    every other parameter is frozen, the same in all rows of a stack. `hyper` answers for the stage
    that the model is in.

    Args:
        tuning: whether the model is being tuned, and not trained.
    """

    trains_on = Labelled
    tuning: bool = False

    @abstractmethod
    def tuners(self) -> list[Player]:
        """What tuning moves, in the order in which it moves; their losses as of `players`."""


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
