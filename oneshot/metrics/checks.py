"""What every metric requires of its features and labels before it computes anything."""

from __future__ import annotations

import numpy as np


def checked(
    features: np.ndarray, label: np.ndarray, *, classes: int | None = None, least: int = 1
) -> tuple[np.ndarray, np.ndarray, int]:
    """Features and labels in the types that metrics compute with.

    >>> features, label, classes = checked(np.ones((3, 2), np.float32), [0, 1, 1])
    >>> features.dtype, label.dtype, classes
    (dtype('float64'), dtype('int64'), 2)

    Args:
        features: finite, [N, D], a row per drawing.
        label: class of each row, [N], 0 .. C-1.
        classes: C where the caller knows it; None for the largest label + 1.
        least: how many drawings each class must have.

    Returns:
        Features float64 [N, D], labels int64 [N], and C.

    Raises:
        ValueError: on anything else.
    """
    features = _matrix(features, "features")
    label = checked_label(label, len(features), classes=classes, least=least)
    _require_finite(features, "features")
    return features, label, int(label.max()) + 1 if classes is None else classes


def checked_rows(features: np.ndarray, *, least: int = 1, name: str = "the features") -> np.ndarray:
    """Features without labels in the type that metrics compute with.

    >>> checked_rows(np.ones((3, 2), np.float32), least=4)
    Traceback (most recent call last):
    ValueError: the features must have at least 4 rows, given 3

    Args:
        features: finite, [N, D].
        least: how many rows there must be.
        name: what a message calls them.

    Returns:
        float64 [N, D].

    Raises:
        ValueError: on anything else.
    """
    features = _matrix(features, name)
    if len(features) < least:
        plural = "s" * (least != 1)
        raise ValueError(f"{name} must have at least {least} row{plural}, given {len(features)}")
    _require_finite(features, name)
    return features


def checked_pair(
    reference: np.ndarray, drawn: np.ndarray, *, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Features of two sets that are compared, in the type that metrics compute with.

    >>> reference, drawn = checked_pair([[0, 1]], [[2, 3], [4, 5]])
    >>> reference.shape, drawn.dtype
    ((1, 2), dtype('float64'))

    Args:
        reference: finite, [N, D], as a rule of people's drawings.
        drawn: finite, [M, D], as a rule of a model's drawings.
        least: how many rows each must have.

    Returns:
        float64 [N, D] and [M, D].

    Raises:
        ValueError: on anything else.
    """
    reference = checked_rows(reference, least=least, name="the reference features")
    drawn = checked_rows(drawn, least=least, name="the drawn features")
    if reference.shape[1] != drawn.shape[1]:
        raise ValueError(
            "both sets need features of the same critic, but the reference has"
            f" {reference.shape[1]} dimensions and the drawings have {drawn.shape[1]}"
        )
    return reference, drawn


def checked_label(
    label: np.ndarray, rows: int, *, classes: int | None = None, least: int = 1
) -> np.ndarray:
    """Labels in the type that metrics compute with.

    >>> checked_label([0, 0, 2], 3)
    Traceback (most recent call last):
    ValueError: every class needs at least 1 drawing, but 1 of 3 classes have fewer (class 1 has 0)

    Args:
        label: class of each drawing, integers [rows], 0 .. C-1.
        rows: how many drawings there are.
        classes: C where the caller knows it; None for the largest label + 1.
        least: how many drawings each class must have.

    Returns:
        int64 [rows].

    Raises:
        ValueError: on anything else.
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
    """The mean of one value per drawing over each class.

    >>> class_means([1.0, 3.0, 5.0], [0, 0, 1]).tolist()
    [2.0, 5.0]

    Args:
        values: [N].
        label: class of each drawing, [N], 0 .. C-1.

    Returns:
        float64 [C].

    Raises:
        ValueError: a class has no drawing.
    """
    values = np.asarray(values, np.float64)
    label = checked_label(label, len(values))
    return np.bincount(label, weights=values) / np.bincount(label)


def checked_prototypes(prototypes: np.ndarray, dimensions: int) -> np.ndarray:
    """The features of the exemplars in the type that metrics compute with.

    >>> checked_prototypes([[0, 1], [2, 3]], 2).dtype
    dtype('float64')

    Args:
        prototypes: finite, [C, D], a row per class.
        dimensions: D of the drawings' features.

    Returns:
        float64 [C, D].

    Raises:
        ValueError: on anything else.
    """
    prototypes = np.asarray(prototypes, np.float64)
    if prototypes.ndim != 2 or prototypes.shape[1] != dimensions or len(prototypes) == 0:
        raise ValueError(
            f"prototypes must be [C, {dimensions}] as the drawings are, given shape"
            f" {prototypes.shape}"
        )
    broken = int((~np.isfinite(prototypes)).any(axis=1).sum())
    if broken:
        raise ValueError(f"prototypes must be finite, but {broken} of {len(prototypes)} are not")
    return prototypes


def _matrix(features: np.ndarray, name: str) -> np.ndarray:
    """Features as float64 [N, D], or ValueError."""
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"{name} must be [N, D] with D >= 1, given shape {features.shape}")
    return features


def _require_finite(features: np.ndarray, name: str) -> None:
    """Raise ValueError where a row holds NaN or infinity."""
    broken = int((~np.isfinite(features)).any(axis=1).sum())
    if broken:
        raise ValueError(
            f"{name} must be finite, but {broken} of {len(features)} rows hold NaN or infinity"
        )
