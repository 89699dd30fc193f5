"""Who does what: hands batches of trials to workers and settles how each batch ended.

The dispatcher is driven by Tune's loop alone, in one thread:

    next_batch -> start -> process_report, again and again -> finish or fail

What a batch did not finish goes back to the work queue. The trial that killed its worker, or may
have, is left to the next round.
"""

from __future__ import annotations

import enum
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from oneshot.engine.base import Engine
from oneshot.engine.lost_workers import LostWorker, LostWorkers, classify
from oneshot.engine.queue import WorkQueue
from oneshot.engine.remote_error import RemoteError, as_remote_error
from oneshot.engine.tune_resources import ClusterResources, Request
from oneshot.engine.tune_worker import record_failures
from oneshot.store.estimate import trial_work
from oneshot.store.store import Unavailable, Unwritable
from oneshot.sweep.point import Point

SLOTS_SECONDS = 10.0  # between two looks at the size of the cluster
BUSY_SECONDS = 30.0  # without a trial at work, after which it is said that none starts


class BatchState(enum.Enum):
    """What is known of the worker of a batch."""

    RUNNING = enum.auto()
    DEVICE_LOST = enum.auto()  # it said that its device is lost, and ends itself
    WORKER_LOST = enum.auto()  # it died; the cause is in `Dispatcher.lost_workers`


@dataclass
class Batch:
    """A batch that was handed out, and where its worker is, once that has reported."""

    state: BatchState = BatchState.RUNNING
    node: str = ""
    host: str = "a machine"


class Dispatcher:
    """Hands out the trials of one round.

    Attributes:
        engine: shows trials, and holds the state of the run.
        resources: of the cluster.
        trials: the points of each trial.
        requests: what each trial asks for.
        queue: the trials that are pending and running.
        batches: the batches that are open.
        lost_workers: workers that died, until it is known why.
    """

    def __init__(
        self,
        engine: Engine,
        resources: ClusterResources,
        trials: Sequence[Sequence[Point]],
        requests: Sequence[Request],
        share_batches: bool,
    ):
        self.engine, self.resources = engine, resources
        self.trials, self.requests = trials, requests
        work = [trial_work(points) for points in trials]
        self.queue = WorkQueue(work, engine.slots(), len(trials) if share_batches else 1)
        self.batches: dict[str, Batch] = {}
        self.lost_workers = LostWorkers(
            lambda: {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        )
        self._slots_checked = self._last_busy = time.monotonic()

    # Handing out

    def next_batch(self, name: str) -> dict[str, Any] | None:
        """What the next worker is to do: the configuration of `tune_worker.run_batch`.

        None if there is nothing now: `done` says whether there may be something later.
        """
        self._settle_lost_workers()
        if time.monotonic() - self._slots_checked > SLOTS_SECONDS:  # nodes come and go
            self._slots_checked, self.queue.slots = time.monotonic(), self.engine.slots()
        if self.engine.sweep_run.stop.requested():
            return None
        if self.engine.job.workers > 1 and len(self.queue.running) >= self.queue.slots:
            return None  # these trials only wait for their groups, and so many groups find room
        indices = self.queue.next_batch(name)
        if not indices:
            return None
        self.batches[name] = Batch()
        request = max(self.requests[index] for index in indices)
        return {
            "trials": indices,
            "share": request.share,
            "workers": request.workers,
            "max_seconds": self.queue.max_seconds,
        }

    def done(self) -> bool:
        """Whether no more is handed out: no open batch can give something back."""
        stopping = self.engine.sweep_run.stop.requested()
        return not self.queue.running and (stopping or not self.queue.pending)

    def start(self, name: str) -> None:
        """Show the first trial of a batch, whose worker starts."""
        if indices := self.queue.running.get(name):
            self._show_trial(name, indices[0])

    def _show_trial(self, name: str, index: int) -> None:
        trial = f"{name}/{index}"
        if trial not in self.engine.state.running and index in self.queue.running.get(name, ()):
            self.engine.show_trial(trial, self.trials[index])

    # Reports

    def process_report(self, name: str, report: dict[str, Any]) -> None:
        """Count what ended since the last report, and show how far the trial at work is.

        Args:
            name: the batch.
            report: what its worker reported.
        """
        batch = self.batches.get(name)
        if batch is not None and "host" in report:
            batch.node, batch.host = report["node"], report["host"]
            self.engine.sweep_run.hosts[name] = report["host"]
        for index, finished, seconds in report.get("ended", ()):
            self._show_trial(name, index)
            if self.queue.end_trial(name, index, seconds):
                self.engine.state.end_trial(f"{name}/{index}", finished)
                self.engine.sweep_run.fetch_records(self.trials[index])
        if (index := report.get("at", -1)) >= 0:
            self._show_trial(name, index)
            self.engine.show_progress(f"{name}/{index}", self.trials[index], *report["doing"])
        if batch is None:
            return
        if "raised" in report:
            error = RemoteError(*report["raised"]).rebuild()
            self._record_failure(self.trials[report["at"]], error, batch.host)
        if "broken" in report:
            batch.state = BatchState.DEVICE_LOST
        if "unavailable" in report:
            self.engine.sweep_run.on_unreachable_store(
                report["unavailable"], report["unwritable"], batch.host
            )
            self._close(name, requeue_first=False)

    def _record_failure(self, points: Sequence[Point], error: Exception, host: str) -> None:
        """Write the rows of points whose worker could not write them."""
        sweep_run = self.engine.sweep_run
        try:
            if unrecorded := record_failures(points, error, self.engine.job):
                sweep_run.abort(f"no row can be written for {points[0].point_id}: {unrecorded[1]}")
        except Unavailable as away:
            sweep_run.on_unreachable_store(str(away), isinstance(away, Unwritable), host)
        sweep_run.fetch_records(points, at_once=True)

    # Ends

    def finish(self, name: str) -> None:
        """End a batch whose worker returned; the queue gets back what it did not start."""
        self._close(name)

    def fail(self, name: str, error: Exception | None) -> None:
        """End a batch whose worker did not return.

        Args:
            name: the batch.
            error: what Tune has of it, None if it cannot be read.
        """
        batch = self.batches.get(name)
        if batch is None:
            return
        if batch.state is BatchState.DEVICE_LOST:
            self._close(name)
        elif isinstance(error, ray.exceptions.RayTaskError):
            self._fail_outside_of_trial(name, batch, error)
        else:
            silent = isinstance(error, ray.exceptions.ActorUnavailableError)
            text = f"{error} preempted" if getattr(error, "preempted", False) else str(error)
            self._lose(batch, classify(name, text, silent, batch.node))

    def _fail_outside_of_trial(self, name: str, batch: Batch, error: Exception) -> None:
        """End a batch whose worker raised before anything of ours could.

        That becomes the failure of the first trial, which it kept from running. If the points of
        the trial did not arrive, it counts as a lost worker.
        """
        cause = _innermost_cause(error)
        if isinstance(cause, ray.exceptions.RayError) and not isinstance(
            cause, ray.exceptions.RayTaskError
        ):
            line = as_remote_error(cause).text.strip().splitlines()[0]
            text = f"its points did not reach it: {line}"
            return self._lose(batch, LostWorker(name, text, False, batch.node))
        if isinstance(cause, Unavailable):
            self.engine.sweep_run.on_unreachable_store(
                str(cause), isinstance(cause, Unwritable), batch.host
            )
            return self._close(name, requeue_first=False)
        trace, text = as_remote_error(error).text, as_remote_error(cause).text
        failure = RemoteError(type(cause).__name__, text, trace).rebuild()
        for index in self.queue.running.get(name, [])[:1]:
            self._record_failure(self.trials[index], failure, batch.host)
            self._end_unfinished(name, index)
        self._close(name)

    def _lose(self, batch: Batch, lost: LostWorker) -> None:
        """Keep a lost worker until it is known why it ended."""
        batch.state = BatchState.WORKER_LOST
        self.lost_workers.add(lost)

    def _settle_lost_workers(self) -> None:
        """Close the batches of lost workers of which the cause is known.

        What a lost machine had is handed out again. Where a worker died alone, the trial that it
        was at is left to the next round.
        """
        sweep_run = self.engine.sweep_run
        lost_trials: Counter[str] = Counter()
        for lost in self.lost_workers.pop_settled():
            host = self.batches[lost.batch].host
            for index in list(self.queue.running.get(lost.batch, ())):
                # what has a record by now had no part in the end
                sweep_run.fetch_records(self.trials[index], at_once=True)
                if sweep_run.all_recorded(self.trials[index]):
                    self._end_unfinished(lost.batch, index)
            unfinished = self.queue.running.get(lost.batch, [])[:1]
            if lost.machine_lost:
                lost_trials[host] += 1
            else:
                points = self.trials[unfinished[0]] if unfinished else []
                sweep_run.on_lost_worker(lost.cause, host, points)
            self._close(lost.batch, requeue_first=bool(lost.machine_lost))
        for host, trials in lost_trials.items():
            sweep_run.on_lost_machine(host, trials)

    def _end_unfinished(self, name: str, index: int) -> None:
        """Take a trial out of its batch that has its rows and did not report its end."""
        self.queue.end_trial(name, index, 0.0)
        self.engine.state.end_trial(f"{name}/{index}", False)

    def _close(self, name: str, requeue_first: bool = True) -> None:
        """End a batch; what it did not finish goes back to the queue."""
        self.engine.sweep_run.hosts.pop(name, None)
        self.batches.pop(name, None)
        for index in self.queue.close_batch(name, requeue_first):
            self.engine.state.end_trial(f"{name}/{index}", False)

    # Waiting and stopping

    def should_stop(self) -> bool:
        """Whether Tune is to end: a stop was requested, and no trial is at work that may save.

        Tune asks this at every step of its loop.
        """
        sweep_run = self.engine.sweep_run
        if not sweep_run.stop.requested():
            if self.resources.check_due():
                self.show_shortage()
            return False
        return (
            bool(sweep_run.abort_reason)
            or not self.engine.state.running
            or sweep_run.stop.overdue()
        )

    def show_shortage(self) -> None:
        """Say what the rest of the trials waits for: for a machine, or for one that is free."""
        if self.engine.state.running or not self.queue.running:
            self._last_busy = time.monotonic()
        unfinished = itertools.chain(self.queue.pending, *self.queue.running.values())
        requests = {self.requests[index] for index in unfinished}
        self.resources.show_shortage(requests, time.monotonic() - self._last_busy > BUSY_SECONDS)


def _innermost_cause(error: BaseException) -> BaseException:
    """What was raised first, below Ray's wrappers."""
    while isinstance(cause := getattr(error, "cause", None), Exception) and cause is not error:
        error = cause
    return error
