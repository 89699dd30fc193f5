"""A sweep that runs elsewhere, for all tests of what is shown of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from wide_sweep import commit, points_of, sweep_file, write_heartbeat

from oneshot.store.store import Store
from oneshot.sweep.point import Point


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
    write_heartbeat(store, started=time.time() - 7205)
    return path, store, points
