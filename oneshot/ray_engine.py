"""Trials as Ray Tune trials on warm workers, on this machine or a cluster. The only module that imports ray.

Tune is used as an executor: its loggers, reports and restores are off, its trials carry nothing but a number, and an interrupted run is
never restored but made anew over the points without a record (see `oneshot/README.md`, decisions).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Sequence
from typing import Any

os.environ.update(RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_DISABLE_SIGINT_HANDLER="1")
os.environ.update(TUNE_GLOBAL_CHECKPOINT_S="3600", TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import torch
from ray import tune

from oneshot import inputs, trial
from oneshot.points import Point
from oneshot.runner import Engine, default_device
from oneshot.trial import Job


class RayEngine(Engine):
    """Trials as Ray Tune trials on warm workers."""

    def __enter__(self) -> RayEngine:
        self.owned = not ray.is_initialized()
        if self.owned:
            address = self.driver.options.address
            here: dict[str, Any] = {} if address else dict(num_cpus=os.cpu_count(), include_dashboard=False)
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
        asked = self.driver.options.gpus_per_trial
        self.gpus: float = asked if asked is not None else float(bool(ray.cluster_resources().get("GPU")))
        self.scratch = tempfile.mkdtemp(prefix="oneshot-tune-")
        return self

    def __exit__(self, *exc: object) -> None:
        if self.owned:
            ray.shutdown()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _prepare(self, point: Point) -> None:
        """Prepare on one node with all its processors (and its GPU), following the progress through a small file in the store."""
        cpus = min((node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")), default=1)
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        key = f"{self.job.sweep}/prepare.json"
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=2)(_prepare_remotely)
        future = task.remote(trial.without_place(point), self.job, key, int(cpus))
        shown = ""
        while not ray.wait([future], timeout=1.0)[0]:
            with contextlib.suppress(FileNotFoundError, ValueError):
                text = self.job.store.read(key).decode()
                if text != shown:
                    shown = text
                    self.phase(*json.loads(text))
        try:
            ray.get(future)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None if isinstance(error.cause, Exception) else error
        finally:
            self.job.store.delete(key)

    def run(self, trials: Sequence[Sequence[Point]]) -> None:
        refs = [ray.put(pickle.dumps([trial.without_place(p) for p in group])) for group in trials]
        trainable = tune.with_resources(
            tune.with_parameters(_trainable, refs=refs, job=self.job), {"CPU": self.driver.options.cpus_per_trial, "GPU": self.gpus}
        )
        tuner = tune.Tuner(
            trainable,
            param_space={"trial": tune.grid_search(list(range(len(refs))))},
            tune_config=tune.TuneConfig(reuse_actors=not self.driver.options.fresh_workers),
            run_config=tune.RunConfig(
                name=f"round-{time.time_ns()}",
                storage_path=self.scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=2),
                callbacks=[_Follow(self, trials)],
                stop=_WhenAsked(self),
            ),
        )
        tuner.fit()
        self.state.running.clear()


def _prepare_remotely(point: Point, job: Job, key: str, cpus: int) -> None:
    torch.set_num_threads(cpus)
    last = 0.0

    def report(*what: Any) -> None:
        nonlocal last
        if time.monotonic() - last > 1:
            last = time.monotonic()
            job.store.write(key, json.dumps(what).encode())

    inputs.prepare(point, job.store, torch.device(default_device()), report)


def _trainable(config: dict[str, Any], refs: list[Any], job: Job) -> None:
    """One Tune trial: a training and its points. Everything of ours that fails has become a record before this returns."""
    points = pickle.loads(ray.get(refs[config["trial"]]))
    context = ray.get_runtime_context()
    cpus = context.get_assigned_resources().get("CPU", 1)
    on_gpu = bool(context.get_accelerator_ids().get("GPU")) and torch.cuda.is_available()
    job = dataclasses.replace(job, device="cuda" if on_gpu else "cpu", threads=max(int(cpus), 1))
    if job.store.exists(job.stop_key()):
        tune.report({"finished": False})
        return
    last = 0.0

    def report(epoch: int, epochs: int) -> None:
        nonlocal last
        if time.monotonic() - last > 1:
            last = time.monotonic()
            tune.report({"epoch": epoch, "epochs": epochs})

    statuses = trial.run(points, job, report)
    if on_gpu:  # a warm worker gives the memory back before the next trial
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    tune.report({"finished": bool(statuses)})


class _NotSaved:
    """Tune writes its callbacks to disk for a restore that we never make; ours leave the engine out."""

    def __init__(self, engine: RayEngine, trials: Sequence[Sequence[Point]] = ()):
        self.engine, self.groups = engine, trials

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Follow(_NotSaved, tune.Callback):
    """Follows Tune's events into the state that the progress shows."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.engine.begin(trial.trial_id, self.groups[trial.config["trial"]])

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        if "finished" in result:
            self.engine.state.end_trial(trial.trial_id, result["finished"])
            self.engine.driver.take_records(self.groups[trial.config["trial"]])
        elif "epoch" in result:
            self.engine.follow(trial.trial_id, result["epoch"], result["epochs"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.engine.state.end_trial(trial.trial_id, False)


class _WhenAsked(_NotSaved, tune.Stopper):
    """Ends Tune once a stop was asked for and the running trials have saved and ended, or are overdue."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        stop = self.engine.driver.stop
        return stop.asked() and (not self.engine.state.running or stop.overdue())
