"""A watched sweep on a terminal."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import small
from terminals import Terminal
from wide_sweep import HELPER, commit, plan_of, points_of, sweep_file, write_heartbeat

from oneshot.console import status, watch
from oneshot.console.watch_log import Log
from oneshot.console.watch_screen import Screen, screen_lines
from oneshot.console.watch_view import View
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point


def watched(path: Path, store: Store) -> View:
    return watch.Watcher(lambda: plan_of(path, store), "wide").poll()


def test_the_screen_says_what_matters_in_23_lines_of_79_columns(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, points = running
    shown = screen_lines(watched(path, store))
    text = "\n".join(shown)
    assert len(shown) <= 23 and all(len(line) <= 79 for line in shown)
    assert shown[0].startswith("wide  7/13  54%  [###") and shown[0].endswith("left 8 h 50 m")
    assert re.search(
        r"  driver      process 4711 on node7 for 2 h 00 m, last sign \d s ago\n", text
    ), text
    assert re.search(
        r"speed       4.0 points/h in the last hour, 3.5 in this run, last row 3[0-5] s ago", text
    ), text
    assert "machines    2 with 2 trials: node7 1, node8 1" in text
    assert re.search(
        r"done +diverged +failed +missing +\(running\)\nall +5 +1 +1 +6 +\(4\)\n", text
    )
    assert re.search(r"beta 1.5 +1 +0 +0 +0 +\(3\)", text) and re.search(
        r"beta 2.5 +0 +0 +1 +0 +-", text
    )
    assert (
        f"failed {points[5].point_id[:8]} beta=2.5 seed=44: OutOfMemoryError: CUDA out of" in text
    )
    assert f"logs/{points[5].point_id}.txt" in text


def test_the_screen_says_what_trials_are_at(running: tuple[Path, Store, list[Point]]) -> None:
    path, store, _ = running
    told = [
        dict(label="beta=1.5 seed=44 .. beta=4 seed=44 (3 stacked)", doing="epoch", done=3)
        | dict(total=10, loss=1.23456),
        dict(label="beta=0 seed=44", doing="drawing", done=1, total=4, loss=None),
    ]
    write_heartbeat(store, at=told, trials=7)
    view = watched(path, store)
    shown = screen_lines(view)
    first = next(i for i, line in enumerate(shown) if line.startswith("  at work"))
    assert shown[first : first + 3] == [
        "  at work     epoch 3/10      loss 1.235   beta=1.5 seed=44 .. beta=4 seed=4...",
        "              drawing 25%                  beta=0 seed=44",
        "              5 more",
    ]
    stream = io.StringIO()
    Log(stream, False).show(view)
    at = "wide at: beta=1.5 seed=44 .. beta=4 seed=44 (3 stacked) epoch 3/10 loss 1.235; 6 more"
    assert at in stream.getvalue()
    assert "at work     beta=1.5 seed=44 .." in status.report(plan_of(path, store))


def test_many_values_and_long_names_keep_the_size_and_lose_no_point(tmp_path: Path) -> None:
    path, store = sweep_file(tmp_path, 80), Store(tmp_path / ("long" * 30))
    for i, point in enumerate(points_of(path)[:60]):
        commit(
            store,
            point,
            "failed" if i % 7 == 3 else "done",
            ago=60 - i,
            host=f"ip-10-0-0-{i}.internal",
        )
    write_heartbeat(
        store,
        machines={f"node{i}." + "x" * 40: i for i in range(300)},
        host="h" * 90,
        phase="p" * 300 + "\x1b[2J\n",
    )
    view = watched(path, store)
    for columns, most in ((80, 23), (80, 12), (40, 23), (60, 7)):
        shown = screen_lines(view, columns, most)
        assert len(shown) <= most and all(line.isprintable() for line in shown)
        if columns == 80:
            assert all(len(line) <= 79 for line in shown), shown
    table = [
        line.split()[-5:-1]
        for line in screen_lines(view)
        if line.startswith(("beta", "  ")) and "other values" in line + "other values"
    ]
    counted = [row for row in table if len(row) == 4 and all(c.isdigit() for c in row)]
    assert [sum(int(row[i]) for row in counted) for i in range(4)] == [51, 0, 9, 20]


def test_a_terminal_is_painted_over_itself_and_ends_when_all_is_done(tmp_path: Path) -> None:
    path, results = sweep_file(tmp_path), tmp_path / "results"
    for point in expand(load_sweep(str(path)))[:3]:
        commit(Store(results), point)
    terminal = Terminal(path, "--status", "--watch", "0.3", "--results", results)
    terminal.until(
        lambda: "3/13" in terminal.text()
    )  # before the run, so that none of it is missed
    helper = subprocess.Popen(
        [sys.executable, "-c", HELPER, str(results), str(path), "0.4"],
        cwd=small.ROOT,
        env=small.environment(),
    )
    try:
        terminal.until(
            lambda: (
                f"process {helper.pid} on" in terminal.text() and "  left 5 s" in terminal.lines[0]
            )
        )
        terminal.until(
            lambda: "All 13 points have a result: 12 done, 0 diverged, 1 failed." in terminal.text()
        )
    finally:
        helper.kill()
        helper.wait()
    assert terminal.end() == 1, "a point failed, as the run itself would say"
    assert (
        terminal.scrolled == 0
        and terminal.lines[0].startswith("wide  13/13  100%")
        and "failed " in terminal.text()
    )
    assert all(write.count("\x1b[K") >= len(write.split("\n")) - 2 for write in terminal.writes), (
        "every line is written over, none taken away"
    )


def test_ctrl_c_leaves_the_screen_and_says_130(running: tuple[Path, Store, list[Point]]) -> None:
    path, store, _ = running
    terminal = Terminal(path, "--status", "--watch", "--results", store.root)
    terminal.until(lambda: "process 4711" in terminal.text())
    os.kill(terminal.pid, signal.SIGINT)
    assert (
        terminal.end() == 130
        and "Traceback" not in terminal.text()
        and terminal.lines[0].startswith("wide  7/13")
    )


def test_ctrl_c_is_heard_while_the_store_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that hangs is said on the screen, and leaves the keyboard alone."""
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(watch, "REPAINT_SECONDS", 0.1)
    hangs, stream = threading.Event(), io.StringIO()
    screen = Screen(stream)
    screen.begin("wide")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        watch._poll_patiently(hangs.wait, screen)  # type: ignore[arg-type]
    hangs.set()
    assert "the results have not answered yet" in stream.getvalue()
