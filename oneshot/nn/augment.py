"""Random views of binary images for SimCLR: cropped, moved affinely or seen in perspective.

The distributions are those that torchvision documents for RandomResizedCrop, RandomAffine and
RandomPerspective; the strengths are those of Boutin et al. 2022 (https://arxiv.org/abs/2205.10370).
A view is described by where each of its pixels looks in the image: through a 3x3 matrix on pixel
coordinates (x right, y down, centres at whole numbers), then kept inside a box, then rounded if the
nearest pixel is wanted. So a batch with a different warp for every image is one `grid_sample`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

ATTEMPTS = 10  # crops drawn until one fits into the image; if none does, the whole image


@dataclass(frozen=True)
class Strength:
    """Ranges of the transforms.

    Args:
        crop_area: of a crop, as share of the image.
        crop_ratio: of a crop, width to height.
        rotation: largest angle, in degrees.
        zoom: factors.
        translation: largest shift, as share of the width.
        shear: largest angle, in degrees.
        perspective: largest shift of a corner, as share of half the width.
        perspective_chance: how often a perspective is applied.
    """

    crop_area: tuple[float, float]
    crop_ratio: tuple[float, float]
    rotation: float
    zoom: tuple[float, float]
    translation: float
    shear: float
    perspective: float
    perspective_chance: float = 0.5


STRENGTHS = {
    "light": Strength((0.90, 1.10), (0.9, 1.1), 7.0, (0.90, 1.10), 0.05, 5.0, 0.25),
    "normal": Strength((0.75, 1.33), (0.8, 1.2), 15.0, (0.75, 1.33), 0.1, 10.0, 0.5),
    "strong": Strength((0.5, 1.5), (0.6, 1.4), 30.0, (0.5, 1.5), 0.2, 20.0, 0.75),
}


@dataclass(frozen=True)
class Warps:
    """One warp per image.

    Args:
        matrix: view to image coordinates, [B, 3, 3].
        low: smallest (x, y) of the box, [B, 2].
        high: largest (x, y) of the box, [B, 2].
        nearest: whether the nearest pixel is taken, bool [B].
    """

    matrix: Tensor
    low: Tensor
    high: Tensor
    nearest: Tensor

    def where(self, mask: Tensor, other: Warps) -> Warps:
        """These warps where the mask is true, the others elsewhere.

        Args:
            mask: bool [B].
            other: as many warps.

        Returns:
            The mixture.
        """
        m = mask[:, None]
        return Warps(
            torch.where(m[:, :, None], self.matrix, other.matrix),
            torch.where(m, self.low, other.low),
            torch.where(m, self.high, other.high),
            torch.where(mask, self.nearest, other.nearest),
        )


def views(images: Tensor, strength: Strength, generator: torch.Generator) -> Tensor:
    """One random view of each image.

    Outside of the image is background (0). A view is stretched to [0, 1] and cut at one half; one
    that has lost all ink is all background.

    Args:
        images: float [B, 1, S, S] in [0, 1].
        strength: ranges of the transforms.
        generator: on the CPU, so that a seed gives the same views on every device.

    Returns:
        Binary float [B, 1, S, S], on the device of the images.
    """
    return binary(warp(images, random_warps(len(images), images.shape[-1], strength, generator)))


def random_warps(count: int, size: int, strength: Strength, generator: torch.Generator) -> Warps:
    """A crop, an affine warp or a perspective for each image, each with probability 1/3.

    Args:
        count: B.
        size: side of the images in pixels.
        strength: ranges of the transforms.
        generator: on the CPU.

    Returns:
        B warps.
    """
    crops, affines, perspectives = (
        make(count, size, strength, generator)
        for make in (random_crops, random_affines, random_perspectives)
    )
    kind = torch.randint(3, (count,), generator=generator)
    return crops.where(kind == 0, affines.where(kind == 1, perspectives))


def warp(images: Tensor, warps: Warps) -> Tensor:
    """Sample the images where the warps look, bilinear or nearest as each warp says.

    Args:
        images: [B, C, S, S].
        warps: B of them.

    Returns:
        [B, C, S, S]; 0 outside of the image.
    """
    size = images.shape[-1]
    matrix, low, high = (
        t.to(images.device, images.dtype) for t in (warps.matrix, warps.low, warps.high)
    )
    pixel = torch.arange(size, device=images.device, dtype=images.dtype)
    x, y = pixel[None, None, :], pixel[None, :, None]
    row = [
        matrix[:, i, 0, None, None] * x
        + matrix[:, i, 1, None, None] * y
        + matrix[:, i, 2, None, None]
        for i in range(3)
    ]
    at = torch.stack([row[0] / row[2], row[1] / row[2]], dim=-1)  # [B, S, S, 2]
    at = torch.maximum(torch.minimum(at, high[:, None, None]), low[:, None, None])
    at = torch.where(warps.nearest.to(images.device)[:, None, None, None], at.round(), at)
    return F.grid_sample(
        images, (2 * at + 1) / size - 1, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def binary(images: Tensor) -> Tensor:
    """Stretch each image [B, C, S, S] to [0, 1] and cut it at one half; a constant one is 0."""
    low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    return (images - low > 0.5 * (high - low)).to(images.dtype)


def _without_box(matrix: Tensor, nearest: bool) -> Warps:
    """Warps with these matrices [B, 3, 3] and no box."""
    box = torch.full((len(matrix), 2), math.inf, dtype=matrix.dtype)
    return Warps(matrix, -box, box, torch.full((len(matrix),), nearest))


def random_crops(count: int, size: int, strength: Strength, generator: torch.Generator) -> Warps:
    """Crops of random area and log-uniform ratio, enlarged to the whole image.

    Args:
        count: B.
        size: side of the images in pixels.
        strength: ranges of the transforms.
        generator: on the CPU.

    Returns:
        B warps.
    """
    area = size * size * _uniform((count, ATTEMPTS), *strength.crop_area, generator)
    narrow, wide = strength.crop_ratio
    ratio = _uniform((count, ATTEMPTS), math.log(narrow), math.log(wide), generator).exp()
    # width, height
    sides = torch.stack([(area * ratio).sqrt().round(), (area / ratio).sqrt().round()], dim=-1)
    fits = ((sides > 0) & (sides <= size)).all(-1)
    first = fits.int().argmax(1)
    chosen = sides[torch.arange(count), first]
    chosen = torch.where(fits.any(1)[:, None], chosen, torch.full_like(chosen, size))
    corner = (_uniform((count, 2), 0, 1, generator) * (size - chosen + 1)).floor()
    return crops(corner, chosen, size)


def crops(corner: Tensor, sides: Tensor, size: int) -> Warps:
    """Crops in whole pixels.

    Args:
        corner: upper left (x, y), [B, 2].
        sides: (width, height), [B, 2].
        size: side of the images in pixels.

    Returns:
        B warps that enlarge the crops to the whole image.
    """
    scale = sides / size
    matrix = torch.zeros(len(sides), 3, 3, dtype=sides.dtype)
    matrix[:, [0, 1], [0, 1]] = scale
    matrix[:, [0, 1], [2, 2]] = corner + 0.5 * scale - 0.5
    matrix[:, 2, 2] = 1
    return Warps(matrix, corner, corner + sides - 1, torch.zeros(len(sides), dtype=torch.bool))


def random_affines(count: int, size: int, strength: Strength, generator: torch.Generator) -> Warps:
    """Rotation and shear about the centre, zoom, and a shift by whole pixels; nearest pixel.

    Args:
        count: B.
        size: side of the images in pixels.
        strength: ranges of the transforms.
        generator: on the CPU.

    Returns:
        B warps.
    """
    angle = _uniform((count,), -strength.rotation, strength.rotation, generator)
    reach = strength.translation * size
    shift = _uniform((count, 2), -reach, reach, generator).round()
    zoom = _uniform((count,), *strength.zoom, generator)
    shear = _uniform((count,), -strength.shear, strength.shear, generator)
    return affines(angle, shift, zoom, shear, size)


def affines(angle: Tensor, shift: Tensor, zoom: Tensor, shear: Tensor, size: int) -> Warps:
    """Shear along x, then rotate, zoom and shift the content.

    Args:
        angle: degrees, [B]; positive turns the content clockwise on the screen (y points down).
        shift: pixels, [B, 2].
        zoom: factors, [B].
        shear: degrees, [B].
        size: side of the images in pixels.

    Returns:
        B warps.
    """
    angle, slant = torch.deg2rad(angle), torch.deg2rad(shear).tan()
    cos, sin = angle.cos(), angle.sin()
    forward = (
        torch.stack([cos, -cos * slant - sin, sin, -sin * slant + cos], dim=-1).reshape(-1, 2, 2)
        * zoom[:, None, None]
    )
    centre = (size - 1) / 2
    matrix = torch.zeros(len(angle), 3, 3, dtype=angle.dtype)
    matrix[:, :2, :2] = torch.linalg.inv(forward)
    matrix[:, :2, 2] = centre - (matrix[:, :2, :2] @ (shift + centre)[:, :, None])[:, :, 0]
    matrix[:, 2, 2] = 1
    return _without_box(matrix, nearest=True)


def random_perspectives(
    count: int, size: int, strength: Strength, generator: torch.Generator
) -> Warps:
    """Corners move inwards by whole pixels; the image stays as it is half of the time.

    Args:
        count: B.
        size: side of the images in pixels.
        strength: ranges of the transforms.
        generator: on the CPU.

    Returns:
        B warps.
    """
    reach = int(strength.perspective * (size // 2))
    moves = torch.randint(reach + 1, (count, 4, 2), generator=generator).double()
    stays = _uniform((count,), 0, 1, generator) >= strength.perspective_chance
    moves[stays] = 0
    return perspectives(
        _corners(size) + moves * torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]]), size
    )


def perspectives(corners: Tensor, size: int) -> Warps:
    """Perspectives that show the image's corners at these places.

    Args:
        corners: (x, y) in pixels of upper left, upper right, lower right, lower left, [B, 4, 2].
        size: side of the images in pixels.

    Returns:
        B warps.
    """
    x, y = corners.unbind(-1)
    u, v = _corners(size).to(corners.dtype).expand_as(corners).unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    # (u, v) = (a x + b y + c, d x + e y + f) / (g x + h y + 1) at the four corners: eight linear
    # equations in a .. h.
    upper = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    lower = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solution = torch.linalg.solve(torch.cat([upper, lower], dim=1), torch.cat([u, v], dim=1))
    return _without_box(
        torch.cat([solution, torch.ones_like(solution[:, :1])], dim=1).reshape(-1, 3, 3),
        nearest=False,
    )


def _corners(size: int) -> Tensor:
    last = float(size - 1)
    return torch.tensor([[0, 0], [last, 0], [last, last], [0, last]], dtype=torch.float64)


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
