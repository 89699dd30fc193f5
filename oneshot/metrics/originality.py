"""Originality: how far a drawing lies from its exemplar (Boutin et al. 2023,
https://arxiv.org/abs/2301.11722).

The published evaluation divides the features by a scale computed from the drawings of the model at
hand, so that two models are not on one scale. Here the scale comes from the drawings of people and
is the same for all models of a data set.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.checks import checked, checked_prototypes


def normaliser(features: np.ndarray) -> float:
    """The scale of a feature space: the standard deviation of a drawing's own coordinates (D - 1),
    averaged over the drawings.

    features: [N, D] with D >= 2, the SimCLR features of the *human* drawings of the test classes.
    Raises ValueError if a feature is not finite or the scale is 0.
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
    """Root mean square distance of each drawing to the exemplar of its class, in units of `scale`:
    float64 [N].

    features: [N, D]. label: [N], class 0 .. C-1. prototypes: [C, D], features of the exemplars.
    scale: from `normaliser`, > 0. The originality of a model is the mean over classes of the mean
    over drawings. Raises ValueError as `diversity` does.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"the scale must be finite and positive, given {scale}")
    prototypes = checked_prototypes(prototypes, np.shape(features)[-1])
    features, label, _ = checked(features, label, classes=len(prototypes))
    return np.sqrt(((features - prototypes[label]) ** 2).mean(axis=1)) / scale
