"""Vendi score: how many different drawings a set seems to hold.

Source: Friedman and Dieng 2023 (https://arxiv.org/abs/2210.02410, definition 3.1), with the cosine
of two feature vectors as their similarity. A set of n equal drawings scores 1, of n orthogonal ones
n. It sees variety alone, not whether the drawings are right: noise scores high.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.checks import checked, checked_rows


def vendi(features: np.ndarray) -> float:
    """The exponential of the entropy of the eigenvalues of K / n, where K holds all cosines.

    A vector of zeros has no direction. All such rows count as equal to each other and as
    orthogonal to every other row.

    >>> round(vendi([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 1.0]]), 9)
    2.0

    Args:
        features: [N, D], a row per drawing.

    Returns:
        The effective number of different drawings, 1 .. N.

    Raises:
        ValueError: there is no row, or a feature is not finite.
    """
    return _score(checked_rows(features))


def vendi_of_classes(
    features: np.ndarray, label: np.ndarray, classes: int | None = None
) -> np.ndarray:
    """The score of the drawings of each class; its mean is that of the model.

    It grows with the number of drawings: compare equal numbers a class only.

    >>> vendi_of_classes([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 0, 1]).round(9).tolist()
    [2.0, 1.0]

    Args:
        features: [N, D], a row per drawing.
        label: class of each drawing, [N], 0 .. C-1.
        classes: C, where it must be checked.

    Returns:
        float64 [C], each 1 .. the drawings of that class.

    Raises:
        ValueError: a class has no drawing, or a feature is not finite.
    """
    features, label, total = checked(features, label, classes=classes)
    return np.array([_score(features[label == c]) for c in range(total)])


def _score(features: np.ndarray) -> float:
    """The score of float64 features [n, D], n >= 1."""
    n = len(features)
    largest = np.abs(features).max(axis=1)
    rows = features[largest > 0] / largest[largest > 0, None]  # so that no square underflows
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # K and the matrix of dimensions have the same eigenvalues but for zeros, so the smaller will do
    gram = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    weights = np.append(np.linalg.eigvalsh(gram / n), (n - len(rows)) / n)
    weights = weights[weights > 0]
    return max(1.0, float(np.exp(-(weights * np.log(weights)).sum())))
