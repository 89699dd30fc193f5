"""Levels of latents whose networks see the samples of the level above: the networks of vector and
map models.

Every network is a sum of 1x1 products of what it is given, pooled over the set if it is of the
context, then a head. Nothing is normalised or shared between posterior and prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn.functional import elu

from oneshot.nn.set_gaussian import Gaussian, Head
from oneshot.nn.set_layers import Pointwise, Residual, each, total
from oneshot.nn.set_pooling import Pool


@dataclass(frozen=True)
class Samples:
    """The latents so far, top first: cs [B, C, r, r] and zs [B, S, Z, r, r]; `empty` [B, S, 0]
    tells how many sets and images there are.
    """

    empty: Tensor
    cs: tuple[Tensor, ...] = ()
    zs: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """What all levels of a model have in common. depth: of residual blocks; context: "none", "flat"
    or "hierarchical"; see `Config`.
    """

    hidden: int
    c: int
    z: int
    resolution: int
    maps: bool
    depth: int
    context: str
    pooling: str
    conditioner: str


class LatentNet(nn.Module):
    """p or q of an image's latent given features (q), the latent above (below the top) and the
    context: -> [B, S, 2 Z, r, r].

    "film": the context scales and shifts the sum of the others instead of being added to it.
    """

    def __init__(self, sizes: Sizes, sees_image: bool, top: bool):
        super().__init__()
        self.film = sizes.conditioner == "film"
        self.of_image = Pointwise(sizes.hidden, sizes.hidden) if sees_image else None
        self.of_z = None if top else Pointwise(sizes.z, sizes.hidden)
        self.of_c = (
            None
            if sizes.context == "none"
            else Pointwise(sizes.c, sizes.hidden * (2 if self.film else 1))
        )
        self.head = Head(sizes.hidden, sizes.z, sizes.maps, sizes.depth, "residual")

    def forward(self, state: Samples, features: Tensor | None) -> Tensor:
        terms = []
        if self.of_image is not None and features is not None:
            terms.append(self.of_image(features))
        if self.of_z is not None:
            terms.append(self.of_z(state.zs[-1]))
        if self.of_c is not None:
            c = self.of_c(state.cs[-1]).unsqueeze(1)
            if self.film:
                scale, c = c.chunk(2, 2)
                terms = [scale * total(terms)] if terms else []
            terms.append(c)
        result = each(self.head, elu(total(terms)))
        # what depends on the context alone is computed once a set
        return result.expand(-1, state.empty.shape[1], -1, -1, -1)


class ContextNet(nn.Module):
    """p or q of a context given features (q), the images' latents and the context above: -> [B, 2
    C, r, r] and attention weights or None.

    Vectors pass a residual block before the mean or maximum; what is pooled by attention has the
    context above among it, other pools have it added after pooling. As published, but for maps,
    where the originals add it before and after.
    """

    def __init__(self, sizes: Sizes, sees_images: bool, top: bool):
        super().__init__()
        self.attends = sizes.pooling == "attention" and (sees_images or not sizes.maps)
        self.of_images = Pointwise(sizes.hidden, sizes.hidden) if sees_images and not top else None
        self.of_z = None if top else Pointwise(sizes.z, sizes.hidden)
        self.of_c = None if top else Pointwise(sizes.c, sizes.hidden)
        before = not top and not self.attends and not sizes.maps
        self.before = Residual(sizes.hidden, sizes.depth, False) if before else None
        kind = "mean" if sizes.pooling == "attention" and not self.attends else sizes.pooling
        self.pool = Pool(kind, sizes.hidden)
        self.head = Head(
            sizes.hidden, sizes.c, sizes.maps, sizes.depth, "residual" if sizes.maps else "dense"
        )

    def forward(self, state: Samples, features: Tensor | None) -> tuple[Tensor, Tensor | None]:
        above = None if self.of_c is None else self.of_c(state.cs[-1])
        pooled, weights = self.pool(self._of_each(state, features, above))
        if above is not None and not self.attends:
            pooled = pooled + above
        return self.head(pooled), weights

    def _of_each(self, state: Samples, features: Tensor | None, above: Tensor | None) -> Tensor:
        """What is pooled: [B, S, W, r, r]."""
        terms = []
        if features is not None:
            terms.append(features if self.of_images is None else self.of_images(features))
        if self.of_z is not None:
            terms.append(self.of_z(state.zs[-1]))
        if above is not None and (self.attends or self.before is not None):
            terms.append(above.unsqueeze(1))
        summed = total(terms)
        return summed if self.before is None else each(self.before, elu(summed))


class SampleLevel(nn.Module):
    """One level of a hierarchy whose levels see the samples above; the top context and, without
    context, the top latent are N(0, 1).
    """

    def __init__(self, sizes: Sizes, top: bool):
        super().__init__()
        side = sizes.resolution
        has_context = sizes.context == "hierarchical" or (sizes.context == "flat" and top)
        self.resolution = side
        self.c_shape = (sizes.c, side, side) if has_context else None
        self.z_shape = (sizes.z, side, side)
        self.posterior_c = ContextNet(sizes, True, top) if has_context else None
        self.net_c = ContextNet(sizes, False, top) if has_context and not top else None
        self.posterior_z = LatentNet(sizes, True, top)
        self.net_z = LatentNet(sizes, False, top) if sizes.context != "none" or not top else None

    def enter(self, state: Samples) -> Samples:
        return state

    def c_prior(self, state: Samples) -> tuple[Gaussian, None]:
        if self.net_c is None:
            assert self.c_shape is not None
            return _standard(state.empty.new_zeros(len(state.empty), *self.c_shape)), None
        return Gaussian.of(self.net_c(state, None)[0]), None

    def c_posterior(
        self, state: Samples, features: dict[int, Tensor]
    ) -> tuple[Gaussian, Tensor | None]:
        assert self.posterior_c is not None
        parameters, weights = self.posterior_c(state, features[self.resolution])
        return Gaussian.of(parameters), weights

    def with_c(self, state: Samples, value: Tensor, beside: Tensor | None) -> Samples:
        return replace(state, cs=(*state.cs, value))

    def z_prior(self, state: Samples) -> tuple[Gaussian, None]:
        if self.net_z is None:
            return _standard(state.empty.new_zeros(*state.empty.shape[:2], *self.z_shape)), None
        return Gaussian.of(self.net_z(state, None)), None

    def z_posterior(self, state: Samples, features: dict[int, Tensor]) -> Gaussian:
        return Gaussian.of(self.posterior_z(state, features[self.resolution]))

    def with_z(self, state: Samples, value: Tensor, beside: Tensor | None) -> Samples:
        return replace(state, zs=(*state.zs, value))


def _standard(zeros: Tensor) -> Gaussian:
    return Gaussian(zeros, zeros)


class SampleStart(nn.Module):
    """The state above the top level: no latents."""

    def forward(self, noise: Tensor, images: int) -> Samples:
        return Samples(noise.new_zeros(len(noise), images, 0))
