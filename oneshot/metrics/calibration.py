"""How far the confidence of a classifier is from how often it is right."""

from __future__ import annotations

import numpy as np

BINS = 15  # of confidence, equally wide, as Guo et al. take


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599, eq. 3).

    Predictions are sorted into bins by their confidence. The error is the distance between the mean
    confidence of a bin and its share of right predictions, mean over predictions. A bin holds its
    upper edge.

    >>> calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([1, 1, 1, 0])).__round__(9)
    0.15

    Args:
        confidence: of each prediction, the probability of the class that is predicted, [N].
        right: whether each is right, [N].
        bins: how many, 1 or more.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: there is no prediction, or a confidence lies outside [0, 1].
    """
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if confidence.ndim != 1 or confidence.shape != right.shape or not len(confidence):
        raise ValueError(f"need N of both, given {confidence.shape} and {right.shape}")
    if not (confidence >= 0).all() or not (confidence <= 1).all():
        raise ValueError("confidence must lie in [0, 1]")
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(place, confidence - right, bins)
    return float(np.abs(gaps).sum() / len(confidence))
