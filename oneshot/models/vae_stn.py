"""VAE-STN: a sequential VAE on one exemplar, through spatial-transformer windows.

Rezende et al. (2016), One-shot generalization in deep generative models; DRAW (Gregor et al. 2015);
in the form that Boutin et al. (2022), Diversity vs. recognizability, trained on Omniglot: one LSTM
decoder, a full affine window shared by read and write, additive logits. As published, the first
write does not depend on the data and the last latent does not reach the output.

The recurrence is written twice. `elbo` and `sample` read like the paper. `_stacked_elbo` computes
the same for K models at once with half the operators, and trains: target and exemplar are read
together, the posterior networks run side by side, weight gradients are deferred, and nothing is
done in a time step that could be done once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from oneshot.contracts import (
    Hyper,
    LikelihoodFamily,
    Losses,
    Pairs,
    Player,
    bernoulli_nll,
    gaussian_kl,
)
from oneshot.nn import spatial
from oneshot.nn.deferred import Deferred, product
from oneshot.sweep.settings import setting

VERSION = 2
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Config:
    time_steps: int = setting(40, "model", "reads and writes", low=1, high=200)
    z: int = setting(60, "model", "size of the latent of one time step", low=1, high=1000)
    lstm_size: int = setting(
        400,
        "model",
        "size of the recurrent state; a quarter of it steers the window",
        low=8,
        high=2000,
    )
    glimpse: int = setting(
        15, "model", "side of the read and write windows", low=2, high=50, unit="pixels"
    )
    hidden: int = setting(
        512,
        "model",
        "width of the posterior networks' first layer, a quarter of it for the second",
        low=8,
        high=4096,
    )
    published_loss: bool = setting(
        False,
        "model",
        "cross-entropy after the sigmoid, log clamped at -100, as published (saturates in float32)",
    )
    beta: float = setting(1.0, "train", "weight of the KL term", low=0, high=100)
    annealing_epochs: int = setting(
        0, "train", "epochs over which beta rises linearly from 0.2", low=0, high=10000
    )
    learning_rate: float = setting(1e-3, "train", "Adam step size", low=1e-7, high=1)
    clip: float = setting(
        5.0, "train", "largest L2 norm of the gradient; 0 for none", low=0, high=1e6
    )
    epochs: int = setting(
        500, "train", "passes over the training images", low=1, high=100000, shapes=True
    )
    batch_size: int = setting(128, "train", "images a step", low=1, high=8192, shapes=True)
    plateau: int = setting(
        10,
        "train",
        "epochs without progress before the step size halves; 0 for never",
        low=0,
        high=10000,
    )
    schedule_classes: str = setting(
        "validation",
        "train",
        "classes whose loss drives schedule and best epoch; 'test' is as published",
        choices=("validation", "test"),
        shapes=True,
    )
    precision: str = setting(
        "tf32",
        "train",
        "of matrix products in training: tf32 on GPUs (float32 on CPUs), float32, or bfloat16 for"
        " the large ones; all else is float32",
        choices=("tf32", "float32", "bfloat16"),
        shapes=True,
    )
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )


VARIANTS = {
    "tiny": dict(time_steps=3, z=4, lstm_size=16, glimpse=5, hidden=16, batch_size=8, epochs=2),
    "small": dict(
        time_steps=6, z=20, lstm_size=128, glimpse=9, hidden=128, batch_size=64, epochs=10
    ),
}


class VaeStn(LikelihoodFamily):
    """p(x | exemplar) with latents z_1 .. z_T and an LSTM core; 2,350,519 + 1,858 z parameters at
    the default sizes.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        window, state = config.glimpse**2, config.lstm_size
        self.steering = state // 4
        self.location = _mlp(self.steering, 64, 32, 6)
        last = self.location[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # start from the whole image
            last.weight.zero_()
            last.bias.copy_(torch.tensor(spatial.IDENTITY))
        posterior = (3 * window + state, config.hidden, config.hidden // 4, config.z)
        self.mean, self.log_variance = _mlp(*posterior), _mlp(*posterior)
        self.imagette = _mlp(state - self.steering, 200, window)
        self.core = nn.LSTMCell(config.z + window, state)
        self.register_buffer("window", spatial.base(config.glimpse), persistent=False)
        self.register_buffer("canvas", spatial.base(image_size), persistent=False)
        self.register_buffer("identity", torch.tensor(spatial.IDENTITY), persistent=False)
        self.window: Tensor
        self.canvas: Tensor
        self.identity: Tensor
        self.time_step: Callable[..., Any] = _time_step

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.config.time_steps, self.config.z)

    def hyper(self, epoch: int) -> dict[str, float]:
        ramp = self.config.annealing_epochs
        beta = self.config.beta if epoch >= ramp else 0.2 + (self.config.beta - 0.2) * epoch / ramp
        return {"beta": beta}

    def players(self) -> list[Player]:
        rate, clip = self.config.learning_rate, self.config.clip
        return [
            Player(
                "vae",
                lambda: list(self.parameters()),
                self._loss,
                rate,
                clip=clip,
                stacked=self._stacked_loss,
            )
        ]

    def accelerate(self, compiled: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        # of one time step: compiling the unrolled recurrence takes minutes
        self.time_step = compiled(_time_step)

    def _loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        terms = self.elbo(pairs, noise)
        return {"loss": terms["reconstruction"] + hyper["beta"] * terms["kl"], **terms}

    def _stacked_loss(
        self, weights: Weights, pairs: Pairs, noise: Tensor, hyper: Mapping[str, Tensor]
    ) -> Losses:
        terms = self._stacked_elbo(weights, pairs, noise)
        return {"loss": terms["reconstruction"] + hyper["beta"].unsqueeze(1) * terms["kl"], **terms}

    def elbo(self, pairs: Pairs, noise: Tensor) -> Losses:
        x, exemplar = pairs.target, pairs.exemplar
        both = torch.cat([x, exemplar], 1)
        state, core = self._start(x), self._core()
        means, log_variances = [], []
        for t in range(self.config.time_steps):
            h, _, theta, canvas = state
            # error image, target, exemplar through one window
            seen = torch.cat([x - torch.sigmoid(canvas), both], 1)
            glimpses = spatial.read(seen, theta, self.window)
            features = torch.cat([h, glimpses.flatten(1)], 1)
            mean, log_variance = self.mean(features), self.log_variance(features)
            z = mean + torch.exp(0.5 * log_variance) * noise[:, t]
            means.append(mean)
            log_variances.append(log_variance)
            state = self._step(state, z, glimpses[:, 2].flatten(1), core)
        reconstruction = bernoulli_nll(state[3], x, self.config.published_loss)
        return {
            "reconstruction": reconstruction,
            "kl": gaussian_kl(torch.stack(means, 1), torch.stack(log_variances, 1)),
        }

    def _stacked_elbo(self, weights: Weights, pairs: Pairs, noise: Tensor) -> Losses:
        """`elbo` of K models with these weights, [K, ...] each, on the same pairs and noise: terms
        [K, B].
        """
        x, (slices, batch, steps) = (
            pairs.target,
            (len(weights["core.bias_ih"]), len(noise), self.config.time_steps),
        )
        layers = self._layers(weights, steps, batch)
        matrices = tuple(layer.matrix for layer in layers)
        images = torch.cat([x, pairs.exemplar], 1).expand(slices, -1, -1, -1, -1).flatten(0, 1)
        h = x.new_zeros(slices, batch, self.config.lstm_size)
        canvas = x.new_zeros(slices, *x.shape)
        glimpse = _first_glimpse(weights).expand(-1, batch, -1)
        state: tuple[Tensor, ...] = (h, h, self.identity.expand(slices * batch, 6), canvas, glimpse)
        means, log_variances = [], []
        # strides that do not depend on T, so that one compiled step serves every T
        draws = noise.transpose(0, 1).contiguous()
        # evaluation is not worth a compilation of its own
        time_step = self.time_step if torch.is_grad_enabled() else _time_step
        for t in range(steps):
            taps = tuple(layer.taps[t] for layer in layers)
            state, mean, log_variance, inputs = time_step(
                matrices, taps, state, x, images, draws[t], self.window, self.canvas
            )
            means.append(mean)
            log_variances.append(log_variance)
            if torch.is_grad_enabled():
                for layer, value in zip(layers, inputs):
                    layer.record(value)
        reconstruction = bernoulli_nll(state[3], x, self.config.published_loss)
        return {
            "reconstruction": reconstruction,
            "kl": gaussian_kl(torch.stack(means, 2), torch.stack(log_variances, 2)),
        }

    def _layers(self, weights: Weights, steps: int, batch: int) -> list[Deferred]:
        """The linear layers of a time step, by number in `_time_step`: layers that run side by side
        are one, a stack or block-diagonal.
        """

        def both(layer: int, join: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
            names = (f"mean.{layer}", f"log_variance.{layer}")
            return join([weights[f"{n}.weight"] for n in names], 1), join(
                [weights[f"{n}.bias"] for n in names], 1
            )

        def side_by_side(tensors: list[Tensor], dim: int) -> Tensor:
            return torch.stack(tensors, dim).flatten(0, 1)

        def one(name: str) -> tuple[Tensor, Tensor]:
            return weights[f"{name}.weight"], weights[f"{name}.bias"]

        def diagonal(upper: str, lower: str) -> tuple[Tensor, Tensor]:
            (a, b), (c, d) = one(upper), one(lower)
            zeros = nn.functional.pad
            return torch.cat([zeros(a, (0, c.shape[2])), zeros(c, (a.shape[2], 0))], 1), torch.cat(
                [b, d], 1
            )

        core = (
            torch.cat([weights["core.weight_ih"], weights["core.weight_hh"]], 2),
            weights["core.bias_ih"] + weights["core.bias_hh"],
        )
        large = [both(0, torch.cat), both(2, side_by_side), core]
        small = [
            both(4, side_by_side),
            diagonal("location.0", "imagette.0"),
            diagonal("location.2", "imagette.2"),
            one("location.4"),
        ]
        low = self.config.precision == "bfloat16"
        return [Deferred(w, b, steps, batch, low) for w, b in large] + [
            Deferred(w, b, steps, batch) for w, b in small
        ]

    @torch.no_grad()
    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says, without a gradient: memory is reused from step to step, and the
        last move, which no write sees, omitted.
        """
        config, window = self.config, self.config.glimpse**2
        inputs = exemplars.new_zeros(len(exemplars), config.z + window + config.lstm_size)
        z, glimpse, h = inputs.split((config.z, window, config.lstm_size), 1)
        _, c, theta, canvas = self._start(exemplars)
        weight, bias = self._core()
        for t in range(config.time_steps):
            if t:
                z.copy_(noise[:, t - 1])
                glimpse.copy_(spatial.read(exemplars, theta, self.window).flatten(1))
                new, c = _lstm(nn.functional.linear(inputs, weight, bias), c)
                h.copy_(new)
                theta = self.location(h[:, : self.steering])
            imagette = self.imagette(h[:, self.steering :]).unflatten(
                1, (1, config.glimpse, config.glimpse)
            )
            canvas += spatial.write(imagette, theta, self.canvas)
        return canvas.sigmoid_()

    def _start(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Empty memory, the whole image as window, an empty canvas of logits."""
        h = images.new_zeros(images.shape[0], self.config.lstm_size)
        theta = self.identity.expand(images.shape[0], 6)
        return h, torch.zeros_like(h), theta, torch.zeros_like(images)

    def _core(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the LSTM cell as one product over its inputs and its memory."""
        return (
            torch.cat([self.core.weight_ih, self.core.weight_hh], 1),
            self.core.bias_ih + self.core.bias_hh,
        )

    def _step(
        self,
        state: tuple[Tensor, ...],
        z: Tensor,
        exemplar_glimpse: Tensor,
        core: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Write with the old memory and window, then move both."""
        h, c, theta, canvas = state
        imagette = self.imagette(h[:, self.steering :]).unflatten(
            1, (1, self.config.glimpse, self.config.glimpse)
        )
        canvas = canvas + spatial.write(imagette, theta, self.canvas)
        # the library's cell has no batching rule
        gates = nn.functional.linear(torch.cat([z, exemplar_glimpse, h], 1), *core)
        h, c = _lstm(gates, c)
        return h, c, self.location(h[:, : self.steering]), canvas


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The LSTM cell after its product: gates [..., 4 L], c [..., L] -> (h, c)."""
    i, f, g, o = gates.chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _first_glimpse(weights: Weights) -> Tensor:
    """What is written first, from an empty memory: [K, 1, S * S]."""
    hidden = torch.relu(weights["imagette.0.bias"]).unsqueeze(1)
    return torch.baddbmm(
        weights["imagette.2.bias"].unsqueeze(1),
        hidden,
        weights["imagette.2.weight"].transpose(1, 2),
    )


def _time_step(
    matrices: tuple[Tensor, ...],
    taps: tuple[Tensor, ...],
    state: tuple[Tensor, ...],
    x: Tensor,
    images: Tensor,
    noise: Tensor,
    window: Tensor,
    whole: Tensor,
) -> tuple[tuple[Tensor, ...], Tensor, Tensor, tuple[Tensor, ...]]:
    """One time step of K models.

    state: h, c [K, B, L]; theta [K * B, 6]; canvas [K, B, 1, H, W]; the glimpse to be written [K,
    B, S * S]. x: target [B, 1, H, W].
    images: target and exemplar, [K * B, 2, H, W]. Returns the next state, mean and log-variance [K,
    B, Z], and the layers' inputs.
    """
    h, c, theta, canvas, glimpse = state
    slices, batch, _ = h.shape
    points = spatial.grid(theta, window)
    error = spatial.sample((x - torch.sigmoid(canvas)).flatten(0, 1), points)
    seen = spatial.sample(images, points)  # its images need no gradient, those of the error do
    features = torch.cat([h, error.view(slices, batch, -1), seen.view(slices, batch, -1)], 2)
    first = torch.relu(product(taps[0], features, matrices[0]))
    # [2 K, B, .]: mean and log-variance of each model
    second = first.unflatten(2, (2, -1)).transpose(1, 2).flatten(0, 1)
    third = torch.relu(product(taps[1], second, matrices[1]))
    mean, log_variance = product(taps[3], third, matrices[3]).unflatten(0, (slices, 2)).unbind(1)
    z = mean + torch.exp(0.5 * log_variance) * noise
    side = math.isqrt(glimpse.shape[2])
    canvas = canvas + spatial.write(glimpse.reshape(-1, 1, side, side), theta, whole).view_as(
        canvas
    )
    inputs = torch.cat([z, seen[:, 1].reshape(slices, batch, -1), h], 2)
    h, c = _lstm(product(taps[2], inputs, matrices[2]), c)
    # the window's network and the glimpse's, side by side
    hidden = torch.relu(product(taps[4], h, matrices[4]))
    turn, glimpse = product(taps[5], hidden, matrices[5]).tensor_split((32,), 2)
    turn = torch.relu(turn)
    theta = product(taps[6], turn, matrices[6]).flatten(0, 1)
    used = (features, second, inputs, third, h, hidden, turn)
    return (
        (h, c, theta, canvas, glimpse),
        mean,
        log_variance,
        tuple(value.detach() for value in used),
    )


def _mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them, in PyTorch's default initialisation."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


FAMILY = VaeStn
