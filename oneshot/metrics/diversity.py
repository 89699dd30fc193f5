"""Diversity: how much the drawings of one exemplar differ from each other.

Source: Boutin et al. 2022 (https://arxiv.org/abs/2205.10370). The features are those of the SimCLR
critic before its projection, as they come: not normalised to unit length, not divided by the human
value. People score about 1.29 on Omniglot with the published critic (Fig. 3a), exact copies of the
exemplar 0.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.checks import checked


def diversity(features: np.ndarray, label: np.ndarray, classes: int | None = None) -> np.ndarray:
    """Spread of the drawings of each class; its mean is the diversity of the model.

    >>> features = np.array([[0.0, 0.0], [2.0, 4.0], [4.0, 8.0], [1.0, 1.0], [1.0, 1.0]])
    >>> diversity(features, [0, 0, 0, 1, 1]).tolist()
    [3.0, 0.0]

    Args:
        features: [N, D], a row per drawing.
        label: class of each drawing, [N], 0 .. C-1.
        classes: C, where it must be checked.

    Returns:
        float64 [C]: the standard deviation of each dimension (n - 1 in the denominator), averaged
        over the dimensions.

    Raises:
        ValueError: a class has fewer than 2 drawings, or a feature is not finite.
    """
    features, label, total = checked(features, label, classes=classes, least=2)
    return np.array([features[label == c].std(axis=0, ddof=1).mean() for c in range(total)])


def diversity_se(features: np.ndarray, label: np.ndarray) -> float:
    """Standard error of the model's mean diversity that comes from drawing finitely often.

    The classes count as fixed and their drawings as independent: the variance of each class value
    is the jackknife over its drawings (Efron and Stein 1981), and the variances of the classes add
    up.

    >>> alike = np.array([[1.0], [2.0], [4.0]])  # drawings of one class, one dimension
    >>> leave_one_out = np.array([np.std([2, 4], ddof=1), np.std([1, 4], ddof=1), 0.5**0.5])
    >>> jackknife = np.sqrt(2 / 3 * ((leave_one_out - leave_one_out.mean()) ** 2).sum())
    >>> bool(np.isclose(diversity_se(alike, [0, 0, 0]), jackknife))
    True

    Args:
        features: [N, D], a row per drawing.
        label: class of each drawing, [N], 0 .. C-1.

    Returns:
        The error; NaN when a class has only 2 drawings, as leaving one out leaves no spread.

    Raises:
        ValueError: as `diversity` does.
    """
    features, label, total = checked(features, label, least=2)
    variances = [_jackknife_variance(features[label == c]) for c in range(total)]
    return float(np.sqrt(np.sum(variances)) / total)


def _jackknife_variance(drawings: np.ndarray) -> float:
    """The jackknife variance of the diversity of one class, from features [n, D]."""
    n = len(drawings)
    if n < 3:
        return float("nan")
    squares = (drawings - drawings.mean(axis=0)) ** 2
    # without drawing i, the sum of squares about the mean of the others is S - n / (n - 1) * x_i^2
    without = np.maximum(squares.sum(axis=0) - squares * (n / (n - 1)), 0.0)
    values = np.sqrt(without / (n - 2)).mean(axis=1)
    return float((n - 1) / n * ((values - values.mean()) ** 2).sum())
