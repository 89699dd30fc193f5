"""The likelihood of sets of unseen classes, and few-shot classification, of families of sets."""

from __future__ import annotations

from oneshot.scoring.likelihood import grade_likelihood
from oneshot.scoring.work import Columns, Tables, Work

VERSION = 1
NEEDS = ("likelihood",)


def grade(work: Work) -> tuple[Columns, Tables]:
    """Evaluate the family as the score settings of its Config say.

    Args:
        work: a point of a SetFamily.

    Returns:
        Columns of the row, and tables by name.
    """
    work.load_weights()
    family = work.family
    return grade_likelihood(family, family.config, work.data, work.greys(), work.device, work.tick)
