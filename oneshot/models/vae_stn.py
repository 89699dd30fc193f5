"""VAE-STN: a sequential VAE that reads and writes through spatial-transformer windows, conditioned on one exemplar.

Rezende et al. (2016), One-shot generalization in deep generative models; DRAW (Gregor et al. 2015); in the form that Boutin et al.
(2022), Diversity vs. recognizability, trained on Omniglot: one LSTM decoder, a full affine window shared by read and write, additive
logits. As published, the first write does not depend on the data and the last latent does not reach the output.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oneshot.contracts import Hyper, LikelihoodFamily, Losses, Pairs, Player, bernoulli_nll, gaussian_kl
from oneshot.nn import spatial
from oneshot.settings import setting

VERSION = 1


@dataclass(frozen=True)
class Config:
    time_steps: int = setting(40, "model", "reads and writes", low=1, high=200)
    z: int = setting(60, "model", "size of the latent of one time step", low=1, high=1000)
    lstm_size: int = setting(400, "model", "size of the recurrent state; a quarter of it steers the window", low=8, high=2000)
    glimpse: int = setting(15, "model", "side of the read and write windows", low=2, high=50, unit="pixels")
    hidden: int = setting(512, "model", "width of the posterior networks' first layer, a quarter of it for the second", low=8, high=4096)
    published_loss: bool = setting(
        False, "model", "cross-entropy after the sigmoid, log clamped at -100, as published (saturates in float32)"
    )
    beta: float = setting(1.0, "train", "weight of the KL term", low=0, high=100)
    annealing_epochs: int = setting(0, "train", "epochs over which beta rises linearly from 0.2", low=0, high=10000)
    learning_rate: float = setting(1e-3, "train", "Adam step size", low=1e-7, high=1)
    clip: float = setting(5.0, "train", "largest L2 norm of the gradient; 0 for none", low=0, high=1e6)
    epochs: int = setting(500, "train", "passes over the training images", low=1, high=100000, shapes=True)
    batch_size: int = setting(128, "train", "images a step", low=1, high=8192, shapes=True)
    plateau: int = setting(10, "train", "epochs without progress before the step size halves; 0 for never", low=0, high=10000)
    schedule_classes: str = setting(
        "validation",
        "train",
        "classes whose loss drives schedule and best epoch; 'test' is as published",
        choices=("validation", "test"),
        shapes=True,
    )
    weights: str = setting("end", "sample", "draw from the last or the best epoch", choices=("end", "best"))

    def work(self, images: int, image_size: int) -> float:
        """Multiply-adds of a training on this many images, forward and backward."""
        window, canvas = self.glimpse**2, image_size**2
        posterior = 2 * ((3 * window + self.lstm_size) * self.hidden + self.hidden * self.hidden // 4 + self.hidden // 4 * self.z)
        core = 4 * self.lstm_size * (self.z + window + self.lstm_size) + self.lstm_size * 150 + 200 * window
        return 3.0 * self.epochs * images * self.time_steps * (posterior + core + 30 * canvas)


VARIANTS = {
    "tiny": dict(time_steps=3, z=4, lstm_size=16, glimpse=5, hidden=16, batch_size=8, epochs=2),
    "small": dict(time_steps=6, z=20, lstm_size=128, glimpse=9, hidden=128, batch_size=64, epochs=10),
}


class VaeStn(LikelihoodFamily):
    """p(x | exemplar) with latents z_1 .. z_T and an LSTM core; 2,350,519 + 1,858 z parameters at the default sizes."""

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
        self.register_buffer("window_side", spatial.centres(config.glimpse), persistent=False)
        self.register_buffer("image_side", spatial.centres(image_size), persistent=False)
        self.register_buffer("identity", torch.tensor(spatial.IDENTITY), persistent=False)
        self.window_side: Tensor
        self.image_side: Tensor
        self.identity: Tensor

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.config.time_steps, self.config.z)

    def hyper(self, epoch: int) -> dict[str, float]:
        ramp = self.config.annealing_epochs
        beta = self.config.beta if epoch >= ramp else 0.2 + (self.config.beta - 0.2) * epoch / ramp
        return {"beta": beta}

    def players(self) -> list[Player]:
        return [Player("vae", lambda: list(self.parameters()), self._loss, self.config.learning_rate, clip=self.config.clip)]

    def _loss(self, pairs: Pairs, noise: Tensor, hyper: Hyper) -> Losses:
        terms = self.elbo(pairs, noise)
        return {"loss": terms["reconstruction"] + hyper["beta"] * terms["kl"], **terms}

    def elbo(self, pairs: Pairs, noise: Tensor) -> Losses:
        x, exemplar = pairs.target, pairs.exemplar
        both = torch.cat([x, exemplar], 1)
        state = self._start(x)
        means, log_variances = [], []
        for t in range(self.config.time_steps):
            h, _, theta, canvas = state
            seen = torch.cat([x - torch.sigmoid(canvas), both], 1)  # error image, target, exemplar through one window
            glimpses = spatial.read(seen, theta, self.window_side)
            features = torch.cat([h, glimpses.flatten(1)], 1)
            mean, log_variance = self.mean(features), self.log_variance(features)
            z = mean + torch.exp(0.5 * log_variance) * noise[:, t]
            means.append(mean)
            log_variances.append(log_variance)
            state = self._step(state, z, glimpses[:, 2].flatten(1))
        reconstruction = bernoulli_nll(state[3], x, self.config.published_loss)
        return {"reconstruction": reconstruction, "kl": gaussian_kl(torch.stack(means, 1), torch.stack(log_variances, 1))}

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        state = self._start(exemplars)
        for t in range(self.config.time_steps):
            glimpse = spatial.read(exemplars, state[2], self.window_side)
            state = self._step(state, noise[:, t], glimpse.flatten(1))
        return torch.sigmoid(state[3])

    def _start(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Empty memory, the whole image as window, an empty canvas of logits."""
        h = images.new_zeros(images.shape[0], self.config.lstm_size)
        theta = self.identity.expand(images.shape[0], 6)
        return h, torch.zeros_like(h), theta, torch.zeros_like(images)

    def _step(self, state: tuple[Tensor, ...], z: Tensor, exemplar_glimpse: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Write with the old memory and window, then move both."""
        h, c, theta, canvas = state
        imagette = self.imagette(h[:, self.steering :]).unflatten(1, (1, self.config.glimpse, self.config.glimpse))
        canvas = canvas + spatial.write(imagette, theta, self.image_side)
        h, c = self._lstm(torch.cat([z, exemplar_glimpse], 1), h, c)
        return h, c, self.location(h[:, : self.steering]), canvas

    def _lstm(self, inputs: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the LSTM cell, written out because the fused operator has no batching rule."""
        gates = nn.functional.linear(inputs, self.core.weight_ih, self.core.bias_ih)
        gates = gates + nn.functional.linear(h, self.core.weight_hh, self.core.bias_hh)
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


def _mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them, in PyTorch's default initialisation."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


FAMILY = VaeStn
