"""The mixture of logistics: against sums over all levels, a second implementation by plain
differences, its own samples; and under vmap.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oneshot.nn.likelihoods import (
    PARAMETERS,
    UNIFORMS,
    component_log_probs,
    logistic_mixture_log_prob,
    logistic_mixture_mean,
    logistic_mixture_sample,
)

LEVEL = torch.arange(256, dtype=torch.float64) / 255


def made(*lead: int, size: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Parameters like those of a network at work: means inside, scales from a level to a third of
    the range.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = torch.randn(
        *lead, PARAMETERS, size, size, generator=generator, dtype=torch.float64
    )
    blocks = parameters[..., 10:, :, :].unflatten(-3, (3, 3, 10))
    blocks[..., 0, :, :, :] *= 0.4
    blocks[..., 1, :, :, :] -= 2.5
    return parameters.to(dtype)


def pictures(*lead: int, size: int = 2, seed: int = 1) -> Tensor:
    return (
        torch.randint(
            256, (*lead, 3, size, size), generator=torch.Generator().manual_seed(seed)
        ).double()
        / 255
    )


def one_pixel(parameters: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights [10], means, scales and coefficients [3, 10] of the pixel of `parameters` [100, 1,
    1], read off channel by channel.
    """
    p = parameters.double().numpy()[:, 0, 0]
    weights = np.exp(p[:10] - p[:10].max())
    colours = [p[10 + 30 * c : 40 + 30 * c] for c in range(3)]
    means, log_scales, raw = (
        np.stack([c[10 * k : 10 * k + 10] for c in colours]) for k in range(3)
    )
    return weights / weights.sum(), means, np.exp(np.maximum(log_scales, -7)), np.tanh(raw)


def table(centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Probabilities of the 256 levels, [..., 256], as differences of the distribution function at
    the borders between levels.
    """
    borders = (2 * np.arange(255) + 1) / 255 - 1
    with np.errstate(over="ignore"):
        below = 1 / (1 + np.exp(-(borders - centre[..., None]) / scale[..., None]))
    return np.diff(below, axis=-1, prepend=0.0, append=1.0)


def reference(parameters: Tensor, image: Tensor) -> float:
    """log p of an image [3, H, W], pixel by pixel in float64."""
    total = 0.0
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            weights, means, scales, k = one_pixel(parameters[:, y : y + 1, x : x + 1])
            level = np.rint(image[:, y, x].double().numpy() * 255).astype(int)
            r, g, _ = 2 * level / 255 - 1
            centres = np.stack([means[0], means[1] + k[0] * r, means[2] + k[1] * r + k[2] * g])
            probabilities = table(centres, scales)
            total += math.log(
                sum(
                    weights[i] * np.prod([probabilities[c, i, level[c]] for c in range(3)])
                    for i in range(10)
                )
            )
    return total


@pytest.mark.parametrize("colour", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_256_levels_of_a_colour_have_probability_one_given_those_before(
    colour: int, seed: int
) -> None:
    images = pictures(1, size=3, seed=seed).repeat(256, 1, 1, 1)
    images[:, colour] = LEVEL[:, None, None]
    sums = component_log_probs(made(size=3, seed=seed), images)[:, colour].exp().sum(0)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-9)


def test_levels_have_probability_one_at_the_narrowest_and_at_absurd_scales() -> None:
    parameters = made(size=1).repeat(6, 1, 1, 1)
    parameters[:, 20:30] = torch.tensor([-1e4, -7.0, -6.9, 4.0, 30.0, 1e4]).double()[
        :, None, None, None
    ]
    images = LEVEL[:, None, None, None, None].repeat(1, 1, 3, 1, 1)
    sums = component_log_probs(parameters, images)[:, :, 0].exp().sum(0)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-7)


def test_all_greens_and_blues_together_leave_the_probability_of_red() -> None:
    parameters = made(size=1, seed=4)
    weights, means, scales, _ = one_pixel(parameters)
    for red in (0, 100, 255):
        green, blue = torch.meshgrid(LEVEL, LEVEL, indexing="ij")
        images = torch.stack([torch.full_like(green, red / 255), green, blue], -1).reshape(
            -1, 3, 1, 1
        )
        total = logistic_mixture_log_prob(parameters, images).exp().sum()
        assert float(total) == pytest.approx(weights @ table(means[0], scales[0])[:, red], rel=1e-8)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 2e-5)])
def test_agrees_with_plain_differences_in_float64(dtype: torch.dtype, tolerance: float) -> None:
    parameters, images = made(5, size=3, dtype=dtype), pictures(5, size=3)
    images[0, :, 0], images[1, :, 1] = 0, 1  # both ends
    got = logistic_mixture_log_prob(parameters, images.to(dtype))
    expected = [reference(p, i) for p, i in zip(parameters, images)]
    assert got.shape == (5,) and got.dtype == dtype
    np.testing.assert_allclose(got.double().numpy(), expected, rtol=tolerance)


def test_a_tail_has_its_closed_form_where_plain_differences_vanish() -> None:
    """Far above the mean, a level's probability is exp(-(lower border - mean) / scale) (1 -
    exp(-width / scale)).
    """
    parameters = torch.zeros(PARAMETERS, 1, 1)
    parameters[10:20], parameters[20:30] = -1.0, -6.0
    images = torch.zeros(3, 1, 1)
    images[0] = 200 / 255
    precision = math.exp(6)
    closed = -precision * ((2 * 200 - 1) / 255 - 1 + 1) + math.log(
        -math.expm1(-precision * 2 / 255)
    )
    assert table(np.array([-1.0]), np.array([math.exp(-6)]))[0, 200] == 0
    assert float(component_log_probs(parameters, images)[0, 0]) == pytest.approx(closed, rel=1e-5)


def test_values_between_levels_count_as_the_nearest() -> None:
    parameters, images = made(size=4), pictures(size=4)
    moved = (images + 0.49 / 255 * torch.where(images > 0.5, -1, 1)).clamp(0, 1)
    assert torch.equal(
        logistic_mixture_log_prob(parameters, moved), logistic_mixture_log_prob(parameters, images)
    )


def test_gradients_are_finite_at_extreme_parameters() -> None:
    images = torch.tensor([0.0, 1 / 255, 0.5, 1.0])[:, None, None, None].expand(4, 3, 4, 4)
    generator = torch.Generator().manual_seed(0)
    for scale in (0.0, 1.0, 30.0, 1e3, 1e6):
        parameters = (
            scale * torch.randn(4, PARAMETERS, 4, 4, generator=generator)
        ).requires_grad_()
        value = logistic_mixture_log_prob(parameters, images)
        (gradient,) = torch.autograd.grad(value.sum(), parameters)
        assert (
            value.isfinite().all()
            and (value < 0).all()
            and gradient.isfinite().all()
            and gradient.any()
        ), scale
        draws = logistic_mixture_sample(
            parameters, torch.rand(4, UNIFORMS, 4, 4, generator=generator).round()
        )
        assert draws.isfinite().all() and logistic_mixture_mean(parameters).isfinite().all()


def test_the_gradient_is_that_of_finite_differences() -> None:
    parameters = made(2, size=1, seed=6).requires_grad_()
    images = pictures(2, size=1)
    images[0, 0], images[1, 1] = 0, 1
    assert torch.autograd.gradcheck(
        lambda p: logistic_mixture_log_prob(p, images), (parameters,), eps=1e-6, atol=1e-6
    )


def test_samples_are_levels_and_have_the_probabilities() -> None:
    """A chi-square of red, and of green where red is common, against tables of probabilities made
    without the code under test.
    """
    count, parameters = 200_000, made(size=1, seed=3)
    uniform = torch.rand(
        count, UNIFORMS, 1, 1, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )
    draws = logistic_mixture_sample(parameters, uniform)
    level = (255 * draws[..., 0, 0]).round().long().numpy()
    assert torch.equal(draws[..., 0, 0], torch.from_numpy(level).double() / 255) and set(
        np.unique(level)
    ) <= set(range(256))
    weights, means, scales, k = one_pixel(parameters)
    of_red = table(means[0], scales[0])
    assert chi_square(level[:, 0], weights @ of_red) < 1.25
    red = int(np.bincount(level[:, 0]).argmax())
    posterior = weights * of_red[:, red]
    of_green = table(means[1] + k[0] * (2 * red / 255 - 1), scales[1])
    assert chi_square(level[level[:, 0] == red, 1], posterior @ of_green / posterior.sum()) < 1.5


def chi_square(level: np.ndarray, probability: np.ndarray) -> float:
    """Pearson's statistic by its degrees of freedom, over the levels expected five times or more;
    about 1 if the draws are right.
    """
    expected = len(level) * probability
    usual = expected >= 5
    found = np.bincount(level, minlength=256)
    assert usual.sum() > 20
    return float(
        (((found - expected) ** 2 / expected.clip(1e-300))[usual]).sum() / (usual.sum() - 1)
    )


def test_the_average_bound_of_samples_is_the_entropy_of_red() -> None:
    """With green and blue certain, -log p of draws averages to the entropy of red, which is a sum
    over 256 levels.
    """
    parameters = made(size=1, seed=8)
    for start in (40, 70):
        (
            parameters[start : start + 10],
            parameters[start + 10 : start + 20],
            parameters[start + 20 : start + 30],
        ) = (1e3, -7, 0)
    uniform = torch.rand(
        50_000, UNIFORMS, 1, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    values = -logistic_mixture_log_prob(parameters, logistic_mixture_sample(parameters, uniform))
    weights, means, scales, _ = one_pixel(parameters)
    p = weights @ table(means[0], scales[0])
    entropy = float(-(p * np.log(p)).sum())
    assert abs(float(values.mean()) - entropy) < 4 * float(values.std()) / math.sqrt(len(values))


def test_the_mean_is_that_of_samples_where_no_mass_leaves_the_range() -> None:
    parameters = made(size=1, seed=9)
    blocks = parameters[10:].view(3, 3, 10, 1, 1)
    blocks[:, 0] = blocks[:, 0].clamp(-0.3, 0.3)
    blocks[:, 1] = -4
    blocks[:, 2] *= 0.3
    uniform = torch.rand(
        100_000, UNIFORMS, 1, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64
    )
    draws = logistic_mixture_sample(parameters, uniform)
    error = 5 * draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - logistic_mixture_mean(parameters)).abs() < error).all()


def test_the_mean_of_one_sharp_component_follows_red_and_green() -> None:
    parameters = torch.zeros(PARAMETERS, 1, 1)
    parameters[3] = 50
    parameters[13], parameters[43], parameters[73] = 0.5, 0.1, -0.2  # means of component 3
    parameters[23], parameters[53], parameters[83] = -7, -7, -7
    parameters[33], parameters[63], parameters[93] = 0.4, -0.6, 0.8  # coefficients
    red, green = 0.5, 0.1 + math.tanh(0.4) * 0.5
    blue = -0.2 + math.tanh(-0.6) * red + math.tanh(0.8) * green
    expected = torch.tensor([(value + 1) / 2 for value in (red, green, blue)])
    torch.testing.assert_close(logistic_mixture_mean(parameters).flatten(), expected)
    middle = logistic_mixture_sample(parameters, torch.full((UNIFORMS, 1, 1), 0.5))
    torch.testing.assert_close(middle.flatten(), expected, rtol=0, atol=1.5 / 255)
    parameters[13], parameters[43], parameters[73] = 9.0, -9.0, 0.2  # beyond the ends
    assert logistic_mixture_mean(parameters).flatten()[:2].tolist() == [1, 0]


def test_leading_dimensions_broadcast_and_vmap_is_the_loop() -> None:
    parameters, images = made(3, 2, size=3), pictures(3, 2, size=3)
    uniform = torch.rand(
        3, 2, UNIFORMS, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )

    def summed(parameters: Tensor, images: Tensor) -> Tensor:
        return logistic_mixture_log_prob(parameters, images).sum()

    functions: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
        "log_prob": (logistic_mixture_log_prob, (parameters, images)),
        "mean": (logistic_mixture_mean, (parameters,)),
        "sample": (logistic_mixture_sample, (parameters, uniform)),
        "gradient": (torch.func.grad(summed), (parameters, images)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (function, arguments) in functions.items():
            mapped = torch.func.vmap(function)(*arguments)
            torch.testing.assert_close(
                mapped, torch.stack([function(*row) for row in zip(*arguments)]), msg=name
            )
    wide = logistic_mixture_log_prob(parameters[:, :1], images)
    torch.testing.assert_close(
        wide, logistic_mixture_log_prob(parameters[:, :1].expand_as(parameters), images)
    )
    with pytest.raises(ValueError, match="takes 100 channels, not 90"):
        logistic_mixture_mean(parameters[..., :90, :, :])
