"""MLP VAE: a variational autoencoder of one hidden layer, with a class removed or given as shots.

Kingma and Welling (2014), Auto-encoding variational Bayes (https://arxiv.org/abs/1312.6114). A
class that the split leaves out is not trained on. With `shots` so many of its images are, each so
often that the class is as large as the others.

Pixels are greys x in [0, 1], and the reconstruction is the cross entropy of x and the decoder's
sigmoid. It is no likelihood of greys: its least value is the entropy of the pixels, above 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from oneshot.contracts import Hyper, Labelled, LikelihoodFamily, Losses, Player, SheetFamily
from oneshot.nn.bernoulli import gaussian_kl
from oneshot.sweep.settings import setting

VERSION = 1
KINDS = ("greys",)
GRID = 20  # quantiles of each latent on a side of the latent grid


@dataclass(frozen=True)
class Config:
    """Settings of the MLP VAE."""

    z: int = setting(20, "model", "size of the latent", low=1, high=1000)
    hidden: int = setting(
        400, "model", "width of the hidden layer of encoder and decoder", low=1, high=10000
    )
    beta: float = setting(1.0, "train", "weight of the KL term", low=0, high=100)
    shots: int = setting(
        0,
        "train",
        "images of each left-out class that are trained on, replicated to the size of the others",
        low=0,
        high=1000,
        shapes=True,
    )
    shot_seed: int = setting(
        0, "train", "seed of the choice of the shots", low=0, high=2**63 - 1, shapes=True
    )
    images_per_class: int = setting(
        0, "train", "most images of a class that are trained on; 0 for all", low=0, shapes=True
    )
    learning_rate: float = setting(1e-3, "train", "Adam step size", low=1e-7, high=1)
    epochs: int = setting(
        10, "train", "passes over the training images", low=1, high=100000, shapes=True
    )
    batch_size: int = setting(64, "train", "images a step", low=1, high=8192, shapes=True)
    plateau: int = setting(
        0,
        "train",
        "epochs without progress before the step size halves; 0 for never",
        low=0,
        high=10000,
    )
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )
    class_likelihood: bool = setting(
        True, "score", "bound the likelihood of held-out images of each class"
    )

    @property
    def schedule_classes(self) -> str:
        """Images of SELECTION drive the schedule: of kept classes, as of validation classes."""
        return "validation"


VARIANTS = {"tiny": dict(z=3, hidden=16, batch_size=8, epochs=2)}


class MlpVae(LikelihoodFamily, SheetFamily):
    """p(x | z) p(z) with z ~ N(0, I): image - hidden - (mean, log-variance) - hidden - image.

    At 28 pixels and 400 hidden units 628,784 + 1,202 z + 800 parameters... see the tests.
    """

    trains_on = Labelled
    asks = "nothing"

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        pixels = image_size**2
        self.encoder = nn.Linear(pixels, config.hidden)
        self.mean = nn.Linear(config.hidden, config.z)
        self.log_variance = nn.Linear(config.hidden, config.z)
        self.decoder = nn.Linear(config.z, config.hidden)
        self.image = nn.Linear(config.hidden, pixels)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.config.z,)

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"beta": self.config.beta}

    def players(self) -> list[Player]:
        """One player: both networks."""
        rate = self.config.learning_rate
        return [Player("vae", lambda: list(self.parameters()), self._loss, rate)]

    def _loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        """-log p(x | z) + beta KL(q(z | x) || p(z)), equation 10 of the paper at beta 1."""
        terms = self.elbo(items, noise)
        return {"loss": terms["reconstruction"] + hyper["beta"] * terms["kl"], **terms}

    def elbo(self, items: Labelled, noise: Tensor) -> Losses:
        mean, log_variance = self._posterior(items.images)
        z = mean + torch.exp(0.5 * log_variance) * noise
        x, logits = items.images, self._logits(z)
        # -x log p - (1 - x) log(1 - p) with p = sigmoid(logits); the library's function keeps a
        # copy of x, which all models of a stack have in common
        cross_entropy = softplus(logits) - x * logits
        return {
            "reconstruction": cross_entropy.sum((1, 2, 3)),
            "kl": gaussian_kl(mean.unsqueeze(1), log_variance.unsqueeze(1)),
        }

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says: the decoder at z = noise."""
        return torch.sigmoid(self._logits(noise))

    def sheets(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The images of a grid of latents, and images beside their reconstructions.

        Args:
            images: of each class, held out, [classes, n, 1, H, W].
            noise: not needed; the grid is one of quantiles.

        Returns:
            "latent_grid", rows by the second latent, columns by the first, each at equally likely
            quantiles of N(0, 1), the other latents at 0; "reconstructions", a row a class, each
            image before its reconstruction at the mean of q(z | x).
        """
        quantiles = torch.special.ndtri((torch.arange(GRID, device=images.device) + 0.5) / GRID)
        first, second = quantiles, quantiles.flip(0) if self.config.z > 1 else quantiles[:1] * 0
        z = torch.zeros(len(second), GRID, self.config.z, device=images.device)
        z[..., 0] = first
        if self.config.z > 1:
            z[..., 1] = second[:, None]
        grid = torch.sigmoid(self._logits(z.flatten(0, 1))).unflatten(0, z.shape[:2])
        mean, _ = self._posterior(images.flatten(0, 1))
        again = torch.sigmoid(self._logits(mean)).unflatten(0, images.shape[:2])
        pairs = torch.stack([images, again], 2).flatten(1, 2)
        return {"latent_grid": grid, "reconstructions": pairs}

    def _posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each [B, Z], of images [B, 1, H, W]."""
        hidden = torch.relu(self.encoder(images.flatten(1)))
        return self.mean(hidden), self.log_variance(hidden)

    def _logits(self, z: Tensor) -> Tensor:
        """Of the pixels, [B, 1, H, W], given z [B, Z]."""
        flat: Tensor = self.image(torch.relu(self.decoder(z)))
        return flat.unflatten(1, (1, self.image_size, self.image_size))


FAMILY = MlpVae
