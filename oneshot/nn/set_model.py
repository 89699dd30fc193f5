"""A model of sets: encoder, levels of latents and decoder, and the images drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from oneshot.contracts import Features, SetTerms
from oneshot.nn import set_levels
from oneshot.nn.bernoulli import bernoulli_nll
from oneshot.nn.likelihoods import logistic_mixture_log_prob, logistic_mixture_mean
from oneshot.nn.pyramid import ObservationNet, PyramidEncoder, Streams, stream_levels
from oneshot.nn.set_convolutions import ConvDecoder, ConvEncoder
from oneshot.nn.set_shapes import encoder_sizes, parse_layout, recomputes
from oneshot.nn.top_down import (
    ALL_POSTERIOR,
    POSTERIOR,
    POSTERIOR_MEAN,
    REFINED,
    Level,
    Path,
    Sources,
    noise_sizes,
    sources_of_mode,
    top_down,
)


class SetModel(nn.Module):
    """p(X) of sets X [B, S, C, H, W] with a context c of the set and latents z of each image.

    Args:
        config: of a set VAE.
        image_size: H and W.
    """

    def __init__(self, config: Any, image_size: int):
        super().__init__()
        self.config, self.image_size = config, image_size
        inputs, outputs = (1, 1) if config.pixels == "bernoulli" else (3, 100)
        if config.latents == "pyramid":
            self._build_pyramid(inputs, outputs)
        else:
            self._build_convolutions(inputs, outputs)

    def _build_pyramid(self, inputs: int, outputs: int) -> None:
        """The networks of SCHA-VAE."""
        config, width = self.config, self.config.hidden
        encoder, latent, decoder = (
            parse_layout(name, getattr(config, name))
            for name in ("encoder_layout", "latent_layout", "decoder_layout")
        )
        self.encoder: nn.Module = PyramidEncoder(encoder, inputs, width, [r for r, _ in latent])
        self.start: nn.Module = Streams(width)
        self.levels = nn.ModuleList(
            stream_levels(latent, width, config.c, config.z, config.pooling)
        )
        self.decoder: nn.Module = ObservationNet(
            decoder, width, outputs, self.image_size, config.published_context
        )

    def _build_convolutions(self, inputs: int, outputs: int) -> None:
        """The networks of vector and map models."""
        config, maps = self.config, self.config.latents == "map"
        network = (config.channels, config.stages, config.hidden, maps)
        common = set_levels.Sizes(
            hidden=config.hidden,
            c=config.c,
            z=config.z,
            resolution=encoder_sizes(self.image_size, config.stages)[-1] if maps else 1,
            maps=maps,
            depth=config.blocks,
            context=config.context,
            pooling=config.pooling,
            conditioner=config.conditioner,
        )
        self.encoder = ConvEncoder(self.image_size, inputs, *network)
        self.start = set_levels.SampleStart()
        self.levels = nn.ModuleList(set_levels.sample_levels(common, config.layers))
        contexts = {"none": 0, "flat": 1, "hierarchical": config.layers}[config.context]
        self.decoder = ConvDecoder(
            self.image_size, outputs, *network, c=contexts * config.c, z=config.layers * config.z
        )
        self.encoder.recompute = self.decoder.recompute = recomputes(config, self.image_size)

    @property
    def typed_levels(self) -> Sequence[Level]:
        """The levels, top first, as what they are."""
        return cast("Sequence[Level]", self.levels)

    def noise_size(self, set_size: int) -> int:
        """How many standard normal numbers one pass over a set of this size takes."""
        c_size, z_size = noise_sizes(self.typed_levels)
        return c_size + set_size * z_size

    def encode(self, images: Tensor) -> Features:
        """Features of each image, by resolution: [B, S, width, r, r] each."""
        features: Features = self.encoder(images)
        return features

    def top_down(
        self,
        noise: Tensor,
        sources: Sources,
        set_features: Features | None,
        image_features: Features | None = None,
    ) -> Path:
        """Pass from the top level to the bottom.

        Args:
            noise: standard normal, [B, noise_size(S)].
            sources: where latents are taken from.
            set_features: of the images that the context's posterior sees, None without any.
            image_features: of those that the latents' posteriors see, if they are others.

        Returns:
            The path.
        """
        c_size, z_size = noise_sizes(self.typed_levels)
        start = self.start(noise, (noise.shape[1] - c_size) // z_size)
        image_features = set_features if image_features is None else image_features
        return top_down(self.typed_levels, start, noise, sources, set_features, image_features)

    def log_likelihood(self, path: Path, images: Tensor) -> Tensor:
        """log p(x | all z, all c) of each image.

        Args:
            path: a pass.
            images: [B, S, C, H, W].

        Returns:
            [B, S], in nats.
        """
        parameters = self.decoder(path.state)
        if self.config.pixels == "bernoulli":
            return -bernoulli_nll(parameters, images)
        return logistic_mixture_log_prob(parameters, images)

    def terms(self, images: Tensor, noise: Tensor, features: Features | None = None) -> SetTerms:
        features = self.encode(images) if features is None else features
        path = self.top_down(noise, ALL_POSTERIOR, features)
        log_likelihood = self.log_likelihood(path, images)
        kl_c = (
            torch.stack([step.kl for step in path.c], 1)
            if path.c
            else log_likelihood.new_zeros(len(images), 0)
        )
        kl_z = torch.stack([step.kl for step in path.z], 2)
        # log p(c, z) - log q(c, z | X), of importance weights (Burda et al. 2016, section 3)
        log_ratio = torch.zeros_like(log_likelihood[:, 0])
        log_ratio = sum((step.log_ratio.sum(1) for step in path.z), log_ratio)
        log_ratio = sum((step.log_ratio for step in path.c), log_ratio)
        return SetTerms(log_likelihood, kl_c, kl_z, log_ratio)

    def context(self, images: Tensor, noise: Tensor) -> list[tuple[Tensor, Tensor]]:
        sources = Sources(POSTERIOR_MEAN, POSTERIOR_MEAN, POSTERIOR)
        path = self.top_down(noise, sources, self.encode(images))
        posteriors = [step.posterior for step in path.c if step.posterior is not None]
        return [(q.mu.flatten(1), q.log_var.flatten(1)) for q in posteriors]

    def attention(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        return self.top_down(noise, ALL_POSTERIOR, self.encode(images)).attention

    def mean_images(self, path: Path) -> Tensor:
        """E[x | all z, all c] of each image of a pass, [B, S, C, H, W]."""
        parameters = self.decoder(path.state)
        if self.config.pixels == "bernoulli":
            return torch.sigmoid(parameters)
        return logistic_mixture_mean(parameters)

    def reconstruct(self, images: Tensor, noise: Tensor) -> Tensor:
        """Mean images with every latent from its posterior.

        Args:
            images: [B, S, C, H, W].
            noise: standard normal, [B, noise_size(S)].

        Returns:
            As the images, in [0, 1].
        """
        return self.mean_images(self.top_down(noise, ALL_POSTERIOR, self.encode(images)))

    def draw(self, images: Tensor, noise: Tensor, mode: str) -> Tensor:
        """Draw a new set for each given set; a model without context draws from its prior.

        Refinement (SCHA-VAE, algorithm 1) encodes the drawing and draws again, a fixed number of
        times. It feeds probabilities, not bits, back to the encoder, as published.

        Args:
            images: [B, S, C, H, W].
            noise: standard normal, [B, rounds, noise_size(S)]; one round for the first drawing and
                one for each refinement.
            mode: a drawing mode of the Config.

        Returns:
            As the images, in [0, 1].

        Raises:
            ValueError: there is no such mode.
        """
        if mode == "reconstruction":
            return self.reconstruct(images, noise[:, 0])
        sources = sources_of_mode(mode, streams=self.config.carry == "stream")
        if mode == "unconditional":
            return self.mean_images(self.top_down(noise[:, 0], sources, None))
        given = self.encode(images)
        drawn = self.mean_images(self.top_down(noise[:, 0], sources, given))
        for i in range(1, noise.shape[1] if mode in REFINED else 1):
            again = self.encode(drawn)
            if mode == "refined":  # z ~ q(z | drawing, c) under the context of the given images
                refined = replace(sources, z=POSTERIOR)
                path = self.top_down(noise[:, i], refined, given, image_features=again)
                drawn = self.mean_images(path)
            else:
                drawn = self._draw_under_union(given, again, noise[:, i])
        return drawn

    def _draw_under_union(self, given: Features, drawn: Features, noise: Tensor) -> Tensor:
        """New images for the drawn ones: c ~ q(c | given and drawn), z ~ q(z | drawn, c).

        The latents of the given images are at their means.
        """
        c_size, _ = noise_sizes(self.typed_levels)
        zeros = noise.new_zeros(len(noise), noise.shape[1] - c_size)
        padded = torch.cat([noise[:, :c_size], zeros, noise[:, c_size:]], 1)
        union = {r: torch.cat([given[r], drawn[r]], 1) for r in given}
        images = self.mean_images(self.top_down(padded, ALL_POSTERIOR, union))
        return images[:, images.shape[1] // 2 :]
