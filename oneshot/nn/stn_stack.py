"""The recurrence of VAE-STN for K models at once, with half the operators of the plain form.

Target and exemplar are read together, the networks of mu and log_var run side by side, weight
gradients are deferred, and nothing is done in a time step that could be done once. Layers that run
side by side are one layer, stacked or block-diagonal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from oneshot.nn import spatial
from oneshot.nn.deferred import DeferredLinear, linear_step

Weights = Mapping[str, Tensor]  # of VAE-STN by name, [K, ...] each
State = tuple[Tensor, ...]  # h, c [K, B, L]; theta [K * B, 6]; canvas [K, B, 1, H, W]; imagette

# the layers of a time step, by their number in what `layers` returns
POSTERIOR_1, POSTERIOR_2, CORE, POSTERIOR_3, OUT_1, OUT_2, LOCATION_3 = range(7)


def lstm_cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The LSTM cell after its product (Hochreiter and Schmidhuber 1997, with a forget gate).

    Args:
        gates: [..., 4 L], in the library's order i, f, g, o.
        c: memory, [..., L].

    Returns:
        The new h and c, [..., L] each.
    """
    i, f, g, o = gates.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def first_imagette(weights: Weights) -> Tensor:
    """What is written first, from an empty memory: [K, 1, S * S]."""
    hidden = torch.relu(weights["imagette.0.bias"]).unsqueeze(1)
    return torch.baddbmm(
        weights["imagette.2.bias"].unsqueeze(1),
        hidden,
        weights["imagette.2.weight"].transpose(1, 2),
    )


def layers(weights: Weights, steps: int, batch: int, low: bool) -> list[DeferredLinear]:
    """The linear layers of a time step.

    Args:
        weights: of K models.
        steps: T.
        batch: B.
        low: whether the three large ones run in bfloat16.

    Returns:
        Seven layers, by the numbers POSTERIOR_1 .. LOCATION_3.
    """

    def posterior(layer: int, join: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        names = (f"mean.{layer}", f"log_variance.{layer}")
        return join([weights[f"{n}.weight"] for n in names], 1), join(
            [weights[f"{n}.bias"] for n in names], 1
        )

    def stack(tensors: list[Tensor], dim: int) -> Tensor:
        return torch.stack(tensors, dim).flatten(0, 1)

    def one(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    def diagonal(upper: str, lower: str) -> tuple[Tensor, Tensor]:
        (a, b), (c, d) = one(upper), one(lower)
        matrix = torch.cat([pad(a, (0, c.shape[2])), pad(c, (a.shape[2], 0))], 1)
        return matrix, torch.cat([b, d], 1)

    core = (
        torch.cat([weights["core.weight_ih"], weights["core.weight_hh"]], 2),
        weights["core.bias_ih"] + weights["core.bias_hh"],
    )
    large = [posterior(0, torch.cat), posterior(2, stack), core]
    small = [
        posterior(4, stack),
        diagonal("location.0", "imagette.0"),
        diagonal("location.2", "imagette.2"),
        one("location.4"),
    ]
    return [DeferredLinear(w, b, steps, batch, low) for w, b in large] + [
        DeferredLinear(w, b, steps, batch) for w, b in small
    ]


def time_step(
    matrices: tuple[Tensor, ...],
    biases: tuple[Tensor, ...],
    state: State,
    x: Tensor,
    images: Tensor,
    noise: Tensor,
    window: Tensor,
    canvas_grid: Tensor,
) -> tuple[State, Tensor, Tensor, tuple[Tensor, ...]]:
    """One time step of K models; the equations are those of `models/vae_stn.py`.

    Args:
        matrices: of the layers.
        biases: of the layers at this time step.
        state: h, c [K, B, L]; theta [K * B, 6]; canvas [K, B, 1, H, W]; the imagette to be written,
            [K, B, S * S].
        x: target, [B, 1, H, W].
        images: target and exemplar, [K * B, 2, H, W].
        noise: standard normal, [B, Z].
        window: pixel centres of the window, [3, S * S].
        canvas_grid: pixel centres of the canvas, [3, H * W].

    Returns:
        The next state, mu and log_var [K, B, Z], and the inputs of the layers.
    """
    h, c, theta, canvas, imagette = state
    slices, batch, _ = h.shape

    # read through one window
    points = spatial.grid(theta, window)
    error = spatial.sample((x - torch.sigmoid(canvas)).flatten(0, 1), points)
    seen = spatial.sample(images, points)  # its images need no gradient, those of the error do

    # q(z_t | ...): both networks of each model as one
    features = torch.cat([h, error.view(slices, batch, -1), seen.view(slices, batch, -1)], 2)
    first = torch.relu(linear_step(biases[POSTERIOR_1], features, matrices[POSTERIOR_1]))
    second = first.unflatten(2, (2, -1)).transpose(1, 2).flatten(0, 1)  # [2 K, B, .]
    third = torch.relu(linear_step(biases[POSTERIOR_2], second, matrices[POSTERIOR_2]))
    parameters = linear_step(biases[POSTERIOR_3], third, matrices[POSTERIOR_3])
    mu, log_var = parameters.unflatten(0, (slices, 2)).unbind(1)
    z = mu + torch.exp(0.5 * log_var) * noise

    # write with the old memory and window
    side = math.isqrt(imagette.shape[2])
    imagettes = imagette.reshape(-1, 1, side, side)
    canvas = canvas + spatial.write(imagettes, theta, canvas_grid).view_as(canvas)

    # move the memory, then the window and what is written next
    inputs = torch.cat([z, seen[:, 1].reshape(slices, batch, -1), h], 2)
    h, c = lstm_cell(linear_step(biases[CORE], inputs, matrices[CORE]), c)
    hidden = torch.relu(linear_step(biases[OUT_1], h, matrices[OUT_1]))
    location, imagette = linear_step(biases[OUT_2], hidden, matrices[OUT_2]).tensor_split((32,), 2)
    location = torch.relu(location)
    theta = linear_step(biases[LOCATION_3], location, matrices[LOCATION_3]).flatten(0, 1)

    used = (features, second, inputs, third, h, hidden, location)
    detached = tuple(value.detach() for value in used)
    return (h, c, theta, canvas, imagette), mu, log_var, detached


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them, in PyTorch's default initialisation."""
    modules: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*modules[:-1])
