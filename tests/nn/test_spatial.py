"""Attention windows: what is written can be read, and the library agrees."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oneshot.nn import spatial


def theta(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def test_write_then_read_gives_back_the_glimpse_when_pixels_coincide() -> None:
    """A window whose pixels lie on image pixels loses nothing: at 15 of 45 pixels each glimpse
    pixel is the centre of 3 x 3.
    """
    glimpse = torch.randn(1, 1, 15, 15)
    window, image = spatial.base(15), spatial.base(45)
    identity = theta(*spatial.IDENTITY)
    torch.testing.assert_close(
        spatial.read(spatial.write(glimpse, identity, image), identity, window),
        glimpse,
        atol=1e-4,
        rtol=0,
    )
    small = theta(15 / 45, 0, 6 / 45, 0, 15 / 45, -12 / 45)  # one to one, shifted by whole pixels
    canvas = spatial.write(glimpse, small, image)
    torch.testing.assert_close(spatial.read(canvas, small, window), glimpse, atol=1e-4, rtol=0)
    torch.testing.assert_close(canvas[:, :, 9:24, 18:33], glimpse, atol=1e-4, rtol=0)
    assert canvas.abs().sum() == pytest.approx(glimpse.abs().sum().item(), rel=1e-4)


def test_reads_and_inverses_agree_with_the_library() -> None:
    random = torch.randn(4, 6) * 0.3 + torch.tensor(spatial.IDENTITY)
    square = torch.cat([random.view(4, 2, 3), torch.tensor([[[0.0, 0.0, 1.0]]]).expand(4, 1, 3)], 1)
    torch.testing.assert_close(
        spatial.invert(random).view(4, 2, 3), torch.linalg.inv(square)[:, :2], atol=1e-4, rtol=1e-4
    )
    images = torch.rand(4, 2, 20, 20)
    grid = nn.functional.affine_grid(random.view(4, 2, 3), [4, 2, 7, 7], align_corners=False)
    expected = nn.functional.grid_sample(images, grid, align_corners=False)
    torch.testing.assert_close(
        spatial.read(images, random, spatial.base(7)), expected, atol=1e-5, rtol=1e-5
    )
