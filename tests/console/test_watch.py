"""Watching a sweep: what is counted, what is shown, what is waited for, and how it ends. Rows come
from a helper process.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneshot.console import messages, watch
from oneshot.console import status as facts
from oneshot.console.status import Tally
from oneshot.store import plan
from oneshot.store import records as rows
from oneshot.store.lease import Lease
from oneshot.store.log import Log
from oneshot.store.plan import Plan
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point

NOTE = dict(
    pid=4711,
    host="node7",
    machine="m",
    token="t",
    running={"beta": {"0": 1, "1.5": 3}},
    running_points=4,
    trials=2,
    left="8 h 50 m",
    machines={"node7": 1, "node8": 1},
    per_minute=9.4,
    phase="",
)

HELPER = """
import sys, time
sys.path[:0] = ["tests/console", "tests/support"]
import test_watch as t
from oneshot.store.lease import Lease
from oneshot.store.store import Store

store, points = Store(sys.argv[1]), t.points_of(sys.argv[2])
with Lease(store, "wide", lambda: {"running_points": 2, "machines": {"node7": 2}, "left": "5 s"}):
    for i, point in enumerate(points):
        time.sleep(float(sys.argv[3]))
        t.commit(store, point, status="failed" if i == 2 else "done")
"""


def sweep_file(folder: Path, values: int = 10) -> Path:
    path = folder / "wide.py"
    text = small.SWEEP.format(epochs=2, batch=512).replace(
        "[0.0, 1.0, 2.0]", f"[i / 2 for i in range({values})]"
    )
    path.write_text(text)
    return path


def points_of(path: Path | str) -> list[Point]:
    return [p for p in expand(load_sweep(str(path))) if p.model == "vae_stn"]


def commit(
    store: Store,
    point: Point,
    status: str = "done",
    ago: float = 0.0,
    host: str = "node7",
    **more: Any,
) -> None:
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago)
    row = (
        point.row()
        | dict(
            status=status,
            host=host,
            finished_at=ended.isoformat(timespec="seconds"),
            train_seconds=30.0,
        )
        | more
    )
    if status != "done":
        row |= dict(
            error_type="OutOfMemoryError",
            error="CUDA out of\nmemory",
            log=store.path(f"wide/logs/{point.point_id}.txt"),
        )
    rows.commit(store, "wide", Record(row))


def made_of(path: Path, store: Store) -> Plan:
    return plan.make(load_sweep(str(path)), store, rows_only=True)


def sign(store: Store, ago: float = 0.0, **more: Any) -> None:
    store.write(
        "wide/driver-1.json", json.dumps(NOTE | dict(time=time.time() - ago) | more).encode()
    )


@pytest.fixture
def running(tmp_path: Path) -> tuple[Path, Store, list[Point]]:
    """A sweep of 10 points and 3 references: five done, one failed, one diverged, four at work
    elsewhere.
    """
    path, store = sweep_file(tmp_path), Store(tmp_path / "results")
    points = points_of(path)
    for i, point in enumerate(points[:5]):
        commit(store, point, ago=7200 - 1500 * i)
    commit(store, points[5], "failed", ago=60)
    commit(store, points[6], "diverged", ago=30, host="node8")
    sign(store, started=time.time() - 7205)
    return path, store, points


def watched(path: Path, store: Store) -> watch.View:
    return watch.Watcher(lambda: made_of(path, store), "wide").look()


class Terminal:
    """A command on a terminal of 24 lines of 80 columns, and what stands there."""

    def __init__(self, *arguments: object, rows: int = 24, columns: int = 80):
        self.lines, self.y, self.x, self.scrolled, self.writes = [""] * rows, 0, 0, 0, list[str]()
        self.columns = columns
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = {
                k: v for k, v in {**small.environment(), "TERM": "xterm"}.items() if k != "COLUMNS"
            }
            command = [sys.executable, str(small.ROOT / "run_sweep.py"), *map(str, arguments)]
            os.chdir(small.ROOT)
            os.execve(sys.executable, command, environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "\n".join(self.lines)
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    text = os.read(self.fd, 65536).decode()
                except OSError:  # it ended
                    assert condition(), "\n".join(self.lines)
                    return
                self.writes.append(text)
                self._feed(text)

    def text(self) -> str:
        return "\n".join(self.lines)

    def end(self) -> int:
        """What it wrote last, and its exit status."""
        with open(self.fd, "rb", buffering=0, closefd=False) as stream:
            while True:
                try:
                    text = stream.read(65536)
                except OSError:
                    break
                self._feed((text or b"").decode())
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", text):
            self._code(part[2:-1], part[-1]) if part[0] == "\x1b" else self._put(part)

    def _code(self, number: str, kind: str) -> None:
        line = self.lines[self.y][: self.x]
        if kind == "A":
            self.y = max(self.y - int(number or 1), 0)
        elif kind == "K":
            self.lines[self.y] = line
        elif kind == "J" and not number:
            self.lines[self.y :] = [line] + [""] * (len(self.lines) - self.y - 1)
        else:
            raise AssertionError(f"unexpected control code {number}{kind}")

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self.x = 0
        elif letter == "\n":
            if self.y == len(self.lines) - 1:
                self.lines, self.scrolled = [*self.lines[1:], ""], self.scrolled + 1
            else:
                self.y += 1
        else:
            assert self.x < self.columns, "a line is longer than the terminal is wide"
            line = self.lines[self.y].ljust(self.x)
            self.lines[self.y], self.x = line[: self.x] + letter + line[self.x + 1 :], self.x + 1


def test_counts_by_axis_value_are_those_of_the_records(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, points = running
    made = made_of(path, store)
    tally = Tally(made)
    assert (
        dict(tally.counts) == {"missing": 6, "done": 5, "failed": 1, "diverged": 1}
        and tally.counts == made.counts()
    )
    commit(store, points[5])  # run again, and done this time
    commit(store, points[7])
    os.utime(store.local(rows.key("wide", points[5].point_id)), (1, 1))  # type: ignore[arg-type]
    assert (
        tally.take(made.log.update()) == 2
        and tally.counts["failed"] == 0
        and tally.counts["missing"] == 5
    )
    assert tally.failures(3)[0]["status"] == "diverged"
    for value, counts in tally.by_axis["beta"].items():
        assert sum(counts.values()) == 1 and counts[made.status(points[int(2 * value)])] == 1
    assert tally.take([Record({"point_id": "of another sweep", "status": "done"})]) == 0


def test_speed_counts_the_last_hour_and_the_whole_run(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, _ = running
    known = facts.gather(Tally(made_of(path, store)), None, time.time())
    assert known.per_hour == pytest.approx(4, rel=0.01), (
        "rows of 2,700, 1,200, 60 and 30 s ago in an hour"
    )
    assert known.per_hour_overall == pytest.approx(7 / ((7200 + 30 - 30) / 3600), rel=0.01)
    told = facts.gather(
        Tally(made_of(path, store)), (NOTE | dict(started=time.time() - 3000), 1.0), time.time()
    )
    assert (
        told.per_hour_overall == pytest.approx(4 / (3000 / 3600), rel=0.01)
        and told.left == "8 h 50 m"
    )
    silent = facts.gather(Tally(made_of(path, store)), (NOTE | dict(left="-"), 1.0), time.time())
    assert silent.left == "about 90 min", "six points at four an hour"
    assert (known.left, known.machines, known.told) == ("-", {"node7": 3, "node8": 1}, False)
    assert (told.machines, told.told) == ({"node7": 1, "node8": 1}, True)


def test_the_first_rows_are_no_speed_yet(tmp_path: Path) -> None:
    path, store = sweep_file(tmp_path), Store(tmp_path)
    commit(store, points_of(path)[0], train_seconds=0.1)
    assert facts.gather(Tally(made_of(path, store)), None, time.time()).per_hour == 60


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
    )
    sign(store, **dict.fromkeys(names, bad))
    view = watched(path, store)
    assert (
        view.known
        and len(watch.screen(view)) > 5
        and "13 points" in messages.status(made_of(path, store), "", None, False)
    )
    assert watch.summary(view) and json.dumps(watch._object(view, made_of(path, store)))


def test_the_screen_says_what_matters_in_23_lines_of_79_columns(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, points = running
    shown = watch.screen(watched(path, store))
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
    sign(
        store,
        machines={f"node{i}." + "x" * 40: i for i in range(300)},
        host="h" * 90,
        phase="p" * 300 + "\x1b[2J\n",
    )
    view = watched(path, store)
    for columns, most in ((80, 23), (80, 12), (40, 23), (60, 7)):
        shown = watch.screen(view, columns, most)
        assert len(shown) <= most and all(line.isprintable() for line in shown)
        if columns == 80:
            assert all(len(line) <= 79 for line in shown), shown
    table = [
        line.split()[-5:-1]
        for line in watch.screen(view)
        if line.startswith(("beta", "  ")) and "other values" in line + "other values"
    ]
    counted = [row for row in table if len(row) == 4 and all(c.isdigit() for c in row)]
    assert [sum(int(row[i]) for row in counted) for i in range(4)] == [51, 0, 9, 20]


def test_a_terminal_is_painted_over_itself_and_ends_when_all_is_done(tmp_path: Path) -> None:
    path, results = sweep_file(tmp_path), tmp_path / "results"
    for point in expand(load_sweep(str(path)))[:3]:
        commit(Store(results), point)
    helper = subprocess.Popen(
        [sys.executable, "-c", HELPER, str(results), str(path), "0.2"],
        cwd=small.ROOT,
        env=small.environment(),
    )
    terminal = Terminal(path, "--status", "--watch", "0.3", "--results", results)
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
        store.write(rows.key("wide", every[6].point_id), b'{"row": {"half')
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


def test_a_reader_that_leaves_ends_it_quietly(running: tuple[Path, Store, list[Point]]) -> None:
    """Within a moment, though nothing new is to be said for a minute."""
    path, store, _ = running
    command = f"'{sys.executable}' run_sweep.py {path} --status --watch 60 --results {store.root}"
    helper = f"{command} | head -1; echo ${{PIPESTATUS[0]}}"
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", helper],
        cwd=small.ROOT,
        env=small.environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "141" and done.stderr == ""
    assert time.monotonic() - began < 50


def test_a_pipe_without_reader_is_noticed_between_two_looks(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, _ = running
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        threading.Timer(0.3, os.close, [reader]).start()
        assert watch.run(lambda: made_of(path, store), "wide", 600, False, stream) == 141
        print("goes nowhere, and breaks nothing", file=stream, flush=True)


class Interrupted(io.StringIO):
    """A stream during whose nth write somebody presses Ctrl-C."""

    encoding = "ascii"  # type: ignore[assignment]

    def __init__(self, number: int):
        super().__init__()
        self.left = number

    def write(self, text: str) -> int:
        self.left -= 1
        half = len(text) // 2
        super().write(text[:half])
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
        return super().write(text[half:])


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("kind", ["lines", "json", "screen"])
def test_ctrl_c_while_something_is_written_leaves_no_half_line(
    number: int,
    kind: str,
    running: tuple[Path, Store, list[Point]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path, store, _ = running
    monkeypatch.setattr(watch, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(watch, "_is_terminal", lambda stream: kind == "screen")
    stream = Interrupted(number)
    before = signal.getsignal(signal.SIGINT)
    assert watch.run(lambda: made_of(path, store), "wide", 0.1, kind == "json", stream) == 130
    text = stream.getvalue()
    assert signal.getsignal(signal.SIGINT) is before and capfd.readouterr().err == ""
    if kind == "screen":
        assert text.endswith("\x1b[J\r\x1b[K") and text.count("\x1b[J") == number
    else:
        assert text.endswith("\n") and len(text.splitlines()) >= number
    if kind == "json":
        assert all(json.loads(line)["sweep"] == "wide" for line in text.splitlines())


def test_a_second_ctrl_c_ends_a_write_that_hangs() -> None:
    class Hanging(io.StringIO):
        def write(self, text: str) -> int:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it went on")

    with pytest.raises(KeyboardInterrupt):
        watch._write(Hanging(), "text")


def test_ctrl_c_while_results_are_read_ends_at_once(
    running: tuple[Path, Store, list[Point]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path, store, _ = running
    reading, goes_on, real = threading.Event(), threading.Event(), Log.update

    def slow(log: Log, *arguments: Any) -> Any:
        if not reading.is_set():
            reading.set()
            os.kill(os.getpid(), signal.SIGINT)
        goes_on.wait(20)
        return real(log, *arguments)

    monkeypatch.setattr(Log, "update", slow)
    stream = io.StringIO()
    assert watch.run(lambda: made_of(path, store), "wide", 0.1, False, stream) == 130
    goes_on.set()
    assert reading.is_set() and stream.getvalue().endswith(" wide reading the results ...\n")
    assert capfd.readouterr().err == ""


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
TOLD = ("running", "running_points", "machines", "left", "phase", "started", "trials", "token")
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
    return made_of(sweep_file(folder, 3), Store(folder / "results"))


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(
    odd=st.lists(st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=4), max_size=6),
    told=st.dictionaries(st.sampled_from(TOLD), ODD) | st.none(),
    sign=st.floats(0, 60),
)
def test_odd_rows_and_notes_end_nothing(
    odd: list[dict[str, Any]], told: dict[str, Any] | None, sign: float, planned: Plan
) -> None:
    made, points = planned, [p for p in planned.points if p.model == "vae_stn"]
    good = dict(finished_at="2026-01-01T00:00:00+00:00", train_seconds=1.0, host="node7")
    good |= dict(error_type="E", error="text", log="log.txt")
    tally = Tally(made)
    for i, fields in enumerate(odd):
        status = ("done", "failed", "diverged")[i % 3]
        row = points[i % len(points)].row() | good | dict(status=status) | fields
        tally.take([Record(row)])
    held = None if told is None else (NOTE | dict(time=time.time()) | told, sign)
    known = facts.gather(tally, held, time.time())
    assert sum(known.tally.counts[s] for s in facts.STATUSES) == len(made.points)
    assert set(known.tally.counts) <= set(facts.STATUSES)
    view = watch.View("wide", known)
    shown = watch.screen(view)
    assert 3 < len(shown) <= 23 and all(line.isprintable() and len(line) <= 79 for line in shown)
    for as_json in (False, True):
        stream = io.StringIO()
        lines = watch.Lines(stream, as_json)
        lines.begin("wide")
        lines.show(view, made)
        text = stream.getvalue()
        assert text.endswith("\n") and text.encode("utf-8")
        assert all(line.isprintable() for line in text.split("\n")), "one line is one line"
        if as_json:
            json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    told_lines = [watch.summary(view), watch.ended(known), *watch.axes_lines(known)]
    assert all(line.isprintable() for line in told_lines)


def test_a_store_that_does_not_answer_is_waited_out(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, points = running
    folder = Path(store.root, "wide/records")

    def hide() -> None:
        folder.rename(folder.with_name("hidden"))
        folder.write_text("a file where the folder should be")

    def restore() -> None:
        folder.unlink()
        folder.with_name("hidden").rename(folder)

    watcher = watch.Watcher(lambda: made_of(path, store), "wide")
    hide()
    view = watcher.look()
    assert view.known is None and re.match(
        r"  trouble     no answer from the results for \d s: Not a directory", watch.screen(view)[1]
    )
    restore()
    assert watcher.look().trouble == ""
    hide()
    view = watcher.look()
    assert view.known and view.known.tally.counts["done"] == 5 and not view.over
    assert any(
        "trouble     no answer" in line for line in watch.screen(view)
    ) and "no answer" in watch.summary(view)
    restore()
    commit(store, points[7])
    view = watcher.look()
    assert not view.trouble and view.known and view.known.tally.counts["done"] == 6


def test_ctrl_c_is_heard_while_the_store_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that hangs is said on the screen, and leaves the keyboard alone."""
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(watch, "REPAINT_SECONDS", 0.1)
    hangs, stream = threading.Event(), io.StringIO()
    screen = watch.Screen(stream)
    screen.begin("wide")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        watch._patiently(hangs.wait, screen)  # type: ignore[arg-type]
    hangs.set()
    assert "the results have not answered yet" in stream.getvalue()


def test_a_record_that_could_not_be_read_is_read_again(
    running: tuple[Path, Store, list[Point]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails in the middle of a look: the point does not stay missing for ever."""
    path, store, points = running
    watcher = watch.Watcher(lambda: made_of(path, store), "wide")
    watcher.look()
    commit(store, points[7])
    with monkeypatch.context() as patch:

        def failing(name: str) -> Callable[..., Any]:
            real = getattr(Store, name)

            def read(self: Store, key: str) -> Any:
                if "records" in key:
                    raise OSError("connection reset")
                return real(self, key)

            return read

        patch.setattr(Store, "read", failing("read"))
        patch.setattr(Store, "fetch", failing("fetch"))
        view = watcher.look()
        assert view.damaged == 1 and view.known and view.known.tally.counts["done"] == 5
    view = watcher.look()
    assert view.damaged == 0 and view.known and view.known.tally.counts["done"] == 6


def test_a_look_reads_only_what_is_new(
    running: tuple[Path, Store, list[Point]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store, points = running
    watcher = watch.Watcher(lambda: made_of(path, store), "wide")
    watcher.look()
    read: list[str] = []
    whole, versioned = Store.read, Store.fetch
    monkeypatch.setattr(Store, "read", lambda self, key: (read.append(key), whole(self, key))[1])
    monkeypatch.setattr(
        Store, "fetch", lambda self, key: (read.append(key), versioned(self, key))[1]
    )
    watcher.look()
    assert read == ["wide/driver-1.json"]
    commit(store, points[8])
    watcher.look()
    assert sorted(read[1:]) == ["wide/driver-1.json", rows.key("wide", points[8].point_id)]


def test_a_quiet_minute_has_a_line(
    running: tuple[Path, Store, list[Point]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store, _ = running
    stream = io.StringIO()
    shown = watch.Lines(stream, as_json=False)
    watcher = watch.Watcher(lambda: made_of(path, store), "wide")
    for _ in range(3):
        shown.show(watcher.look(), watcher.made)
    assert stream.getvalue().count(" wide 7/13 ") == 1
    shown._written -= watch.QUIET_SECONDS
    shown.show(watcher.look(), watcher.made)
    assert (
        stream.getvalue().count(" wide 7/13 ") == 2
        and stream.getvalue().count("beta=2.5 1/1 done=0 running=0 failed=1") == 1
    )


def test_status_has_the_facts_of_a_driver_that_runs(
    running: tuple[Path, Store, list[Point]],
) -> None:
    path, store, _ = running
    text = messages.status(made_of(path, store), "", None, False)
    assert re.match(
        r"wide  13 points, run by process 4711 on node7, last sign \d s ago, last row 3\d s ago\n",
        text,
    ), text
    assert "  left        8 h 50 m\n  machines    2 with 2 trials: node7 1, node8 1\n" in text
    assert re.search(r"missing +\(running\)\nall +5 +1 +1 +6 +\(4\)\n", text) and "points/h" in text
    facts_now = json.loads(messages.status(made_of(path, store), "", None, True))
    assert (
        facts_now["by_axis"]["beta"]["1.5"] == {"done": 1, "running": 3}
        and facts_now["running"] == 4
    )
    assert (
        facts_now["per_hour"] == pytest.approx(4, rel=0.01) and facts_now["driver"]["pid"] == 4711
    )
    store.delete("wide/driver-1.json")
    text = messages.status(made_of(path, store), "", None, False)
    assert "no driver running" in text and "(running)" not in text and "points/h" not in text
    assert (
        "running"
        not in json.loads(messages.status(made_of(path, store), "", None, True))["by_axis"]["beta"][
            "1.5"
        ]
    )


def test_watching_imports_neither_torch_nor_ray(running: tuple[Path, Store, list[Point]]) -> None:
    path, store, _ = running
    code = f"import sys; from oneshot import cli; from oneshot.console import watch; watch.QUIET_SECONDS = 0; watch.Lines.show = lambda *a: sys.exit('torch' in sys.modules or 'ray' in sys.modules); cli.main([{str(path)!r}, '--status', '--watch', '--results', {store.root!r}])"  # noqa: E501, RUF100
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=small.ROOT,
        env=small.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_no_credentials_get_into_the_manifest(tmp_path: Path) -> None:
    made = made_of(sweep_file(tmp_path), Store(tmp_path))
    options = argparse.Namespace(
        results="s3://KEY:SECRET@bucket/x?access_key=KEY&secret_key=SECRET&region=eu",
        address="ray://me:SECRET@head:10001",
        set=["file=s3://KEY:SECRET@bucket/y?session_token=SECRET"],
        limit=3,
    )
    written = messages.manifest(made, options, "r")["options"]
    assert "SECRET" not in json.dumps(written) and "KEY" not in json.dumps(written)
    assert written == dict(
        results=str(tmp_path), address="ray://head:10001", set=["file=s3://bucket/y"], limit=3
    )
    assert (
        messages._without_secrets("s3://KEY:SECRET@bucket/x?region=eu&scheme=http&x=1")
        == "s3://bucket/x?region=eu&scheme=http"
    )
