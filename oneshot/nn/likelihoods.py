"""The discretised mixture of logistics for RGB images.

Salimans et al. (2017), PixelCNN++ (https://arxiv.org/abs/1701.05517), sections 2.1 and 2.2. A pixel
has 10 components, each with a weight that its three colours share. In a component, green is centred
at a linear function of red, and blue at one of red and green. Values are scaled to [-1, 1]; a
logistic is cut into 256 levels, of which the lowest and the highest take its tails. The 100
channels of `parameters`: 10 logits of the weights, then for red, green and blue 10 means, 10
log-scales and 10 coefficients (before tanh): green on red, blue on red, blue on green.

Probabilities are written as log(1 - exp(-width)) + log sigmoid(upper) + log sigmoid(-lower), which
is the difference of the two values of the distribution function, exactly, and does not vanish in
the tails; PixelCNN++ approximates there by the density.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

COMPONENTS = 10
PARAMETERS = COMPONENTS * (1 + 3 * 3)  # channels of the network's output
# random numbers that a pixel's sample takes: one for the component, one for each colour
UNIFORMS = 4
LEVELS = 256
LEAST_LOG_SCALE = -7.0
# log-scale; draws from wider logistics all lie at the two ends, as they do from this one
LARGEST_DRAWN = 20.0

HALF = 1 / (LEVELS - 1)  # half a level's width on [-1, 1]
NARROW = 1e-4  # below this, 1 - exp(-width) is the width within rounding
EDGE = 1e-7  # distance of a random number from 0 and 1, where a logistic is infinite


def logistic_mixture_log_prob(parameters: Tensor, images: Tensor) -> Tensor:
    """log p(images), summed over pixels and colours.

    Args:
        parameters: of the mixture, [..., 100, H, W].
        images: [..., 3, H, W] in [0, 1]; rounded to the 256 levels, so that this is a probability
            of whatever is given.

    Returns:
        [...], in nats.
    """
    components = component_log_probs(parameters, images).sum(-4)
    weights = torch.log_softmax(parameters[..., :COMPONENTS, :, :], -3)
    return torch.logsumexp(weights + components, -3).sum((-2, -1))


def component_log_probs(parameters: Tensor, images: Tensor) -> Tensor:
    """log p(colour | the colours before it, component) of each pixel's level.

    Args:
        parameters: of the mixture, [..., 100, H, W].
        images: [..., 3, H, W] in [0, 1], rounded to the 256 levels.

    Returns:
        [..., 3, 10, H, W], in nats.
    """
    means, log_scales, coefficients = _components(parameters)
    level = _rounded(images)
    red, green, blue = (2 * level - 1).unsqueeze(-3).unbind(-4)
    centres = torch.stack(torch.broadcast_tensors(*_centres(means, coefficients, red, green)), -4)
    distance = torch.stack([red, green, blue], -4) - centres
    precision = torch.exp(-log_scales)
    upper = logsigmoid(precision * (distance + HALF))
    lower = logsigmoid(-precision * (distance - HALF))
    lowest, highest = (level == 0).unsqueeze(-3), (level == 1).unsqueeze(-3)
    # equation 2: sigmoid(upper end) - sigmoid(lower end), as the module's docstring rewrites it
    inside = _log_one_minus_exp(math.log(2 * HALF) - log_scales) + upper + lower
    return torch.where(lowest, upper, torch.where(highest, lower, inside))


def logistic_mixture_mean(parameters: Tensor) -> Tensor:
    """The mean of the mixture, [..., 100, H, W] -> [..., 3, H, W] in [0, 1].

    In each component green is taken at the mean of red, and blue at those of red and green, which
    is exact as both are linear; then the components are weighted. A component's mean outside [0, 1]
    counts as the nearest end. So this is the exact mean of the logistics before they are cut into
    levels, and of the levels as far as little mass lies beyond the ends.
    """
    means, _, coefficients = _components(parameters)
    mean_red = means[..., 0, :, :, :].clamp(-1, 1)
    mean_green = _centres(means, coefficients, mean_red, mean_red)[1].clamp(-1, 1)
    mean_blue = _centres(means, coefficients, mean_red, mean_green)[2].clamp(-1, 1)
    weights = torch.softmax(parameters[..., :COMPONENTS, :, :], -3)
    mixed = torch.stack(
        [(weights * colour).sum(-3) for colour in (mean_red, mean_green, mean_blue)], -3
    )
    return ((mixed + 1) / 2).clamp(0, 1)


def logistic_mixture_sample(parameters: Tensor, uniform: Tensor) -> Tensor:
    """A draw from the mixture, with exactly the probabilities of `logistic_mixture_log_prob`.

    Each colour is cut to its level before the next one depends on it.

    Args:
        parameters: of the mixture, [..., 100, H, W].
        uniform: numbers in [0, 1], [..., 4, H, W]: for the component, then for each colour.

    Returns:
        One of 256 levels in [0, 1], [..., 3, H, W].
    """
    means, log_scales, coefficients = (
        _chosen(part, _choice(parameters, uniform)) for part in _components(parameters)
    )
    safe = uniform[..., 1:, :, :].clamp(EDGE, 1 - EDGE)
    spread = log_scales.clamp(max=LARGEST_DRAWN).exp() * (safe.log() - torch.log1p(-safe))
    steps = [step.unsqueeze(-3) for step in spread.unbind(-3)]
    means, coefficients = means.unsqueeze(-3), coefficients.unsqueeze(-3)  # one component is left
    red = _levelled(means[..., 0, :, :, :] + steps[0])
    green = _levelled(_centres(means, coefficients, red, red)[1] + steps[1])
    blue = _levelled(_centres(means, coefficients, red, green)[2] + steps[2])
    return _rounded((torch.cat([red, green, blue], -3) + 1) / 2)  # exactly k / 255 again


def _components(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means, log-scales and coefficients of the three colours: [..., 3, 10, H, W] each."""
    if parameters.shape[-3] != PARAMETERS:
        raise ValueError(
            f"the mixture of logistics takes {PARAMETERS} channels, not {parameters.shape[-3]}"
        )
    means, log_scales, coefficients = (
        parameters[..., COMPONENTS:, :, :].unflatten(-3, (3, 3, COMPONENTS)).unbind(-4)
    )
    return means, log_scales.clamp(min=LEAST_LOG_SCALE), coefficients.tanh()


def _centres(means: Tensor, coefficients: Tensor, red: Tensor, green: Tensor) -> list[Tensor]:
    """Where each colour is centred given those before it on [-1, 1] (equation 3).

    [..., 10, H, W] each; red and green broadcast to that shape.
    """
    on_red, blue_on_red, blue_on_green = coefficients.unbind(-4)
    mean_red, mean_green, mean_blue = means.unbind(-4)
    return [
        mean_red,
        mean_green + on_red * red,
        mean_blue + blue_on_red * red + blue_on_green * green,
    ]


def _log_one_minus_exp(log_width: Tensor) -> Tensor:
    """log(1 - exp(-exp(log_width))), also where the width is too small for a float."""
    width = log_width.exp()
    # the clamp keeps the gradient of the branch not taken finite
    usual = torch.log(-torch.expm1(-width.clamp(min=NARROW)))
    return torch.where(width < NARROW, log_width - width / 2, usual)


def _choice(parameters: Tensor, uniform: Tensor) -> Tensor:
    """The component of each pixel, drawn by its weight: one-hot [..., 10, H, W]."""
    reached = torch.softmax(parameters[..., :COMPONENTS, :, :], -3).cumsum(-3)[..., :-1, :, :]
    index = (uniform[..., :1, :, :] >= reached).sum(-3, keepdim=True)
    return (index == torch.arange(COMPONENTS, device=parameters.device)[:, None, None]).to(
        parameters.dtype
    )


def _chosen(part: Tensor, choice: Tensor) -> Tensor:
    """Of each pixel the values [..., 3, 10, H, W] of one component, [..., 3, H, W]."""
    return (part * choice.unsqueeze(-4)).sum(-3)


def _rounded(images: Tensor) -> Tensor:
    """The nearest of the 256 levels in [0, 1]; the ends are exactly 0 and 1."""
    return (images.clamp(0, 1) * (LEVELS - 1)).round() / (LEVELS - 1)


def _levelled(values: Tensor) -> Tensor:
    """The nearest level of values on the scale [-1, 1]."""
    return 2 * _rounded((values + 1) / 2) - 1
