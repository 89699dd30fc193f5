"""A trial by a group of workers that train one point together, data-parallel.

Ray Train starts the workers inside the Tune trial. The first one runs the whole trial; the others
help it to train. If one of them dies, the group starts again from the checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ray import train
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from oneshot.engine.remote_error import RemoteError, as_remote_error
from oneshot.nn import data_parallel
from oneshot.nn.data_parallel import ProcessGroup
from oneshot.store import records
from oneshot.store.store import Unavailable
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick
from oneshot.trial import trial
from oneshot.trial.job import Job

RESTARTS = 3  # of a group, of which a worker died or raised
POLL_SECONDS = 1.0
# of a processor: what the trial takes that waits for its group, and each worker leaves to it
WAITING_CPUS = 0.001


def run(
    points: Sequence[Point], job: Job, report: Tick, share: Mapping[str, float]
) -> dict[str, str]:
    """Run a trial as `trial.run` does, by `job.workers` workers.

    Args:
        points: the points of the trial.
        job: what the driver asks of it.
        report: is called with how far it is.
        share: the resources of each worker.

    Returns:
        The status of each point that has a record, by point_id.

    Raises:
        Exception: what a worker raised, if it was raised again after all restarts.
    """
    progress_key = f"{job.sweep}/together-{points[0].train_id}.json"
    gpus, cpus = share.get("GPU", 0.0), share.get("CPU", 1.0)
    folder = tempfile.mkdtemp(prefix="oneshot-train-")
    trainer = TorchTrainer(
        _run_worker,
        train_loop_config={
            "points": list(points),
            "job": dataclasses.replace(job, threads=max(int(cpus), 1)),
            "progress_key": progress_key,
        },
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=train.ScalingConfig(
            num_workers=job.workers,
            use_gpu=bool(gpus),
            resources_per_worker={"CPU": max(cpus - WAITING_CPUS, 0), "GPU": gpus},
        ),
        run_config=train.RunConfig(
            storage_path=folder, failure_config=train.FailureConfig(max_failures=RESTARTS)
        ),
    )
    try:
        error = _run_and_report(trainer.fit, job, progress_key, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        job.store.delete(progress_key)
    if error is not None:
        raise error
    statuses = {p.point_id: records.status(job.store, job.sweep, p.point_id) for p in points}
    return {point_id: status for point_id, status in statuses.items() if status is not None}


def _run_and_report(
    work: Callable[[], Any], job: Job, progress_key: str, report: Tick
) -> Exception | None:
    """Do this in a thread, and report what the first worker writes under the key meanwhile.

    Returns what it raised.
    """
    errors: list[Exception] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(_root_cause(error))

    logging.getLogger("ray.train").setLevel(logging.ERROR)
    thread, reported = threading.Thread(target=call, name="group"), ""
    thread.start()
    while thread.is_alive():
        # the more groups there are, the less often each polls
        thread.join(max(POLL_SECONDS, job.report_seconds, job.stop_poll_seconds))
        with contextlib.suppress(OSError, ValueError, TypeError):
            text = job.store.read(progress_key).decode()
            if text != reported:
                reported = text
                report(*json.loads(text))
    return errors[0] if errors else None


def _root_cause(error: BaseException) -> Exception:
    """What a worker raised that made its group fail: the first that did not only lose its peers."""
    failures = getattr(error, "worker_failures", None) or {0: error}
    causes = [_innermost(failures[rank]) for rank in sorted(failures)]
    own = [one for one in causes if not (isinstance(one, RemoteError) and one.is_consequence)]
    first = (own or causes)[0]
    if isinstance(first, Unavailable):
        return first
    return (first if isinstance(first, RemoteError) else as_remote_error(first)).rebuild()


def _innermost(error: Any) -> BaseException:
    """The exception that Ray's wrappers hold, under any of their names for it."""
    names = ("cause", "_base_exc", "controller_failure")
    while True:
        held = [getattr(error, name, None) for name in names]
        inner = [one for one in held if isinstance(one, BaseException) and one is not error]
        if not inner:
            found: BaseException = error
            return found
        error = inner[0]


def _run_worker(config: dict[str, Any]) -> None:
    """What each worker of a group does; what it raises travels as text."""
    try:
        _work(config)
    except Unavailable:
        raise
    except (Exception, SystemExit) as error:
        raise as_remote_error(error) from None


def _work(config: dict[str, Any]) -> None:
    """Run the trial in the first worker of a group, and help to train in the others."""
    context = train.get_context()
    points, device = config["points"], get_device()
    if device.type == "cuda":  # several graphics cards in one machine: each worker sees its own
        torch.cuda.set_device(device)
    job = dataclasses.replace(config["job"], device=str(device))
    with data_parallel.use_group(ProcessGroup(context.get_world_rank(), context.get_world_size())):
        if context.get_world_rank() > 0:
            with contextlib.suppress(trial.Stopped):
                trial.assist(points[0], job)
            return
        last = -math.inf

        def report(what: str, done: int, total: int, loss: float = math.nan) -> None:
            nonlocal last
            if time.monotonic() - last > job.report_seconds:
                last = time.monotonic()
                text = json.dumps([what, done, total, loss])
                job.store.write(config["progress_key"], text.encode())

        trial.run(points, job, report)
