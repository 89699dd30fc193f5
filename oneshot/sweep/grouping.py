"""Trainings in groups that train as one stacked model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

from oneshot.sweep.point import Point

# Most trainings in a stack. A GPU is bound by kernel launches, which a stack shares; on a CPU the
# gain levels off and rows would be late.
STACK_ON_GPU, STACK_ON_CPU = 64, 8


def stack_member(point: Point, trained: Collection[str] = ()) -> str:
    """What a stack computes of a point: its training; its tuning where the training is stored.

    Args:
        point: whose.
        trained: train_ids of the trainings that are stored.

    Returns:
        The train_id or the tune_id.
    """
    return point.tune_id if point.train_id in trained else point.train_id


def stacks(
    points: Sequence[Point],
    max_stack: int = STACK_ON_GPU,
    slots: int = 1,
    trained: Collection[str] = (),
) -> list[list[str]]:
    """Trainings in groups that train as one stacked model; of stored trainings, their tunings.

    The trainings of a group differ only in train-stage settings which keep all tensor shapes, the
    tunings in such tune-stage settings.

    Args:
        points: whose trainings are grouped; points that share a training count once.
        max_stack: most trainings in a group.
        slots: how many trials run side by side; groups stay small enough to give each of them work.
        trained: train_ids of the trainings that are stored.

    Returns:
        The members of each group as `stack_member` names them, groups of nearly equal size.
    """
    by_shape: dict[str, dict[str, None]] = {}
    for point in points:
        tuned = point.train_id in trained and point.tune_key
        key = point.tune_key if tuned else point.stack_key
        by_shape.setdefault(key, {})[stack_member(point, trained)] = None
    trainings = sum(map(len, by_shape.values()))
    largest = max(min(max_stack, math.ceil(trainings / max(slots, 1))), 1)
    groups = []
    for ids in map(list, by_shape.values()):
        parts = math.ceil(len(ids) / largest)
        bounds = [part * len(ids) // parts for part in range(parts + 1)]
        groups += [ids[start:end] for start, end in itertools.pairwise(bounds)]
    return groups
