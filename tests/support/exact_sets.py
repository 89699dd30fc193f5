"""A set family of scalar latents and images of 2x2 bits, whose likelihood is known by quadrature.

c ~ N(0, 1); z1 ~ N(c, 1); z2 ~ N(z1 / 2, 1); pixel ~ Bernoulli(sigmoid(logit)) with
logit = WEIGHT z2 + SHIFT c + BIAS. So z2 given c is N(c / 2, 5 / 4).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from oneshot.contracts import Features, Losses, Player, SetFamily, SetTerms

WEIGHT = torch.tensor([1.0, -0.5, 1.5, 0.2])
SHIFT = torch.tensor([-1.0, 1.0, 0.5, 2.0])
BIAS = torch.tensor([0.1, -0.3, 0.0, 0.4])
SUMMARY = torch.tensor([0.3, -0.4, 0.8, 0.5])


class ExactSets(SetFamily):
    """The family.

    Args:
        with_context: Whether the latent c of a set is there.
        spread: Factor of the noise of z and c; with 0 latents are at their means, so that terms
            depend on the images alone.
    """

    def __init__(self, with_context: bool = True, spread: float = 1.0):
        super().__init__()
        self.with_context, self.spread = with_context, spread
        self.passes: list[tuple[str, int]] = []  # what ran, on how many images
        self.log_weights: list[Tensor] = []  # of each call of terms

    def noise_size(self, set_size: int) -> int:
        return int(self.with_context) + 2 * set_size

    def encode(self, images: Tensor) -> Features:
        self.passes.append(("encode", images.shape[0] * images.shape[1]))
        return {1: (images.flatten(2) @ SUMMARY)[..., None, None, None]}

    def posterior_of_context(self, h: Tensor) -> Normal:
        """q(c | set), from the summaries of its images [B, S]."""
        return Normal(0.3 * h.mean(1), (1.0 + 0.05 / h.shape[1]) * torch.ones(len(h)))

    def sample_latents(
        self, h: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, list[tuple[Normal, Normal, Tensor]]]:
        """Sample the latents from the posterior, from the top level down.

        Args:
            h: The summaries of the images, [B, S].
            noise: Standard normal, [B, noise_size].

        Returns:
            c [B, 1], z2 [B, S], and (prior, posterior, sample) of each level.
        """
        levels, c = [], torch.zeros(len(h), 1)
        noise = self.spread * noise
        if self.with_context:
            q = self.posterior_of_context(h)
            sample = q.mean + q.stddev * noise[:, 0]
            levels.append((Normal(torch.zeros(len(h)), 1.0), q, sample))
            c = sample[:, None]
        own = noise[:, int(self.with_context) :].reshape(*h.shape, 2)
        mean = c.expand_as(h)  # of the prior
        for level in (0, 1):
            # wider than the prior, so that weights have a variance
            q = Normal(mean + 0.3 * (h - 0.3), 1.05)
            z = q.mean + q.stddev * own[..., level]
            levels.append((Normal(mean, 1.0), q, z))
            mean = 0.5 * z
        return c, z, levels

    def pixels(self, c: Tensor, z: Tensor) -> Bernoulli:
        """p(pixels | c, z).

        Args:
            c: [B, 1].
            z: [B, S].

        Returns:
            The distribution of pixels [B, S, 4].
        """
        return Bernoulli(logits=WEIGHT * z[..., None] + SHIFT * c[..., None] + BIAS)

    def terms(self, images: Tensor, noise: Tensor, features: Features | None = None) -> SetTerms:
        n, size = images.shape[:2]
        self.passes.append(("terms", n * size))
        h = (self.encode(images) if features is None else features)[1].view(n, size)
        c, z, levels = self.sample_latents(h, noise)
        kls = [kl_divergence(q, p) for p, q, _ in levels]
        ratios = [
            (p.log_prob(sample) - q.log_prob(sample)).view(n, -1).sum(1) for p, q, sample in levels
        ]
        top = int(self.with_context)
        kl_c = torch.stack(kls[:top], 1) if top else torch.zeros(n, 0)
        terms = SetTerms(
            self.pixels(c, z).log_prob(images.flatten(2)).sum(2),
            kl_c,
            torch.stack(kls[top:], 2),
            sum(ratios),
        )
        self.log_weights.append((terms.log_likelihood.sum(1) + terms.log_ratio).double())
        return terms

    def context(self, images: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
        if not self.with_context:
            return []
        q = self.posterior_of_context(self.encode(images)[1].flatten(1))
        return [(q.mean[:, None], 2 * q.stddev.log()[:, None])]

    def reconstruct(self, images: Tensor, noise: Tensor) -> Tensor:
        c, z, _ = self.sample_latents(
            self.encode(images)[1].flatten(1).view(images.shape[:2]), noise
        )
        return self.pixels(c, z).probs.view(images.shape)

    def attention(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        h = self.encode(images)[1].flatten(1)
        return {"c1": torch.stack([h.softmax(1), (-h).softmax(1)], 1)} if self.with_context else {}

    def draw(self, images: Tensor, noise: Tensor, mode: str) -> Tensor:
        raise NotImplementedError

    def players(self) -> list[Player]:
        """None: the family is not trained."""
        raise NotImplementedError

    def hyper(self, epoch: int) -> dict[str, float]:
        return {}

    @property
    def noise_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        raise NotImplementedError

    def elbo(self, items: object, noise: Tensor) -> Losses:
        raise NotImplementedError


def true_log_likelihood(sets: np.ndarray) -> np.ndarray:
    """log p(set) of the family with context by quadrature: bits [n, S, 4] -> [n]."""
    grid = np.linspace(-8, 8, 401)
    step = grid[1] - grid[0]
    c, z = grid[:, None], grid[None, :]
    weight = np.exp(-((z - c / 2) ** 2) / 2.5) / np.sqrt(2.5 * np.pi) * step  # [c, z]
    # [c, z, 4]
    logits = WEIGHT.numpy() * z[..., None] + SHIFT.numpy() * c[..., None] + BIAS.numpy()
    log_on, log_off = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    patterns = (np.arange(16)[:, None] >> np.arange(4)) & 1
    # p(x given c) [16, c]
    of_pattern = np.stack(
        [(weight * np.exp((x * log_on + (1 - x) * log_off).sum(-1))).sum(1) for x in patterns]
    )
    number = (sets.astype(int) << np.arange(4)).sum(-1)  # [n, S]
    prior = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi) * step
    return np.log((of_pattern[number].prod(1) * prior).sum(-1))
