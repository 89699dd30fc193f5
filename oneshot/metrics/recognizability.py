"""Recognizability: how often a drawing is told from others by its exemplar.

Source: Boutin et al. 2022 (https://arxiv.org/abs/2205.10370).

The task is N-way one-shot recognition in the feature space of the ProtoNet critic: of N exemplars
of different classes, the one nearest to the drawing by squared Euclidean distance is the answer.
Chance is 100 / N per cent. Two protocols: `expected` is the exact mean over all choices of the N -
1 other classes; `by_episodes` plays the published 3,750 episodes and agrees with it within sampling
error.

Exact ties (equal exemplars) go to whichever comes first in the episode. Since the order within an
episode is random, each of the tied classes is first equally often, and that is what `expected`
computes.
"""

from __future__ import annotations

from math import comb

import numpy as np

from oneshot.metrics.checks import checked, checked_label, checked_prototypes, class_means

CHUNK = 8192  # queries at a time: 10 MB of distances for 150 classes


def expected(
    queries: np.ndarray, label: np.ndarray, prototypes: np.ndarray, ways: int = 20
) -> np.ndarray:
    """Probability that each query is recognised among its own class and others drawn uniformly.

    With m of the other C - 1 prototypes nearer than the own one,

        p = binomial(C - 1 - m, ways - 1) / binomial(C - 1, ways - 1),

    as none of the m may be among the ways - 1 others. A query tied with t others ranks m, m + 1 ..
    m + t equally often.

    >>> queries, prototypes = np.array([[0.0], [1.0], [1.4]]), np.array([[0.0], [1.0], [2.0]])
    >>> expected(queries, [0, 1, 2], prototypes, ways=2).tolist()
    [1.0, 1.0, 0.5]

    Args:
        queries: [N, d], features of the drawings.
        label: class of each drawing, [N], 0 .. C-1.
        prototypes: [C, d], features of the exemplars.
        ways: how many classes there are to choose from, the own one included.

    Returns:
        float64 [N] in [0, 1].

    Raises:
        ValueError: C < ways, a class has no query, or a feature is not finite.
    """
    queries, label, prototypes = _checked(queries, label, prototypes, ways)
    total = len(prototypes)
    by_rank = [comb(total - 1 - m, ways - 1) / comb(total - 1, ways - 1) for m in range(total)]
    up_to = np.concatenate([[0.0], np.cumsum(by_rank)])
    result = np.empty(len(queries))
    for start in range(0, len(queries), CHUNK):
        part = slice(start, start + CHUNK)
        distance = _relative_distance(queries[part], prototypes)
        own = np.take_along_axis(distance, label[part, None], axis=1)
        nearer, tied = (distance < own).sum(axis=1), (distance == own).sum(axis=1) - 1
        # without a tie the table itself, not a difference of sums: a copy of the exemplar gives 1
        shared = (up_to[nearer + tied + 1] - up_to[nearer]) / (tied + 1)
        result[part] = np.where(tied == 0, np.asarray(by_rank)[nearer], shared)
    return result


def per_class(p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Recognizability of each class in per cent; its mean is the model's.

    >>> per_class([1.0, 0.5, 0.25], [0, 0, 1]).tolist()
    [75.0, 25.0]

    Args:
        p: [N], probabilities from `expected`.
        label: class of each drawing, [N], 0 .. C-1.

    Returns:
        float64 [C].
    """
    return 100.0 * class_means(p, label)


def recognizability_se(p: np.ndarray, label: np.ndarray) -> float:
    """Standard error of the model's recognizability that comes from drawing finitely often.

    The classes count as fixed and their drawings as independent.

    >>> recognizability_se([1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1]) == 100 * (0.25 + 0.25) ** 0.5 / 2
    True

    Args:
        p: [N], probabilities from `expected`.
        label: class of each drawing, [N], 0 .. C-1.

    Returns:
        The error in per cent; NaN when a class has a single drawing.
    """
    p = np.asarray(p, np.float64)
    label = checked_label(label, len(p))
    count = np.bincount(label)
    squares = np.bincount(label, weights=(p - class_means(p, label)[label]) ** 2)
    with np.errstate(invalid="ignore"):
        variance = squares / (count - 1.0) / count
    return float(100.0 * np.sqrt(variance.sum()) / len(count))


def episodes(
    classes: int, ways: int = 20, queries_per_class: int = 500, seed: int = 44
) -> np.ndarray:
    """The classes of each episode in the published task list.

    The labels 0 .. classes-1 are repeated `queries_per_class` times and cut into windows of
    floor(classes / ways) * ways, which hold no label twice. Each window is shuffled and cut into
    episodes. The last window may be shorter.

    >>> episodes(150).shape
    (3750, 20)
    >>> np.bincount(episodes(6, ways=3, queries_per_class=4).ravel()).tolist()
    [4, 4, 4, 4, 4, 4]

    Args:
        classes: how many there are.
        ways: classes of an episode.
        queries_per_class: how often each class is shown.
        seed: of the shuffles; 44 as published.

    Returns:
        int64 [classes * queries_per_class / ways, ways].

    Raises:
        ValueError: there are fewer classes than ways, or the list does not come out in whole
            episodes.
    """
    import torch  # only for the published shuffle; the other metrics need no torch

    if not 1 <= ways <= classes:
        raise ValueError(f"{ways}-way episodes need at least {ways} classes, given {classes}")
    if queries_per_class < 1 or (classes * queries_per_class) % ways:
        raise ValueError(
            f"{classes} classes x {queries_per_class} queries must be a positive multiple of {ways}"
        )
    labels = np.tile(np.arange(classes), queries_per_class)
    window = classes // ways * ways
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, len(labels), window):
        part = labels[start : start + window]
        labels[start : start + window] = part[
            torch.randperm(len(part), generator=generator).numpy()
        ]
    return labels.reshape(-1, ways)


def by_episodes(
    queries: np.ndarray,
    label: np.ndarray,
    prototypes: np.ndarray,
    ways: int = 20,
    queries_per_class: int = 500,
    seed: int = 44,
) -> np.ndarray:
    """Recognizability of each class by the published episodes; its mean is the model's.

    Query k of a class is its drawing k mod n, in the order given, where n is how many drawings the
    class has.

    >>> points = np.array([[0.0], [1.0], [2.0]])
    >>> by_episodes(points, [0, 1, 2], points, ways=3, queries_per_class=4).tolist()
    [100.0, 100.0, 100.0]

    Args:
        queries: [N, d], features of the drawings.
        label: class of each drawing, [N], 0 .. C-1.
        prototypes: [C, d], features of the exemplars.
        ways: classes of an episode.
        queries_per_class: how often each class is shown.
        seed: of the episodes.

    Returns:
        float64 [C], in per cent.

    Raises:
        ValueError: as in `expected` and `episodes`.
    """
    queries, label, prototypes = _checked(queries, label, prototypes, ways)
    shown = episodes(len(prototypes), ways, queries_per_class, seed)
    drawing = _drawing_of_each_query(shown, label)
    hits = np.zeros(len(prototypes))
    for start in range(0, len(shown), CHUNK // ways):
        part = slice(start, start + CHUNK // ways)
        distance = _relative_distance(queries[drawing[part].ravel()], prototypes).reshape(
            *shown[part].shape, -1
        )
        # [episode, query, candidate]
        among = np.take_along_axis(distance, shown[part, None, :], axis=2)
        right = among.argmin(axis=2) == np.arange(ways)
        hits += np.bincount(shown[part][right], minlength=len(prototypes))
    return 100.0 * hits / queries_per_class


def _drawing_of_each_query(shown: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The row of the drawing behind each entry of the episodes, int64 like `shown`."""
    flat = shown.ravel()
    order = np.argsort(flat, kind="stable")
    before = np.empty(len(flat), np.int64)  # how often the class was shown before
    before[order] = np.arange(len(flat)) - np.searchsorted(flat[order], flat[order])
    by_class, count = np.argsort(label, kind="stable"), np.bincount(label)
    first = np.cumsum(count) - count
    return by_class[first[flat] + before % count[flat]].reshape(shown.shape)


def _relative_distance(queries: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Squared distances [n, C] less |query|^2, which is the same for all prototypes of a query.

    |q - p|^2 - |q|^2 = |p|^2 - 2 q p. Equal prototypes get equal values, so that ties are exact.
    """
    unique, place = np.unique(prototypes, axis=0, return_inverse=True)
    return ((unique**2).sum(axis=1) - 2.0 * queries @ unique.T)[:, place.ravel()]


def _checked(
    queries: np.ndarray, label: np.ndarray, prototypes: np.ndarray, ways: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, labels and prototypes in the types that metrics compute with, or ValueError."""
    queries = np.asarray(queries)
    prototypes = checked_prototypes(prototypes, queries.shape[-1] if queries.ndim else 0)
    if not 1 <= ways <= len(prototypes):
        raise ValueError(
            f"{ways}-way recognition needs at least {ways} classes, given {len(prototypes)}"
        )
    queries, label, _ = checked(queries, label, classes=len(prototypes))
    return queries, label, prototypes
