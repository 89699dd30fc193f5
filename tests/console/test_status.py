"""What `--status` prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from wide_sweep import plan_of

from oneshot.console import status
from oneshot.store.store import Store
from oneshot.sweep.point import Point


def test_status_has_the_facts_of_a_driver_that_runs(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, _ = running
    text = status.report(plan_of(path, store))
    assert re.match(
        r"wide  13 points, run by process 4711 on node7, last sign \d s ago, last row 3\d s ago\n",
        text,
    ), text
    assert "  left        8 h 50 m\n  machines    2 with 2 trials: node7 1, node8 1\n" in text
    assert re.search(r"missing +\(running\)\nall +5 +1 +1 +6 +\(4\)\n", text) and "points/h" in text
    facts_now = json.loads(status.report(plan_of(path, store), as_json=True))
    assert (
        facts_now["by_axis"]["beta"]["1.5"] == {"done": 1, "running": 3}
        and facts_now["running"] == 4
    )
    assert (
        facts_now["per_hour"] == pytest.approx(4, rel=0.01) and facts_now["driver"]["pid"] == 4711
    )
    store.delete("wide/driver-1.json")
    text = status.report(plan_of(path, store))
    assert "no driver running" in text and "(running)" not in text and "points/h" not in text
    assert (
        "running"
        not in json.loads(status.report(plan_of(path, store), as_json=True))["by_axis"]["beta"][
            "1.5"
        ]
    )
