"""The reviewers' panel: drawings beside people's, as two sets of features."""

from __future__ import annotations

import numpy as np

from oneshot.scoring import panel
from oneshot.scoring.work import Columns, Tables, Work

VERSION = 1
NEEDS = ("critics", "panel")


def grade(work: Work) -> tuple[Columns, Tables]:
    """Compare the first drawings of each class with people's.

    Args:
        work: a point with critics.

    Returns:
        Columns of the row; those of a metric for which there are too few drawings are missing.
    """
    assert work.people is not None
    most, label = work.point.settings["diversity_drawings"], work.drawings.label
    chosen = panel.first(label, most)
    of_people = panel.first(work.people.label, most)
    columns = panel.compare(
        np.asarray(work.features[chosen], np.float64),
        label[chosen],
        np.asarray(work.people.features[of_people], np.float64),
        work.people.train,
        work.people.to_train[of_people],
    )
    return columns, {}
