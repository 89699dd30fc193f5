"""Whole runs of the driver in a moment: an engine whose trials leave made records instead of
training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from oneshot.console.outcome import Outcome
from oneshot.engine import driver
from oneshot.engine.base import Engine
from oneshot.engine.options import Options
from oneshot.engine.sweep_run import SweepRun
from oneshot.store import plan, records
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.trial import trial

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Is nothing lost?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[0.0, 1.0, 2.0]),
    fixed=dict(dataset="quickdraw", split="fixed", image_size=16, epochs=2, drawings_per_class=4),
    references=(),
)
"""


def write_sweep(folder: Path) -> Path:
    """A sweep of three points, without references."""
    path = folder / "made.py"
    path.write_text(SWEEP)
    return path


def planned(folder: Path, store: Store | None = None, **options: Any) -> plan.Plan:
    """The plan of that sweep over the results of the folder."""
    return plan.make(load_sweep(write_sweep(folder)), store or Store(folder / "results"), **options)


def record(point: Point, status: str = "done", **more: Any) -> Record:
    """A record of a point as a trial leaves it."""
    numbers = (
        dict(diversity=0.5, recognizability=50.0, human_distance=1.0) if status == "done" else {}
    )
    row = {
        **point.row(),
        "status": status,
        "sweep": "made",
        "finished_at": "2026-11-30T01:02:03+00:00",
    }
    classes = {"class_name": ["a", "b"], "diversity": [0.25, 0.75]} if status == "done" else {}
    return Record(row | numbers | more, classes, {"epoch": [0, 1], "train_loss": [2.0, 1.0]})


class MadeEngine(Engine):
    """An engine that calls `work(point, job, sweep_run)` for each point.

    Without it each point gets a record that says it is done.
    """

    work: Callable[[Point, trial.Job, SweepRun], object]

    def __init__(
        self,
        sweep_run: SweepRun,
        work: Callable[[Point, trial.Job, SweepRun], object] | None = None,
    ):
        super().__init__(sweep_run)
        self.work = work or (
            lambda point, job, sweep_run: records.commit(job.store, job.sweep, record(point))
        )

    def __exit__(self, *exc: object) -> None:
        return None

    def prepare(self, points: Sequence[Point]) -> None:
        """Nothing: made records need no critics."""

    def prepare_inputs(self, point: Point) -> None:
        raise AssertionError("nothing is prepared here")

    def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
        for group in trials:
            for point in group:
                if not self.sweep_run.stop.requested():
                    self.work(point, self.job, self.sweep_run)


def run(
    made: plan.Plan,
    work: Callable[[Point, trial.Job, SweepRun], object] | None = None,
    **options: Any,
) -> Outcome:
    """Run a plan on the made engine."""
    return driver.run(made, Options(**options), lambda sweep_run: MadeEngine(sweep_run, work))
