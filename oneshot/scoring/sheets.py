"""make: the sheets of a family, which show in an orderly way what it can draw."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import SheetFamily
from oneshot.scoring.test_sets import SEED
from oneshot.types import DataSet, Part

IMAGES = 5  # of each class that a family is given, as far as the smallest class has them
NOISES = 10  # draws of noise that it is given


@torch.inference_mode()
def make(family: SheetFamily, data: DataSet, device: torch.device) -> dict[str, np.ndarray]:
    """The sheets of a trained family; all families are given the same images and noise.

    The family is left in evaluation mode, on the device.

    Args:
        family: with the weights that it draws with.
        data: the images; where classes are cut into parts, those of TEST are given.
        device: where the family computes.

    Returns:
        By the name of the sheet: uint8 [rows, columns, H, W, C].
    """
    family.to(device).eval()
    shape = family.drawing_noise_shape
    noise = np.stack(
        [rng.generator(SEED, "sheets", i).standard_normal(shape, np.float32) for i in range(NOISES)]
    )
    sheets = family.sheets(_first_of_each(data).to(device), torch.from_numpy(noise).to(device))
    return {name: _as_bytes(pixels) for name, pixels in sheets.items()}


def _first_of_each(data: DataSet) -> Tensor:
    """The first held-out images of each class, in [0, 1], [classes, n, C, H, W]."""
    of_class = [_held_out(data, np.array([c])) for c in range(len(data.class_names))]
    count = min(IMAGES, min(map(len, of_class)))
    images = np.asarray(data.images[np.concatenate([rows[:count] for rows in of_class])])
    pixels = torch.from_numpy(images).float() / (255.0 if images.ndim == 4 else 1.0)
    pixels = pixels if images.ndim == 4 else pixels.unsqueeze(1)
    return pixels.unflatten(0, (len(of_class), count))


def _held_out(data: DataSet, one: np.ndarray) -> np.ndarray:
    """The rows of a class that no model learned from, or else those that it may have."""
    if data.part is None:
        return data.rows(one)
    parts = (data.rows_of_part(one, part) for part in (Part.TEST, Part.SELECTION))
    return next((rows for rows in parts if len(rows)), data.rows(one))


def _as_bytes(pixels: Tensor) -> np.ndarray:
    """Pixels in [0, 1], [..., C, H, W], as uint8 of 0 .. 255 with the channels last."""
    whole = (pixels.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(whole.movedim(-3, -1).cpu().numpy())
