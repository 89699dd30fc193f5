"""FIGR's networks: sizes as published, other sides, and a PReLU that vmap can take."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from oneshot.nn.figr_gans import Discriminator, Generator, Prelu


def networks(*given: Any, z: int = 100, arch: str = "dcgan") -> tuple[Generator, Discriminator]:
    with torch.device("meta"):
        return Generator(arch, z, *given), Discriminator(arch, *given)


@pytest.mark.parametrize(
    ("arch", "hidden", "generator", "discriminator"),
    [
        ("dcgan", 64, 17_898_945, 18_040_257),
        ("resnet", 64, 57_399_745, 20_422_081),
        ("dcgan", 16, 1_210_737, 1_246_065),
    ],
)
def test_networks_have_the_published_sizes(
    arch: str, hidden: int, generator: int, discriminator: int
) -> None:
    g, d = networks(hidden, 4, 32, arch=arch)
    assert sum(p.numel() for p in g.parameters()) == generator
    assert sum(p.numel() for p in d.parameters()) == discriminator
    images = g(torch.zeros(3, 100, device="meta"))
    assert images.shape == (3, 1, 32, 32) and d(images).shape == (3,)


@pytest.mark.parametrize("arch", ["dcgan", "resnet"])
@pytest.mark.parametrize(("levels", "side"), [(2, 20), (2, 28), (4, 48), (1, 50)])
def test_networks_fit_other_sides(arch: str, levels: int, side: int) -> None:
    g, d = networks(2, levels, side, z=3, arch=arch)
    images = g(torch.zeros(2, 3, device="meta"))
    assert images.shape == (2, 1, side, side) and d(images).shape == (2,)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 4)])
def test_prelu_is_torch_s_own(shape: tuple[int, ...]) -> None:
    ours, theirs = Prelu(3), nn.PReLU(3)
    slope = torch.tensor([0.1, -0.5, 2.0])
    ours.slope.data.copy_(slope)
    theirs.weight.data.copy_(slope)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(x), theirs(x)) and nn.PReLU().weight.item() == Prelu(1).slope.item()
