"""The walk from the top level of a hierarchy of latents to the bottom, with a source for each kind
of latent.

One walk serves training, reconstruction, generation and refinement: they differ in where contexts
and latents come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from oneshot.nn.set_gaussian import Gaussian

Shape = tuple[int, int, int]
POSTERIOR, POSTERIOR_MEAN, PRIOR, PRIOR_MEAN = "posterior", "posterior_mean", "prior", "prior_mean"


@dataclass(frozen=True)
class Sources:
    """Where latents are taken from: the top context, the contexts below it, the latents of the
    images; samples or means.
    """

    top: str
    lower: str
    z: str


EVERYTHING = Sources(POSTERIOR, POSTERIOR, POSTERIOR)


class Level(Protocol):
    """One level: the context's step, then that of each image's latent. `c_shape` is None where the
    level has no context.

    A state is a value of the family of levels; `enter` prepares it for this level. Priors come with
    what `with_*` needs of their networks.
    """

    c_shape: Shape | None
    z_shape: Shape

    def enter(self, state: Any) -> Any: ...

    def c_prior(self, state: Any) -> tuple[Gaussian, Tensor | None]: ...

    def c_posterior(
        self, state: Any, features: dict[int, Tensor]
    ) -> tuple[Gaussian, Tensor | None]: ...

    def with_c(self, state: Any, value: Tensor, beside: Tensor | None) -> Any: ...

    def z_prior(self, state: Any) -> tuple[Gaussian, Tensor | None]: ...

    def z_posterior(self, state: Any, features: dict[int, Tensor]) -> Gaussian: ...

    def with_z(self, state: Any, value: Tensor, beside: Tensor | None) -> Any: ...


@dataclass(frozen=True)
class Step:
    """What a walk found at one latent: its distributions [B, (S,) D, r, r] and the value taken."""

    prior: Gaussian
    posterior: Gaussian | None
    value: Tensor

    @property
    def kl(self) -> Tensor:
        """KL(posterior || prior), in nats: [B] or [B, S]."""
        assert self.posterior is not None
        return self.posterior.divergence(self.prior)

    @property
    def log_ratio(self) -> Tensor:
        """log prior - log posterior at the value taken, in nats: [B] or [B, S]."""
        assert self.posterior is not None
        return self.prior.log_density(self.value) - self.posterior.log_density(self.value)


@dataclass
class Path:
    """A walk: the steps of the context and of the images' latents, top first, attention by level,
    and the state at its end.
    """

    c: list[Step] = field(default_factory=list)
    z: list[Step] = field(default_factory=list)
    attention: dict[str, Tensor] = field(default_factory=dict)
    state: Any = None


def noise_sizes(levels: Sequence[Level]) -> tuple[int, int]:
    """How many numbers the context takes, and each image."""
    c = sum(_numbers(level.c_shape) for level in levels if level.c_shape is not None)
    return c, sum(_numbers(level.z_shape) for level in levels)


def walk(
    levels: Sequence[Level],
    state: Any,
    noise: Tensor,
    sources: Sources,
    of_set: dict[int, Tensor] | None = None,
    of_images: dict[int, Tensor] | None = None,
) -> Path:
    """From the top to the bottom; noise [B, context's + S * image's].

    of_set: features of the images that the context's posterior sees; of_images: those that the
    latents' posteriors see. Posteriors are computed only where a source asks for them.
    """
    c_noise, z_noise = split_noise(levels, noise)
    path = Path()
    for i, level in enumerate(levels):
        state = level.enter(state)
        if level.c_shape is not None:
            source = sources.lower if path.c else sources.top
            prior, beside = level.c_prior(state)
            posterior, weights = (
                level.c_posterior(state, of_set)
                if of_set is not None and _asks(source)
                else (None, None)
            )
            path.c.append(_step(source, prior, posterior, c_noise[i]))
            state = level.with_c(state, path.c[-1].value, beside)
            if weights is not None:
                path.attention[f"c{len(path.c)}"] = weights
        prior, beside = level.z_prior(state)
        posterior = (
            level.z_posterior(state, of_images)
            if of_images is not None and _asks(sources.z)
            else None
        )
        path.z.append(_step(sources.z, prior, posterior, z_noise[i]))
        state = level.with_z(state, path.z[-1].value, beside)
    path.state = state
    return path


def split_noise(levels: Sequence[Level], noise: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The noise of each level: of the context [B, D, r, r] (empty where there is none), of the
    images [B, S, D, r, r].
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


def _asks(source: str) -> bool:
    return source in (POSTERIOR, POSTERIOR_MEAN)


def _step(source: str, prior: Gaussian, posterior: Gaussian | None, noise: Tensor) -> Step:
    """Take the value from its source. Raises ValueError if the source is a posterior and there are
    no features to compute it from.
    """
    chosen = posterior if _asks(source) else prior
    if chosen is None:
        raise ValueError(f"a latent from its {source} needs features of images")
    value = chosen.mean if source in (POSTERIOR_MEAN, PRIOR_MEAN) else chosen.sample(noise)
    return Step(prior, posterior, value)


def _numbers(shape: Shape | None) -> int:
    return 0 if shape is None else shape[0] * shape[1] * shape[2]
