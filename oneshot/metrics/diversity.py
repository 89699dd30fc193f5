"""Diversity: how much the drawings of one exemplar differ from each other (Boutin et al. 2022,
https://arxiv.org/abs/2205.10370).

The features are those of the SimCLR critic before its projection, as they come: not normalised to
unit length, not divided by the human value. People score about 1.29 on Omniglot with the published
critic, exact copies of the exemplar 0.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.checks import checked


def diversity(features: np.ndarray, label: np.ndarray, classes: int | None = None) -> np.ndarray:
    """Spread of the drawings of each class, float64 [C]; its mean is the diversity of the model.

    features: [N, D], a row per drawing. label: [N], class of each drawing, 0 .. C-1. classes: C, if
    it must be checked. Per class: the standard deviation (n - 1 in the denominator) of each
    dimension, averaged over the dimensions. Raises ValueError if a class has fewer than 2 drawings
    or a feature is not finite.
    """
    features, label, total = checked(features, label, classes=classes, least=2)
    return np.array([features[label == c].std(axis=0, ddof=1).mean() for c in range(total)])


def diversity_se(features: np.ndarray, label: np.ndarray) -> float:
    """Standard error of the model's mean diversity that comes from drawing finitely often.

    The classes count as fixed and their drawings as independent: the variance of each class value
    is the jackknife over its drawings (Efron and Stein 1981), and the variances of the classes add
    up. It is NaN when a class has only 2 drawings, since leaving one out then leaves no spread.
    Arguments and errors as in `diversity`.
    """
    features, label, total = checked(features, label, least=2)
    variances = [_jackknife_variance(features[label == c]) for c in range(total)]
    return float(np.sqrt(np.sum(variances)) / total)


def _jackknife_variance(drawings: np.ndarray) -> float:
    n = len(drawings)
    if n < 3:
        return float("nan")
    squares = (drawings - drawings.mean(axis=0)) ** 2
    # The sum of squares about the mean of the others, when drawing i is left out: S - n / (n - 1) *
    # x_i^2.
    left = np.maximum(squares.sum(axis=0) - squares * (n / (n - 1)), 0.0)
    values = np.sqrt(left / (n - 2)).mean(axis=1)
    return float((n - 1) / n * ((values - values.mean()) ** 2).sum())
