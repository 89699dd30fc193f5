"""A watched sweep in a log or a pipe."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import small
from wide_sweep import commit, plan_of, sweep_file

from oneshot.console import watch, watch_log
from oneshot.console.watch_log import Log
from oneshot.store import records
from oneshot.store.lease import Lease
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(small.ROOT / "run_sweep.py"), *map(str, arguments)]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(subprocess.Popen(command, cwd=small.ROOT, env=small.environment(), **pipes))  # type: ignore[call-overload]
        return started[-1]  # type: ignore[no-any-return]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_pipe_gets_whole_lines_from_before_the_folder_is_there_to_the_end(
    tmp_path: Path, follow: Callable[..., subprocess.Popen[str]]
) -> None:
    path, results = sweep_file(tmp_path, 4), tmp_path / "results"
    process = follow(path, "--status", "--watch", "0.2", "--results", results)
    assert process.stdout is not None
    shown = [process.stdout.readline() for _ in range(2)]
    assert f"waiting for {results}/wide, which is not there yet" in shown[1]
    store, every = Store(results), expand(load_sweep(str(path)))
    with Lease(store, "wide"):
        for point in every[:3]:
            commit(store, point)
        store.write(records.key("wide", every[6].point_id), b'{"row": {"half')
        store.write("wide/records/else.json", b"")
        while "damaged=2" not in shown[-1]:
            shown.append(process.stdout.readline())
        store.write("wide/driver-1.json", b"{")
        for i, point in enumerate(every[3:]):
            time.sleep(0.25)
            commit(store, point, "failed" if i == 1 else "done")
        Path(results, "wide/records/else.json").unlink()
    out, err = process.communicate(timeout=20)
    text = "".join(shown) + out
    assert process.returncode == 1 and err == "", err
    lines = text.splitlines()
    assert (
        all(re.match(r"\d\d:\d\d:\d\d \S", line) for line in lines)
        and "\x1b" not in text
        and "\r" not in text
    )
    failed = [line for line in lines if " failed " in line and "log=" in line]
    assert (
        len(failed) == 1
        and "OutOfMemoryError" in failed[0]
        and f"log={results}/wide/logs/{every[4].point_id}.txt" in failed[0]
    )
    assert lines[-1].endswith("wide All 7 points have a result: 6 done, 0 diverged, 1 failed.")
    shares = [int(found[1]) for line in lines if (found := re.search(r" wide (\d)/7 ", line))]
    assert shares == sorted(shares) and len(shares) == len(set(shares)) + (shares.count(7) - 1) + (
        shares.count(3) - 1
    ), "changes only"
    assert any("driver=" in line and "sign=" in line for line in lines)


def test_json_is_one_object_a_line(
    tmp_path: Path, follow: Callable[..., subprocess.Popen[str]]
) -> None:
    path, store = sweep_file(tmp_path, 3), Store(tmp_path / "results")
    every = expand(load_sweep(str(path)))
    for point in every[:5]:
        commit(store, point)
    process = follow(path, "--status", "--watch", "0.2", "--json", "--results", store.root)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert (first["done"], first["missing"], first["running"], first["driver"], first["over"]) == (
        5,
        1,
        None,
        None,
        False,
    )
    assert first["by_axis"]["beta"] == {
        "0": {"done": 1},
        "0.5": {"done": 1},
        "1": {"missing": 1},
    } and first["machines"] == {"node7": 5}
    commit(store, every[5])
    out, err = process.communicate(timeout=20)
    last = [json.loads(line) for line in out.splitlines()][-1]
    assert (
        process.returncode == 0
        and (last["done"], last["over"], last["latest_failures"]) == (6, True, [])
        and err == ""
    )


def test_a_quiet_minute_has_a_line(
    running: tuple[Path, Store, list[Point]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store, _ = running
    stream = io.StringIO()
    shown = Log(stream, as_json=False)
    watcher = watch.Watcher(lambda: plan_of(path, store), "wide")
    for _ in range(3):
        shown.show(watcher.poll())
    assert stream.getvalue().count(" wide 7/13 ") == 1
    shown._written_at -= watch_log.QUIET_SECONDS
    shown.show(watcher.poll())
    assert (
        stream.getvalue().count(" wide 7/13 ") == 2
        and stream.getvalue().count("beta=2.5 1/1 done=0 running=0 failed=1") == 1
    )
