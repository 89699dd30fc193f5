"""What an engine is: where trials run, and how it shows them."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from oneshot.console.running import Running
from oneshot.engine.sweep_run import SweepRun, trial_label
from oneshot.store.estimate import trial_work
from oneshot.sweep.grouping import STACK_ON_CPU, STACK_ON_GPU
from oneshot.sweep.point import Point
from oneshot.trial import inputs, prepare
from oneshot.trial.job import Job

# of all trials together: what an object store and one driver bear with ease
STOP_POLLS_PER_SECOND, REPORTS_PER_SECOND = 500.0, 100.0


class Engine(contextlib.AbstractContextManager["Engine"]):
    """Where trials run. A context: workers live as long as it lasts."""

    def __init__(self, sweep_run: SweepRun):
        self.sweep_run, self.job, self.state = sweep_run, sweep_run.job, sweep_run.state

    @abstractmethod
    def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
        """Run trials to their end, or until a stop is requested.

        Args:
            trials: the points of each trial.
            attempt: the round. In all but the first, each trial has a worker to itself and twice
                the room of the round before.
        """

    @abstractmethod
    def prepare_inputs(self, point: Point) -> None:
        """Compute what one point lacks of its inputs."""

    def prepare(self, points: Sequence[Point]) -> None:
        """Compute the inputs that these points lack, those that points share once."""
        distinct = {
            (*inputs.keys(p).values(), str(inputs.images_beside(p)), p.settings["image_size"]): p
            for p in points
        }
        for point in distinct.values():
            if inputs.images_beside(point) or prepare.missing(point, self.job.store):
                self.state.phase = "preparing critics" if point.critics else "preparing images"
                self.prepare_inputs(point)
        self.state.phase = ""

    def slots(self) -> int:
        """How many trials run side by side."""
        return 1

    def held(self) -> float:
        """What is paid for: the GPUs that the run holds; where there are none, its trial slots."""
        return 1.0

    def device(self) -> str:
        """Where trials run: `cuda` or `cpu`."""
        return default_device()

    def max_stack(self) -> int:
        """Most trainings that train as one stacked model."""
        options = self.sweep_run.options
        if options.workers_per_trial > 1:
            return 1
        default = STACK_ON_GPU if self.device().startswith("cuda") else STACK_ON_CPU
        return options.max_stack or default

    def paced_job(self) -> Job:
        """The job with intervals of stop polls and reports that suit the number of slots."""
        slots = self.slots()
        poll = slots / STOP_POLLS_PER_SECOND if self.job.store.local("") is None else 0.0
        report = max(slots / REPORTS_PER_SECOND, 1.0)
        return dataclasses.replace(self.job, stop_poll_seconds=poll, report_seconds=report)

    def show_trial(self, name: str, points: Sequence[Point]) -> None:
        """Show a trial as running.

        Args:
            name: of the trial, one that no other has.
            points: its points.
        """
        at_work = self.sweep_run.running_points
        kept = {n: p for n, p in at_work.items() if n in self.state.running}
        self.sweep_run.running_points = kept | {name: points}
        label = trial_label(points, self.sweep_run.plan.sweep.axes)
        self.state.running[name] = Running(label, len(points), trial_work(points))

    def show_progress(
        self,
        name: str,
        points: Sequence[Point],
        doing: str,
        done: int,
        total: int,
        loss: float = math.nan,
    ) -> None:
        """Show what a trial is at.

        Past its training, the records of those of its points that have one are fetched.

        Args:
            name: of the trial.
            points: its points.
            doing: what it is at: `epoch`, `drawing` and what else a trial reports.
            done: how many of `total` epochs, drawings or whatever it is.
            total: how many there are.
            loss: of the last epoch, NaN where none is reported.
        """
        if (running := self.state.running.get(name)) is not None:
            running.doing, running.done, running.total, running.loss = doing, done, total, loss
        if doing != "epoch" and len(points) > 1:
            self.sweep_run.fetch_records(points)

    def show_preparation(self, what: str, epoch: int, epochs: int, losses: dict[str, Any]) -> None:
        """Show how far a critic's training is; where nothing is repainted, five lines of it.

        Args:
            what: the critic, or what else is prepared.
            epoch: how many epochs are done.
            epochs: of how many.
            losses: of the last epoch; empty for what has no epochs.
        """
        numbers = " ".join(f"{k}={v:.4g}" for k, v in losses.items() if isinstance(v, float))
        text = f"{what} epoch {epoch}/{epochs}  {numbers}" if losses else what
        self.state.phase = text if text.startswith("waiting ") else f"preparing {text}"
        progress = self.sweep_run.progress
        if not progress.live and (not losses or epoch % max(epochs // 5, 1) == 0):
            progress.event(self.state.phase)


def default_device() -> str:
    """The device of this process: `cuda` or `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"
