"""Standardisation: the images of people and of models are made alike before a critic sees them.

Without it a critic could tell a model by its grey levels. The published evaluation does the same
with its samples and exemplars (Boutin et al. 2022, https://arxiv.org/abs/2205.10370).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

CHUNK = 4096  # images at a time: 82 MB as float64 at 50x50


def standardise(images: np.ndarray, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Resize images, stretch each to [0, 1], and keep as ink what is above one half.

    An image is stretched by its own minimum and maximum. Resizing is Pillow's bilinear, which
    averages over the covered area when it shrinks, on 8 bits of dark ink on bright paper: as the
    images of Omniglot are prepared, so that the same drawing becomes the same bits.

    >>> grey, flat = [[0.25, 0.5], [0.375, 0.75]], [[0.5, 0.5], [0.5, 0.5]]
    >>> bits, constant = standardise(np.array([grey, flat]))
    >>> bits.tolist(), constant.tolist()
    ([[[0, 0], [0, 1]], [[0, 0], [0, 0]]], [False, True])

    Args:
        images: [N, H, W], floats in [0, 1], bool, or uint8 of 0 and 1.
        size: side of the result, in pixels; None for that of the images, which are square then.

    Returns:
        uint8 [N, S, S] of 0 and 1, and bool [N]: which images were constant, and are now all
        background.

    Raises:
        ValueError: on another shape or type, on NaN or infinity, and on values outside [0, 1].
    """
    images = np.asarray(images)
    _check(images)
    side = images.shape[1] if size is None else size
    if side < 1 or (size is None and images.shape[1] != images.shape[2]):
        raise ValueError(
            f"images of {images.shape[1]}x{images.shape[2]} need a target size of at least 1 pixel,"
            f" given {size}"
        )
    bits = np.empty((len(images), side, side), np.uint8)
    constant = np.empty(len(images), bool)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        bits[part], constant[part] = _standardise(images[part].astype(np.float64), side)
    return bits, constant


def _standardise(images: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """As `standardise`, of float64 images, all at once."""
    # an image is found flat before the resize, too, whose rounding could be stretched into ink
    flat = np.ptp(images, axis=(1, 2)) == 0
    if images.shape[1:] != (side, side):
        images = _resized(images, side)
    low, high = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    flat |= (high == low)[:, 0, 0]
    stretched = (images - low) / np.where(high == low, 1.0, high - low)
    return (stretched > 0.5).astype(np.uint8) * ~flat[:, None, None], flat


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    """Images [N, H, W] in [0, 1] as float32 [N, side, side] in [0, 1]."""
    paper = np.rint(255 * (1 - images)).astype(np.uint8)
    resized = [
        np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.BILINEAR))
        for grey in paper
    ]
    # float32, as Omniglot is prepared: a value of exactly one half falls on the same side
    grey = np.stack(resized).astype(np.float32) / np.float32(255)
    low, high = grey.min(axis=(1, 2), keepdims=True), grey.max(axis=(1, 2), keepdims=True)
    inverted: np.ndarray = 1 - (grey - low) / np.where(high > low, high - low, np.float32(1))
    return inverted * (high > low)


def _check(images: np.ndarray) -> None:
    """Raise ValueError for images that `standardise` refuses."""
    if images.ndim != 3 or 0 in images.shape[1:]:
        raise ValueError(f"images must be [N, H, W], given shape {images.shape}")
    if images.dtype == bool:
        return
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"images must be floats in [0, 1], bool, or uint8 of 0 and 1, given {images.dtype}"
        )
    if images.dtype != np.uint8 and (broken := int((~np.isfinite(images)).sum())):
        raise ValueError(
            f"images must be finite, but {broken} of {images.size} pixels are NaN or infinity"
        )
    if outside := int(((images < 0) | (images > 1)).sum()):
        raise ValueError(
            f"pixels must lie in [0, 1], but {outside} of {images.size} do not (range"
            f" {images.min():g} .. {images.max():g}; divide bytes by 255 first)"
        )
