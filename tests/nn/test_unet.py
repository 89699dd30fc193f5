"""The U-Net: the published numbers of parameters, any image size, and time."""

from __future__ import annotations

import pytest
import torch

from oneshot.nn.unet import UNet


def count(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("n", "parameters"),
    [
        (8, 297_753),
        (12, 614_789),
        (16, 1_042_689),
        (24, 2_234_505),
        (32, 3_871_425),
        (36, 4_859_149),
        (48, 8_488_721),
        (60, 13_123_221),
    ],
)
def test_the_network_has_the_published_number_of_parameters(n: int, parameters: int) -> None:
    assert count(UNet(n, 2)) == parameters


def test_each_part_of_the_network_has_the_published_number_of_parameters() -> None:
    net = UNet(48, 2)
    assert (count(net.first), count(net.time), count(net.down, net.shrink)) == (
        3_168,
        46_464,
        3_568_336,
    )
    assert [count(block) for block in net.middle.blocks] == [1_375_488] * 2 and count(
        net.middle.attention
    ) == 98_880
    assert (count(net.up, net.grow), count(net.last, net.out)) == (1_935_072, 85_825)


@pytest.mark.parametrize("size", [28, 48, 50])
def test_any_image_size_goes_through_and_comes_out(size: int) -> None:
    net = UNet(6, 2)
    assert net(torch.randn(2, 2, size, size), torch.tensor([1.0, 900.0])).shape == (
        2,
        1,
        size,
        size,
    )


def test_the_network_hears_time_and_its_embedding_tells_times_apart() -> None:
    net = UNet(48, 2).eval()
    assert (
        net.frequencies[0] == 1
        and float(net.frequencies[-1]) == pytest.approx(1e-4, rel=1e-4)
        and len(net.frequencies) == 24
    )
    x = torch.randn(1, 2, 12, 12).expand(2, -1, -1, -1)
    with torch.no_grad():
        early, late = net(x, torch.tensor([10.0, 990.0]))
    assert not torch.allclose(early, late, atol=1e-4)
