"""Views of SimCLR: warps, crops, perspectives; binary, and from the generator only."""

from __future__ import annotations

import pytest
import torch
from glyphs import glyphs
from torch.nn import functional as F

from oneshot.nn import augment
from oneshot.types import DataSet


@pytest.fixture(scope="module")
def data() -> DataSet:
    return glyphs()


def picture(size: int = 9) -> torch.Tensor:
    return torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(4))


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("size", [9, 28])
def test_unmoved_warps_give_the_image_back(size):
    image = picture(size)
    whole = augment.crops(double(0, 0)[None], double(size, size)[None], size)
    still = augment.affines(double(0), double(0, 0)[None], double(1), double(0), size)
    corners = augment.perspectives(augment._corners(size)[None], size)
    for warps in (whole, still, corners):
        torch.testing.assert_close(augment.warp(image, warps), image, atol=1e-5, rtol=0)


def test_affines_shift_turn_zoom_and_shear_as_said():
    image, size = picture(), 9
    moved = augment.warp(
        image, augment.affines(double(0), double(2, -3)[None], double(1), double(0), size)
    )[0, 0]
    torch.testing.assert_close(moved[:6, 2:], image[0, 0, 3:, :7], atol=1e-6, rtol=0)
    assert not moved[6:].any() and not moved[:, :2].any()
    turned = augment.warp(
        image, augment.affines(double(90), double(0, 0)[None], double(1), double(0), size)
    )
    # clockwise
    torch.testing.assert_close(turned, torch.rot90(image, -1, (2, 3)), atol=1e-6, rtol=0)
    larger = augment.warp(
        image, augment.affines(double(0), double(0, 0)[None], double(3), double(0), size)
    )[0, 0]
    torch.testing.assert_close(
        larger,
        image[0, 0, 3:6, 3:6].repeat_interleave(3, 0).repeat_interleave(3, 1),
        atol=1e-6,
        rtol=0,
    )
    leaned = augment.warp(
        image, augment.affines(double(0), double(0, 0)[None], double(1), double(45), size)
    )[0, 0]
    torch.testing.assert_close(leaned[4], image[0, 0, 4], atol=1e-6, rtol=0)
    # two rows below the centre: two pixels left
    torch.testing.assert_close(leaned[6, :7], image[0, 0, 6, 2:], atol=1e-6, rtol=0)


def test_crops_equal_cutting_out_and_enlarging():
    image = picture(20)
    warps = augment.crops(double(3, 7)[None], double(12, 9)[None], 20)
    cut = F.interpolate(image[:, :, 7:16, 3:15], (20, 20), mode="bilinear", align_corners=False)
    torch.testing.assert_close(augment.warp(image, warps), cut, atol=1e-5, rtol=0)


def test_perspectives_put_the_corners_where_they_were_sent():
    corners = torch.tensor([[[2, 1], [15, 3], [17, 18], [0, 14]]], dtype=torch.float64)
    matrix = augment.perspectives(corners, 20).matrix[0]
    seen = torch.cat([corners[0], torch.ones(4, 1)], dim=1) @ matrix.T
    torch.testing.assert_close(seen[:, :2] / seen[:, 2:], augment._corners(20))
    image = picture(20)
    view = augment.warp(image, augment.perspectives(corners, 20))[0, 0]
    for (x, y), (u, v) in zip(corners[0].long().tolist(), augment._corners(20).long().tolist()):
        assert float(view[y, x]) == pytest.approx(float(image[0, 0, v, u]), abs=1e-4)


@pytest.mark.parametrize("strength", list(augment.STRENGTHS))
def test_parameters_stay_in_their_ranges_and_fill_them(strength):
    s, n, size = augment.STRENGTHS[strength], 4000, 50
    rng = torch.Generator().manual_seed(0)
    matrix = augment.random_affines(n, size, s, rng).matrix[:, :2, :2]
    zoom = torch.linalg.det(matrix).abs() ** -0.5
    assert s.zoom[0] <= zoom.min() < s.zoom[0] + 0.01 and s.zoom[1] - 0.01 < zoom.max() <= s.zoom[1]
    forward = torch.linalg.inv(matrix)
    angle = torch.rad2deg(torch.atan2(forward[:, 1, 0], forward[:, 0, 0]))
    assert (
        0.99 * s.rotation < angle.abs().max() <= s.rotation
        and abs(angle.mean()) < 0.05 * s.rotation
    )
    crops = augment.random_crops(n, size, s, rng)
    sides = crops.high - crops.low + 1
    assert (
        (crops.low >= 0).all() and (crops.high <= size - 1).all() and (sides == sides.round()).all()
    )
    ratio, area = sides[:, 0] / sides[:, 1], sides.prod(1) / size**2
    assert s.crop_ratio[0] * 0.95 < ratio.min() and ratio.max() < s.crop_ratio[1] * 1.05
    assert s.crop_area[0] * 0.95 < area.min() < s.crop_area[0] * 1.05 and area.max() == 1
    moved = augment.random_perspectives(n, size, s, rng).matrix
    still = (moved - torch.eye(3)).abs().amax((1, 2)) < 1e-9
    assert abs(still.double().mean() - 0.5) < 4 * 0.5 / n**0.5


@pytest.mark.parametrize("strength", list(augment.STRENGTHS))
def test_views_are_binary_keep_ink_and_come_from_the_generator_only(data, strength):
    images = torch.from_numpy(data.images).float()[:, None]
    one, two, other = (
        augment.views(images, augment.STRENGTHS[strength], torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert (
        one.shape == images.shape
        and one.dtype == torch.float32
        and set(one.unique().tolist()) == {0.0, 1.0}
    )
    ink = one.mean((1, 2, 3)) / images.mean((1, 2, 3))
    assert (ink > 0).double().mean() > 0.99 and 0.7 < ink.mean() < 1.4
    # about one in six is an unmoved perspective
    assert 0.5 < (one != images).flatten(1).any(1).double().mean() < 1


def test_binary_makes_a_constant_image_background():
    given = torch.stack([torch.full((1, 2, 2), 0.7), torch.tensor([[[0.0, 0.25], [0.5, 0.75]]])])
    assert augment.binary(given).flatten(1).tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]
