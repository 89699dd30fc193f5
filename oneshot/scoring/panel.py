"""The reviewers' panel: metrics of two sets of features, of a model's drawings and of people's.

All rest on the features of the SimCLR critic before its projection, and on as many drawings a class
as diversity does, since nearly all of them depend on the number of drawings.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.frechet import frechet_distance
from oneshot.metrics.kernel_distance import kernel_distance
from oneshot.metrics.neighbours import NEIGHBOURS, nearest, prdc
from oneshot.metrics.vendi import vendi, vendi_of_classes


def first(label: np.ndarray, most: int) -> np.ndarray:
    """Which drawings are among the first of their class.

    Args:
        label: class of each drawing, sorted, [N].
        most: how many of each class.

    Returns:
        bool [N].
    """
    return np.arange(len(label)) - np.searchsorted(label, label) < most


def of_two_sets(features: np.ndarray, people: np.ndarray) -> dict[str, float]:
    """The columns of the panel that compare two sets, whatever network the features are of.

    Args:
        features: of a model's drawings, [N, D].
        people: features of people's drawings, [M, D].

    Returns:
        By column name; a metric is missing where there are fewer drawings than it needs.
    """
    fewest, dimensions = min(len(features), len(people)), features.shape[1]
    columns: dict[str, float] = {}
    if fewest > dimensions:
        columns["fid"] = frechet_distance(people, features)
    if fewest >= 2:
        columns["kid"] = kernel_distance(people, features)
    if fewest > NEIGHBOURS:
        shares = prdc(people, features)
        columns |= {
            "sample_precision": shares.precision,
            "sample_recall": shares.recall,
            "density": shares.density,
            "coverage": shares.coverage,
        }
    return columns


def compare(
    features: np.ndarray,
    label: np.ndarray,
    people: np.ndarray,
    train: np.ndarray,
    people_to_train: np.ndarray,
) -> dict[str, float]:
    """The columns of the panel.

    Args:
        features: of a model's drawings, [N, D].
        label: class of each of them, [N], 0 .. C-1.
        people: features of people's drawings of the same classes, [M, D].
        train: features of drawings that the model may have learned from, [T, D].
        people_to_train: distance of each of people's drawings to the nearest of these, [M].

    Returns:
        By column name; a metric is missing where there are fewer drawings than it needs.
    """
    columns = of_two_sets(features, people)
    columns["vendi"] = vendi(features)
    columns["vendi_classes"] = float(vendi_of_classes(features, label).mean())
    if people_to_train.mean() > 0:
        of_model = nearest(features, train).mean()
        columns["nearest_train"] = float(of_model / people_to_train.mean())
    return columns
