"""The top-down pass through a hierarchy of latents, with a source for each kind of latent.

One pass serves training, reconstruction, generation and refinement: they differ in where contexts c
and latents z come from. Giannone and Winther (2022), SCHA-VAE (https://arxiv.org/abs/2110.12279).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from oneshot.contracts import Features
from oneshot.nn.set_gaussian import Gaussian

Shape = tuple[int, int, int]
POSTERIOR, POSTERIOR_MEAN, PRIOR, PRIOR_MEAN = "posterior", "posterior_mean", "prior", "prior_mean"
REFINED = ("refined", "refined_union")  # drawing modes that encode the drawing and draw again


@dataclass(frozen=True)
class Sources:
    """Where latents are taken from: a sample or the mean of the posterior or of the prior.

    Args:
        top: source of the top context.
        lower: source of the contexts below it.
        z: source of the images' latents.
    """

    top: str
    lower: str
    z: str


ALL_POSTERIOR = Sources(POSTERIOR, POSTERIOR, POSTERIOR)


def sources_of_mode(mode: str, streams: bool) -> Sources:
    """Where a drawing takes its latents from, in its first round if it is refined.

    As published: contexts are at the posterior's mean where levels carry samples, and sampled
    where they carry a stream.

    Args:
        mode: a drawing mode but "reconstruction".
        streams: whether levels carry a stream.

    Returns:
        The sources.

    Raises:
        ValueError: there is no such mode.
    """
    of_set = POSTERIOR if streams else POSTERIOR_MEAN
    modes = dict.fromkeys(("conditional", *REFINED), Sources(of_set, of_set, PRIOR)) | {
        "conditional_prior": Sources(POSTERIOR_MEAN, PRIOR_MEAN, PRIOR),
        "unconditional": Sources(PRIOR, PRIOR if streams else PRIOR_MEAN, PRIOR),
    }
    if mode not in modes:
        raise ValueError(
            f"there is no drawing mode {mode!r}; known: reconstruction, {', '.join(modes)}"
        )
    return modes[mode]


class Level(Protocol):
    """One level of the hierarchy: first the context's step, then that of each image's latent.

    `c_shape` and `z_shape` are [D, r, r] of c and of z; `c_shape` is None where the level has no
    context. A state is what a family of levels hands down from level to level. A prior comes with
    the features that its network adds to the state, or None.
    """

    c_shape: Shape | None
    z_shape: Shape

    def enter(self, state: Any) -> Any:
        """The state at this level's resolution."""
        ...

    def c_prior(self, state: Any) -> tuple[Gaussian, Tensor | None]:
        """p(c | above), [B, D, r, r], and the prior's features."""
        ...

    def c_posterior(self, state: Any, features: Features) -> tuple[Gaussian, Tensor | None]:
        """q(c | above, the set's features), and the weights of attention.

        Args:
            state: of the levels above.
            features: of the set's images.

        Returns:
            The posterior [B, D, r, r] and the weights [B, heads, S], None without attention.
        """
        ...

    def add_c(self, state: Any, c: Tensor, prior_features: Tensor | None) -> Any:
        """The state below a context.

        Args:
            state: above it.
            c: its value, [B, D, r, r].
            prior_features: of its prior.

        Returns:
            The state with it.
        """
        ...

    def z_prior(self, state: Any) -> tuple[Gaussian, Tensor | None]:
        """p(z | above, c) of each image, [B, S, D, r, r], and the prior's features."""
        ...

    def z_posterior(self, state: Any, features: Features) -> Gaussian:
        """q(z | above, c, the image's features) of each image.

        Args:
            state: of the levels above and this level's context.
            features: of the images.

        Returns:
            The posterior, [B, S, D, r, r].
        """
        ...

    def add_z(self, state: Any, z: Tensor, prior_features: Tensor | None) -> Any:
        """The state below the images' latents.

        Args:
            state: above them.
            z: their values, [B, S, D, r, r].
            prior_features: of their prior.

        Returns:
            The state with them.
        """
        ...


@dataclass(frozen=True)
class Step:
    """One latent of a pass: its distributions [B, (S,) D, r, r] and the value that was taken."""

    prior: Gaussian
    posterior: Gaussian | None
    value: Tensor

    @property
    def kl(self) -> Tensor:
        """KL(posterior || prior), in nats: [B] or [B, S]."""
        assert self.posterior is not None
        return self.posterior.kl(self.prior)

    @property
    def log_ratio(self) -> Tensor:
        """log prior - log posterior at the value taken, in nats: [B] or [B, S]."""
        assert self.posterior is not None
        return self.prior.log_prob(self.value) - self.posterior.log_prob(self.value)


@dataclass
class Path:
    """A pass: the steps of c and of z, top first, attention by level, and the state at its end."""

    c: list[Step] = field(default_factory=list)
    z: list[Step] = field(default_factory=list)
    attention: dict[str, Tensor] = field(default_factory=dict)
    state: Any = None


def noise_sizes(levels: Sequence[Level]) -> tuple[int, int]:
    """How many random numbers the context takes, and each image."""
    c = sum(_numbers(level.c_shape) for level in levels if level.c_shape is not None)
    return c, sum(_numbers(level.z_shape) for level in levels)


def top_down(
    levels: Sequence[Level],
    state: Any,
    noise: Tensor,
    sources: Sources,
    set_features: Features | None = None,
    image_features: Features | None = None,
) -> Path:
    """Pass from the top level to the bottom.

    Args:
        levels: top first.
        state: above the top level.
        noise: standard normal [B, C + S * Z]: of the context, then of image 0, image 1, ...
        sources: where latents are taken from; posteriors are computed only where one asks for them.
        set_features: of the images that the context's posterior sees.
        image_features: of the images that the latents' posteriors see.

    Returns:
        The path.

    Raises:
        ValueError: a source is a posterior whose features are missing.
    """
    c_noise, z_noise = split_noise(levels, noise)
    path = Path()
    for i, level in enumerate(levels):
        state = level.enter(state)

        if level.c_shape is not None:
            source = sources.lower if path.c else sources.top
            prior, prior_features = level.c_prior(state)
            posterior = weights = None
            if set_features is not None and _is_posterior(source):
                posterior, weights = level.c_posterior(state, set_features)
            path.c.append(_step(source, prior, posterior, c_noise[i]))
            state = level.add_c(state, path.c[-1].value, prior_features)
            if weights is not None:
                path.attention[f"c{len(path.c)}"] = weights

        prior, prior_features = level.z_prior(state)
        posterior = None
        if image_features is not None and _is_posterior(sources.z):
            posterior = level.z_posterior(state, image_features)
        path.z.append(_step(sources.z, prior, posterior, z_noise[i]))
        state = level.add_z(state, path.z[-1].value, prior_features)
    path.state = state
    return path


def split_noise(levels: Sequence[Level], noise: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Cut the noise of a pass into that of each level.

    Args:
        levels: top first.
        noise: [B, C + S * Z], as of `top_down`.

    Returns:
        By level, of the context [B, D, r, r] (empty where there is none), and of the images
        [B, S, D, r, r].
    """
    c_size, z_size = noise_sizes(levels)
    of_context, of_images = noise[:, :c_size], noise[:, c_size:].unflatten(1, (-1, z_size))
    c_parts = of_context.split([_numbers(level.c_shape) for level in levels], 1)
    z_parts = of_images.split([_numbers(level.z_shape) for level in levels], 2)
    cs = [
        part.unflatten(1, level.c_shape) if level.c_shape else part
        for part, level in zip(c_parts, levels)
    ]
    return cs, [part.unflatten(2, level.z_shape) for part, level in zip(z_parts, levels)]


def _is_posterior(source: str) -> bool:
    return source in (POSTERIOR, POSTERIOR_MEAN)


def _step(source: str, prior: Gaussian, posterior: Gaussian | None, noise: Tensor) -> Step:
    """Take the value from its source; ValueError if that is a posterior that is missing."""
    chosen = posterior if _is_posterior(source) else prior
    if chosen is None:
        raise ValueError(f"a latent from its {source} needs features of images")
    value = chosen.mu if source in (POSTERIOR_MEAN, PRIOR_MEAN) else chosen.sample(noise)
    return Step(prior, posterior, value)


def _numbers(shape: Shape | None) -> int:
    return 0 if shape is None else shape[0] * shape[1] * shape[2]
