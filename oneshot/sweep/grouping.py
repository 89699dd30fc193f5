"""Trainings in groups that train as one stacked model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from oneshot.sweep.point import Point

# Most trainings in a stack. A GPU is bound by kernel launches, which a stack shares; on a CPU the
# gain levels off and rows would be late.
STACK_ON_GPU, STACK_ON_CPU = 64, 8


def stacks(
    points: Sequence[Point], max_stack: int = STACK_ON_GPU, slots: int = 1
) -> list[list[str]]:
    """Trainings in groups that train as one stacked model.

    The trainings of a group differ only in train-stage settings which keep all tensor shapes.

    Args:
        points: whose trainings are grouped; points that share a training count once.
        max_stack: most trainings in a group.
        slots: how many trials run side by side; groups stay small enough to give each of them work.

    Returns:
        The train_ids of each group, groups of nearly equal size.
    """
    by_shape: dict[str, dict[str, None]] = {}
    for point in points:
        by_shape.setdefault(point.stack_key, {})[point.train_id] = None
    trainings = sum(map(len, by_shape.values()))
    largest = max(min(max_stack, math.ceil(trainings / max(slots, 1))), 1)
    groups = []
    for ids in map(list, by_shape.values()):
        parts = math.ceil(len(ids) / largest)
        bounds = [part * len(ids) // parts for part in range(parts + 1)]
        groups += [ids[start:end] for start, end in itertools.pairwise(bounds)]
    return groups
