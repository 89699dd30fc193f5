"""Points, and a cluster of which Ray knows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import small
from fake_run import FakeRun

from oneshot.engine import ray_connection
from oneshot.engine.tune import RayEngine
from oneshot.engine.tune_dispatch import Dispatcher
from oneshot.engine.tune_resources import Request
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.trial.job import Job


@pytest.fixture
def prepared(finished: Path, tmp_path: Path) -> Path:
    """A fresh folder where the critics are there already, and nothing else."""
    small.copy_prepared(finished, tmp_path)
    return tmp_path


@pytest.fixture
def sweep_folder(tmp_path: Path) -> Path:
    """A folder with the small sweep."""
    small.write_sweep(tmp_path)
    return tmp_path


@pytest.fixture
def points(sweep_folder: Path) -> list[Point]:
    """The three trained points of the small sweep."""
    return [p for p in expand(load_sweep(sweep_folder / "small.py")) if p.model == "vae_stn"]


@pytest.fixture
def job(sweep_folder: Path) -> Job:
    """The job of a run of the small sweep."""
    return Job(Store(sweep_folder / "results"), "small", "run")


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands for `ray.nodes()`; Ray is neither started nor joined."""
    found: list[Any] = [
        {"Alive": True, "NodeID": "n1", "Resources": {"CPU": 2.0}},
        {"Alive": False, "NodeID": "n2", "Resources": {"CPU": 4.0, "GPU": 1.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: found)
    monkeypatch.setattr(ray_connection, "join", lambda address: None)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return found


@pytest.fixture
def dispatcher(points: list[Point], job: Job, nodes: list[Any]) -> Iterator[Dispatcher]:
    """A dispatcher of one trial a point, none of which is handed out yet."""
    with RayEngine(FakeRun(points, job)) as engine:  # type: ignore[arg-type]
        requests = [Request(1.0, 0.0)] * len(points)
        trials = [[p] for p in points]
        yield Dispatcher(engine, engine.resources, trials, requests, share_batches=True)
