"""What is shown of a sweep that runs in shards: their heartbeats added up, and a line for each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_runs
import pytest

from oneshot.console import status
from oneshot.console.shards import DriverLook
from oneshot.console.tally import Tally
from oneshot.store import shards
from oneshot.store.lease import Lease
from oneshot.store.plan import Plan
from oneshot.sweep.shards import Shard


@pytest.fixture
def held(tmp_path: Path) -> Callable[..., Plan]:
    """Hold the leases of these shards, of three, with these notes; gives the plan."""
    made = made_runs.planned(tmp_path)
    leases = []

    def hold(notes: dict[int, dict[str, Any]]) -> Plan:
        for index, note in notes.items():
            folder = shards.folder("made", made.all_points, Shard(index, 3))
            leases.append(Lease(made.store, folder, lambda note=note: note))  # type: ignore[misc]
            leases[-1].acquire()
        return made

    return hold


def test_heartbeats_of_shards_are_added_up(held: Callable[..., Plan]) -> None:
    first = {
        "started": 2000.0,
        "phase": "preparing critics",
        "running": {"beta": {"0": 1}},
        "running_points": 1,
        "machines": {"a": 1},
    }
    second = {**first, "started": 1000.0, "machines": {"a": 1, "b": 2}, "running_points": 3}
    made = held({1: first, 3: second})
    holder, views = DriverLook(made).look(Tally(made))
    assert holder is not None
    note, age = holder
    assert note["running_points"] == 4 and note["machines"] == {"a": 2, "b": 2}
    assert note["running"] == {"beta": {"0": 2}} and note["started"] == 1000.0 and age < 30
    assert note["phase"] == "preparing critics", "said once"
    assert [bool(view.heartbeat) for view in views] == [True, False, True]
    assert [view.missing for view in views] == [1, 1, 1]
    text = status.report(made)
    assert "2 of 3 shards are running" in text and text.count("nobody runs it") == 1
    told = json.loads(status.report(made, as_json=True))
    assert [s["shard"] for s in told["shards"]] == ["1/3", "2/3", "3/3"] and told["running"] == 4


@pytest.mark.parametrize("odd", ["text", 7, [1], {"beta": 3}, {"beta": {"0": "many"}}, None])
def test_what_a_heartbeat_says_is_not_trusted(held: Callable[..., Plan], odd: Any) -> None:
    names = ("started", "phase", "running", "running_points", "machines")
    made = held({2: dict.fromkeys(names, odd)})
    assert "1 of 3 shards are running" in status.report(made)


def test_a_driver_of_the_whole_sweep_is_shown_as_ever(tmp_path: Path) -> None:
    made = made_runs.planned(tmp_path)
    with Lease(made.store, "made"):
        holder, views = DriverLook(made).look(Tally(made))
    assert holder and views == [] and not DriverLook(made).look(Tally(made))[0]


def test_shards_of_another_sweep_file_are_passed_over(tmp_path: Path) -> None:
    made = made_runs.planned(tmp_path)
    folder = shards.folder("made", made.all_points[:2], Shard(1, 3))
    with Lease(made.store, folder):
        assert DriverLook(made).look(Tally(made)) == (None, [])
