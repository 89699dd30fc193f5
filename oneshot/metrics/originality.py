"""Originality: how far a drawing lies from its exemplar.

Source: Boutin et al. 2023 (https://arxiv.org/abs/2301.11722). The published evaluation divides the
features by a scale computed from the drawings of the model at hand, so that two models are not on
one scale. Here the scale comes from the drawings of people and is the same for all models of a data
set.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.checks import checked, checked_label, checked_prototypes


def normaliser(features: np.ndarray) -> float:
    """The scale of a feature space: the spread of a drawing's own coordinates, mean over drawings.

    >>> normaliser(np.array([[0.0, 2.0, 4.0], [1.0, 1.0, 1.0]]))
    1.0

    Args:
        features: [N, D] with D >= 2, the SimCLR features of *people's* drawings of the test
            classes.

    Returns:
        The standard deviation over the D coordinates (D - 1 in the denominator), mean over N.

    Raises:
        ValueError: a feature is not finite, or the scale is 0.
    """
    features, _, _ = checked(features, np.zeros(len(features), np.int64))
    if features.shape[1] < 2:
        raise ValueError(f"the scale needs at least 2 dimensions, given {features.shape[1]}")
    scale = float(features.std(axis=1, ddof=1).mean())
    if scale == 0:
        raise ValueError("the scale is 0: every drawing has the same value in all its dimensions")
    return scale


def originality(
    features: np.ndarray, label: np.ndarray, prototypes: np.ndarray, scale: float
) -> np.ndarray:
    """Root mean square distance of each drawing to the exemplar of its class.

    The originality of a model is the mean over classes of the mean over drawings.

    >>> drawings, exemplars = np.array([[3.0, 4.0], [1.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> (originality(drawings, [0, 1], exemplars, scale=0.5) ** 2).round(9).tolist()
    [50.0, 0.0]

    Args:
        features: [N, D], a row per drawing.
        label: class of each drawing, [N], 0 .. C-1.
        prototypes: [C, D], features of the exemplars.
        scale: the unit of distance, > 0, from `normaliser`.

    Returns:
        float64 [N], in units of scale.

    Raises:
        ValueError: a class has no drawing, a feature is not finite, or the scale not positive.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"the scale must be finite and positive, given {scale}")
    prototypes = checked_prototypes(prototypes, np.shape(features)[-1])
    features, label, _ = checked(features, label, classes=len(prototypes))
    return np.sqrt(((features - prototypes[label]) ** 2).mean(axis=1)) / scale


def originality_se(values: np.ndarray, label: np.ndarray) -> float:
    """Standard error of the model's mean originality that comes from drawing finitely often.

    The classes count as fixed and their drawings as independent: sqrt(sum_c var_c / n_c) / C. What
    classes differ in is no error.

    >>> originality_se([1.0, 3.0, 11.0, 13.0], [0, 0, 1, 1])  # both variances are 2
    0.7071067811865476

    Args:
        values: originality of each drawing, [N].
        label: class of each drawing, [N], 0 .. C-1.

    Returns:
        The error, in units of the scale of `originality`.

    Raises:
        ValueError: a class has fewer than 2 drawings.
    """
    values = np.asarray(values, np.float64)
    label = checked_label(label, len(values), least=2)
    variances = [
        values[label == c].var(ddof=1) / (label == c).sum() for c in range(label.max() + 1)
    ]
    return float(np.sqrt(np.sum(variances)) / len(variances))
