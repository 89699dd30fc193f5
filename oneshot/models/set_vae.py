"""Set VAEs: the Neural Statistician and its relatives, with a context of a set of images.

Edwards and Storkey (2017), Towards a neural statistician (https://arxiv.org/abs/1606.02185);
Giannone and Winther (2022), SCHA-VAE: hierarchical context aggregation for few-shot generation
(https://arxiv.org/abs/2110.12279). Ten published models are one here, with independent choices:
latents (vectors, maps, a pyramid of maps), context (none, one, one a level), pooling of the set,
how the context enters, and what is carried from level to level. `VARIANTS` has them by name. The
networks are in `nn/set_model.py`.

Differences from the published code: no weights that never receive a gradient, Bernoulli likelihoods
from logits, the context enters the posteriors and priors of map models once, not twice; a pyramid's
decoder sees all of the context (`published_context`: its corner).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oneshot.contracts import Hyper, Losses, Player, SetFamily, Sets
from oneshot.nn import set_shapes
from oneshot.nn.published.set_vae import file_format
from oneshot.nn.set_model import SetModel
from oneshot.nn.top_down import ALL_POSTERIOR, REFINED
from oneshot.sweep.settings import setting

VERSION = 2
KINDS = ("bits", "colour")
# Batches in a row with a loss that is not finite before a training counts as diverged. Normalised
# log-variances of an untrained map model have outliers whose exponential overflows; the published
# code passes over such batches without a limit.
PATIENCE = 100


@dataclass(frozen=True)
class Config:
    """Settings of a set VAE."""

    latents: str = setting(
        "vector",
        "model",
        "shape of the latents: vectors, maps, or maps that grow",
        choices=("vector", "map", "pyramid"),
    )
    context: str = setting(
        "flat",
        "model",
        "of the set: none, one, or one a level",
        choices=("none", "flat", "hierarchical"),
    )
    pooling: str = setting(
        "mean", "model", "of a set's features", choices=("mean", "max", "attention")
    )
    conditioner: str = setting(
        "add",
        "model",
        "how the context enters the latents' networks: added, or as scale and shift",
        choices=("add", "film"),
    )
    carry: str = setting(
        "sample",
        "model",
        "what a level sees of those above: the last sample, or a stream (pyramid)",
        choices=("sample", "stream"),
    )
    stages: int = setting(
        3, "model", "of the convolutional encoder and decoder, three layers each", low=1, high=6
    )
    channels: int = setting(
        64, "model", "of the first stage; doubling from stage to stage", low=1, high=512
    )
    hidden: int = setting(
        128, "model", "width of the latents' networks and of a pyramid", low=4, high=4096
    )
    z: int = setting(
        32, "model", "size of an image's latent at one level (and position)", low=1, high=1000
    )
    c: int = setting(
        32, "model", "size of the context at one level (and position)", low=1, high=4096
    )
    layers: int = setting(
        3, "model", "levels of latents; a pyramid's follow from its layout", low=1, high=100
    )
    blocks: int = setting(3, "model", "layers of a residual block", low=1, high=20)
    encoder_layout: str = setting(
        "32-4,16-4,8-2,4-2,2-2,1-2", "model", "pyramid: blocks of the encoder as resolution-blocks"
    )
    latent_layout: str = setting(
        "8-2,4-2,2-2,1-2",
        "model",
        "pyramid: levels of latents as resolution-levels; coarsest first in the walk",
    )
    decoder_layout: str = setting(
        "32-4,16-4,8-2", "model", "pyramid: blocks of the decoder as resolution-blocks"
    )
    pixels: str = setting(
        "bernoulli",
        "model",
        "likelihood: of bits (1 channel), or discretised logistic mixture (3 channels)",
        choices=("bernoulli", "logistic_mixture"),
    )
    published_context: bool = setting(
        False,
        "model",
        "a pyramid's decoder sees only the upper left position of the context, as published",
    )
    weights_file: str = setting(
        "",
        "model",
        "published weights to start from, a state dict; empty: random ones",
        file=True,
        omit_default=True,
    )
    binarisation: str = setting(
        "threshold",
        "data",
        "of grey images: cut at one half, or bits drawn with the greys' odds",
        choices=("stochastic", "threshold"),
    )
    set_size: int = setting(5, "train", "images of a training set", low=1, high=100, shapes=True)
    beta: float = setting(1.0, "train", "weight of the KL terms", low=0, high=100)
    alpha: float = setting(
        2.0,
        "train",
        "the weight w = 1 + alpha of the reconstruction, 1 / w of the KL, at the start",
        low=0,
        high=100,
    )
    alpha_step: float = setting(0.98, "train", "alpha's factor from epoch to epoch", low=0, high=1)
    learning_rate: float = setting(1e-3, "train", "Adam step size", low=1e-7, high=1)
    weight_decay: float = setting(
        1e-5, "train", "L2 penalty that Adam adds to the gradient", low=0, high=1
    )
    clamp: float = setting(
        1.0,
        "train",
        "largest absolute value of each element of the gradient; 0 for none",
        low=0,
        high=1e6,
    )
    epochs: int = setting(
        400,
        "train",
        "passes over the training images; 0 with a weights_file",
        low=0,
        high=100000,
        shapes=True,
    )
    batch_size: int = setting(100, "train", "sets a step", low=1, high=8192, shapes=True)
    augmented_copies: int = setting(
        1,
        "train",
        "flipped and rotated copies of each set in an epoch; -1: set_size - 1",
        low=-1,
        high=100,
        shapes=True,
    )
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
    weights: str = setting(
        "end", "sample", "draw from the last or the best epoch", choices=("end", "best")
    )
    drawing: str = setting(
        "conditional",
        "sample",
        "contexts and latents: conditional (all contexts from the posterior, latents from the"
        " prior), conditional_prior (the top context alone from the posterior), unconditional,"
        " reconstruction, refined (the drawing encoded and drawn again, under the context of the"
        " exemplar), refined_union (under the context of both)",
        choices=(
            "conditional",
            "conditional_prior",
            "unconditional",
            "reconstruction",
            "refined",
            "refined_union",
        ),
    )
    refinements: int = setting(10, "sample", "rounds of the refined drawings", low=1, high=1000)
    likelihood: str = setting(
        "elbo",
        "score",
        "of test sets: none, its bound, or also importance-sampled",
        choices=("none", "elbo", "nll"),
    )
    nll_samples: int = setting(1000, "score", "importance samples a set", low=1, high=1000000)
    nll_sets: int = setting(
        0,
        "score",
        "of the test sets, how many are importance-sampled; the gap found there is taken off the"
        " bound of all; 0 for all",
        low=0,
        high=1000000,
    )
    nll_size: int = setting(
        0,
        "score",
        "of what size the sets are that are importance-sampled; 0 for every size",
        low=0,
        high=100,
    )
    test_sets: int = setting(
        0, "score", "most test sets of each size; 0 for all", low=0, high=1000000
    )
    transfer: str = setting(
        "none",
        "score",
        "likelihood of digits, 1 or 1 to 3 in an image",
        choices=("none", "mnist", "digits"),
    )
    classify: bool = setting(False, "score", "few-shot classification of digits")

    def problems(self, image_size: int, channels: int, drawings_per_class: int) -> list[str]:
        """Name every combination of settings that cannot be, with what is allowed.

        Args:
            image_size: side of the images in pixels.
            channels: of the images.
            drawings_per_class: images that every class has at least.

        Returns:
            One message for each mistake.
        """
        from oneshot.nn import set_shapes  # Config is read without the top of this file

        return set_shapes.problems(self, image_size, channels, drawings_per_class)


VARIANTS: dict[str, dict[str, Any]] = {
    "vae": dict(context="none", hidden=512, set_size=1, epochs=1000),
    "ns": dict(hidden=512, epochs=1000),
    "tns": dict(pooling="attention", hidden=512, epochs=600),
    "cns": dict(latents="map", hidden=256, learning_rate=2e-4, epochs=1000),
    "ctns": dict(latents="map", pooling="attention", hidden=256, epochs=1000),
    "hfsgm": dict(context="hierarchical", hidden=512),
    "thfsgm": dict(context="hierarchical", pooling="attention", conditioner="film", hidden=512),
    "chfsgm": dict(latents="map", context="hierarchical", epochs=1000),
    "cthfsgm": dict(latents="map", context="hierarchical", pooling="attention", epochs=1000),
    "chfsgm_multiscale": dict(
        latents="pyramid",
        context="hierarchical",
        carry="stream",
        learning_rate=2e-4,
        batch_size=16,
        alpha_step=0.9,
        epochs=1000,
        encoder_layout="32-9,16-6,8-6,4-6,2-3,1-3",
        latent_layout="8-6,4-6,2-3,1-3",
        decoder_layout="32-9,16-6,8-6",
    ),
    "ns_50": dict(
        stages=4,
        channels=32,
        hidden=256,
        c=512,
        z=16,
        layers=1,
        alpha=1.0,
        alpha_step=0.5,
        augmented_copies=-1,
        epochs=300,
    ),
}
VARIANTS = VARIANTS | {
    f"tiny_{name}": values
    | dict(stages=1, channels=4, hidden=8, z=4, c=4, layers=2, blocks=1)
    | dict(set_size=2, batch_size=4, epochs=2)
    | (
        dict(
            encoder_layout="32-1,16-1,8-1,4-1,2-1,1-1",
            latent_layout="4-1,2-1,1-1",
            decoder_layout="32-1,16-1,8-1,4-1",
        )
        if name == "chfsgm_multiscale"
        else {}
    )
    for name, values in VARIANTS.items()
    if name != "ns_50"
}
VARIANTS = {"tiny": VARIANTS["tiny_cthfsgm"]} | VARIANTS
VARIANTS = VARIANTS | {
    f"small_{name}": VARIANTS[name]
    | dict(channels=16, hidden=64, learning_rate=1e-3, epochs=5, batch_size=20)
    | dict(alpha=1.0, alpha_step=0.5, augmented_copies=0)
    # as many images a step as the others, whose sets are of five
    | (dict(batch_size=100) if name == "vae" else {})
    | (
        dict(
            encoder_layout="32-1,16-1,8-1,4-1,2-1,1-1",
            latent_layout="8-2,4-1,2-1,1-1",
            decoder_layout="32-1,16-1,8-1",
            hidden=32,
        )
        if name == "chfsgm_multiscale"
        else {}
    )
    for name in ("vae", "ns", "cns", "ctns", "chfsgm_multiscale")
}


class SetVae(SetModel, SetFamily):
    """p(X) of a set X with a context c and latents z of each image, each in levels l = L .. 1."""

    def __init__(self, config: Config, image_size: int):
        super().__init__(config, image_size)

    @property
    def cannot_stack(self) -> str:  # type: ignore[override]
        """Why models of this size train alone; "" if they need not."""
        reason = (
            "its activations are computed again in the backward pass, which vmap does not support;"
            " it fills a device alone"
        )
        return reason if set_shapes.recomputes(self.config, self.image_size) else ""

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.noise_size(self.config.set_size),)

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        rounds = 1 + self.config.refinements if self.config.drawing in REFINED else 1
        return (rounds, self.noise_size(1))

    def hyper(self, epoch: int) -> dict[str, float]:
        weight = 1 + self.config.alpha * self.config.alpha_step**epoch
        return {"weight": weight, "beta": self.config.beta}

    def players(self) -> list[Player]:
        """One player: all networks."""
        config = self.config
        return [
            Player(
                "vae",
                lambda: list(self.parameters()),
                self._loss,
                config.learning_rate,
                clamp=config.clamp,
                weight_decay=config.weight_decay,
                skips=PATIENCE,
            )
        ]

    def _loss(self, sets: Sets, noise: Tensor, hyper: Hyper) -> Losses:
        """w * reconstruction + beta * KL / w, w = 1 + alpha: the weights of the published code."""
        terms, w = self.elbo(sets, noise), hyper["weight"]
        return {"loss": w * terms["reconstruction"] + hyper["beta"] * terms["kl"] / w, **terms}

    def elbo(self, items: Sets, noise: Tensor) -> Losses:
        """The bound of the Neural Statistician (section 3) and of SCHA-VAE, divided by S."""
        path = self.top_down(noise, ALL_POSTERIOR, self.encode(items.images))
        # -E log p(x | c, z)
        reconstruction = -self.log_likelihood(path, items.images).mean(1)
        zeros = torch.zeros_like(reconstruction)
        # sum over l of KL(q(z_l | z_l+1, c_l, x) || p(z_l | z_l+1, c_l)), mean over the images
        kl_z = sum((step.kl.mean(1) for step in path.z), zeros)
        # sum over l of KL(q(c_l | c_l+1, z_l+1, X) || p(c_l | c_l+1, z_l+1)), shared by the images
        kl_c = sum((step.kl for step in path.c), zeros) / items.images.shape[1]
        return {"reconstruction": reconstruction, "kl": kl_c + kl_z, "kl_c": kl_c, "kl_z": kl_z}

    def published_state(self, path: str) -> dict[str, Tensor]:
        c = self.config
        form = file_format(c.latents, c.context, c.pooling, c.layers)
        return form.read(path, self.state_dict())

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says: each exemplar is a set of one, drawn from in the Config's mode."""
        return self.draw(exemplars.unsqueeze(1), noise, self.config.drawing)[:, 0]


FAMILY = SetVae
