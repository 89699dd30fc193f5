"""A trial by a group of workers: Ray Train starts them inside the Tune trial, and they train one
point together, data-parallel.

The first worker runs the whole trial; the others help it to train. The group is started again from
the checkpoint if one of them dies.
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
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ray import train
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from oneshot.nn import data_parallel
from oneshot.nn.data_parallel import ProcessGroup
from oneshot.store import records
from oneshot.store.store import Unavailable
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick
from oneshot.trial import trial
from oneshot.trial.trial import Job

RESTARTS = 3  # of a group, of which a worker died or raised
LOOK_SECONDS = 1.0
# marks of an error that follows another's
LOST_PEER = ("gloo", "nccl", "connection closed by peer", "connection reset by peer")
# of a processor: what the trial takes that waits for its group, and each worker leaves to it
WAITING = 0.001


def run(
    points: Sequence[Point], job: Job, report: Tick, share: Mapping[str, float]
) -> dict[str, str]:
    """As `trial.run`, by job.workers workers with this share of the cluster each. Raises the error
    that stays after all restarts.
    """
    key = f"{job.sweep}/together-{points[0].train_id}.json"
    gpus, cpus = share.get("GPU", 0.0), share.get("CPU", 1.0)
    folder = tempfile.mkdtemp(prefix="oneshot-train-")
    trainer = TorchTrainer(
        _worker,
        train_loop_config={
            "points": list(points),
            "job": dataclasses.replace(job, threads=max(int(cpus), 1)),
            "key": key,
        },
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=train.ScalingConfig(
            num_workers=job.workers,
            use_gpu=bool(gpus),
            resources_per_worker={"CPU": max(cpus - WAITING, 0), "GPU": gpus},
        ),
        run_config=train.RunConfig(
            storage_path=folder, failure_config=train.FailureConfig(max_failures=RESTARTS)
        ),
    )
    try:
        error = _followed(trainer.fit, job, key, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        job.store.delete(key)
    if error is not None:
        raise error
    return {
        p.point_id: status
        for p in points
        if (status := records.status(job.store, job.sweep, p.point_id)) is not None
    }


class Told(Exception):
    """What was raised elsewhere, in words, as the exception itself may be one that cannot
    travel.
    """

    def __init__(self, kind: str, text: str, trace: str):
        super().__init__(kind, text, trace)
        self.kind, self.text, self.trace = kind, text, trace

    @property
    def follows(self) -> bool:
        """Whether another worker's end was the cause."""
        return any(mark in self.text.lower() for mark in LOST_PEER)

    def again(self) -> Exception:
        """An exception with the name, text and traceback of the one that was raised."""
        error: Exception = type(self.kind, (Exception,), {"__module__": "builtins"})(self.text)
        error.add_note(self.trace)
        return error


def tell(error: BaseException) -> Told:
    """An exception in words, also where asking for its text raises or it holds what is no text."""
    return Told(
        type(error).__name__,
        _safely(lambda: str(error)),
        _safely(lambda: "".join(traceback.format_exception(error))),
    )


def _safely(ask: Callable[[], str]) -> str:
    try:
        return ask().encode(errors="backslashreplace").decode()
    except Exception as another:
        return f"(it cannot be told: {type(another).__name__} when asked)"


def _followed(work: Callable[[], Any], job: Job, key: str, report: Tick) -> Exception | None:
    """Run this in a thread of its own, and report meanwhile what the first worker leaves under this
    key; returns what it raised.
    """
    errors: list[Exception] = []

    def call() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(_cause(error))

    logging.getLogger("ray.train").setLevel(logging.ERROR)
    thread, shown = threading.Thread(target=call, name="group"), ""
    thread.start()
    while thread.is_alive():
        # the more groups look, the less often each does
        thread.join(max(LOOK_SECONDS, job.report_seconds, job.stop_poll_seconds))
        with contextlib.suppress(OSError, ValueError, TypeError):
            text = job.store.read(key).decode()
            if text != shown:
                shown = text
                report(*json.loads(text))
    return errors[0] if errors else None


def _cause(error: BaseException) -> Exception:
    """What a worker raised, where the group failed for that: of the first one that did not only
    lose its peers.
    """
    failures = getattr(error, "worker_failures", None) or {0: error}
    found = [_inner(failures[rank]) for rank in sorted(failures)]
    first = next((one for one in found if not (isinstance(one, Told) and one.follows)), found[0])
    if isinstance(first, Unavailable):
        return first
    return (first if isinstance(first, Told) else tell(first)).again()


def _inner(error: Any) -> BaseException:
    names = ("cause", "_base_exc", "controller_failure")
    while inner := next(
        (
            i
            for n in names
            if isinstance(i := getattr(error, n, None), BaseException) and i is not error
        ),
        None,
    ):
        error = inner
    found: BaseException = error
    return found


def _worker(config: dict[str, Any]) -> None:
    """What each worker of a group does; what it raises travels in words."""
    try:
        _work(config)
    except Unavailable:
        raise
    except (Exception, SystemExit) as error:
        raise tell(error) from None


def _work(config: dict[str, Any]) -> None:
    """Several graphics cards in one machine: each worker sees its own."""
    context = train.get_context()
    points, device = config["points"], get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    job = dataclasses.replace(config["job"], device=str(device))
    with data_parallel.use_group(ProcessGroup(context.get_world_rank(), context.get_world_size())):
        if context.get_world_rank() > 0:
            with contextlib.suppress(trial.Stopped):
                trial.assist(points[0], job)
            return
        last = -float("inf")

        def report(what: str, done: int, total: int, loss: float = math.nan) -> None:
            nonlocal last
            if time.monotonic() - last > job.report_seconds:
                last = time.monotonic()
                job.store.write(config["key"], json.dumps([what, done, total, loss]).encode())

        trial.run(points, job, report)
