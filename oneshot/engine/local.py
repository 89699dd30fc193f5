"""Trials in this process, one after the other: for debugging, and where Ray cannot run."""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Sequence

import torch

from oneshot.engine.base import Engine, default_device
from oneshot.store.store import Unavailable, Unwritable
from oneshot.sweep.point import Point
from oneshot.trial import prepare, trial
from oneshot.trial.job import Job


class LocalEngine(Engine):
    """An engine without workers."""

    def __exit__(self, *exc: object) -> None:
        return None

    def prepare_inputs(self, point: Point) -> None:
        """Compute what one point lacks of its inputs."""
        device = torch.device(default_device())
        prepare.prepare(point, self.job.store, device, self.show_preparation)

    def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
        """Run trials one after the other, until a stop is requested.

        Args:
            trials: the points of each trial.
            attempt: the round, which changes nothing here.
        """
        stop = self.sweep_run.stop
        job = dataclasses.replace(
            self.job, device=default_device(), stop_requested_here=stop.requested
        )
        for points in trials:
            if stop.requested():
                return
            name, statuses = points[0].train_id, {}
            self.show_trial(name, points)
            try:
                statuses = self._run_trial(name, points, job)
            except Unavailable as error:
                self.sweep_run.on_unreachable_store(
                    str(error), isinstance(error, Unwritable), platform.node()
                )
            self.state.end_trial(name, bool(statuses))
            self.sweep_run.fetch_records(points)

    def _run_trial(self, name: str, points: Sequence[Point], job: Job) -> dict[str, str]:
        """The status of each point after its trial; what the trial raises becomes failed rows."""
        show = functools.partial(self.show_progress, name, points)
        try:
            return trial.run(points, job, show)
        except Unavailable:
            raise
        except (Exception, SystemExit) as error:
            return {p.point_id: trial.record_failure(p, error, job) for p in points}
