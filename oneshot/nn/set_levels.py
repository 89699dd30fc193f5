"""Levels of latents whose networks see the samples of the level above, in vector and map models.

The networks of the Neural Statistician (Edwards and Storkey 2017, https://arxiv.org/abs/1606.02185)
and of the hierarchical models of Giannone and Winther (2022, https://arxiv.org/abs/2110.12279).
Every network is a sum of 1x1 products of what it is given, pooled over the set if it is of the
context, then a head. Nothing is normalised or shared between posterior and prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn.functional import elu

from oneshot.contracts import Features
from oneshot.nn.set_gaussian import Gaussian, Head
from oneshot.nn.set_layers import Pointwise, Residual, each, total
from oneshot.nn.set_pooling import Pool


@dataclass(frozen=True)
class Samples:
    """The latents so far, top first.

    Args:
        empty: [B, S, 0], for the numbers of sets and of images.
        cs: contexts [B, C, r, r].
        zs: latents of the images [B, S, Z, r, r].
    """

    empty: Tensor
    cs: tuple[Tensor, ...] = ()
    zs: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """What all levels of a model have in common.

    Args:
        hidden: width of the networks.
        c: channels of a context.
        z: channels of an image's latent.
        resolution: r, side of the latents.
        maps: whether latents are maps; else they are vectors, with r = 1.
        depth: layers of a residual block.
        context: "none", "flat" (at the top level alone) or "hierarchical".
        pooling: of a set's features, "mean", "max" or "attention".
        conditioner: how c enters the networks of z, "add" or "film".
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
    """p(z_l | z_l+1, c_l), or q(z_l | z_l+1, c_l, x), of each image: -> [B, S, 2 Z, r, r].

    Takes the state above and, if it is q, features [B, S, W, r, r]. With "film" (Perez et al. 2018)
    the context scales and shifts the sum of the others instead of being added to it.
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
    """p(c_l | c_l+1, z_l+1), or q(c_l | c_l+1, z_l+1, X), of a set X: -> [B, 2 C, r, r].

    Takes the state above and, if it is q, features [B, S, W, r, r]; also returns the weights of
    attention [B, heads, S] or None. The top q(c | X) is the statistic network of the Neural
    Statistician.

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


def sample_levels(sizes: Sizes, layers: int) -> list[nn.Module]:
    """The levels of a vector or map model, each a `top_down.Level`.

    Args:
        sizes: what they have in common.
        layers: how many.

    Returns:
        The levels, top first.
    """
    return [_SampleLevel(sizes, top=i == 0) for i in range(layers)]


class _SampleLevel(nn.Module):
    """A level that sees the samples of the one above.

    The priors of the top context and, without context, of the top latent are N(0, I).
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
            return _standard_normal(state.empty.new_zeros(len(state.empty), *self.c_shape)), None
        return Gaussian.from_parameters(self.net_c(state, None)[0]), None

    def c_posterior(self, state: Samples, features: Features) -> tuple[Gaussian, Tensor | None]:
        assert self.posterior_c is not None
        parameters, weights = self.posterior_c(state, features[self.resolution])
        return Gaussian.from_parameters(parameters), weights

    def add_c(self, state: Samples, c: Tensor, prior_features: Tensor | None) -> Samples:
        return replace(state, cs=(*state.cs, c))

    def z_prior(self, state: Samples) -> tuple[Gaussian, None]:
        if self.net_z is None:
            return _standard_normal(
                state.empty.new_zeros(*state.empty.shape[:2], *self.z_shape)
            ), None
        return Gaussian.from_parameters(self.net_z(state, None)), None

    def z_posterior(self, state: Samples, features: Features) -> Gaussian:
        return Gaussian.from_parameters(self.posterior_z(state, features[self.resolution]))

    def add_z(self, state: Samples, z: Tensor, prior_features: Tensor | None) -> Samples:
        return replace(state, zs=(*state.zs, z))


def _standard_normal(zeros: Tensor) -> Gaussian:
    """N(0, I) of this shape."""
    return Gaussian(zeros, zeros)


class SampleStart(nn.Module):
    """The state above the top level, which has no latents: (noise [B, N], S) -> `Samples`."""

    def forward(self, noise: Tensor, images: int) -> Samples:
        return Samples(noise.new_zeros(len(noise), images, 0))
