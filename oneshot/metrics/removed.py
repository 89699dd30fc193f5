"""Does anything that a model draws belong to a class that it never saw? By a classifier of all.

The drawings of a model that was trained without a class are shown to a classifier that knows every
class. What it takes for the missing class, and is sure of, is a hit. The same share of real images
of the classes that were kept is what the classifier's own mistakes give.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.blocks import blocks
from oneshot.metrics.checks import checked_pair, checked_rows
from oneshot.metrics.neighbours import nearest

SURE, VERY_SURE = 0.5, 0.9  # confidence from which a prediction counts
COVERED = 0.01  # share of the drawings from which a class counts as drawn
FEWEST = 10  # drawings that a mean of distances rests on


def shares(probability: np.ndarray, least: float = SURE) -> np.ndarray:
    """The share of images that the classifier takes for each class, and is sure of.

    >>> shares(np.array([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]])).tolist()
    [0.5, 0.0, 0.0]

    Args:
        probability: of each class, rows sum to 1, [N, C].
        least: the confidence from which a prediction counts.

    Returns:
        float64 [C]; they sum to 1 less the share of which it is not sure.

    Raises:
        ValueError: there is no image, or a probability lies outside [0, 1].
    """
    probability = _checked(probability)
    taken, sure = probability.argmax(1), probability.max(1) >= least
    counts = np.bincount(taken[sure], minlength=probability.shape[1])
    return np.asarray(counts / len(probability), np.float64)


def entropy(probability: np.ndarray) -> float:
    """How undecided the classifier is: the mean entropy of its predictions.

    >>> round(entropy(np.array([[0.5, 0.5], [1.0, 0.0]])) / float(np.log(2)), 9)
    0.5

    Args:
        probability: of each class, rows sum to 1, [N, C].

    Returns:
        In nats, from 0 to log C.

    Raises:
        ValueError: as `shares`.
    """
    probability = _checked(probability)
    logs = np.log(np.where(probability > 0, probability, 1.0))
    return float(-(probability * logs).sum(1).mean() + 0.0)


def covered(share: np.ndarray, classes: np.ndarray, least: float = COVERED) -> int:
    """How many of some classes are drawn at all.

    >>> covered(np.array([0.9, 0.02, 0.001, 0.0]), np.array([0, 1, 2]))
    2

    Args:
        share: of the drawings that are taken for each class, as of `shares`, [C].
        classes: the classes that count.
        least: the share from which a class counts as drawn.

    Returns:
        At most as many as there are classes.
    """
    return int((np.asarray(share)[classes] >= least).sum())


def mean_distance(features: np.ndarray) -> float:
    """The mean Euclidean distance of two different rows.

    >>> mean_distance(np.array([[0.0], [1.0], [5.0]])).__round__(9)
    3.333333333

    Args:
        features: [N, D], N of 2 or more.

    Returns:
        The mean over all pairs.

    Raises:
        ValueError: there are fewer rows, or a feature is not finite.
    """
    rows = checked_rows(features, least=2)
    rows = rows - rows.mean(0)  # rounding grows with the distance from the origin
    size, total = (rows**2).sum(1), 0.0
    for part in blocks(len(rows), len(rows)):
        squared = size[part, None] + size[None] - 2 * rows[part] @ rows.T
        squared[np.arange(part.stop - part.start), np.arange(part.start, part.stop)] = 0
        total += float(np.sqrt(np.maximum(squared, 0)).sum())
    return total / (len(rows) * (len(rows) - 1))


def diversity_ratio(drawn: np.ndarray, real: np.ndarray) -> float:
    """How much drawings of a class vary, in multiples of how much real images of it do.

    >>> drawn, real = np.arange(10)[:, None] * 1.0, np.arange(10)[:, None] * 2.0
    >>> round(diversity_ratio(drawn, real), 9)
    0.5

    Args:
        drawn: features of drawings that are taken for the class, [N, D].
        real: features of real images of it, [M, D].

    Returns:
        The ratio of mean distances of pairs; NaN for fewer than FEWEST drawings, or where real
        images do not differ.
    """
    if len(drawn) < FEWEST or len(real) < 2:
        return float("nan")
    drawn, real = checked_pair(real, drawn)[::-1]
    unit = mean_distance(real)
    return mean_distance(drawn) / unit if unit > 0 else float("nan")


def to_shots_ratio(drawn: np.ndarray, real: np.ndarray, shots: np.ndarray) -> float:
    """How far drawings of a class are from its shots, in multiples of how far real images are.

    >>> shots, real = np.zeros((1, 1)), np.array([[2.0], [4.0]])
    >>> to_shots_ratio(np.ones((10, 1)), real, shots).__round__(9)
    0.333333333

    Args:
        drawn: features of drawings that are taken for the class, [N, D].
        real: features of real images of it that are no shots, [M, D].
        shots: features of the shots of it, [K, D].

    Returns:
        The ratio of mean distances to the nearest shot: copies of shots are below 1. NaN for fewer
        than FEWEST drawings, without shots, and where all real images are copies of them.
    """
    if len(drawn) < FEWEST or not len(real) or not len(shots):
        return float("nan")
    unit = float(nearest(real, shots).mean())
    return float(nearest(drawn, shots).mean()) / unit if unit > 0 else float("nan")


def _checked(probability: np.ndarray) -> np.ndarray:
    """Probabilities as float64 [N, C], or ValueError."""
    probability = np.asarray(probability, np.float64)
    if probability.ndim != 2 or 0 in probability.shape:
        raise ValueError(f"probabilities must be [N, C] with rows, given {probability.shape}")
    if not (probability >= 0).all() or not (probability <= 1 + 1e-9).all():
        raise ValueError("probabilities must lie in [0, 1]")
    return probability
