"""A sweep's trainings in parts: every training in one, stacks whole, parts of nearly one size."""

from __future__ import annotations

from collections import Counter

import made_sweeps
import pytest

from oneshot.sweep import grid
from oneshot.sweep.expansion import expand
from oneshot.sweep.point import Point
from oneshot.sweep.shards import Shard, assign, parse, partition_name


def points_of(seeds: int = 1, **axes: list[float]) -> list[Point]:
    given = dict(beta=[0.0, 1.0, 2.0, 3.0], z=[10, 20]) | axes
    sweep = made_sweeps.make(grid(**given), variant="tiny", seeds=seeds, references=("copy",))
    return expand(sweep)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 50])
def test_every_training_is_in_one_part_and_parts_are_alike(count: int) -> None:
    points = points_of(seeds=3)
    parts = assign(points, count)
    assert set(parts) == {p.train_id for p in points} and len(parts) == 25
    assert set(parts.values()) <= set(range(1, count + 1))
    sizes = Counter(parts.values())
    assert len(sizes) == min(count, 25)
    largest_stack = max(Counter(p.stack_key for p in points).values()) / max(count / 2, 1)
    assert max(sizes.values()) - min(sizes.values()) <= largest_stack + 1


def test_stacks_stay_together_where_each_part_gets_work() -> None:
    points = points_of(seeds=2)
    parts = assign(points, 2)
    by_shape: dict[str, set[int]] = {}
    for point in points:
        by_shape.setdefault(point.stack_key, set()).add(parts[point.train_id])
    assert len(by_shape) >= 3 and {len(found) for found in by_shape.values()} == {1}


def test_parts_depend_on_the_sweep_alone() -> None:
    points = points_of()
    assert assign(points, 3) == assign(list(points), 3)
    assert partition_name(points, 3) == partition_name(points[::-1], 3)
    assert partition_name(points, 3) != partition_name(points, 4)
    assert partition_name(points, 3) != partition_name(points[:-1], 3)


def test_points_that_share_a_training_are_in_one_part() -> None:
    sweep = made_sweeps.make(
        grid(beta=[0.0, 1.0], exemplar=["medoid", "random"]), variant="tiny", references=()
    )
    points = expand(sweep)
    by_training = Counter(p.train_id for p in points)
    assert len(points) > len(by_training) or len(by_training) == len(points)
    assert set(assign(points, 2)) == set(by_training)


@pytest.mark.parametrize("text", ["0/8", "9/8", "8", "1/0", "a/b", "-1/8", "1/8/2", ""])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no part|is not I/N"):
        parse(text)


def test_a_part_is_read_as_it_is_written() -> None:
    assert parse(" 3 / 8 ") == Shard(3, 8) and str(Shard(3, 8)) == "3/8"
