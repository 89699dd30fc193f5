"""class_gan: a GAN asked by a class, taught base classes, then a handful of images of novel ones.

Beckham et al. (2022), Challenges in leveraging GANs for few-shot data augmentation
(https://arxiv.org/abs/2203.16662). The generator is told noise and class by the gain and shift of
its maps, the discriminator is told the class by a projection and recovers the noise of drawn
images. All classes of the data set own embeddings from the start; those of novel classes learn
nothing until the model is tuned on their few images. Then a mode for each network says how much of
it moves. With `semi`, further images of the novel classes enter without labels, in the term that
alpha weighs.

Differences. The discriminator moves first, as in every family here, then the generator, which meets
the moved discriminator; both with the same noise, and so the same drawings. In the published code
the generator moved first and the discriminator learned from the drawings made before that, so that
each met the other as it was. AdamW's published decay is left out, as in float32 it does nothing:
1 - 2e-4 * 1e-6 is 1. The singular vectors of the spectral norm stand still in a pass over
unlabelled images, and, in tuning, where the weights do; so alpha = 0 makes `semi` on and off the
same to the bit, and a frozen layer stays as it is. They start from 15 power iterations instead of
random vectors, so that a model can be evaluated before it learns. The generator has as many stages
as the size of the images allows, four as published for 32 pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from oneshot.contracts import Hyper, Labelled, Losses, Player, SheetFamily, TunedFamily
from oneshot.nn.class_sheets import class_sheets
from oneshot.nn.film import FilmGenerator
from oneshot.nn.projection_discriminator import ProjectionDiscriminator
from oneshot.sweep.settings import setting

VERSION = 1
KINDS = ("greys", "colour")
CLASS_SPLITS = True  # it needs base and novel classes
BETAS = (0.9, 0.9)  # of Adam, for both players


@dataclass(frozen=True)
class Config:
    """Settings of the class-conditional GAN."""

    classes: int = setting(47, "model", "classes of the data set", low=2, high=100000)
    channels: int = setting(
        1,
        "model",
        "of the images; the networks have three, of which grey images are copies",
        choices=(1, 3),
    )
    width: int = setting(
        64, "model", "channels of the generator's first maps; a multiple of 16", low=16, high=4096
    )
    discriminator_width: int = setting(
        16,
        "model",
        "channels of the discriminator's first maps; its last have eight times as many",
        low=1,
        high=512,
    )
    z: int = setting(64, "model", "size of the noise and of the embeddings", low=1, high=10000)
    latent_std: float = setting(
        1.0, "model", "standard deviation of the noise, in training and drawing", low=0.01, high=100
    )
    blocks: int = setting(
        1,
        "model",
        "residual blocks of each size of map, beside the one that doubles the size",
        low=0,
        high=20,
    )
    gamma: float = setting(1.0, "train", "weight of the recovery of the noise", low=0, high=1000)
    alpha: float = setting(
        0.0, "train", "weight of the loss in which no class is told", low=0, high=1000
    )
    learning_rate: float = setting(
        2e-4, "train", "Adam step size of both players", low=1e-7, high=1
    )
    epochs: int = setting(
        200, "train", "passes over the training images", low=1, high=100000, shapes=True
    )
    epoch_steps: int = setting(
        0,
        "train",
        "steps an epoch, each on images drawn anew; 0: an epoch is all images once",
        low=0,
        high=100000,
        shapes=True,
    )
    batch_size: int = setting(32, "train", "images a step", low=1, high=8192, shapes=True)
    images_per_class: int = setting(
        0, "train", "most images of a base class that are trained on; 0 for all", low=0, shapes=True
    )
    generator_every: int = setting(
        1,
        "train",
        "steps of the discriminator, in training and tuning, for each of the generator",
        low=1,
        high=1000,
        shapes=True,
    )
    plateau: int = setting(
        0,
        "train",
        "epochs without progress before the step sizes halve; 0 for never",
        low=0,
        high=10000,
    )
    shots: int = setting(
        5, "tune", "images of each novel class", low=1, high=10000, unit="images", shapes=True
    )
    shot_seed: int = setting(
        0, "tune", "seed that chooses them; 0: those published", low=0, high=2**63 - 1, shapes=True
    )
    pool: str = setting(
        "published",
        "tune",
        "images of novel classes without labels: all but those for tests, or none of the shots",
        choices=("published", "disjoint"),
        shapes=True,
    )
    semi: bool = setting(
        False, "tune", "the term that alpha weighs takes its images from the pool", shapes=True
    )
    g_mode: str = setting(
        "linear",
        "tune",
        "what of the generator moves: embeddings of classes, also the maps to gain and shift, all",
        choices=("embed", "linear", "all"),
        shapes=True,
    )
    d_mode: str = setting(
        "embed",
        "tune",
        "what of the discriminator moves: embeddings of classes, also the layers behind its maps,"
        " all",
        choices=("embed", "linear", "all"),
        shapes=True,
    )
    tune_alpha: float = setting(0.0, "tune", "alpha of tuning", low=0, high=1000)
    tune_gamma: float = setting(1.0, "tune", "gamma of tuning", low=0, high=1000)
    tune_rate: float = setting(2e-4, "tune", "Adam step size of both players", low=1e-7, high=1)
    tune_steps: int = setting(
        1000, "tune", "steps of the discriminator", low=1, high=10000000, shapes=True
    )
    tune_batch: int = setting(32, "tune", "images a step", low=1, high=8192, shapes=True)
    weights: str = setting("end", "sample", "draw from the last epoch", choices=("end",))
    generated_per_class: int = setting(
        20,
        "score",
        "drawings of each novel class that join the shots for the classifier",
        low=0,
        high=100000,
    )
    unfreeze: str = setting(
        "head",
        "score",
        "what of the classifier learns from them: its head, or its last stage too",
        choices=("head", "last_stage"),
    )
    mixup: float = setting(
        0.0, "score", "a of Beta(a, a), by which pairs of its images are mixed; 0: none", low=0
    )
    head_steps: int = setting(2000, "score", "steps of the classifier on them", low=1, high=1000000)

    @property
    def schedule_classes(self) -> str:
        """Images of base classes that are held out drive the schedule."""
        return "validation"

    def problems(self, image_size: int, channels: int, drawings: int) -> list[str]:
        """What these settings exclude.

        Args:
            image_size: pixels a side.
            channels: of the images.
            drawings: of a class of the data set.

        Returns:
            A message a problem.
        """
        found = []
        if image_size % 4:
            wanted = "its maps double at least twice, and need a multiple of 4 (of 16 as published)"
            found.append(f"image_size = {image_size} of class_gan: {wanted}")
        if channels != self.channels:
            found.append(f"channels = {self.channels} of class_gan: the images have {channels}")
        if self.width % 16:
            found.append(f"width = {self.width} of class_gan: its maps need a multiple of 16")
        return found


VARIANTS = {
    "tiny": dict(
        classes=10,
        width=16,
        discriminator_width=2,
        z=5,
        epochs=2,
        batch_size=8,
        shots=2,
        tune_steps=4,
        tune_batch=4,
        head_steps=20,
    ),
    "tiny_semi": dict(
        classes=10,
        width=16,
        discriminator_width=2,
        z=5,
        alpha=0.3,
        epochs=2,
        batch_size=8,
        generator_every=2,
        shots=2,
        pool="disjoint",
        semi=True,
        g_mode="all",
        d_mode="linear",
        tune_alpha=0.5,
        tune_steps=4,
        tune_batch=4,
        head_steps=20,
    ),
    "small": dict(width=32, discriminator_width=8, batch_size=16),
}


class ClassGan(TunedFamily, SheetFamily):
    """G(z, y) with its discriminator D.

    120,091 and 671,921 parameters as published, of 47 classes of 32 x 32 pixels. Both players
    report "adversarial" (of the conditional logit), "recovery" and "unconditional" (before gamma
    and alpha weigh them).
    """

    trains_on = Labelled
    asks = "class"

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self.generator = FilmGenerator(
            config.width, config.z, config.classes, config.blocks, image_size
        )
        self.discriminator = ProjectionDiscriminator(
            config.discriminator_width, config.z, config.classes
        )
        self.register_buffer("base", torch.ones(config.classes, dtype=torch.bool))
        self.base: Tensor  # the classes that it was trained on

    def set_trained_classes(self, trained: Tensor) -> None:
        """As the contract says; a tuning is on others, and leaves the note of the base."""
        if not self.tuning:
            self.base.copy_(trained)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.config.z,)

    def hyper(self, epoch: int) -> dict[str, float]:
        config = self.config
        if self.tuning:
            return {"gamma": config.tune_gamma, "alpha": config.tune_alpha}
        return {"gamma": config.gamma, "alpha": config.alpha}

    def players(self) -> list[Player]:
        """The discriminator, and the generator, on the same noise."""
        return self._moving(
            lambda: list(self.discriminator.parameters()),
            lambda: list(self.generator.parameters()),
            self.config.learning_rate,
        )

    def tuners(self) -> list[Player]:
        """Of both networks what their modes say, in the same order as in training."""
        discriminator, generator, config = self.discriminator, self.generator, self.config
        films = generator.films()
        of_discriminator: dict[str, Callable[[], list[nn.Parameter]]] = {
            "embed": lambda: [discriminator.embedding],
            "linear": lambda: [
                discriminator.embedding,
                *(p for head in discriminator.heads() for p in head.parameters()),
            ],
            "all": lambda: list(discriminator.parameters()),
        }
        of_generator: dict[str, Callable[[], list[nn.Parameter]]] = {
            "embed": lambda: [film.embedding for film in films],
            "linear": lambda: [p for film in films for p in film.parameters()],
            "all": lambda: list(generator.parameters()),
        }
        return self._moving(
            of_discriminator[config.d_mode], of_generator[config.g_mode], config.tune_rate
        )

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says, of the classes whose weights these are."""
        with torch.no_grad():
            return self._shown(self._drawn(exemplars, noise))

    def sheets(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """As the contract says: those of `class_sheets`, of the classes it was trained on."""
        return class_sheets(self.sample, self.base, images, noise)

    def _moving(
        self,
        of_discriminator: Callable[[], list[nn.Parameter]],
        of_generator: Callable[[], list[nn.Parameter]],
        rate: float,
    ) -> list[Player]:
        """Both players, with what each of them moves and their step size."""
        every = self.config.generator_every
        return [
            Player("discriminator", of_discriminator, self._discriminator_loss, rate, BETAS),
            Player("generator", of_generator, self._generator_loss, rate, BETAS, every=every),
        ]

    @property
    def _moves(self) -> str:
        """Which singular vectors of the discriminator a training pass moves: of what moves."""
        modes = {"embed": "none", "linear": "heads", "all": "all"}
        return modes[self.config.d_mode] if self.tuning else "all"

    def _discriminator_loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        """L_D of Beckham et al. (2022), where G(y, z) has the labels y of the batch.

        1/2 [BCE(D(x, y), 1) + BCE(D(G, y), 0)] + gamma MSE(z', z)
        + alpha / 2 [BCE(D(x_u), 1) + BCE(D(G), 0)], with the recovered noise z', and with x_u of
        the pool, or x where there is none; BCE(s, 1) = softplus(-s), BCE(s, 0) = softplus(s).
        """
        with torch.no_grad():
            drawn = self._drawn(items.label, noise)
        real = self.discriminator(self._seen(items.images), items.label, self._moves)
        fake = self.discriminator(drawn, items.label, self._moves)
        of_real = real.unconditional
        if items.unlabelled is not None:
            of_real = self.discriminator(self._seen(items.unlabelled), moves="none").unconditional
        return _losses(
            (softplus(-real.conditional) + softplus(fake.conditional)) / 2,
            self._recovery(fake.noise, noise),
            (softplus(-of_real) + softplus(fake.unconditional)) / 2,
            hyper,
        )

    def _generator_loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        """L_G of Beckham et al. (2022): BCE(D(G, y), 1) + gamma MSE(z', z) + alpha BCE(D(G), 1)."""
        drawn = self._drawn(items.label, noise)
        fake = self.discriminator(drawn, items.label, self._moves)
        return _losses(
            softplus(-fake.conditional),
            self._recovery(fake.noise, noise),
            softplus(-fake.unconditional),
            hyper,
        )

    def _recovery(self, recovered: Tensor, noise: Tensor) -> Tensor:
        """The mean squared difference from the noise that an image was drawn from, [B]."""
        return (recovered - self.config.latent_std * noise).square().mean(1)

    def _drawn(self, weights: Tensor, noise: Tensor) -> Tensor:
        """G(z, y) in (-1, 1), [B, 3, H, W], of standard normal noise."""
        image: Tensor = self.generator(self.config.latent_std * noise, weights)
        return image

    def _seen(self, images: Tensor) -> Tensor:
        """Images in [0, 1], [B, C, H, W], as the networks have them: [-1, 1], three channels."""
        return (2 * images - 1).expand(-1, 3, -1, -1)

    def _shown(self, drawn: Tensor) -> Tensor:
        """What the generator gives, as images in [0, 1] with the channels of the data set."""
        image = drawn.mean(1, keepdim=True) if self.config.channels == 1 else drawn
        return (image + 1) / 2


def _losses(adversarial: Tensor, recovery: Tensor, unconditional: Tensor, hyper: Hyper) -> Losses:
    """The loss of a player and its terms, each [B]."""
    return {
        "loss": adversarial + hyper["gamma"] * recovery + hyper["alpha"] * unconditional,
        "adversarial": adversarial,
        "recovery": recovery,
        "unconditional": unconditional,
    }


FAMILY = ClassGan
