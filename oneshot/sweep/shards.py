"""Shards: a sweep's trainings in N parts, for several runs over one results folder.

Which part has which training depends on the sweep and on N alone. No result, no machine and no
selection of points moves a training, so shards agree without a word between them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from oneshot.sweep.grouping import STACK_ON_GPU, stacks
from oneshot.sweep.point import Point, digest


@dataclass(frozen=True)
class Shard:
    """One part of a sweep.

    Attributes:
        index: which part, from 1.
        count: how many parts there are.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse(text: str) -> Shard:
    """The shard of a text as `3/8`.

    Raises:
        ValueError: it is none; the message says why.
    """
    found = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", text)
    if not found:
        raise ValueError(f"{text!r} is not I/N, as 3/8 for the third of eight parts")
    index, count = int(found[1]), int(found[2])
    if not 1 <= index <= count:
        known = f"of {count} parts, I is 1 .. {count}" if count else "N is at least 1"
        raise ValueError(f"{text} is no part: {known}")
    return Shard(index, count)


def assign(points: Sequence[Point], count: int) -> dict[str, int]:
    """Which part each training is in.

    Trainings that can be one stack stay together as far as every part gets work: a stack has about
    as many trainings as one of `count` equal parts at most. Each stack goes to the part with the
    fewest trainings so far.

    Args:
        points: all points of the sweep, references too, whatever is to run.
        count: how many parts.

    Returns:
        The part, from 1, of each train_id.
    """
    sizes = [0] * count
    found: dict[str, int] = {}
    trainings, slots = len({p.train_id for p in points}), count
    groups = stacks(points, STACK_ON_GPU, slots)
    while len(groups) < min(count, trainings):  # as of stacks of 4, 4, 4 and 1 for five parts
        slots += 1
        groups = stacks(points, STACK_ON_GPU, slots)
    for stack in sorted(groups, key=len, reverse=True):
        smallest = sizes.index(min(sizes))
        sizes[smallest] += len(stack)
        found |= dict.fromkeys(stack, smallest + 1)
    return found


def partition_name(points: Sequence[Point], count: int) -> str:
    """A name that two runs share only if they cut the same trainings into as many parts.

    Args:
        points: all points of the sweep.
        count: how many parts.

    Returns:
        As `8-1a2b3c4d5e6f7a8b`.
    """
    return f"{count}-{digest(sorted({p.train_id for p in points}))}"
