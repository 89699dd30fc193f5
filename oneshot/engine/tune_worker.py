"""What a Ray worker does: prepare inputs, or run the trials of a batch and report on them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import pickle
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
import torch
from ray import tune

from oneshot.engine import worker_group
from oneshot.engine.base import default_device
from oneshot.engine.remote_error import as_remote_error
from oneshot.store import records
from oneshot.store.store import Unavailable, Unwritable
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick
from oneshot.trial import prepare, trial
from oneshot.trial.job import Job
from oneshot.types import Status

Body = Callable[[Sequence[Point], Job, Tick], dict[str, str]]
TRIALS_PER_OBJECT = 64  # in Ray's object store


def prepare_inputs(point: Point, job: Job, progress_key: str, cpus: int) -> None:
    """Compute what a point lacks of its inputs.

    Args:
        point: the point.
        job: what the driver asks.
        progress_key: where the progress is written in the store.
        cpus: how many processors are used.
    """
    torch.set_num_threads(cpus)
    last = -math.inf

    def report(*what: Any) -> None:
        nonlocal last
        if time.monotonic() - last > 1:
            last = time.monotonic()
            job.store.write(progress_key, json.dumps(what).encode())

    report("inputs", 0, 0, {})  # a sign that the task has found its room
    prepare.prepare(point, job.store, torch.device(default_device()), report)


class _EndedByTune(BaseException):
    """Tune ends this batch: what its report raises, told apart from an exit that a family calls."""


class _Reporter:
    """Reports to the driver which trials ended since the last report, and how far one is."""

    def __init__(self, seconds: float):
        self.seconds, self.last = seconds, -math.inf
        self.place = {
            "node": ray.get_runtime_context().get_node_id(),
            "host": platform.node(),
        }
        self.ended: list[tuple[int, bool, float]] = []

    def progress(
        self,
        index: int,
        doing: str = "epoch",
        done: int = 0,
        total: int = 0,
        loss: float = math.nan,
    ) -> None:
        """Report how far trial `index` is, unless the last report was a moment ago."""
        if time.monotonic() - self.last > self.seconds:
            self.send(index, doing=[doing, done, total, loss])

    def send(self, index: int = -1, **more: Any) -> None:
        """Report at once; `index` is the trial at work, -1 for none."""
        self.last = time.monotonic()
        report = {"ended": list(self.ended), "at": index, "doing": ["epoch", 0, 0, math.nan]}
        try:
            tune.report(report | self.place | more)
        except SystemExit as stop:
            raise _EndedByTune from stop
        self.ended.clear()

    def unavailable(self, index: int, error: Unavailable) -> None:
        """Report that the results could not be reached.

        That is of no point's making. The driver finds out whether only this machine has trouble.
        """
        self.send(index, unavailable=str(error), unwritable=isinstance(error, Unwritable))


def run_batch(config: dict[str, Any], refs: list[Any], job: Job, body: Body) -> None:
    """Run the trials of a batch one after the other, as the function that Tune calls.

    Everything of ours that fails has become a record before this returns.

    Args:
        config: trials, the indices of the batch; share and workers, what each asks for;
            max_seconds, after which no more of them starts.
        refs: objects in Ray's store, each of TRIALS_PER_OBJECT pickled trials.
        job: what the driver asks of every trial.
        body: what is done with the points of a trial.
    """
    with contextlib.suppress(_EndedByTune):
        _run_batch(config, refs, job, body)


def _run_batch(config: dict[str, Any], refs: list[Any], job: Job, body: Body) -> None:
    """As `run_batch`, where Tune may raise _EndedByTune at each report."""
    context = ray.get_runtime_context()
    cpus = context.get_assigned_resources().get("CPU", 1)
    on_gpu = bool(context.get_accelerator_ids().get("GPU")) and torch.cuda.is_available()
    job = dataclasses.replace(job, device="cuda" if on_gpu else "cpu", threads=max(int(cpus), 1))
    if config["workers"] > 1:
        body = functools.partial(worker_group.run, share=config["share"])
    reporter, start = _Reporter(job.report_seconds), time.monotonic()
    for position, index in enumerate(config["trials"]):
        began, points = time.monotonic(), list[Point]()
        try:
            if job.stop_requested() or (position > 0 and began - start > config["max_seconds"]):
                break  # the driver gives what did not start to another batch
            reporter.progress(index)
            packed = ray.get(refs[index // TRIALS_PER_OBJECT])
            points = pickle.loads(packed[index % TRIALS_PER_OBJECT])
            finished = bool(body(points, job, functools.partial(reporter.progress, index)))
        except Unavailable as error:
            return reporter.unavailable(index, error)
        except ray.exceptions.RayError:
            raise  # the points did not arrive: as a worker that is lost
        except (Exception, SystemExit) as error:
            try:
                unrecorded = record_failures(points, error, job)
            except Unavailable as away:
                return reporter.unavailable(index, away)
            if unrecorded:
                reporter.send(index, raised=unrecorded)
            finished = True
        reporter.ended.append((index, finished, time.monotonic() - began))
        if on_gpu:
            _free_gpu_memory(reporter)
    reporter.send()


def _free_gpu_memory(reporter: _Reporter) -> None:
    """Give the memory back before the next trial of a warm worker.

    After some errors a device is lost to its process, and the next trials need another one.
    """
    try:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    except Exception as error:
        reporter.send(broken=as_remote_error(error).text)
        raise


def record_failures(points: Sequence[Point], error: BaseException, job: Job) -> list[str]:
    """Leave a `failed` row for each of these points that is not done, here where it failed.

    Args:
        points: the points; none where the error arose before they were known.
        error: what was raised.
        job: what the driver asks of every trial.

    Returns:
        Nothing; or the error's type, text and traceback, where a row could not be written and the
        driver must do it.

    Raises:
        Unavailable: the store takes no row.
    """
    unrecorded = list(as_remote_error(error).args)
    if not points:
        return unrecorded
    try:
        for point in points:
            # the failure of an earlier run gives way to this one
            if records.status(job.store, job.sweep, point.point_id) in (None, Status.FAILED):
                trial.record_failure(point, error, job)
    except Unavailable:
        raise
    except Exception:
        return unrecorded
    return []
