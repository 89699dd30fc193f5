"""A SIGTERM while Ray starts, when Ray has put its own handler in place of the run's."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import made_runs
import pytest

from oneshot.engine import driver, ray_connection
from oneshot.engine.options import Options
from oneshot.engine.tune import RayEngine
from oneshot.store.lease import last_note
from oneshot.store.store import Store


def test_a_signal_while_ray_starts_is_told_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join(address: str) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as ray.init does
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal ends this")

    before: Any = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray_connection, "join", join)
    outcome = driver.run(made_runs.planned(tmp_path), Options(), RayEngine)
    assert outcome.signal == signal.SIGTERM and outcome.missing == 3
    note = last_note(Store(tmp_path / "results"), "made")
    assert note and note["ended"] and signal.getsignal(signal.SIGTERM) == before
