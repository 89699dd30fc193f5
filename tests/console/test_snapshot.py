"""Odd rows and heartbeats: whatever they say, something is shown."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wide_sweep import HEARTBEAT, plan_of, sweep_file, write_heartbeat

from oneshot.console import status, watch
from oneshot.console.snapshot import take_snapshot
from oneshot.console.tally import STATUSES, Tally
from oneshot.console.watch_log import Log, as_object, axes_lines, summary
from oneshot.console.watch_screen import screen_lines
from oneshot.console.watch_view import View, ended_text
from oneshot.store.plan import Plan
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep.point import Point


def watched(path: Path, store: Store) -> View:
    return watch.Watcher(lambda: plan_of(path, store), "wide").poll()


@pytest.mark.parametrize("bad", [7, "x", None, [], {"beta": 3}, {"beta": {"1": "x"}}, float("inf")])
def test_a_note_of_any_form_ends_nothing(
    bad: Any, running: tuple[Path, Store, list[Point]]
) -> None:
    path, store, _ = running
    names = (
        "running",
        "running_points",
        "machines",
        "left",
        "phase",
        "started",
        "trials",
        "per_minute",
        "at",
    )
    write_heartbeat(store, **dict.fromkeys(names, bad))
    view = watched(path, store)
    assert (
        view.known
        and len(screen_lines(view)) > 5
        and "13 points" in status.report(plan_of(path, store))
    )
    assert summary(view) and json.dumps(as_object(view))


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -1, 0, 1e308, -1e308, 5e-324, float("nan"), float("inf")])
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "3"])
    | st.sampled_from(["done", "failed", "finished", "\ud800", "\x1b[2J\n", "2026-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


TOLD = (
    "running",
    "running_points",
    "machines",
    "left",
    "phase",
    "started",
    "trials",
    "token",
    "at",
)


TRIAL = ("label", "doing", "done", "total", "loss")


FIELDS = (
    "status",
    "point_id",
    "finished_at",
    "host",
    "train_seconds",
    "draw_seconds",
    "error",
    "error_type",
    "log",
    "model",
    "beta",
    "seed",
)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A plan without a record."""
    folder = tmp_path_factory.mktemp("odd")
    return plan_of(sweep_file(folder, 3), Store(folder / "results"))


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(
    odd=st.lists(st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=4), max_size=6),
    told=st.dictionaries(st.sampled_from(TOLD), ODD) | st.none(),
    at=st.lists(st.dictionaries(st.sampled_from(TRIAL), ODD)),
    sign=st.floats(0, 60),
)
def test_odd_rows_and_notes_end_nothing(
    odd: list[dict[str, Any]],
    told: dict[str, Any] | None,
    at: list[dict[str, Any]],
    sign: float,
    planned: Plan,
) -> None:
    made, points = planned, [p for p in planned.points if p.model == "vae_stn"]
    good = dict(finished_at="2026-01-01T00:00:00+00:00", train_seconds=1.0, host="node7")
    good |= dict(error_type="E", error="text", log="log.txt")
    tally = Tally(made)
    for i, fields in enumerate(odd):
        status = ("done", "failed", "diverged")[i % 3]
        row = points[i % len(points)].row() | good | dict(status=status) | fields
        tally.add([Record(row)])
    held = None if told is None else (HEARTBEAT | dict(time=time.time(), at=at) | told, sign)
    known = take_snapshot(tally, held, time.time())
    assert sum(known.tally.counts[s] for s in STATUSES) == len(made.points)
    assert set(known.tally.counts) <= set(STATUSES)
    view = View("wide", known)
    shown = screen_lines(view)
    assert 3 < len(shown) <= 23 and all(line.isprintable() and len(line) <= 79 for line in shown)
    for as_json in (False, True):
        stream = io.StringIO()
        lines = Log(stream, as_json)
        lines.begin("wide")
        lines.show(view)
        text = stream.getvalue()
        assert text.endswith("\n") and text.encode("utf-8")
        assert all(line.isprintable() for line in text.split("\n")), "one line is one line"
        if as_json:
            json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    told_lines = [summary(view), ended_text(known), *axes_lines(known)]
    assert all(line.isprintable() for line in told_lines)
