"""Importance maps: how concentrated they are, and how well two of them rank the same pixels.

Boutin et al. (2024, https://arxiv.org/abs/2406.06079) compare the maps of models with those of
people by rank correlation; that people rest on fewer pixels is a remark of Boutin et al. (2023,
https://arxiv.org/abs/2301.11722), which `sparsity` puts into a number.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def sparsity(maps: np.ndarray, share: float = 0.5) -> np.ndarray:
    """The smallest fraction of the pixels that holds a share of each map's mass.

    The largest pixels come first, and the last of them counts by the part of it that is needed: an
    even map gives `share`, a single pixel share / (H W); all other maps lie between.

    >>> even, single = np.ones((2, 2)), np.array([[0.0, 0.0], [0.0, 7.0]])
    >>> sparsity(np.stack([even, single])).tolist()
    [0.5, 0.125]

    Args:
        maps: [C, H, W], at least 0, in any unit.
        share: of the mass, in (0, 1).

    Returns:
        float64 [C]; NaN for a map without mass.

    Raises:
        ValueError: as `checked_maps` does, and for a share outside (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"the share must lie between 0 and 1, given {share}")
    maps = checked_maps(maps)
    return np.array([_pixels_holding(share, one.ravel()) / one.size for one in maps], np.float64)


def _pixels_holding(share: float, pixels: np.ndarray) -> float:
    """How many of the pixels [n], largest first, sum to this share of all; parts of one count."""
    held = np.concatenate([[0.0], np.sort(pixels)[::-1].cumsum()])
    return (
        float(np.interp(share * held[-1], held, np.arange(len(held)))) if held[-1] > 0 else np.nan
    )


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation of two maps over their pixels; equal pixels share their mean rank.

    >>> a = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> spearman(a, a**3).round(9).tolist(), spearman(a, 1 / a).round(9).tolist()
    ([1.0], [-1.0])

    Args:
        a: [C, H, W], at least 0, in any unit.
        b: maps of the same shape.

    Returns:
        float64 [C]; NaN where a map is constant.

    Raises:
        ValueError: as `checked_maps` does, and for shapes that differ.
    """
    a, b = checked_maps(a), checked_maps(b)
    if a.shape != b.shape:
        raise ValueError(f"maps to be compared must have one shape, given {a.shape} and {b.shape}")
    pairs = [
        (pd.Series(x.ravel()).rank().to_numpy(), pd.Series(y.ravel()).rank().to_numpy())
        for x, y in zip(a, b)
    ]
    return np.array(
        [np.corrcoef(x, y)[0, 1] if np.ptp(x) and np.ptp(y) else np.nan for x, y in pairs],
        np.float64,
    )


def checked_maps(maps: np.ndarray) -> np.ndarray:
    """Maps in the type that metrics compute with.

    >>> checked_maps([[[0, 1]]]).dtype
    dtype('float64')

    Raises:
        ValueError: they are not [C, H, W] with a pixel at least, finite and not negative.
    """
    maps = np.asarray(maps, np.float64)
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise ValueError(f"maps must be [C, H, W] with a pixel at least, given shape {maps.shape}")
    broken = int((~(np.isfinite(maps) & (maps >= 0))).any(axis=(1, 2)).sum())
    if broken:
        raise ValueError(f"maps must be finite and at least 0, but {broken} of {len(maps)} are not")
    return maps
