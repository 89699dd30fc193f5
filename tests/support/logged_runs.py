"""Made runs that are logged: three points, one of which failed, with drawings of the others."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import made_runs
import numpy as np

from oneshot.console.outcome import Outcome
from oneshot.scoring import sample
from oneshot.store import records
from oneshot.store.store import Store
from oneshot.sweep.point import Point
from oneshot.trackers.base import PACKAGES
from oneshot.types import Drawings

MORE = dict(train_seconds=4.0, epochs_done=2, parameters=7)


def installed() -> list[str]:
    """The trackers whose packages are here."""
    return [name for name, (module, _) in PACKAGES.items() if importlib.util.find_spec(module)]


def drawings(images: np.ndarray | None = None) -> Drawings:
    """Two classes with an exemplar and three drawings each."""
    bits = np.zeros((6, 8, 8), np.uint8)
    bits[:, 2:6, 2] = 1
    images = bits if images is None else images
    return Drawings(images, np.repeat([0, 1], 3), images[::3], ("a", "b"))


def run(
    folder: Path, log: Sequence[str], failing: float | None = 1.0, ended: str = "01:02:03"
) -> Outcome:
    """Run what is missing of the made sweep; the point of this beta fails.

    Args:
        folder: with the results.
        log: the trackers.
        failing: the beta of the point that fails; None for no point.
        ended: the clock time at which the points end.

    Returns:
        How the run ended.
    """
    more = MORE | dict(finished_at=f"2026-11-30T{ended}+00:00")

    def work(point: Point, job: object, sweep_run: object) -> None:
        status = "failed" if point.settings["beta"] == failing else "done"
        key = f"store/drawings/{point.sample_id}/drawings.npz"
        store = Store(folder / "results")
        store.write(key, sample.to_bytes(drawings()))
        version = sweep_run.plan.log.version(point.point_id)  # type: ignore[attr-defined]
        wrong = {} if status == "done" else dict(error_type="ValueError", error="no | luck\nat all")
        records.commit(store, "made", made_runs.record(point, status, **more, **wrong), version)

    plan = made_runs.planned(folder, retry_failed=True)
    return made_runs.run(plan, work, log=tuple(log))
