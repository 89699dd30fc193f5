"""The process of a diffusion model: how noise is added step by step, and two samplers back.

Ho et al. (2020), Denoising diffusion probabilistic models (https://arxiv.org/abs/2006.11239), in
comments "DDPM"; Song et al. (2021), Denoising diffusion implicit models
(https://arxiv.org/abs/2010.02502), "DDIM", whose alpha_t is the alpha_bar_t of DDPM.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.special import ndtr

# DDPM, section 4: variances of the first and the last of 1,000 steps.
FIRST_BETA, LAST_BETA, REFERENCE_STEPS = 1e-4, 0.02, 1000
LARGEST_BETA = 0.999

PredictNoise = Callable[[Tensor, Tensor], Tensor]  # (x_t [B, 1, H, W], t [B]) -> noise_hat


class DiffusionProcess(nn.Module):
    """q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I), t = 0 .. T (DDPM, equation 4).

    alpha_bar_t is the product of 1 - beta_s over s <= t. The betas rise linearly, from 1e-4 to 0.02
    at T = 1,000; at other T they are rescaled by 1000 / T (at most 0.999), so that next to nothing
    of the image is left at the end. Pixels are -1 .. 1, and while sampling x0_hat is clipped to
    that range, as in the code of DDPM: near t = T, where x_t holds little of the image, small
    errors of the predicted noise would carry it far away. The network is given t of 1,000 steps.

    Args:
        steps: T.
        published: the form of Boutin et al. (2023) instead: the same betas at any T (alpha_bar_T is
            0.6 % at T = 500), and one more of them before the first step; t = T is not trained,
            although sampling begins there; pixels are 0 .. 1, and x0_hat is not clipped; the
            network is given t / T, of which its embedding hardly tells two values apart.
    """

    beta: Tensor  # [T + 1]
    alpha_bar: Tensor  # [T + 1]
    one_minus_alpha_bar: Tensor  # [T + 1], exact where alpha_bar is near 1

    def __init__(self, steps: int, published: bool):
        super().__init__()
        self.steps, self.published = steps, published
        if published:
            beta = torch.linspace(FIRST_BETA, LAST_BETA, steps + 1, dtype=torch.float64)
        else:
            beta = torch.linspace(FIRST_BETA, LAST_BETA, steps, dtype=torch.float64)
            beta = (beta * (REFERENCE_STEPS / steps)).clamp(max=LARGEST_BETA)
            beta = torch.cat([torch.zeros(1, dtype=torch.float64), beta])
        log_alpha_bar = torch.log1p(-beta).cumsum(0)
        tables = {
            "beta": beta,
            "alpha_bar": log_alpha_bar.exp(),
            "one_minus_alpha_bar": -torch.expm1(log_alpha_bar),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def from_pixels(self, images: Tensor) -> Tensor:
        """Pixels of 0 .. 1 on the scale of x_0."""
        return images if self.published else 2 * images - 1

    def to_pixels(self, x0: Tensor) -> Tensor:
        """Pixels of x_0 [B, 1, H, W], cut to 0 .. 1; published: each image is stretched to it."""
        if not self.published:
            return ((x0 + 1) / 2).clamp(0, 1)
        low, high = x0.amin((1, 2, 3), keepdim=True), x0.amax((1, 2, 3), keepdim=True)
        return ((x0 - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)

    def random_times(self, normal: Tensor) -> Tensor:
        """Times t of training, uniform on 1 .. T, from standard normal numbers of any shape."""
        last = self.steps - self.published
        return 1 + (ndtr(normal) * last).long().clamp(max=last - 1)

    def network_time(self, t: Tensor) -> Tensor:
        """The number that tells the network the time t."""
        return t / self.steps * (1 if self.published else REFERENCE_STEPS)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Draw x_t from q(x_t | x_0), DDPM equation 4 in the form of equation 14.

        Args:
            x0: images [B, ...].
            noise: standard normal, as the images.
            t: times [B], whole numbers of 0 .. T.

        Returns:
            x_t, [B, ...].
        """
        shape = (-1, *[1] * (x0.dim() - 1))
        alpha_bar = self.alpha_bar.index_select(0, t).view(shape)
        one_minus_alpha_bar = self.one_minus_alpha_bar.index_select(0, t).view(shape)
        return alpha_bar.sqrt() * x0 + one_minus_alpha_bar.sqrt() * noise

    def sample_ddpm(self, predict_noise: PredictNoise, noise: Tensor) -> Tensor:
        """Ancestral sampling through all T steps (DDPM, algorithm 2, with sigma_t^2 = beta_t).

        Args:
            predict_noise: (x_t [B, 1, H, W], t [B]) -> noise_hat, the noise in x_t.
            noise: standard normal [B, T, H, W]: x_T, then z of each step but the last.

        Returns:
            x_0, [B, 1, H, W].
        """
        x = noise[:, :1]
        for i, t in enumerate(range(self.steps, 0, -1)):
            x0_hat = self._x0_hat(x, predict_noise(x, _times(t, x)), t)
            # mean of q(x_{t-1} | x_t, x_0 = x0_hat): DDPM, equation 7
            x = (
                self.alpha_bar[t - 1].sqrt() * self.beta[t] * x0_hat
                + (1 - self.beta[t]).sqrt() * self.one_minus_alpha_bar[t - 1] * x
            ) / self.one_minus_alpha_bar[t]
            if t > 1:  # DDPM, algorithm 2, lines 3 and 4
                sigma = self.beta[t].sqrt()
                x = x + sigma * noise[:, i + 1 : i + 2]
        return x

    def sample_ddim(self, predict_noise: PredictNoise, noise: Tensor, steps: int) -> Tensor:
        """Deterministic sampling in few steps (DDIM, equation 12 with sigma = 0).

        Args:
            predict_noise: (x_t [B, 1, H, W], t [B]) -> noise_hat, the noise in x_t.
            noise: x_T, standard normal [B, 1, H, W].
            steps: 1 .. T, evenly spaced in time.

        Returns:
            x_0, [B, 1, H, W].
        """
        times = torch.linspace(self.steps, 0, steps + 1).round().int().tolist()
        x = noise
        for t, s in itertools.pairwise(times):
            x0_hat = self._x0_hat(x, predict_noise(x, _times(t, x)), t)
            # the noise that takes the clipped x0_hat to x_t
            noise_hat = (x - self.alpha_bar[t].sqrt() * x0_hat) / self.one_minus_alpha_bar[t].sqrt()
            # DDIM, equation 12: predicted x_0 plus direction pointing to x_t
            direction = self.one_minus_alpha_bar[s].sqrt() * noise_hat
            x = self.alpha_bar[s].sqrt() * x0_hat + direction if s else x0_hat
        return x

    def _x0_hat(self, x: Tensor, noise_hat: Tensor, t: int) -> Tensor:
        """The image in x_t if noise_hat is the noise in it (DDPM, equation 15; DDIM, 9)."""
        x0_hat = (x - self.one_minus_alpha_bar[t].sqrt() * noise_hat) / self.alpha_bar[t].sqrt()
        return x0_hat if self.published else x0_hat.clamp(-1, 1)


def _times(t: int, x: Tensor) -> Tensor:
    """The time t for each image of x."""
    return torch.full((len(x),), t, device=x.device)
