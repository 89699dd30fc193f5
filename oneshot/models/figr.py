"""FIGR: adversaries whose start is learned by Reptile, so that a few steps draw a new class.

Clouatre and Demers (2019), FIGR: few-shot image generation with Reptile
(https://arxiv.org/abs/1901.02199); Nichol, Achiam and Schulman (2018), On first-order meta-learning
algorithms (https://arxiv.org/abs/1803.02999). A task is a set of images of one class. On it,
discriminator and generator make a few steps of plain gradient descent in turn; the learned weights
then move towards where these steps led. A class that was never seen is drawn after as many steps on
its supports: its exemplar, and further images of it where `shots` is more than 1.

How many supports there are, and how many steps, are settings of sampling, so that one training
serves all. The steps are the game itself, of both networks, on the same images at every step.

Corrected: the gradient penalty takes the norm over an image, not over the channels of each pixel;
the critic's step rests on the whole difference of scores, not on half of it (`half_weight` is as
published); the loss "bce" has logits and targets of 0 and 1. Published is one task a meta-step;
`batch_size` tasks take the mean of their directions.

The best epoch is that of the shortest way on validation classes, |theta - theta'|^2 / 2, which is
what Reptile lessens. It is no measure of quality: a discriminator that has won has small gradients.
The default is to draw from the last epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from oneshot.contracts import Hyper, Losses, Player, Sets, ShotFamily, Weights
from oneshot.nn import meta
from oneshot.nn.figr_gans import Discriminator, Generator
from oneshot.sweep.settings import setting

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Settings of FIGR."""

    arch: str = setting(
        "dcgan", "model", "of both networks: plain, or residual", choices=("dcgan", "resnet")
    )
    hidden: int = setting(
        64, "model", "width of the finest level, doubling from level to level", low=1, high=512
    )
    levels: int = setting(
        4,
        "model",
        "times that maps halve; the side of images is a multiple of 2^levels",
        low=1,
        high=6,
    )
    z: int = setting(100, "model", "size of the noise vector", low=1, high=10000)
    loss: str = setting(
        "wgan_gp",
        "train",
        "of the game: Wasserstein with gradient penalty, or cross entropy of real and drawn",
        choices=("wgan_gp", "bce"),
        shapes=True,
    )
    penalty: float = setting(
        10.0, "train", "wgan_gp: weight of the gradient penalty", low=0, high=1e6, shapes=True
    )
    half_weight: bool = setting(
        False,
        "train",
        "wgan_gp: the critic's loss has half the difference of scores, as published",
        shapes=True,
    )
    set_size: int = setting(4, "train", "images of a task", low=1, high=100, shapes=True)
    inner_steps: int = setting(
        10, "train", "steps of both networks on a task", low=1, high=1000, shapes=True
    )
    inner_rate: float = setting(
        1e-3, "train", "step size on a task, in training and in drawing", low=0, high=10
    )
    learning_rate: float = setting(
        1e-4, "train", "Adam step size of the learned start", low=1e-7, high=1
    )
    epochs: int = setting(
        10, "train", "passes over the training images", low=1, high=100000, shapes=True
    )
    batch_size: int = setting(1, "train", "tasks a meta-step", low=1, high=1024, shapes=True)
    epoch_steps: int = setting(
        0, "train", "most meta-steps of an epoch; 0 for all tasks", low=0, high=1000000, shapes=True
    )
    plateau: int = setting(
        0,
        "train",
        "epochs without progress before the step size halves; 0 for never",
        low=0,
        high=10000,
    )
    schedule_classes: str = setting(
        "validation",
        "train",
        "classes whose way of adapting drives schedule and best epoch; 'test' holds no classes out",
        choices=("validation", "test"),
        shapes=True,
    )
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )
    shots: int = setting(1, "sample", "supports of a class, the exemplar first", low=1, high=100)
    shot_seed: int = setting(
        0, "sample", "of the choice of the other supports", low=0, high=2**63 - 1
    )
    adapt_steps: int = setting(
        -1,
        "sample",
        "steps on the supports; 0: drawn from the learned start; -1: as many as inner_steps",
        low=-1,
        high=10000,
    )

    @property
    def augmented_copies(self) -> int:
        """No altered copies of sets."""
        return 0

    def problems(self, image_size: int, channels: int, drawings_per_class: int) -> list[str]:
        """Name every combination of settings that cannot be.

        Args:
            image_size: side of the images in pixels.
            channels: of the images.
            drawings_per_class: images that every class has at least.

        Returns:
            One message for each mistake.
        """
        found = []
        if rest := image_size % 2**self.levels:
            below, above = image_size - rest, image_size - rest + 2**self.levels
            sides = f"{below} or {above}" if below else f"{above}"
            found.append(
                f"image_size = {image_size}: levels = {self.levels} halve it {self.levels} times,"
                f" so it is a multiple of {2**self.levels}, as {sides}"
            )
        for name in ("set_size", "shots"):
            if (asked := getattr(self, name)) > drawings_per_class:
                found.append(f"{name} = {asked}: classes have {drawings_per_class} images")
        if self.half_weight and self.loss != "wgan_gp":
            found.append(f"half_weight is of the loss wgan_gp, not of {self.loss}")
        return found


VARIANTS: dict[str, dict[str, Any]] = {
    name: dict(arch=arch, loss=loss, hidden=2, levels=2, z=4, inner_steps=2, set_size=2)
    | dict(epochs=2, batch_size=4)
    for name, arch, loss in (
        ("tiny", "dcgan", "wgan_gp"),
        ("tiny_bce", "dcgan", "bce"),
        ("tiny_resnet", "resnet", "wgan_gp"),
    )
}


class Figr(ShotFamily):
    """G(z) and D(x), of which a step on each task begins at the learned weights.

    At 32 pixels and the default width 17,898,945 and 18,040,257 parameters ("dcgan"), or 57,399,745
    and 20,422,081 ("resnet"). One player moves both: its loss is the sum of the losses of both, and
    Adam moves each number by its own gradient alone, so two players of the same step size would end
    in the same weights after twice the work. It reports "distance", half the squared way of both
    networks, and the means over the steps of "discriminator" and "generator".
    """

    trains_on = Sets
    evaluation_batch = 32  # each task has weights of its own
    inner_rate: Tensor

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        sizes = config.hidden, config.levels, image_size
        self.generator = Generator(config.arch, config.z, *sizes)
        self.discriminator = Discriminator(config.arch, *sizes)
        # A buffer, as each model of a stack has its own: validation, which sets every train-stage
        # weight to 1, adapts by it too.
        self.register_buffer("inner_rate", torch.tensor(config.inner_rate))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Of each step and image: z of both moves, and the place of x_hat between real and drawn.

        All losses take it, so that they see the same z.
        """
        return (self.config.inner_steps, self.config.set_size, 2 * self.config.z + 1)

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        return (self.config.z,)

    @property
    def adapting_noise_shape(self) -> tuple[int, ...]:
        config = self.config
        steps = config.inner_steps if config.adapt_steps < 0 else config.adapt_steps
        return (steps, config.shots, 2 * config.z + 1)

    def hyper(self, epoch: int) -> dict[str, float]:
        return {}

    def players(self) -> list[Player]:
        """One player: the learned start of both networks."""
        return [
            Player(
                "start",
                lambda: list(self.parameters()),
                self._loss,
                self.config.learning_rate,
                monitor="distance",
            )
        ]

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says; the class is in the weights, not in the exemplars."""
        drawn: Tensor = self.generator(noise)
        return (drawn + 1) / 2

    def adapted(self, supports: Tensor, noise: Tensor) -> Weights:
        """As the contract says; those of the generator."""
        moved = self._adapted(supports, noise).second
        return {f"generator.{name}": weight for name, weight in moved.items()}

    def _loss(self, sets: Sets, noise: Tensor, hyper: Hyper) -> Losses:
        """<theta, theta - theta'>: Nichol et al. (2018), algorithm 1, as `reptile_loss` says."""
        end = meta.of_each_task(self._adapted, sets.images, noise)
        networks = (self.discriminator, end.first), (self.generator, end.second)
        terms = [meta.reptile_loss(dict(net.named_parameters()), moved) for net, moved in networks]
        loss, distance = (torch.stack(parts).sum(0) for parts in zip(*terms))
        discriminator, generator = end.losses.unbind(1)
        return {
            "loss": loss,
            "distance": distance,
            "discriminator": discriminator,
            "generator": generator,
        }

    def _adapted(self, images: Tensor, noise: Tensor) -> meta.Adapted:
        """Both networks, the discriminator first, after steps on the images of one class.

        images: [k, 1, S, S] in [0, 1]; noise: [steps, k, 2 Z + 1].
        """
        real = 2 * images - 1
        losses = (
            lambda d, g, of_step: self._discriminator_loss(d, g, real, of_step),
            lambda g, d, of_step: self._generator_loss(g, d, of_step),
        )
        start = (_constants(self.discriminator), _constants(self.generator))
        return meta.adapted(*start, losses, noise, self.inner_rate)

    def _discriminator_loss(self, d: Weights, g: Weights, real: Tensor, noise: Tensor) -> Tensor:
        """-log D(x) - log(1 - D(x_tilde)), or D(x_tilde) - D(x) + lambda (|grad D(x_hat)| - 1)^2.

        Means over the images. Goodfellow et al. (2014), equation 1; Gulrajani et al. (2017),
        equation 3. x is real, x_tilde drawn, x_hat between them.
        """
        config = self.config
        z, _, place = noise.split([config.z, config.z, 1], 1)
        drawn = functional_call(self.generator, g, (z,))
        scores = functional_call(self.discriminator, d, (torch.cat([real, drawn]),))
        of_real, of_drawn = scores.chunk(2)
        if config.loss == "bce":
            return softplus(-of_real).mean() + softplus(of_drawn).mean()
        # uniform on (0, 1), one number an image: algorithm 1, lines 4 to 6
        epsilon = torch.special.ndtr(place)[..., None, None]
        x_hat = epsilon * real + (1 - epsilon) * drawn
        penalty = gradient_penalty(self.discriminator, d, x_hat)
        weight = 0.5 if config.half_weight else 1.0
        return (weight * (of_drawn - of_real) + config.penalty * penalty).mean()

    def _generator_loss(self, g: Weights, d: Weights, noise: Tensor) -> Tensor:
        """-log D(x_tilde), or -D(x_tilde); mean over as many drawn images as there are real."""
        z = noise.split([self.config.z, self.config.z, 1], 1)[1]
        scores = functional_call(self.discriminator, d, (functional_call(self.generator, g, (z,)),))
        return softplus(-scores).mean() if self.config.loss == "bce" else -scores.mean()


def gradient_penalty(critic: nn.Module, weights: Weights, images: Tensor) -> Tensor:
    """(|dD / dx| - 1)^2 of each image, the norm over all its pixels; kept away from a root of 0.

    Args:
        critic: D.
        weights: of D, by name.
        images: x, [B, C, H, W].

    Returns:
        [B].
    """

    def total(x: Tensor) -> Tensor:
        # images do not touch each other, so each has its own gradient
        scores: Tensor = functional_call(critic, weights, (x,))
        return scores.sum()

    gradient = torch.func.grad(total)(images)
    return ((gradient.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square()


def _constants(network: nn.Module) -> Weights:
    """The parameters of a network by name, as constants."""
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


FAMILY = Figr
