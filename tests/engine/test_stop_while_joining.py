"""A SIGTERM while Ray starts: the run ends as at any other time, and nothing is prepared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_runs
import pytest
import ray
import small

from oneshot.engine import driver, ray_connection
from oneshot.engine.options import Options
from oneshot.engine.tune import RayEngine
from oneshot.store.lease import last_note
from oneshot.store.store import Store


def test_a_signal_while_ray_starts_is_told_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**given: Any) -> None:
        ray._private.utils.set_sigterm_handler(lambda number, frame: sys.exit(1))
        os.kill(os.getpid(), signal.SIGTERM)

    before: Any = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(
        ray, "nodes", lambda: [{"Alive": True, "NodeID": "n1", "Resources": {"CPU": 2.0}}]
    )
    monkeypatch.setattr(RayEngine, "prepare", lambda *_: pytest.fail("nothing is to be prepared"))
    assert ray_connection.ray is ray
    outcome = driver.run(made_runs.planned(tmp_path), Options(), RayEngine)
    assert outcome.signal == signal.SIGTERM and outcome.missing == 3
    note = last_note(Store(tmp_path / "results"), "made")
    assert note and note["ended"] and signal.getsignal(signal.SIGTERM) == before


def test_an_alarm_that_the_library_of_ray_sets_is_taken_back_and_no_other() -> None:
    """Of a process of its own, as the alarm would end it."""
    script = """
import os, signal, sys, time
from oneshot.engine.stop import StopHandler

class Job:
    class store:
        write = delete = staticmethod(lambda *a: None)
    stop_key = staticmethod(lambda: "k")

if sys.argv[1] == "own":
    signal.signal(signal.SIGALRM, lambda *a: print("own alarm"))
with StopHandler(Job, lambda text: None) as stop:
    signal.alarm(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1.5)
    print(stop.requested())
"""

    def said(kind: str) -> list[str]:
        command = [sys.executable, "-c", script, kind]
        done = subprocess.run(command, cwd=small.ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done
        return done.stdout.splitlines()

    assert said("none") == ["True"]
    assert said("own") == ["own alarm", "True"]
