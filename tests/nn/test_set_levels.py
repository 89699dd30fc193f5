"""Levels of vector and map models: how their networks combine what they are given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import elu

from oneshot.nn.set_levels import ContextNet, LatentNet, Samples, Sizes

VECTORS = Sizes(8, 3, 2, 1, False, 2, "hierarchical", "mean", "add")


def affine(layer: Any, x: Tensor) -> Tensor:
    """A product of channels, written out."""
    return torch.einsum("oi,...ihw->...ohw", layer.weight, x) + layer.bias[:, None, None]


def test_the_networks_combine_what_they_are_given_as_published() -> None:
    torch.manual_seed(0)
    h, state = (
        torch.randn(3, 4, 8, 1, 1),
        Samples(torch.zeros(3, 4, 0), (torch.randn(3, 3, 1, 1),), (torch.randn(3, 4, 2, 1, 1),)),
    )
    c, z = state.cs[0].unsqueeze(1), state.zs[0]

    def headed(net: Any, x: Tensor) -> Tensor:
        result: Tensor = net.head(x.flatten(0, -4))
        return result.unflatten(0, x.shape[:-3])

    added = LatentNet(VECTORS, True, False).eval()
    torch.testing.assert_close(
        added(state, h),
        headed(
            added, elu(affine(added.of_image, h) + affine(added.of_z, z) + affine(added.of_c, c))
        ),
    )
    film = LatentNet(replace(VECTORS, conditioner="film"), True, False).eval()
    scale, shift = affine(film.of_c, c).tensor_split(2, 2)
    torch.testing.assert_close(
        film(state, h),
        headed(film, elu(scale * (affine(film.of_image, h) + affine(film.of_z, z)) + shift)),
    )
    top = LatentNet(replace(VECTORS, conditioner="film"), False, True).eval()
    torch.testing.assert_close(
        top(state, None), headed(top, elu(affine(top.of_c, c)[:, :, 8:])).expand(3, 4, 4, 1, 1)
    )

    mean = ContextNet(VECTORS, True, False).eval()
    assert mean.before is not None
    each = mean.before(
        elu(affine(mean.of_images, h) + affine(mean.of_z, z) + affine(mean.of_c, c)).flatten(0, 1)
    ).unflatten(0, (3, 4))
    torch.testing.assert_close(
        mean(state, h)[0], headed(mean, each.mean(1) + affine(mean.of_c, c)[:, 0])
    )
    attends = ContextNet(replace(VECTORS, pooling="attention"), False, False).eval()
    torch.testing.assert_close(
        attends(state, None)[0],
        headed(attends, attends.pool(affine(attends.of_z, z) + affine(attends.of_c, c))[0]),
    )
    maps = ContextNet(replace(VECTORS, maps=True, pooling="max"), True, False).eval()
    pooled = (affine(maps.of_images, h) + affine(maps.of_z, z)).amax(1) + affine(maps.of_c, c)[:, 0]
    torch.testing.assert_close(maps(state, h)[0], headed(maps, pooled))
