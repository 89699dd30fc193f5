"""DAGAN: an adversarially trained network from one image of a class, and noise, to another.

Antoniou et al. (2017), Data augmentation generative adversarial networks
(https://arxiv.org/abs/1711.04340), with the loss of Gulrajani et al. (2017), Improved training of
Wasserstein GANs (https://arxiv.org/abs/1704.00028), in the form that Boutin et al. (2022),
Diversity vs. recognizability, trained on Omniglot: two generators, one with skip connections from
encoder to decoder ("uresnet") and a smaller one without ("resnet", which in spite of its name has
no residual path), and a critic of pairs of images.

Differences. The published generator learned to draw the exemplar from a drawing, and was then asked
for the reverse, which is `pair_direction = "drawing_to_exemplar"`; here it learns what it is asked
for. The published training saw grey images; here they are binary, like those of all other models.
The published stem ran twice in a forward pass and moved its running statistics twice; here once.
Dropout acts in the gradient penalty too, as published.

The published best epoch was that of the lowest loss of the generator, which does not measure
quality, as it moves with the critic. Here it is that of the lowest estimate of the Wasserstein
distance on the validation classes. That estimate is only as good as the critic: one that has
learned little finds little distance, so that an early epoch can be best by mistake. A distance
below 0, of a critic that takes drawings for real and real images for drawings, makes no epoch the
best. The default is to draw from the last epoch.
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
    Encoder,
    NoiseStream,
    Unit,
    batch_norm,
    image_norm,
    map_sizes,
)
from oneshot.nn.published.dagan import file_format
from oneshot.sweep.settings import setting

VERSION = 2
BETAS = (0.0, 0.9)  # of Adam, for both players
# of the maps that z becomes, coarsest first; Config, which is read without this line, repeats them
NOISE_CHANNELS = (8, 4, 2)


@dataclass(frozen=True)
class Config:
    """Settings of DAGAN."""

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
    weights_file: str = setting(
        "",
        "model",
        "published weights to start from, a state dict; empty: random ones",
        file=True,
        omit_default=True,
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
        30,
        "train",
        "passes over the training images; 0 with a weights_file",
        low=0,
        high=100000,
        shapes=True,
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
    """G: image [B, 1, H, H] and z [B, Z] -> image in [0, 1], [B, 1, H, H].

    z enters the three coarsest maps of the decoder. `mask_numbers` is how many random numbers the
    dropout of an item takes in training mode.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        c, inner, coarse = (
            config.channels,
            3 if config.generator == "uresnet" else 2,
            map_sizes(image_size)[:1:-1],
        )
        self.skips = config.generator == "uresnet"
        self.encoder = Encoder(1, c, inner, image_size, batch_norm, config.dropout)
        self.noise = nn.ModuleList(
            nn.Linear(config.z, n * size**2) for n, size in zip(NOISE_CHANNELS, coarse)
        )
        skips = (0, 2 * c, c, c, 1) if self.skips else (0, 0, 0, 0, 0)
        extra = [a + b for a, b in zip(skips, (*NOISE_CHANNELS, 0, 0))]
        self.decoder = Decoder(c, inner, image_size, extra, batch_norm, config.dropout)
        self.head = nn.ModuleList([Unit(c, c, batch_norm), Unit(c, c, batch_norm)])
        self.last = Convolution(c, 1)
        self.mask_numbers = self.encoder.mask_numbers + self.decoder.mask_numbers

    def forward(self, image: Tensor, z: Tensor, noise: NoiseStream) -> Tensor:
        maps: list[Tensor] = [image, *self.encoder(image, noise)]
        x = maps.pop()
        extra: list[list[Tensor]] = [[], *([skip] if self.skips else [] for skip in reversed(maps))]
        for seen, channels, layer in zip(extra, NOISE_CHANNELS, self.noise):
            flat = layer(z)
            side = math.isqrt(flat.shape[1] // channels)
            seen.append(flat.unflatten(1, (channels, side, side)))
        x = self.decoder(x, extra, noise)
        for unit in self.head:
            x = unit(x, noise)
        return torch.sigmoid(self.last(x))


class Critic(nn.Module):
    """D: how real an image looks beside the condition, both [B, 1, H, H] -> score [B].

    `mask_numbers` is how many random numbers the dropout of an item takes in training mode.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        c, last = config.channels, map_sizes(image_size)[-1]
        self.encoder = Encoder(2, c, 5, image_size, image_norm, config.dropout)
        self.whole = nn.Linear(2 * c, 16 * c)
        self.score = nn.Linear(16 * c + 2 * c * last**2, 1)
        self.mask_numbers = self.encoder.mask_numbers

    def forward(self, condition: Tensor, image: Tensor, noise: NoiseStream) -> Tensor:
        x = self.encoder(torch.cat([condition, image], 1), noise)[-1]
        whole = leaky_relu(self.whole(x.mean((2, 3))), SLOPE)
        return self.score(torch.cat([whole, x.flatten(1)], 1)).squeeze(1)


class Dagan(TrainedFamily):
    """G(exemplar, z) with its critic D.

    At 50 pixels and 64 channels 10,507,489 (uresnet) or 6,064,417 (resnet) + 662 z parameters, and
    7,074,087 of the critic. The critic reports "wasserstein", its mean score of real images less
    that of drawn ones, and "penalty", before it is weighted.
    """

    evaluation_batch = 64
    drawing_batch = 1000

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self.generator, self.critic = Generator(config, image_size), Critic(config, image_size)
        # z of the critic's step and of the generator's, the place of x_hat between real and drawn,
        # the masks of either step
        self.noise_parts = [
            config.z,
            config.z,
            1,
            self.generator.mask_numbers + 3 * self.critic.mask_numbers,
            self.generator.mask_numbers + self.critic.mask_numbers,
        ]

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (sum(self.noise_parts),)

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        return (self.config.z,)

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"penalty": self.config.penalty}

    def players(self) -> list[Player]:
        """The critic, and the generator, which moves once in `critic_rounds` batches."""
        rate, rounds = self.config.learning_rate, self.config.critic_rounds
        critic = Player(
            "critic",
            lambda: list(self.critic.parameters()),
            self._critic_loss,
            rate,
            BETAS,
            monitor="wasserstein",
            least=0.0,
        )
        generator = Player(
            "generator",
            lambda: list(self.generator.parameters()),
            self._generator_loss,
            rate,
            BETAS,
            every=rounds,
        )
        return [critic, generator]

    def published_state(self, path: str) -> dict[str, Tensor]:
        """As the contract says; published files hold the generator, so the critic stays new."""
        return file_format(self.config, NOISE_CHANNELS).read(path, self.state_dict())

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says, in evaluation mode: drawings take no masks."""
        with torch.no_grad():
            drawn: Tensor = self.generator(exemplars, noise, NoiseStream(noise[:, :0]))
        return drawn

    def _roles(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The condition, which generator and critic see, and the real image."""
        forward = self.config.pair_direction == "exemplar_to_drawing"
        return (pairs.exemplar, pairs.target) if forward else (pairs.target, pairs.exemplar)

    def _critic_loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        """D(x_tilde) - D(x) + lambda (|grad D(x_hat)| - 1)^2, Gulrajani et al. (2017), equation 3.

        x is real, x_tilde drawn, x_hat between them; each beside the condition.
        """
        condition, x = self._roles(pairs)
        z, _, place, masks, _ = noise.split(self.noise_parts, 1)
        generator_masks, critic_masks = masks.tensor_split([self.generator.mask_numbers], 1)
        with torch.no_grad():
            x_tilde = self.generator(condition, z, NoiseStream(generator_masks))
        of_x_tilde, of_x, of_x_hat = critic_masks.chunk(3, 1)

        # equation 3, first two terms: minus the estimate of the Wasserstein distance
        images, conditions = torch.cat([x_tilde, x]), torch.cat([condition, condition])
        scores = self.critic(conditions, images, NoiseStream(torch.cat([of_x_tilde, of_x])))
        d_x_tilde, d_x = scores.chunk(2)

        # equation 3, last term; algorithm 1, line 6: x_hat = epsilon x + (1 - epsilon) x_tilde
        epsilon = torch.special.ndtr(place)[..., None, None]  # uniform on (0, 1)
        x_hat = epsilon * x + (1 - epsilon) * x_tilde
        penalty = self._gradient_penalty(condition, x_hat, of_x_hat)
        lambda_ = hyper["penalty"]
        return {
            "loss": d_x_tilde - d_x + lambda_ * penalty,
            "wasserstein": d_x - d_x_tilde,
            "penalty": penalty,
        }

    def _gradient_penalty(self, condition: Tensor, x_hat: Tensor, masks: Tensor) -> Tensor:
        """(|dD / dx_hat| - 1)^2 of each item, [B]; the root is kept away from 0, as published."""

        def total(image: Tensor) -> Tensor:
            # items do not touch each other, so each has its own gradient
            return self.critic(condition, image, NoiseStream(masks)).sum()

        gradient = torch.func.grad(total)(x_hat)
        return ((gradient.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square()

    def _generator_loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        """-D(G(condition, z)): Gulrajani et al. (2017), algorithm 1, line 12."""
        condition, _ = self._roles(pairs)
        _, z, _, _, masks = noise.split(self.noise_parts, 1)
        generator_masks, critic_masks = masks.tensor_split([self.generator.mask_numbers], 1)
        x_tilde = self.generator(condition, z, NoiseStream(generator_masks))
        return {"loss": -self.critic(condition, x_tilde, NoiseStream(critic_masks))}


FAMILY = Dagan
