"""Set VAEs: the Neural Statistician and its relatives, with a context of a set of images.

Edwards and Storkey (2017), Towards a neural statistician; Giannone and Winther (2022), SCHA-VAE:
hierarchical context aggregation for few-shot generation. Ten published models are one here, with
independent choices: latents (vectors, maps, a pyramid of maps), context (none, one, one a level),
pooling of the set, how the context enters, and what is carried from level to level. `VARIANTS` has
them by name.

Differences from the published code: no weights that never receive a gradient, Bernoulli likelihoods
from logits, the context enters the posteriors and priors of map models once, not twice; a pyramid's
decoder sees all of the context (`published_context`: its corner).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from oneshot.contracts import (
    Features,
    Hyper,
    Losses,
    Player,
    SetFamily,
    Sets,
    SetTerms,
    bernoulli_nll,
)
from oneshot.nn import set_levels
from oneshot.nn.likelihoods import logistic_mixture_log_prob, logistic_mixture_mean
from oneshot.nn.pyramid import ObservationNet, PyramidEncoder, Streams, stream_levels
from oneshot.nn.set_convolutions import ConvDecoder, ConvEncoder, sizes
from oneshot.nn.top_down import (
    EVERYTHING,
    POSTERIOR,
    POSTERIOR_MEAN,
    PRIOR,
    PRIOR_MEAN,
    Level,
    Path,
    Sources,
    noise_sizes,
    walk,
)
from oneshot.sweep.settings import setting

VERSION = 1
COLOUR = True
# Batches in a row with a loss that is not finite before a training counts as diverged. Normalised
# log-variances of an untrained map model have outliers whose exponential overflows; the published
# code passes over such batches without a limit.
PATIENCE = 100
REFINED = ("refined", "refined_union")


@dataclass(frozen=True)
class Config:
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
        400, "train", "passes over the training images", low=1, high=100000, shapes=True
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
        """Every combination that cannot be, with what is allowed. channels: of the images;
        drawings_per_class: images a class has.
        """
        pyramid, attends, heads_fit = (
            self.latents == "pyramid",
            self.pooling == "attention",
            self.hidden % 4 == 0,
        )
        film_fits = (self.latents, self.context, self.pooling) == (
            "vector",
            "hierarchical",
            "attention",
        )
        wanted = 1 if self.pixels == "bernoulli" else 3
        checks = [
            (
                pyramid != (self.carry == "stream"),
                f"latents = {self.latents!r} needs carry = {'stream' if pyramid else 'sample'!r}",
            ),
            (
                pyramid and self.context != "hierarchical",
                "latents = 'pyramid' needs context = 'hierarchical'",
            ),
            (
                self.conditioner == "film" and not film_fits,
                (
                    "conditioner = 'film' needs latents = 'vector', context = 'hierarchical' and"
                    " pooling = 'attention'; else it is 'add'"
                ),
            ),
            (
                self.context == "none" and self.pooling != "mean",
                "context = 'none' pools nothing: leave pooling at 'mean'",
            ),
            (
                attends and not heads_fit,
                f"pooling = 'attention' has 4 heads: hidden = {self.hidden} must be divisible by 4",
            ),
            (
                pyramid and not heads_fit,
                (
                    f"latents = 'pyramid' narrows to a quarter: hidden = {self.hidden} must be"
                    " divisible by 4"
                ),
            ),
            (
                self.set_size > drawings_per_class,
                (
                    f"set_size = {self.set_size} is more than the {drawings_per_class} images of a"
                    " class; at most that many"
                ),
            ),
            (
                channels != wanted,
                (
                    f"pixels = {self.pixels!r} is for {wanted} channels, not {channels}:"
                    " 'bernoulli' for 1, 'logistic_mixture' for 3"
                ),
            ),
            (
                self.transfer != "none" and (wanted != 1 or self.likelihood == "none"),
                (
                    f"transfer = {self.transfer!r} needs pixels = 'bernoulli' and likelihood ="
                    " 'elbo' or 'nll'"
                ),
            ),
            (self.classify and wanted != 1, "classify = True needs pixels = 'bernoulli'"),
        ]
        found = [text for wrong, text in checks if wrong]
        return found + (
            self._layout_problems(image_size) if pyramid else self._size_problems(image_size)
        )

    def _size_problems(self, image_size: int) -> list[str]:
        def mirrored(size: int) -> bool:
            maps = self._sizes(size)
            return size % 2 == 0 and (2 if size >= 64 else 1) * maps[-1] == size

        if mirrored(image_size):
            return []
        near = [size for size in range(max(16, image_size - 12), image_size + 13) if mirrored(size)]
        return [
            f"{self.stages} stages cannot mirror images of {image_size} pixels; image_size near it:"
            f" {', '.join(map(str, near)) or 'none'}"
        ]

    def _sizes(self, image_size: int) -> list[int]:
        """Widths of the maps: after each stage of the encoder, then after each of the decoder."""
        down = [image_size // 2 if image_size >= 64 else image_size]
        for _ in range(self.stages):
            down.append((down[-1] + 1) // 2)
        up = [2 * down[-1]] if self.stages else []
        for i in range(1, self.stages):
            up.append(2 * (down[-1 - i] if i >= 2 else up[-1]))
        return down[1:] + up

    def layout(self, name: str) -> list[tuple[int, int]]:
        """(resolution, count) of the groups of a layout, finest first. Raises ValueError if it is
        malformed.
        """
        text = getattr(self, name)
        parts = [part.split("-") for part in text.split(",")]
        if all(len(part) == 2 and part[0].isdecimal() and part[1].isdecimal() for part in parts):
            groups = [(int(r), int(n)) for r, n in parts]
            if all(n > 0 and r > 0 and r << i == groups[0][0] for i, (r, n) in enumerate(groups)):
                return groups
        raise ValueError(
            f"{name} = {text!r} must be resolution-count,... each resolution half of the one"
            " before, as in '8-2,4-2,2-2,1-2'"
        )

    def _layout_problems(self, image_size: int) -> list[str]:
        found, layouts = [], []
        for name in ("encoder_layout", "latent_layout", "decoder_layout"):
            try:
                layouts.append(self.layout(name))
            except ValueError as error:
                found.append(str(error))
        if found:
            return found
        encoder, latent, decoder = layouts
        missing = sorted({r for r, _ in latent} - {r for r, _ in encoder})
        first, last = encoder[0][0], decoder[-1][0]
        checks = [
            (
                missing,
                (
                    f"encoder_layout lacks the resolutions {', '.join(map(str, missing))} of"
                    " latent_layout"
                ),
            ),
            (latent[-1][0] != 1, f"latent_layout must end at resolution 1, not {latent[-1][0]}"),
            (
                last != latent[0][0],
                (
                    f"decoder_layout must end where latent_layout begins, at {latent[0][0]}, not"
                    f" {last}"
                ),
            ),
            (
                decoder[0][0] != first,
                (
                    f"decoder_layout must begin where encoder_layout does, at {first}, not"
                    f" {decoder[0][0]}"
                ),
            ),
            (
                first < image_size,
                (
                    f"encoder_layout must begin at {image_size} (the size of the images) or more,"
                    f" not {first}"
                ),
            ),
        ]
        return [text for wrong, text in checks if wrong]

    @property
    def copies(self) -> int:
        """Augmented copies of each set in an epoch."""
        return self.set_size - 1 if self.augmented_copies < 0 else self.augmented_copies

    def recomputes(self, image_size: int) -> bool:
        """Whether a step keeps only the inputs of convolutional stages and computes the rest again:
        where all would be above 3 GB.
        """
        images = self.batch_size * self.set_size
        return self.latents != "pyramid" and 4.0 * images * self._numbers(image_size) > 3e9

    def _numbers(self, image_size: int) -> float:
        """About how many numbers an image leaves for the backward pass, unless recomputed."""
        maps, stages = self._sizes(image_size), self.stages
        widths = [self.channels * 2**i for i in range(stages)]
        down = sum(18.0 * w * side**2 for w, side in zip(widths, maps))
        up = sum(3.0 * w * side**2 for w, side in zip(widths[::-1], maps[stages:]))
        positions = maps[stages - 1] ** 2 if self.latents == "map" else 1
        nets = self.layers * (2 + (2 / self.set_size if self.context == "hierarchical" else 0))
        levels = 2.0 * positions * nets * self.hidden * (self.blocks + 2)
        mixture = 0.0 if self.pixels == "bernoulli" else 500.0 * image_size**2
        return down + up + levels + mixture


VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": dict(
        latents="map",
        context="hierarchical",
        pooling="attention",
        stages=1,
        channels=4,
        hidden=8,
        z=4,
        c=4,
        layers=2,
        blocks=1,
        set_size=2,
        batch_size=4,
        epochs=2,
    ),
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
    f"tiny_{name}": {
        **VARIANTS[name],
        **dict(
            stages=1,
            channels=4,
            hidden=8,
            z=4,
            c=4,
            layers=2,
            blocks=1,
            set_size=2,
            batch_size=4,
            epochs=2,
        ),
        **(
            dict(
                encoder_layout="32-1,16-1,8-1,4-1,2-1,1-1",
                latent_layout="4-1,2-1,1-1",
                decoder_layout="32-1,16-1,8-1,4-1",
            )
            if name == "chfsgm_multiscale"
            else {}
        ),
    }
    for name in VARIANTS
    if name not in ("tiny", "ns_50")
}
VARIANTS = VARIANTS | {
    f"small_{name}": {
        **VARIANTS[name],
        **dict(
            channels=16,
            hidden=64,
            learning_rate=1e-3,
            epochs=5,
            batch_size=20,
            alpha=1.0,
            alpha_step=0.5,
            augmented_copies=0,
        ),
        # as many images a step as the others, whose sets are of five
        **(dict(batch_size=100) if name == "vae" else {}),
        **(
            dict(
                encoder_layout="32-1,16-1,8-1,4-1,2-1,1-1",
                latent_layout="8-2,4-1,2-1,1-1",
                decoder_layout="32-1,16-1,8-1",
                hidden=32,
            )
            if name == "chfsgm_multiscale"
            else {}
        ),
    }
    for name in ("vae", "ns", "cns", "ctns", "chfsgm_multiscale")
}


class SetVae(SetFamily):
    """p(set) with a context c of the set and latents z of each image, in levels; features, levels
    of latents, decoder.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        inputs, outputs = (1, 1) if config.pixels == "bernoulli" else (3, 100)
        if config.latents == "pyramid":
            encoder, latent, decoder = (
                config.layout(f"{name}_layout") for name in ("encoder", "latent", "decoder")
            )
            self.encoder: nn.Module = PyramidEncoder(
                encoder, inputs, config.hidden, [r for r, _ in latent]
            )
            self.start: nn.Module = Streams(config.hidden)
            self.levels = nn.ModuleList(
                stream_levels(latent, config.hidden, config.c, config.z, config.pooling)
            )
            self.decoder: nn.Module = ObservationNet(
                decoder, config.hidden, outputs, image_size, config.published_context
            )
        else:
            maps = config.latents == "map"
            network = (config.channels, config.stages, config.hidden, maps)
            resolution = sizes(image_size, config.stages)[-1] if maps else 1
            common = set_levels.Sizes(
                config.hidden,
                config.c,
                config.z,
                resolution,
                maps,
                config.blocks,
                config.context,
                config.pooling,
                config.conditioner,
            )
            self.encoder = ConvEncoder(image_size, inputs, *network)
            self.start = set_levels.SampleStart()
            self.levels = nn.ModuleList(
                set_levels.SampleLevel(common, top=i == 0) for i in range(config.layers)
            )
            contexts = {"none": 0, "flat": 1, "hierarchical": config.layers}[config.context]
            self.decoder = ConvDecoder(
                image_size, outputs, *network, c=contexts * config.c, z=config.layers * config.z
            )

            self.encoder.recompute = self.decoder.recompute = config.recomputes(image_size)

    @property
    def cannot_stack(self) -> str:  # type: ignore[override]
        reason = (
            "its activations are computed again in the backward pass, which vmap does not support;"
            " it fills a device alone"
        )
        return reason if self.config.recomputes(self.image_size) else ""

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (self.noise_size(self.config.set_size),)

    @property
    def drawing_noise_shape(self) -> tuple[int, ...]:
        refined = self.config.drawing in REFINED
        return (1 + self.config.refinements if refined else 1, self.noise_size(1))

    def noise_size(self, set_size: int) -> int:
        c, z = noise_sizes(self._levels)
        return c + set_size * z

    def hyper(self, epoch: int) -> dict[str, float]:
        return {
            "weight": 1 + self.config.alpha * self.config.alpha_step**epoch,
            "beta": self.config.beta,
        }

    def players(self) -> list[Player]:
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
        terms = self.elbo(sets, noise)
        loss = (
            hyper["weight"] * terms["reconstruction"]
            + hyper["beta"] * terms["kl"] / hyper["weight"]
        )
        return {"loss": loss, **terms}

    def elbo(self, items: Sets, noise: Tensor) -> Losses:
        path = self._walk(noise, EVERYTHING, self.encode(items.images))
        reconstruction = -self._log_likelihood(path, items.images).mean(1)
        kl_z = sum((step.kl.mean(1) for step in path.z), torch.zeros_like(reconstruction))
        kl_c = (
            sum((step.kl for step in path.c), torch.zeros_like(reconstruction))
            / items.images.shape[1]
        )
        return {"reconstruction": reconstruction, "kl": kl_c + kl_z, "kl_c": kl_c, "kl_z": kl_z}

    def encode(self, images: Tensor) -> Features:
        features: Features = self.encoder(images)
        return features

    def terms(self, images: Tensor, noise: Tensor, features: Features | None = None) -> SetTerms:
        path = self._walk(noise, EVERYTHING, self.encode(images) if features is None else features)
        log_likelihood = self._log_likelihood(path, images)
        kl_c = (
            torch.stack([step.kl for step in path.c], 1)
            if path.c
            else log_likelihood.new_zeros(len(images), 0)
        )
        ratio = sum(
            (step.log_ratio.sum(1) for step in path.z), torch.zeros_like(log_likelihood[:, 0])
        )
        ratio = sum((step.log_ratio for step in path.c), ratio)
        return SetTerms(log_likelihood, kl_c, torch.stack([step.kl for step in path.z], 2), ratio)

    def context(self, images: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
        path = self._walk(
            noise, Sources(POSTERIOR_MEAN, POSTERIOR_MEAN, POSTERIOR), self.encode(images)
        )
        found = [step.posterior for step in path.c if step.posterior is not None]
        return [(one.mean.flatten(1), one.log_variance.flatten(1)) for one in found]

    def attention(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        return self._walk(noise, EVERYTHING, self.encode(images)).attention

    def reconstruct(self, images: Tensor, noise: Tensor) -> Tensor:
        return self._pixels(self._walk(noise, EVERYTHING, self.encode(images)))

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        """As the contract says: each exemplar is a set of one, drawn from in the Config's mode."""
        return self.draw(exemplars.unsqueeze(1), noise, self.config.drawing)[:, 0]

    def draw(self, images: Tensor, noise: Tensor, mode: str) -> Tensor:
        """As the contract says; a model without context has nothing to be conditioned on and draws
        from its prior.

        Refinement feeds probabilities, not bits, back to the encoder, as published. Raises
        ValueError if there is no such mode.
        """
        if mode == "reconstruction":
            return self.reconstruct(images, noise[:, 0])
        first = _first_sources(mode, self.config.carry)
        if mode == "unconditional":
            return self._pixels(self._walk(noise[:, 0], first, None))
        given = self.encode(images)
        drawn = self._pixels(self._walk(noise[:, 0], first, given))
        for i in range(1, noise.shape[1] if mode in REFINED else 1):
            again = self.encode(drawn)
            if mode == "refined":
                drawn = self._pixels(
                    self._walk(noise[:, i], replace(first, z=POSTERIOR), given, of_images=again)
                )
            else:
                drawn = self._of_union(given, again, noise[:, i])
        return drawn

    def _of_union(self, given: Features, drawn: Features, noise: Tensor) -> Tensor:
        """New images for the `drawn` ones, under a context of both sets; the latents of the `given`
        images are at their means.
        """
        c_size, _ = noise_sizes(self._levels)
        half = noise.shape[1] - c_size
        padded = torch.cat(
            [noise[:, :c_size], noise.new_zeros(len(noise), half), noise[:, c_size:]], 1
        )
        both = {r: torch.cat([given[r], drawn[r]], 1) for r in given}
        pixels = self._pixels(self._walk(padded, EVERYTHING, both))
        return pixels[:, pixels.shape[1] // 2 :]

    @property
    def _levels(self) -> Sequence[Level]:
        return cast("Sequence[Level]", self.levels)

    def _walk(
        self,
        noise: Tensor,
        sources: Sources,
        of_set: Features | None,
        of_images: Features | None = None,
    ) -> Path:
        """A walk with these features of the context's images and, where they are others, of the
        latents' images.
        """
        c_size, z_size = noise_sizes(self._levels)
        start = self.start(noise, (noise.shape[1] - c_size) // z_size)
        return walk(
            self._levels, start, noise, sources, of_set, of_set if of_images is None else of_images
        )

    def _log_likelihood(self, path: Path, images: Tensor) -> Tensor:
        """log p(image | latents): [B, S]."""
        parameters = self.decoder(path.state)
        return (
            -bernoulli_nll(parameters, images)
            if self.config.pixels == "bernoulli"
            else logistic_mixture_log_prob(parameters, images)
        )

    def _pixels(self, path: Path) -> Tensor:
        """The mean image: [B, S, C, H, W]."""
        parameters = self.decoder(path.state)
        return (
            torch.sigmoid(parameters)
            if self.config.pixels == "bernoulli"
            else logistic_mixture_mean(parameters)
        )


def _first_sources(mode: str, carry: str) -> Sources:
    """Where a drawing takes its latents from, at its first round if it is refined. Raises
    ValueError if there is no such mode.

    As published: contexts at the posterior's mean where samples are carried, sampled where a stream
    is.
    """
    streams = carry == "stream"
    conditional = (
        Sources(POSTERIOR, POSTERIOR, PRIOR)
        if streams
        else Sources(POSTERIOR_MEAN, POSTERIOR_MEAN, PRIOR)
    )
    modes = dict.fromkeys(("conditional", *REFINED), conditional) | {
        "conditional_prior": Sources(POSTERIOR_MEAN, PRIOR_MEAN, PRIOR),
        "unconditional": Sources(PRIOR, PRIOR if streams else PRIOR_MEAN, PRIOR),
    }
    if mode not in modes:
        raise ValueError(
            f"there is no drawing mode {mode!r}; known: reconstruction, {', '.join(modes)}"
        )
    return modes[mode]


FAMILY = SetVae
