"""What every metric asks of its features and labels before it computes anything."""

from __future__ import annotations

import numpy as np


def checked(
    features: np.ndarray, label: np.ndarray, *, classes: int | None = None, least: int = 1
) -> tuple[np.ndarray, np.ndarray, int]:
    """(features float64 [N, D], label int64 [N], C), or ValueError.

    label: class of each row, 0 .. C-1. classes: C where the caller knows it, else the largest label
    + 1.
    least: how many drawings each class must have.
    """
    features, label = np.asarray(features, np.float64), np.asarray(label)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"features must be [N, D] with D >= 1, given shape {features.shape}")
    label = checked_label(label, len(features), classes=classes, least=least)
    broken = int((~np.isfinite(features)).any(axis=1).sum())
    if broken:
        raise ValueError(
            f"features must be finite, but {broken} of {len(features)} rows hold NaN or infinity"
        )
    return features, label, int(label.max()) + 1 if classes is None else classes


def checked_label(
    label: np.ndarray, rows: int, *, classes: int | None = None, least: int = 1
) -> np.ndarray:
    """label as int64 [rows], every class of 0 .. C-1 present at least `least` times, or
    ValueError.
    """
    label = np.asarray(label)
    if label.shape != (rows,) or rows == 0:
        raise ValueError(
            f"need one label per row and at least one row, given {rows} rows and labels of shape"
            f" {label.shape}"
        )
    if not np.issubdtype(label.dtype, np.integer):
        raise ValueError(f"labels must be integers, given {label.dtype}")
    if label.min() < 0 or (classes is not None and label.max() >= classes):
        limit = "" if classes is None else f" .. {classes - 1}"
        raise ValueError(f"labels must be 0{limit}, given {label.min()} .. {label.max()}")
    counts = np.bincount(label, minlength=classes or 0)
    short = np.flatnonzero(counts < least)
    if len(short):
        raise ValueError(
            f"every class needs at least {least} drawing{'s' * (least > 1)}, but {len(short)} of"
            f" {len(counts)} classes have fewer (class {short[0]} has {counts[short[0]]})"
        )
    return label.astype(np.int64)


def class_means(values: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mean of one value per drawing [N] over each class: float64 [C]."""
    values = np.asarray(values, np.float64)
    label = checked_label(label, len(values))
    return np.bincount(label, weights=values) / np.bincount(label)


def checked_prototypes(prototypes: np.ndarray, dimensions: int) -> np.ndarray:
    """The features of the exemplars as float64 [C, D], finite and as long as the drawings'
    features, or ValueError.
    """
    prototypes = np.asarray(prototypes, np.float64)
    if prototypes.ndim != 2 or prototypes.shape[1] != dimensions or len(prototypes) == 0:
        raise ValueError(
            f"prototypes must be [C, {dimensions}] as the drawings are, given shape"
            f" {prototypes.shape}"
        )
    if not np.isfinite(prototypes).all():
        raise ValueError(
            f"prototypes must be finite, but {int((~np.isfinite(prototypes)).any(axis=1).sum())} of"
            f" {len(prototypes)} are not"
        )
    return prototypes
