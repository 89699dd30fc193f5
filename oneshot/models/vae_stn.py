"""VAE-STN: a sequential VAE on one exemplar, through spatial-transformer windows.

Rezende et al. (2016), One-shot generalization in deep generative models
(https://arxiv.org/abs/1603.05106); Gregor et al. (2015), DRAW (https://arxiv.org/abs/1502.04623);
in the form that Boutin et al. (2022), Diversity vs. recognizability, trained on Omniglot: one LSTM
decoder, a full affine window shared by read and write, additive logits. As published, the first
write does not depend on the data and the last latent does not reach the output.

The recurrence is written twice. `elbo` and `sample` read like the papers. `_stacked_elbo` computes
the same for K models at once (`nn/stn_stack.py`), and trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from oneshot.contracts import (
    Hyper,
    LikelihoodFamily,
    Losses,
    Pairs,
    Player,
)
from oneshot.nn import spatial, stn_stack
from oneshot.nn.bernoulli import bernoulli_nll, gaussian_kl
from oneshot.nn.published.vae_stn import FORMAT
from oneshot.sweep.settings import setting

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Settings of VAE-STN."""

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
    weights_file: str = setting(
        "",
        "model",
        "published weights to start from, a state dict; empty: random ones",
        file=True,
        omit_default=True,
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
        500,
        "train",
        "passes over the training images; 0 with a weights_file",
        low=0,
        high=100000,
        shapes=True,
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
    """p(x | exemplar) with latents z_1 .. z_T and an LSTM core.

    2,350,519 + 1,858 z parameters at the default sizes.
    """

    window: Tensor
    canvas: Tensor
    identity: Tensor

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        window, state = config.glimpse**2, config.lstm_size
        self.steering = state // 4  # units of h that steer the window; the others are drawn from
        self.location = stn_stack.mlp(self.steering, 64, 32, 6)
        last = self.location[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # start from the whole image
            last.weight.zero_()
            last.bias.copy_(torch.tensor(spatial.IDENTITY))
        posterior = (3 * window + state, config.hidden, config.hidden // 4, config.z)
        # mu and log_var of q(z_t | ...); stored trainings know them by these names
        self.mean, self.log_variance = stn_stack.mlp(*posterior), stn_stack.mlp(*posterior)
        self.imagette = stn_stack.mlp(state - self.steering, 200, window)
        self.core = nn.LSTMCell(config.z + window, state)
        self.register_buffer("window", spatial.base(config.glimpse), persistent=False)
        self.register_buffer("canvas", spatial.base(image_size), persistent=False)
        self.register_buffer("identity", torch.tensor(spatial.IDENTITY), persistent=False)
        self.time_step: Callable[..., Any] = stn_stack.time_step

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.config.time_steps, self.config.z)

    def hyper(self, epoch: int) -> dict[str, float]:
        ramp = self.config.annealing_epochs
        beta = self.config.beta if epoch >= ramp else 0.2 + (self.config.beta - 0.2) * epoch / ramp
        return {"beta": beta}

    def players(self) -> list[Player]:
        """One player: all networks."""
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

    def published_state(self, path: str) -> dict[str, Tensor]:
        return FORMAT.read(path, self.state_dict())

    def accelerate(self, compiled: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        # of one time step: compiling the unrolled recurrence takes minutes
        self.time_step = compiled(stn_stack.time_step)

    def _loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        """-log p(x | z) + beta KL: the negative ELBO at beta 1 (Higgins et al. 2017 otherwise)."""
        terms = self.elbo(pairs, noise)
        return {"loss": terms["reconstruction"] + hyper["beta"] * terms["kl"], **terms}

    def _stacked_loss(
        self, weights: stn_stack.Weights, pairs: Pairs, noise: Tensor, hyper: Mapping[str, Tensor]
    ) -> Losses:
        """`_loss` of K models, [K, B] each."""
        terms = self._stacked_elbo(weights, pairs, noise)
        return {"loss": terms["reconstruction"] + hyper["beta"].unsqueeze(1) * terms["kl"], **terms}

    def elbo(self, pairs: Pairs, noise: Tensor) -> Losses:
        """Both terms of the bound; the equations are those of DRAW."""
        x, exemplar = pairs.target, pairs.exemplar
        both = torch.cat([x, exemplar], 1)
        h, c, theta, canvas = self._start(x)
        core = self._core()
        mus, log_vars = [], []
        for t in range(self.config.time_steps):
            # equations 3 and 4: error image, target and exemplar through one window
            error = x - torch.sigmoid(canvas)
            glimpses = spatial.read(torch.cat([error, both], 1), theta, self.window)

            # equations 1, 2 and 6: z_t ~ q(z_t | h, glimpses), without an encoder's own memory
            features = torch.cat([h, glimpses.flatten(1)], 1)
            mu, log_var = self.mean(features), self.log_variance(features)
            z = mu + torch.exp(0.5 * log_var) * noise[:, t]
            mus.append(mu)
            log_vars.append(log_var)

            # equation 8: write, with the old memory and window
            canvas = canvas + spatial.write(self._imagette(h), theta, self.canvas)

            # equation 7: move the memory, then the window
            inputs = torch.cat([z, glimpses[:, 2].flatten(1), h], 1)
            h, c = stn_stack.lstm_cell(linear(inputs, *core), c)  # the library's has no batch rule
            theta = self.location(h[:, : self.steering])
        return {
            # equation 9: -log p(x | canvas_T)
            "reconstruction": bernoulli_nll(canvas, x, self.config.published_loss),
            # equations 10 and 11: sum over t of KL(q(z_t | ...) || N(0, I))
            "kl": gaussian_kl(torch.stack(mus, 1), torch.stack(log_vars, 1)),
        }

    def _stacked_elbo(self, weights: stn_stack.Weights, pairs: Pairs, noise: Tensor) -> Losses:
        """`elbo` of K models with these weights, on the same pairs and noise: terms [K, B]."""
        x, batch, steps = pairs.target, len(noise), self.config.time_steps
        slices = len(weights["core.bias_ih"])
        layers = stn_stack.layers(weights, steps, batch, self.config.precision == "bfloat16")
        matrices = tuple(layer.matrix for layer in layers)
        images = torch.cat([x, pairs.exemplar], 1).expand(slices, -1, -1, -1, -1).flatten(0, 1)
        h = x.new_zeros(slices, batch, self.config.lstm_size)
        canvas = x.new_zeros(slices, *x.shape)
        imagette = stn_stack.first_imagette(weights).expand(-1, batch, -1)
        theta = self.identity.expand(slices * batch, 6)
        state: stn_stack.State = (h, h, theta, canvas, imagette)
        mus, log_vars = [], []
        # strides that do not depend on T, so that one compiled step serves every T
        draws = noise.transpose(0, 1).contiguous()
        # evaluation is not worth a compilation of its own
        time_step = self.time_step if torch.is_grad_enabled() else stn_stack.time_step
        for t in range(steps):
            biases = tuple(layer.biases[t] for layer in layers)
            state, mu, log_var, inputs = time_step(
                matrices, biases, state, x, images, draws[t], self.window, self.canvas
            )
            mus.append(mu)
            log_vars.append(log_var)
            if torch.is_grad_enabled():
                for layer, value in zip(layers, inputs):
                    layer.record(value)
        return {
            "reconstruction": bernoulli_nll(state[3], x, self.config.published_loss),
            "kl": gaussian_kl(torch.stack(mus, 2), torch.stack(log_vars, 2)),
        }

    @torch.no_grad()
    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says: the recurrence with z_t ~ N(0, I), without target and error.

        Without a gradient, memory is reused from step to step. The last move, which no write sees,
        is omitted.
        """
        config, window = self.config, self.config.glimpse**2
        inputs = exemplars.new_zeros(len(exemplars), config.z + window + config.lstm_size)
        z, glimpse, h = inputs.split((config.z, window, config.lstm_size), 1)
        _, c, theta, canvas = self._start(exemplars)
        core = self._core()
        for t in range(config.time_steps):
            if t:
                z.copy_(noise[:, t - 1])
                glimpse.copy_(spatial.read(exemplars, theta, self.window).flatten(1))
                new_h, c = stn_stack.lstm_cell(linear(inputs, *core), c)
                h.copy_(new_h)
                theta = self.location(h[:, : self.steering])
            canvas += spatial.write(self._imagette(h), theta, self.canvas)
        return canvas.sigmoid_()

    def _start(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """h and c empty, theta of the whole image, an empty canvas of logits."""
        h = images.new_zeros(images.shape[0], self.config.lstm_size)
        theta = self.identity.expand(images.shape[0], 6)
        return h, torch.zeros_like(h), theta, torch.zeros_like(images)

    def _core(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the LSTM cell as one product over its inputs and its memory."""
        return (
            torch.cat([self.core.weight_ih, self.core.weight_hh], 1),
            self.core.bias_ih + self.core.bias_hh,
        )

    def _imagette(self, h: Tensor) -> Tensor:
        """What is written from a memory h [B, L], [B, 1, S, S]."""
        side = self.config.glimpse
        result: Tensor = self.imagette(h[:, self.steering :]).unflatten(1, (1, side, side))
        return result


FAMILY = VaeStn
