"""The likelihood of held-out images by class: of the class that was removed, and of those kept."""

from __future__ import annotations

from oneshot.scoring.class_bounds import class_bounds
from oneshot.scoring.work import Columns, Tables, Work

VERSION = 1
NEEDS = ("class_likelihood",)


def grade(work: Work) -> tuple[Columns, Tables]:
    """Bound the likelihood of held-out images of each class.

    Args:
        work: a point of a LikelihoodFamily of labelled images.

    Returns:
        `kept_nelbo` and, where a class was removed, `removed_nelbo`; the table `class_nelbo`.

    Raises:
        Stopped: the run was asked to stop.
    """
    work.load_weights()
    columns, table = class_bounds(work.family, work.data, work.device, work.tick)
    return columns, {"class_nelbo": table}
