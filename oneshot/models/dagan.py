"""DAGAN: an adversarially trained network from one image of a class, and noise, to another.

Antoniou et al. (2017), Data augmentation generative adversarial networks, with the loss of
Gulrajani et al. (2017), Improved training of Wasserstein GANs, in the form that Boutin et al.
(2022), Diversity vs. recognizability, trained on Omniglot: two generators, one with skip
connections from encoder to decoder ("uresnet") and a smaller one without ("resnet", which in spite
of its name has no residual path), and a critic of pairs of images.

Differences. The published generator learned to draw the exemplar from a drawing, and was then asked
for the reverse, which is `pair_direction = "drawing_to_exemplar"`; here it learns what it is asked
for. The published training saw grey images; here they are binary, like those of all other models.
The published stem ran twice in a forward pass and moved its running statistics twice; here once.
Dropout acts in the gradient penalty too, as published.

The published best epoch was that of the lowest loss of the generator, which does not measure
quality, as it moves with the critic. Here it is that of the lowest estimate of the Wasserstein
distance on the validation classes. That estimate is only as good as the critic: one that has
learned little finds little distance, so that an early epoch can be best by mistake. The default is
to draw from the last epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from oneshot.contracts import Hyper, Losses, Pairs, Player, TrainedFamily
from oneshot.nn.dense_blocks import (
    SLOPE,
    Convolution,
    Decoder,
    Draws,
    Encoder,
    Unit,
    by_batch,
    by_image,
    ladder,
)
from oneshot.sweep.settings import setting

VERSION = 1
BETAS = (0.0, 0.9)  # of Adam, for both players
# of the maps that z becomes, coarsest first; Config, which is read without this line, repeats them
NOISE_CHANNELS = (8, 4, 2)


@dataclass(frozen=True)
class Config:
    generator: str = setting(
        "uresnet",
        "model",
        "with skips from encoder to decoder, or without",
        choices=("uresnet", "resnet"),
    )
    z: int = setting(128, "model", "size of the noise vector", low=1, high=10000)
    channels: int = setting(
        64,
        "model",
        "width of the two finer levels, half of that of the two coarser",
        low=1,
        high=1024,
    )
    dropout: float = setting(
        0.5,
        "train",
        "share of features dropped at the end of a block, by both",
        low=0,
        high=0.95,
        shapes=True,
    )
    pair_direction: str = setting(
        "exemplar_to_drawing",
        "train",
        "what the generator is given and what it learns to draw; 'drawing_to_exemplar' is as"
        " published",
        choices=("exemplar_to_drawing", "drawing_to_exemplar"),
        shapes=True,
    )
    penalty: float = setting(10.0, "train", "weight of the gradient penalty", low=0, high=1e6)
    learning_rate: float = setting(
        1e-4, "train", "Adam step size of both players", low=1e-7, high=1
    )
    critic_rounds: int = setting(
        5, "train", "moves of the critic to one of the generator", low=1, high=1000, shapes=True
    )
    epochs: int = setting(
        30, "train", "passes over the training images", low=1, high=100000, shapes=True
    )
    batch_size: int = setting(32, "train", "images a step", low=1, high=8192, shapes=True)
    plateau: int = setting(
        0,
        "train",
        "epochs without progress before the step sizes halve; 0 for never",
        low=0,
        high=10000,
    )
    schedule_classes: str = setting(
        "validation",
        "train",
        "classes whose estimate of the Wasserstein distance drives schedule and best epoch; 'test'"
        " holds no classes out",
        choices=("validation", "test"),
        shapes=True,
    )
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )


VARIANTS = {
    "tiny": dict(channels=4, z=16, epochs=2, batch_size=8),
    "tiny_resnet": dict(generator="resnet", channels=4, z=64, epochs=2, batch_size=8),
    "small": dict(channels=16, epochs=6),
}


class Generator(nn.Module):
    """Image [B, 1, H, H] and z [B, Z] -> image in [0, 1], [B, 1, H, H]; z enters the three coarsest
    maps of the decoder.

    masks: how many random numbers the dropout of an item takes in training mode.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        c, inner, coarse = (
            config.channels,
            3 if config.generator == "uresnet" else 2,
            ladder(image_size)[:1:-1],
        )
        self.skips = config.generator == "uresnet"
        self.encoder = Encoder(1, c, inner, image_size, by_batch, config.dropout)
        self.noise = nn.ModuleList(
            nn.Linear(config.z, n * size**2) for n, size in zip(NOISE_CHANNELS, coarse)
        )
        skips = (0, 2 * c, c, c, 1) if self.skips else (0, 0, 0, 0, 0)
        extra = [a + b for a, b in zip(skips, (*NOISE_CHANNELS, 0, 0))]
        self.decoder = Decoder(c, inner, image_size, extra, by_batch, config.dropout)
        self.head = nn.ModuleList([Unit(c, c, by_batch), Unit(c, c, by_batch)])
        self.last = Convolution(c, 1)
        self.masks = self.encoder.masks + self.decoder.masks

    def forward(self, image: Tensor, z: Tensor, draws: Draws) -> Tensor:
        maps: list[Tensor] = [image, *self.encoder(image, draws)]
        x = maps.pop()
        extra: list[list[Tensor]] = [[], *([skip] if self.skips else [] for skip in reversed(maps))]
        for seen, channels, layer in zip(extra, NOISE_CHANNELS, self.noise):
            flat = layer(z)
            side = math.isqrt(flat.shape[1] // channels)
            seen.append(flat.unflatten(1, (channels, side, side)))
        x = self.decoder(x, extra, draws)
        for unit in self.head:
            x = unit(x, draws)
        return torch.sigmoid(self.last(x))


class Critic(nn.Module):
    """How real an image looks beside the condition: both [B, 1, H, H] -> score [B]. masks: as of
    `Generator`.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        c, last = config.channels, ladder(image_size)[-1]
        self.encoder = Encoder(2, c, 5, image_size, by_image, config.dropout)
        self.whole = nn.Linear(2 * c, 16 * c)
        self.score = nn.Linear(16 * c + 2 * c * last**2, 1)
        self.masks = self.encoder.masks

    def forward(self, condition: Tensor, image: Tensor, draws: Draws) -> Tensor:
        x = self.encoder(torch.cat([condition, image], 1), draws)[-1]
        whole = leaky_relu(self.whole(x.mean((2, 3))), SLOPE)
        return self.score(torch.cat([whole, x.flatten(1)], 1)).squeeze(1)


class Dagan(TrainedFamily):
    """G(exemplar, z) with its critic; at 50 pixels and 64 channels 10,507,489 (uresnet) or
    6,064,417 (resnet) + 662 z parameters, and
    7,074,087 of the critic.

    The critic reports "wasserstein", its mean score of real images less that of drawn ones, and
    "penalty", before it is weighted.
    """

    evaluation_batch = 64
    drawing_batch = 1000

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self.generator, self.critic = Generator(config, image_size), Critic(config, image_size)
        # z of the critic's round and of the generator's, the place of the mixture, the masks of
        # either round
        self.parts = [
            config.z,
            config.z,
            1,
            self.generator.masks + 3 * self.critic.masks,
            self.generator.masks + self.critic.masks,
        ]

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (sum(self.parts),)

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        return (self.config.z,)

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"penalty": self.config.penalty}

    def players(self) -> list[Player]:
        rate, rounds = self.config.learning_rate, self.config.critic_rounds
        mine, theirs = (
            (lambda: list(self.critic.parameters())),
            (lambda: list(self.generator.parameters())),
        )
        critic = Player("critic", mine, self._critic_loss, rate, BETAS, monitor="wasserstein")
        generator = Player("generator", theirs, self._generator_loss, rate, BETAS, every=rounds)
        return [critic, generator]

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """In evaluation mode, as drawings take no masks."""
        with torch.no_grad():
            drawn: Tensor = self.generator(exemplars, noise, Draws(noise[:, :0]))
        return drawn

    def _roles(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """What is given to the generator and to the critic beside an image, and the image that is
        real.
        """
        forward = self.config.pair_direction == "exemplar_to_drawing"
        return (pairs.exemplar, pairs.target) if forward else (pairs.target, pairs.exemplar)

    def _critic_loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        """D(fake) - D(real) + weight (|gradient of D at a mixture of both| - 1)^2; Gulrajani et al.
        (2017), algorithm 1.
        """
        condition, real = self._roles(pairs)
        z, _, place, masks, _ = noise.split(self.parts, 1)
        own, others = masks.tensor_split([self.generator.masks], 1)
        with torch.no_grad():
            drawn = self.generator(condition, z, Draws(own))
        of_drawn, of_real, of_mixture = others.chunk(3, 1)
        images, twice = torch.cat([drawn, real]), torch.cat([condition, condition])
        low, high = self.critic(twice, images, Draws(torch.cat([of_drawn, of_real]))).chunk(2)
        share = torch.special.ndtr(place)[..., None, None]  # uniform on (0, 1)
        penalty = self._penalty(condition, share * real + (1 - share) * drawn, of_mixture)
        return {
            "loss": low - high + hyper["penalty"] * penalty,
            "wasserstein": high - low,
            "penalty": penalty,
        }

    def _penalty(self, condition: Tensor, mixture: Tensor, masks: Tensor) -> Tensor:
        """(|dD / d mixture| - 1)^2 of each item, [B]; the root is kept away from 0, where it has no
        derivative.
        """

        def total(image: Tensor) -> Tensor:
            # items do not touch each other, so each has its own gradient
            return self.critic(condition, image, Draws(masks)).sum()

        gradient = torch.func.grad(total)(mixture)
        return ((gradient.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square()

    def _generator_loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        condition, _ = self._roles(pairs)
        _, z, _, _, masks = noise.split(self.parts, 1)
        own, others = masks.tensor_split([self.generator.masks], 1)
        drawn = self.generator(condition, z, Draws(own))
        return {"loss": -self.critic(condition, drawn, Draws(others))}


FAMILY = Dagan
