"""InfoGAN: a GAN whose images tell the category and the codes that they were drawn from.

Chen et al. (2016), InfoGAN: interpretable representation learning by information maximizing
generative adversarial nets (https://arxiv.org/abs/1606.03657), equation 6, in the size that a
semester project of 2019 trained on MNIST with a digit left out. The categories are learned: no
label is ever seen.

Two players. The discriminator, with the head that recovers category and codes, minimises
L_D + lambda L_info, the generator L_G + lambda L_info, each by gradients of its own parameters. In
the paper the recovery head belongs to the generator's side of the game; it shares the trunk with
the discriminator, which can have one owner only.

The published training had three optimisers: of L_D, of L_G, and of L_info for the parameters of
both networks. It did not clear the gradients between the second and the third. So what the third
followed was L_G + L_info for the generator, and L_D + L_G + L_info for the discriminator, where the
gradient of L_G helps the generator: it moves the discriminator towards taking drawn images for real
ones. Both networks moved twice a batch. It is not offered here: a discriminator that follows L_G
works against its own loss, and the code runs on no present PyTorch, as weights change between two
backward passes through one graph. The published heads also overlapped: the output for "real" was
the first code's too. Here each has outputs of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, log_softmax, softplus

from oneshot.contracts import Hyper, Labelled, Losses, Player, SheetFamily
from oneshot.nn.set_layers import BatchNorm, Pointwise
from oneshot.sweep.settings import setting

VERSION = 1
KINDS = ("greys",)
BETAS = (0.5, 0.999)  # of Adam, for both players
SLOPE = 0.2  # of the leaky ReLU
DEVIATION = 0.02  # of the first weights
STEPS = 11  # values of a code on a sheet


@dataclass(frozen=True)
class Config:
    """Settings of InfoGAN."""

    categories: int = setting(10, "model", "values of the discrete code", low=2, high=1000)
    codes: int = setting(2, "model", "continuous codes, uniform on (-1, 1)", low=1, high=100)
    z: int = setting(62, "model", "size of the noise that is not recovered", low=1, high=10000)
    width: int = setting(
        64,
        "model",
        "channels of the larger maps; the smaller have twice, the vector between 16 times as many",
        low=1,
        high=512,
    )
    noise: str = setting(
        "uniform",
        "model",
        "of the noise that is not recovered: uniform on (0, 1), or normal",
        choices=("uniform", "normal"),
    )
    lambda_info: float = setting(
        1.0, "train", "weight of the recovery of category and codes", low=0, high=1000
    )
    images_per_class: int = setting(
        0, "train", "most images of a class that are trained on; 0 for all", low=0, shapes=True
    )
    learning_rate: float = setting(
        2e-4, "train", "Adam step size of both players", low=1e-7, high=1
    )
    epochs: int = setting(
        50, "train", "passes over the training images", low=1, high=100000, shapes=True
    )
    batch_size: int = setting(64, "train", "images a step", low=1, high=8192, shapes=True)
    plateau: int = setting(
        0,
        "train",
        "epochs without progress before the step sizes halve; 0 for never",
        low=0,
        high=10000,
    )
    weights: str = setting(
        "end",
        "sample",
        "draw from the last epoch, or that of the best recovery of category and codes",
        choices=("end", "best"),
    )

    @property
    def schedule_classes(self) -> str:
        """Images of SELECTION drive the schedule: of kept classes, as of validation classes."""
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
        if image_size % 4:
            return [f"image_size = {image_size} of infogan: its maps need a multiple of 4"]
        return []


VARIANTS = {
    "tiny": dict(categories=3, width=4, z=5, batch_size=8, epochs=2),
    "small": dict(width=16, learning_rate=1e-3, epochs=6),
}


class Generator(nn.Module):
    """G: noise, category and codes [B, z + categories + codes] -> image in (-1, 1), [B, 1, H, H].

    Two dense layers, then two transposed convolutions that double the map, each but the last with
    batch normalisation and ReLU.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        width, self.side = config.width, image_size // 4
        inputs, deep = config.z + config.categories + config.codes, 2 * width * self.side**2
        self.channels = 2 * width
        self.dense = nn.Sequential(
            Pointwise(inputs, 16 * width),
            BatchNorm(16 * width),
            nn.ReLU(),
            Pointwise(16 * width, deep),
            BatchNorm(deep),
            nn.ReLU(),
        )
        self.maps = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            BatchNorm(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, given: Tensor) -> Tensor:
        flat = self.dense(given[..., None, None]).flatten(1)
        image: Tensor = self.maps(flat.unflatten(1, (self.channels, self.side, self.side)))
        return image


class Discriminator(nn.Module):
    """D and Q: image [B, 1, H, H] -> how real [B], category logits [B, c], codes [B, codes].

    Two convolutions that halve the map, a dense layer, and one product whose outputs are, in this
    order: real, the codes, the categories. All but the first normalise over the batch.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        width = config.width
        self.outputs = [1, config.codes, config.categories]
        self.first = nn.Conv2d(1, width, 4, 2, 1)
        self.second = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.second_norm = BatchNorm(2 * width)
        self.dense = Pointwise(2 * width * (image_size // 4) ** 2, 16 * width)
        self.dense_norm = BatchNorm(16 * width)
        self.heads = nn.Linear(16 * width, sum(self.outputs))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = leaky_relu(self.first(image), SLOPE)
        x = leaky_relu(self.second_norm(self.second(x)), SLOPE)
        x = self.dense(x.flatten(1)[..., None, None])
        x = leaky_relu(self.dense_norm(x), SLOPE).flatten(1)
        real, codes, logits = self.heads(x).split(self.outputs, 1)
        return real.squeeze(1), logits, codes


class InfoGan(SheetFamily):
    """G with its discriminator D, which recovers category and codes.

    6,652,481 and 6,571,469 parameters at 28 pixels, 10 categories and 2 codes. Both players report
    "adversarial" (L_D, L_G) and "information" (L_info, before it is weighted).
    """

    trains_on = Labelled
    asks = "nothing"

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self.generator = Generator(config, image_size)
        self.discriminator = Discriminator(config, image_size)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                assert module.bias is not None
                nn.init.normal_(module.weight, 0, DEVIATION)
                nn.init.zeros_(module.bias)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (2 * self.drawing_noise_shape[0],)  # of the discriminator's step, of the generator's

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        return (self.config.z + 1 + self.config.codes,)

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"lambda_info": self.config.lambda_info}

    def players(self) -> list[Player]:
        """The discriminator with its recovery head, and the generator; both move at every batch."""
        rate = self.config.learning_rate
        discriminator = Player(
            "discriminator",
            lambda: list(self.discriminator.parameters()),
            self._discriminator_loss,
            rate,
            BETAS,
            monitor="information",
        )
        generator = Player(
            "generator",
            lambda: list(self.generator.parameters()),
            self._generator_loss,
            rate,
            BETAS,
        )
        return [discriminator, generator]

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says: an image of a random category and random codes."""
        return self._drawn(torch.cat(self._parts(noise), 1))

    @torch.no_grad()
    def sheets(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """What the category does, and what the codes do, all else the same.

        Args:
            images: not needed.
            noise: standard normal, [m, *drawing_noise_shape]; the columns of "categories".

        Returns:
            "categories", a row a category, the same noise in each; "codes": the first code across
            from -1 to 1 and the second one up, or, of a single code, a row a category.
        """
        categories, steps = self.config.categories, torch.linspace(-1, 1, STEPS).to(noise)
        free, _, codes = self._parts(noise)
        every = torch.eye(categories).to(noise)
        columns = len(noise)
        by_category = torch.cat(
            [
                free.repeat(categories, 1),
                every.repeat_interleave(columns, 0),
                codes.repeat(categories, 1),
            ],
            1,
        )
        rows = STEPS if self.config.codes > 1 else categories
        across = torch.zeros(rows, STEPS, self.config.codes).to(noise)
        across[..., 0] = steps
        if self.config.codes > 1:
            across[..., 1] = steps.flip(0)[:, None]
        of_rows = every[:1].expand(rows, -1) if self.config.codes > 1 else every
        category = of_rows[:, None].expand(-1, STEPS, -1)
        by_code = torch.cat([free[0].expand(rows, STEPS, -1), category, across], 2)
        return {
            "categories": self._drawn(by_category).unflatten(0, (categories, columns)),
            "codes": self._drawn(by_code.flatten(0, 1)).unflatten(0, (rows, STEPS)),
        }

    def _parts(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noise, one-hot category and codes made of standard normal numbers.

        Args:
            noise: [B, *drawing_noise_shape].

        Returns:
            [B, z], [B, categories], [B, codes]: Phi(noise) is uniform on (0, 1).
        """
        categories = self.config.categories
        free, category, codes = noise.split([self.config.z, 1, self.config.codes], 1)
        if self.config.noise == "uniform":
            free = torch.special.ndtr(free)
        place = (torch.special.ndtr(category) * categories).floor().clamp(max=categories - 1)
        one_hot = (place == torch.arange(categories, device=noise.device)).to(noise)
        return free, one_hot, 2 * torch.special.ndtr(codes) - 1

    def _drawn(self, given: Tensor) -> Tensor:
        """The images of noise, category and codes side by side, in [0, 1], [B, 1, H, H]."""
        with torch.no_grad():
            image: Tensor = self.generator(given)
        return (image + 1) / 2

    def _discriminator_loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        """L_D + lambda L_info: Chen et al. (2016), equation 6, from the side of D and Q.

        L_D = -log D(x) - log(1 - D(G(z, c))); sigmoid and logarithm are one function, softplus.
        """
        free, category, codes = self._parts(noise.chunk(2, 1)[0])
        with torch.no_grad():
            drawn = self.generator(torch.cat([free, category, codes], 1))
        of_real, _, _ = self.discriminator(2 * items.images - 1)
        of_drawn, logits, recovered = self.discriminator(drawn)
        adversarial = softplus(-of_real) + softplus(of_drawn)
        return _losses(adversarial, _information(logits, recovered, category, codes), hyper)

    def _generator_loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        """L_G + lambda L_info, where L_G = -log D(G(z, c))."""
        free, category, codes = self._parts(noise.chunk(2, 1)[1])
        drawn = self.generator(torch.cat([free, category, codes], 1))
        of_drawn, logits, recovered = self.discriminator(drawn)
        return _losses(softplus(-of_drawn), _information(logits, recovered, category, codes), hyper)


def _information(logits: Tensor, recovered: Tensor, category: Tensor, codes: Tensor) -> Tensor:
    """L_info of each item, [B]: the cross entropy of the category and the mean square of the codes.

    -log Q(c | x) of Chen et al. (2016), equation 4, for Gaussian codes up to scale and constant.
    """
    cross_entropy = -(category * log_softmax(logits, 1)).sum(1)
    return cross_entropy + (recovered - codes).square().mean(1)


def _losses(adversarial: Tensor, information: Tensor, hyper: Hyper) -> Losses:
    """The loss of a player and its two parts, each [B]."""
    return {
        "loss": adversarial + hyper["lambda_info"] * information,
        "adversarial": adversarial,
        "information": information,
    }


FAMILY = InfoGan
