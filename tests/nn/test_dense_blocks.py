"""Blocks of DAGAN: padding, normalisation of images, dropout from given numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oneshot.nn.dense_blocks import Convolution, Dropout, NoiseStream, image_norm


def test_an_even_map_is_padded_right_and_below_an_odd_one_on_all_sides() -> None:
    convolution = Convolution(1, 1, 2)
    nn.init.ones_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    even, odd = (convolution(torch.ones(1, 1, size, size))[0, 0].tolist() for size in (4, 5))
    assert even == [[9, 6], [6, 4]] and odd == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_the_critic_normalises_each_image_over_channels_and_pixels() -> None:
    x, norm = torch.randn(3, 4, 5, 5), image_norm(4)
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5))  # type: ignore[operator]
        norm.bias.copy_(torch.arange(4.0))  # type: ignore[operator]
    for one, found in zip(x, norm(x)):
        whitened = (one - one.mean()) / one.std(correction=0)
        torch.testing.assert_close(
            found, whitened * torch.arange(1.0, 5).view(4, 1, 1) + torch.arange(4.0).view(4, 1, 1)
        )


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_keeps_its_share_and_the_mean(p: float) -> None:
    x = torch.rand(4, 10, 50, 50, generator=torch.Generator().manual_seed(0)) + 0.5
    draws, layer = (
        NoiseStream(torch.randn(4, 25_000, generator=torch.Generator().manual_seed(1))),
        Dropout(p),
    )
    dropped = layer(x, draws)
    kept = dropped != 0
    assert draws.used == 25_000 and kept.float().mean().item() == pytest.approx(1 - p, abs=0.006)
    torch.testing.assert_close(dropped[kept], (x / (1 - p))[kept])
    assert dropped.mean().item() == pytest.approx(x.mean().item(), rel=0.02)
    layer.eval()
    assert torch.equal(layer(x, draws), x) and draws.used == 25_000
