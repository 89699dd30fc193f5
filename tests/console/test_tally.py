"""Records counted as they come: by status, axis value and hour."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from wide_sweep import HEARTBEAT, commit, plan_of, points_of, sweep_file

from oneshot.console.snapshot import take_snapshot
from oneshot.console.tally import Tally
from oneshot.store import records
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep.point import Point


def test_counts_by_axis_value_are_those_of_the_records(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, points = running
    made = plan_of(path, store)
    tally = Tally(made)
    assert (
        dict(tally.counts) == {"missing": 6, "done": 5, "failed": 1, "diverged": 1}
        and tally.counts == made.counts()
    )
    commit(store, points[5])  # run again, and done this time
    commit(store, points[7])
    os.utime(store.local(records.key("wide", points[5].point_id)), (1, 1))  # type: ignore[arg-type]
    assert (
        tally.add(made.log.update()) == 2
        and tally.counts["failed"] == 0
        and tally.counts["missing"] == 5
    )
    assert tally.failures(3)[0]["status"] == "diverged"
    for value, counts in tally.by_axis["beta"].items():
        assert sum(counts.values()) == 1 and counts[made.status(points[int(2 * value)])] == 1
    assert tally.add([Record({"point_id": "of another sweep", "status": "done"})]) == 0


def test_speed_counts_the_last_hour_and_the_whole_run(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, _ = running
    known = take_snapshot(Tally(plan_of(path, store)), None, time.time())
    assert known.per_hour == pytest.approx(4, rel=0.01), (
        "rows of 2,700, 1,200, 60 and 30 s ago in an hour"
    )
    assert known.per_hour_overall == pytest.approx(7 / ((7200 + 30 - 30) / 3600), rel=0.01)
    told = take_snapshot(
        Tally(plan_of(path, store)),
        (HEARTBEAT | dict(started=time.time() - 3000), 1.0),
        time.time(),
    )
    assert (
        told.per_hour_overall == pytest.approx(4 / (3000 / 3600), rel=0.01)
        and told.left == "8 h 50 m"
    )
    silent = take_snapshot(
        Tally(plan_of(path, store)), (HEARTBEAT | dict(left="-"), 1.0), time.time()
    )
    assert silent.left == "about 90 min", "six points at four an hour"
    assert (known.left, known.machines, known.machines_from_driver) == (
        "-",
        {"node7": 3, "node8": 1},
        False,
    )
    assert (told.machines, told.machines_from_driver) == ({"node7": 1, "node8": 1}, True)


def test_the_first_rows_are_no_speed_yet(tmp_path: Path) -> None:
    path, store = sweep_file(tmp_path), Store(tmp_path)
    commit(store, points_of(path)[0], train_seconds=0.1)
    assert take_snapshot(Tally(plan_of(path, store)), None, time.time()).per_hour == 60
