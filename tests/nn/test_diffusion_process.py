"""The diffusion process: its schedule, and its samplers on Gaussians whose noise is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from oneshot.nn.diffusion_process import DiffusionProcess


@pytest.mark.parametrize(
    ("steps", "alpha_bar"),
    [(1000, 4.0e-5), (600, 2.3e-3), (500, 6.3e-3), (300, 0.048), (200, 0.131), (100, 0.36)],
)
def test_the_published_alpha_bar_at_the_end(steps: int, alpha_bar: float) -> None:
    process = DiffusionProcess(steps, published=True)
    assert float(process.alpha_bar[-1]) == pytest.approx(alpha_bar, rel=0.03)


@pytest.mark.parametrize("steps", [20, 100, 500, 1000, 4000])
def test_next_to_nothing_is_left_at_the_end_whatever_the_steps(steps: int) -> None:
    process = DiffusionProcess(steps, published=False)
    alpha_bar, one_minus_alpha_bar = process.alpha_bar, process.one_minus_alpha_bar
    assert alpha_bar[-1] < 5e-5 and alpha_bar[0] == 1 and one_minus_alpha_bar[0] == 0
    assert (alpha_bar.diff() < 0).all()
    torch.testing.assert_close(alpha_bar + one_minus_alpha_bar, torch.ones(steps + 1))
    beta = 1e-4 + (0.02 - 1e-4) * torch.arange(steps) / max(steps - 1, 1)
    beta = (1000 / steps * beta).clamp(max=0.999).double()
    expected = (1 - beta).cumprod(0).float()
    torch.testing.assert_close(alpha_bar[1:], expected, rtol=1e-4, atol=1e-9)


MEAN, SPREAD = 0.1, 0.2  # well within -1 .. 1, where x0_hat is clipped


def exact_noise(process: DiffusionProcess) -> Callable[[Tensor, Tensor], Tensor]:
    """E[noise | x_t] where the images are N(MEAN, SPREAD^2), pixel by pixel."""

    def predict_noise(x: Tensor, t: Tensor) -> Tensor:
        alpha_bar = process.alpha_bar[t].view(-1, 1, 1, 1)
        sigma2 = process.one_minus_alpha_bar[t].view(-1, 1, 1, 1)
        return sigma2.sqrt() * (x - alpha_bar.sqrt() * MEAN) / (alpha_bar * SPREAD**2 + sigma2)

    return predict_noise


def test_both_samplers_draw_the_distribution_the_noise_belongs_to() -> None:
    process, generator = DiffusionProcess(400, published=False), torch.Generator().manual_seed(0)
    noise = torch.randn(40, 400, 16, 16, generator=generator)
    drawn = process.sample_ddpm(exact_noise(process), noise)
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(drawn.std()) == pytest.approx(SPREAD, rel=0.03)
    ddim = process.sample_ddim(exact_noise(process), noise[:, :1], 400)
    # The path without noise is that of the probability flow, which maps quantile to quantile.
    torch.testing.assert_close(ddim, MEAN + SPREAD * noise[:, :1], atol=0.02, rtol=0)
    few = process.sample_ddim(exact_noise(process), noise[:, :1], 50)
    assert 1e-4 < float((few - ddim).abs().max()) < 0.1


@pytest.mark.parametrize("published", [False, True])
def test_the_ancestral_sampler_is_that_of_ho(published: bool) -> None:
    """Independently, in float64: the published one by algorithm 2, the other by equation 7."""
    process = DiffusionProcess(12, published)
    noise = torch.randn(3, 12, 4, 4, generator=torch.Generator().manual_seed(1))
    if published:
        beta = [1e-4 + (0.02 - 1e-4) * i / 12 for i in range(13)]
    else:
        beta = [0.0] + [min(1000 / 12 * (1e-4 + (0.02 - 1e-4) * i / 11), 0.999) for i in range(12)]
    alpha_bar = np.cumprod([1 - b for b in beta])
    x, clipped = noise[:, 0].double().numpy(), 0
    for i, t in enumerate(range(12, 0, -1)):
        noise_hat, sigma2 = np.tanh(x) * (t / 12), 1 - alpha_bar[t]
        if published:
            mean = (x - beta[t] / math.sqrt(sigma2) * noise_hat) / math.sqrt(1 - beta[t])
        else:
            x0_hat = (x - math.sqrt(sigma2) * noise_hat) / math.sqrt(alpha_bar[t])
            clipped += int((np.abs(x0_hat) > 1).sum())
            mean = math.sqrt(alpha_bar[t - 1]) * beta[t] / sigma2 * np.clip(x0_hat, -1, 1)
            mean = mean + math.sqrt(1 - beta[t]) * (1 - alpha_bar[t - 1]) / sigma2 * x
        x = mean + (math.sqrt(beta[t]) * noise[:, i + 1].double().numpy() if t > 1 else 0)
    ours = process.sample_ddpm(lambda y, t: y.tanh() * (t / 12).view(-1, 1, 1, 1), noise)
    np.testing.assert_allclose(ours[:, 0].numpy(), x, rtol=2e-4, atol=2e-4)
    assert published or clipped > 10


@pytest.mark.parametrize(
    ("process_steps", "steps", "expected"),
    [(500, 50, list(range(500, 0, -10))), (7, 7, [7, 6, 5, 4, 3, 2, 1])],
)
def test_the_ddim_sampler_visits_as_many_times_as_asked(
    process_steps: int, steps: int, expected: list[int]
) -> None:
    visited: list[int] = []

    def predict_noise(x: Tensor, t: Tensor) -> Tensor:
        visited.append(int(t[0]))
        return torch.zeros_like(x)

    process = DiffusionProcess(process_steps, published=False)
    process.sample_ddim(predict_noise, torch.zeros(1, 1, 2, 2), steps)
    assert visited == expected
