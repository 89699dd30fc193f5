"""Pixel diffusion on exemplars: DDPM, guided (CFGDM), or on several of them (FSDM).

Ho et al. (2020), Denoising diffusion probabilistic models ("DDPM" in comments); Ho and Salimans
(2022), Classifier-free diffusion guidance ("CFG"); Giannone et al. (2022), Few-shot diffusion
models ("FSDM"); in the form in which Boutin et al. (2023), Diffusion models as artists
(https://arxiv.org/abs/2301.11722), compared them with people. The network (one U-Net for all) and
its training are theirs: the exemplar is a second channel, the loss a mean squared error, Adam's
step size falls linearly, there is no average of weights. gamma, the weight of the guidance, acts in
sampling alone, so that one training serves every gamma.

Corrected, with `published_process` for the published form, see `nn/diffusion_process.py`: the time
that enters the network, the betas at T steps, the scale of the pixels and the clipping of x0_hat,
the times that are trained. Corrected always: an exemplar that is kept is not multiplied by -1 where
others are dropped (`exemplar_sign` is for networks that have learned it so); the best epoch is that
of validation classes.

Contexts of several exemplars are left-out sets as in FSDM: each image of a set is drawn from the
others, all at one time. A drawing is made from one exemplar whatever the training saw. FSDM's own
denoiser, learned variance, averaged weights and dropout are not here: only the way exemplars enter
differs between conditionings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.special import ndtr

from oneshot.contracts import ExplainedFamily, Hyper, Losses, Pairs, Player, Sets
from oneshot.nn.diffusion_process import DiffusionProcess
from oneshot.nn.published.diffusion import FILE_FORMAT
from oneshot.nn.set_encoder import SetEncoder, leave_one_out
from oneshot.nn.unet import UNet
from oneshot.sweep.settings import setting

VERSION = 1
OnStep = Callable[[Tensor, Tensor], None]  # (noise_hat with the exemplar, noise_hat without)


@dataclass(frozen=True)
class Config:
    """Settings of pixel diffusion."""

    n_feat: int = setting(
        48,
        "model",
        "width of the U-Net's first level, even; the others are twice and four times as wide",
        low=4,
        high=512,
    )
    time_steps: int = setting(500, "model", "steps T of the process", low=2, high=4000)
    conditioning: str = setting(
        "stack",
        "model",
        "how exemplars enter: as a second channel, as a vector that scales and shifts features"
        " (film), or as tokens to attend to",
        choices=("stack", "film", "cross_attention"),
    )
    encoder_width: int = setting(
        256, "model", "film and cross_attention: width of the exemplars' encoder", low=8, high=1024
    )
    encoder_depth: int = setting(
        6, "model", "film and cross_attention: layers of the encoder", low=1, high=24
    )
    encoder_heads: int = setting(
        12, "model", "film and cross_attention: heads of the encoder, 64 wide each", low=1, high=24
    )
    patch: int = setting(
        8,
        "model",
        "film and cross_attention: side of the encoder's patches",
        low=2,
        high=32,
        unit="pixels",
    )
    published_process: bool = setting(
        False,
        "model",
        "time in 0 .. 1, noise not rescaled with T, pixels 0 and 1 and unbounded, the last time"
        " untrained, as published",
    )
    weights_file: str = setting(
        "",
        "model",
        "published weights to start from, a state dict; empty: random ones",
        file=True,
        omit_default=True,
    )
    exemplar_sign: float = setting(
        1.0,
        "model",
        "factor of exemplars; published networks with guidance have learned them times -1",
        choices=(1.0, -1.0),
        omit_default=True,
    )
    exemplars: int = setting(
        1,
        "train",
        "exemplars of a training context: 1 is the class's own, more are left-out sets",
        low=1,
        high=50,
        shapes=True,
    )
    drop_probability: float = setting(
        0.0,
        "train",
        "how often a training item has no exemplar; guidance needs some",
        low=0,
        high=0.99,
    )
    learning_rate: float = setting(1e-4, "train", "Adam step size", low=1e-7, high=1)
    fading: bool = setting(
        True, "train", "the step size falls linearly to 0 over the epochs", shapes=True
    )
    epochs: int = setting(
        300,
        "train",
        "passes over the training images; 0 with a weights_file",
        low=0,
        high=100000,
        shapes=True,
    )
    batch_size: int = setting(
        128,
        "train",
        "images a step; sets a step where a context has several exemplars",
        low=1,
        high=8192,
        shapes=True,
    )
    plateau: int = setting(
        0,
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
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )
    gamma: float = setting(
        0.0, "sample", "guidance: 0 is none; needs a drop_probability above 0", low=0, high=100
    )
    ddim_steps: int = setting(
        0,
        "sample",
        "steps of the deterministic sampler; 0: ancestral sampling, all steps",
        low=0,
        high=4000,
    )
    importance_seeds: int = setting(
        0,
        "score",
        "importance maps of the exemplars: noise draws that each is averaged over (published: 25);"
        " 0 for none",
        low=0,
        high=1000,
    )

    @property
    def set_size(self) -> int:
        """Images of a training set: the exemplars of a context and the image to be drawn."""
        return self.exemplars + 1

    @property
    def augmented_copies(self) -> int:
        """No altered copies of sets."""
        return 0

    def problems(self, image_size: int, channels: int, drawings_per_class: int) -> list[str]:
        """Name every combination of settings that cannot be.

        Args:
            image_size: side of the images in pixels.
            channels: of the images.
            drawings_per_class: images that every class has at least.

        Returns:
            One message for each mistake.
        """
        from oneshot.nn import diffusion_rules  # Config is read without the top of this file

        return diffusion_rules.problems(self, drawings_per_class)


VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": dict(
        n_feat=6,
        time_steps=100,
        ddim_steps=3,
        drop_probability=0.2,
        gamma=0.5,
        epochs=2,
        batch_size=8,
    ),
    "tiny_film": dict(
        n_feat=6,
        time_steps=100,
        ddim_steps=3,
        conditioning="film",
        exemplars=2,
        encoder_width=8,
        encoder_depth=1,
        encoder_heads=1,
        epochs=2,
        batch_size=4,
    ),
    "tiny_cross": dict(
        n_feat=6,
        time_steps=4,
        conditioning="cross_attention",
        encoder_width=8,
        encoder_depth=1,
        encoder_heads=1,
        epochs=2,
        batch_size=8,
        published_process=True,
    ),
    "ddpm": dict(),
    "cfgdm": dict(drop_probability=0.1, gamma=1.0),
    "fsdm_film": dict(conditioning="film", exemplars=5, batch_size=32),
    "fsdm": dict(conditioning="cross_attention", exemplars=5, batch_size=32),
}
VARIANTS = VARIANTS | {
    "small_cfgdm": dict(
        VARIANTS["cfgdm"], n_feat=16, ddim_steps=10, epochs=3, batch_size=32, learning_rate=1e-3
    ),
    "small_fsdm": dict(
        VARIANTS["fsdm"],
        n_feat=16,
        ddim_steps=10,
        encoder_width=64,
        encoder_depth=2,
        encoder_heads=2,
        patch=7,
        epochs=3,
        batch_size=8,
        learning_rate=1e-3,
    ),
}


class Diffusion(ExplainedFamily):
    """p(x_0 | exemplars) by noise prediction.

    8,488,721 parameters with a stacked exemplar at n_feat 48.
    """

    evaluation_batch = 128
    drawing_batch = 128
    # at n_feat 16 and 28 pixels 5.0 ms of a core an image, against 8.4 in batches of 256
    cached_batch = 16

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        self.trains_on = Sets if config.exemplars > 1 else Pairs
        self.process = DiffusionProcess(config.time_steps, config.published_process)
        stacked, width = config.conditioning == "stack", config.encoder_width
        vector, tokens = (
            width if config.conditioning == way else 0 for way in ("film", "cross_attention")
        )
        self.network = UNet(config.n_feat, 2 if stacked else 1, vector, tokens)
        if not stacked:
            self.encoder = SetEncoder(
                image_size, config.patch, width, config.encoder_depth, config.encoder_heads
            )

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The noise of each image, then the item's time and whether its exemplars are dropped."""
        members = self.config.set_size if self.trains_on is Sets else 1
        return (members * self.image_size**2 + 2,)

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        """x_T, and for ancestral sampling the z of each step but the last."""
        maps = 1 if self.config.ddim_steps else self.config.time_steps
        return (maps, self.image_size, self.image_size)

    @property
    def importance_noise_shape(self) -> tuple[int, ...]:
        return self.drawing_noise_shape

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"drop_probability": self.config.drop_probability}

    def players(self) -> list[Player]:
        """One player: the network, with the encoder of exemplars if it has one."""
        rate, fades = self.config.learning_rate, self.config.fading
        return [Player("network", lambda: [*self.parameters()], self._loss, rate, fades=fades)]

    def published_state(self, path: str) -> dict[str, Tensor]:
        """As the contract says; only networks with a stacked exemplar were published."""
        return FILE_FORMAT[self.config.conditioning].read(path, self.state_dict())

    def _loss(self, items: Pairs | Sets, noise: Tensor, hyper: Hyper) -> Losses:
        """L_simple of each item, mean over pixels and members of a set (DDPM, equation 14)."""
        targets, exemplars = self._task(items)
        epsilon, for_time, for_dropping = noise.split([noise.shape[1] - 2, 1, 1], 1)

        # DDPM, algorithm 1, line 3; FSDM: one t a set
        t = self.process.random_times(for_time)  # [B, 1]
        # CFG, algorithm 1: exemplars are dropped at random while training
        if self.training:
            keep = (ndtr(for_dropping) >= hyper["drop_probability"]).float()
        else:
            keep = torch.ones_like(for_dropping)
        members = targets.shape[1]
        t, keep = (value.expand(-1, members).flatten() for value in (t, keep))  # [B * members]

        x0 = self.process.from_pixels(targets).flatten(0, 1)
        epsilon = epsilon.reshape(-1, *targets.shape[2:])
        x_t = self.process.add_noise(x0, epsilon, t)
        noise_hat = self._noise_hat(x_t, t, self._context(exemplars.flatten(0, 1)), keep)
        error = (noise_hat - epsilon).square().mean((1, 2, 3))
        return {"loss": error.unflatten(0, (-1, members)).mean(1)}

    def _task(self, items: Pairs | Sets) -> tuple[Tensor, Tensor]:
        """Images to draw [B, M, 1, H, W] and the exemplars of each, [B, M, K, 1, H, W]."""
        if isinstance(items, Pairs):
            return items.target.unsqueeze(1), items.exemplar[:, None, None]
        return items.images, leave_one_out(items.images)

    def _context(self, exemplars: Tensor) -> Tensor:
        """What the network sees of exemplars [B, K, 1, H, W]: the image, a vector or tokens."""
        scaled = self.config.exemplar_sign * self.process.from_pixels(exemplars)
        if self.config.conditioning == "stack":
            return scaled[:, 0]
        vector, tokens = self.encoder(scaled)
        context: Tensor = vector if self.config.conditioning == "film" else tokens
        return context

    def _noise_hat(self, x_t: Tensor, t: Tensor, context: Tensor, keep: Tensor) -> Tensor:
        """epsilon_theta(x_t, t, context), with a zero context where keep [B] is 0 and not 1."""
        context = context * keep.view(-1, *[1] * (context.dim() - 1))
        time = self.process.network_time(t)
        if self.config.conditioning == "stack":
            result: Tensor = self.network(torch.cat([x_t, context], 1), time)
        else:
            result = self.network(x_t, time, context)
        return result

    @torch.no_grad()
    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says."""
        return self.process.to_pixels(self._draw_x0(exemplars, noise))

    @torch.no_grad()
    def importance(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """|noise_hat with the exemplar - noise_hat without|, summed over the steps of a drawing."""
        total = torch.zeros_like(exemplars[:, 0])

        def add(conditional: Tensor, unconditional: Tensor) -> None:
            total.add_((conditional - unconditional)[:, 0].abs())

        self._draw_x0(exemplars, noise, add)
        return total

    def _draw_x0(self, exemplars: Tensor, noise: Tensor, on_step: OnStep | None = None) -> Tensor:
        """Sample x_0 with guidance; on_step receives both noise_hat of every step."""
        context, gamma = self._context(exemplars.unsqueeze(1)), self.config.gamma
        ones = torch.ones_like(noise[:, 0, 0, 0])

        def predict_noise(x_t: Tensor, t: Tensor) -> Tensor:
            if not gamma and on_step is None:
                return self._noise_hat(x_t, t, context, ones)
            conditional, unconditional = self._noise_hat(
                torch.cat([x_t, x_t]),
                t.repeat(2),
                torch.cat([context, context]),
                torch.cat([ones, 0 * ones]),
            ).chunk(2)
            if on_step is not None:
                on_step(conditional, unconditional)
            return (1 + gamma) * conditional - gamma * unconditional  # CFG, equation 6, w = gamma

        if self.config.ddim_steps:
            return self.process.sample_ddim(predict_noise, noise, self.config.ddim_steps)
        return self.process.sample_ddpm(predict_noise, noise)


FAMILY = Diffusion
