"""The process of a diffusion model: how noise is added step by step, and two ways back.

Ho et al. (2020), Denoising diffusion probabilistic models (https://arxiv.org/abs/2006.11239); Song
et al. (2021), Denoising diffusion implicit models (https://arxiv.org/abs/2010.02502).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

FIRST, LAST, REFERENCE = 1e-4, 0.02, 1000  # variances of the first and last of 1,000 steps
Predict = Callable[[Tensor, Tensor], Tensor]


class Process(nn.Module):
    """x_t = sqrt(kept_t) x_0 + sqrt(1 - kept_t) noise, t = 0 .. T, with kept_t the product of 1 -
    beta_s, s <= t.

    The betas rise linearly, from 1e-4 to 0.02 at T = 1,000; at other T they are rescaled by 1000 /
    T (at most 0.999), so that always next to nothing is kept at the end. published: the same betas
    at any T, 0.6 % kept at T = 500, and one more before the first step. On the way back, the image
    that the predicted noise implies is kept within the pixels' -1 .. 1, as Ho et al. do; at the
    noisy end, where little of it is in x_t, small errors of the prediction would carry it far away.
    published: it is not.
    """

    def __init__(self, steps: int, published: bool):
        super().__init__()
        self.steps, self.bounded = steps, not published
        if published:
            beta = torch.linspace(FIRST, LAST, steps + 1, dtype=torch.float64)
        else:
            rescaled = torch.linspace(FIRST, LAST, steps, dtype=torch.float64) * (REFERENCE / steps)
            beta = torch.cat([torch.zeros(1, dtype=torch.float64), rescaled.clamp(max=0.999)])
        self.register_buffer("beta", beta.float(), persistent=False)
        self.register_buffer("kept", torch.log1p(-beta).cumsum(0).exp().float(), persistent=False)
        # 1 - kept, exact near 0
        self.register_buffer(
            "lost", (-torch.expm1(torch.log1p(-beta).cumsum(0))).float(), persistent=False
        )
        self.beta: Tensor
        self.kept: Tensor
        self.lost: Tensor

    def noised(self, image: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t of images [B, ...] at their times [B], whole numbers of 0 .. T."""
        shape = (-1, *[1] * (image.dim() - 1))
        kept, lost = (
            table.index_select(0, t).sqrt().view(shape) for table in (self.kept, self.lost)
        )
        return kept * image + lost * noise

    def ancestral(self, predict: Predict, noise: Tensor) -> Tensor:
        """Back through all steps; the variance added at each is its beta, at the last none.

        predict: (x [B, 1, H, W], t [B]) -> the noise in x; noise: standard normal [B, T, H, W], a
        map for x_T and each step but the last.
        """
        x = noise[:, :1]
        for i, t in enumerate(range(self.steps, 0, -1)):
            image = self._implied(x, predict(x, self._all(t, x)), t)
            x = (
                self.kept[t - 1].sqrt() * self.beta[t] * image
                + (1 - self.beta[t]).sqrt() * self.lost[t - 1] * x
            )
            x = x / self.lost[t]  # the mean of x_{t-1} given both (Ho et al. 2020, equation 7)
            if t > 1:
                x = x + self.beta[t].sqrt() * noise[:, i + 1 : i + 2]
        return x

    def implicit(self, predict: Predict, noise: Tensor, steps: int) -> Tensor:
        """Back in this many evenly spaced steps without new noise (DDIM with eta 0); noise:
        standard normal [B, 1, H, W].
        """
        times = torch.linspace(self.steps, 0, steps + 1).round().int().tolist()
        x = noise
        for t, s in itertools.pairwise(times):
            image = self._implied(x, predict(x, self._all(t, x)), t)
            found = (x - self.kept[t].sqrt() * image) / self.lost[t].sqrt()
            x = self.kept[s].sqrt() * image + self.lost[s].sqrt() * found if s else image
        return x

    def _implied(self, x: Tensor, found: Tensor, t: int) -> Tensor:
        """The image in x_t, if this is the noise in it."""
        image = (x - self.lost[t].sqrt() * found) / self.kept[t].sqrt()
        return image.clamp(-1, 1) if self.bounded else image

    def _all(self, t: int, x: Tensor) -> Tensor:
        return torch.full((len(x),), t, device=x.device)
