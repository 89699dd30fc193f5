"""Shots: the few examples of a class that a model is given, chosen by a seed and nested in k."""

from __future__ import annotations

import numpy as np

from oneshot import rng
from oneshot.types import DataSet, Part


def supports(
    data: DataSet, classes: np.ndarray, k: int, seed: int, first: np.ndarray | None = None
) -> np.ndarray:
    """The supports of some classes: k different images of each.

    Those of a smaller k are the first of those of a larger one, and those of a class do not depend
    on which others are asked for.

    Args:
        data: images and classes; where classes are cut into parts, supports are of TRAIN.
        classes: int64 [C].
        k: examples of each class, from 0.
        seed: of the choice.
        first: image index of each class of the data set, int64 [classes]: its first support.

    Returns:
        Image indices, int64 [C, k].

    Raises:
        ValueError: a class has fewer than k images.
    """
    chosen = np.empty((len(classes), k), np.int64)
    for i, c in enumerate(classes):
        one = np.array([c])
        rows = data.rows(one) if data.part is None else data.rows_of_part(one, Part.TRAIN)
        order = rows[rng.generator(seed, "shots", int(c)).permutation(len(rows))]
        if first is not None:
            order = np.concatenate([first[one], order[order != first[c]]])
        if len(order) < k:
            name = data.class_names[c]
            raise ValueError(f"{k} shots: class {name} of {data.name} has {len(order)} images")
        chosen[i] = order[:k]
    return chosen


def replicated(data: DataSet, classes: np.ndarray, k: int, seed: int, target: int) -> np.ndarray:
    """The supports of some classes, each so often that a class has about as many rows as others.

    Args:
        data: images and classes.
        classes: int64 [C].
        k: examples of each class; 0 for none.
        seed: of the choice.
        target: rows a class shall have.

    Returns:
        Image indices, int64 [C * k * round(target / k)].
    """
    if k == 0:
        return np.empty(0, np.int64)
    times = max(round(target / k), 1)
    return np.tile(supports(data, classes, k, seed), (1, times)).reshape(-1)
