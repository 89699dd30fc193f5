"""Watching a sweep: what is read, what is waited for, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
from wide_sweep import commit, plan_of

from oneshot.console import watch, watch_log
from oneshot.console.watch_log import summary
from oneshot.console.watch_screen import screen_lines
from oneshot.store import records
from oneshot.store.log import Log
from oneshot.store.store import Store
from oneshot.sweep.point import Point


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
        assert watch.run(lambda: plan_of(path, store), "wide", 600, False, stream) == 141
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
    monkeypatch.setattr(watch_log, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(watch, "is_terminal", lambda stream: kind == "screen")
    stream = Interrupted(number)
    before = signal.getsignal(signal.SIGINT)
    assert watch.run(lambda: plan_of(path, store), "wide", 0.1, kind == "json", stream) == 130
    text = stream.getvalue()
    assert signal.getsignal(signal.SIGINT) is before and capfd.readouterr().err == ""
    if kind == "screen":
        assert text.endswith("\x1b[J\r\x1b[K") and text.count("\x1b[J") == number
    else:
        assert text.endswith("\n") and len(text.splitlines()) >= number
    if kind == "json":
        assert all(json.loads(line)["sweep"] == "wide" for line in text.splitlines())


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
    assert watch.run(lambda: plan_of(path, store), "wide", 0.1, False, stream) == 130
    goes_on.set()
    assert reading.is_set() and stream.getvalue().endswith(" wide reading the results ...\n")
    assert capfd.readouterr().err == ""


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

    watcher = watch.Watcher(lambda: plan_of(path, store), "wide")
    hide()
    view = watcher.poll()
    assert view.known is None and re.match(
        r"  trouble     no answer from the results for \d s: Not a directory", screen_lines(view)[1]
    )
    restore()
    assert watcher.poll().trouble == ""
    hide()
    view = watcher.poll()
    assert view.known and view.known.tally.counts["done"] == 5 and not view.over
    assert any(
        "trouble     no answer" in line for line in screen_lines(view)
    ) and "no answer" in summary(view)
    restore()
    commit(store, points[7])
    view = watcher.poll()
    assert not view.trouble and view.known and view.known.tally.counts["done"] == 6


def test_a_record_that_could_not_be_read_is_read_again(
    running: tuple[Path, Store, list[Point]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails in the middle of a look: the point does not stay missing for ever."""
    path, store, points = running
    watcher = watch.Watcher(lambda: plan_of(path, store), "wide")
    watcher.poll()
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
        view = watcher.poll()
        assert view.damaged == 1 and view.known and view.known.tally.counts["done"] == 5
    view = watcher.poll()
    assert view.damaged == 0 and view.known and view.known.tally.counts["done"] == 6


def test_a_look_reads_only_what_is_new(
    running: tuple[Path, Store, list[Point]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, store, points = running
    watcher = watch.Watcher(lambda: plan_of(path, store), "wide")
    watcher.poll()
    read: list[str] = []
    whole, versioned = Store.read, Store.fetch
    monkeypatch.setattr(Store, "read", lambda self, key: (read.append(key), whole(self, key))[1])
    monkeypatch.setattr(
        Store, "fetch", lambda self, key: (read.append(key), versioned(self, key))[1]
    )
    watcher.poll()
    assert read == ["wide/driver-1.json"]
    commit(store, points[8])
    watcher.poll()
    assert sorted(read[1:]) == ["wide/driver-1.json", records.key("wide", points[8].point_id)]


def test_watching_imports_neither_torch_nor_ray(running: tuple[Path, Store, list[Point]]) -> None:
    path, store, _ = running
    arguments = [str(path), "--status", "--watch", "--results", store.root]
    code = f"""
import sys
from oneshot import cli
from oneshot.console.watch_log import Log

Log.show = lambda *_: sys.exit("torch" in sys.modules or "ray" in sys.modules)
cli.main({arguments!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=small.ROOT,
        env=small.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
