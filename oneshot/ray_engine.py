"""Trials as Ray Tune trials on warm workers, on this machine or a cluster. The only module that imports ray.

Tune is used as an executor: its loggers, reports and restores are off, its trials carry nothing but a number, and an interrupted run is
never restored but made anew over the points without a record (see `oneshot/README.md`, decisions).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.update(RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_DISABLE_SIGINT_HANDLER="1")
os.environ.update(TUNE_GLOBAL_CHECKPOINT_S="3600", TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0")
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "16")  # turns asked for ahead of the workers, as an autoscaler sees them
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from oneshot import inputs, trial
from oneshot.plan import trial_work
from oneshot.points import Point
from oneshot.runner import Engine, default_device
from oneshot.train import Tick
from oneshot.trial import Job
from oneshot.turns import LONGEST_TURN, Turns

Body = Callable[[Sequence[Point], Job, Tick], dict[str, str]]
BLOCK = 64  # trials in one object of Ray's store


class RayEngine(Engine):
    """Trials as Ray Tune trials on warm workers. body: what a worker does with the points of a trial."""

    body: Body = staticmethod(trial.run)

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

    def slots(self) -> int:
        """How many trials fit side by side on the cluster as it is now."""
        total, options = ray.cluster_resources(), self.driver.options
        fits = [int(total.get("CPU", 1) / options.cpus_per_trial)] if options.cpus_per_trial else []
        fits += [int(total.get("GPU", 0) / self.gpus)] if self.gpus else []
        return max(min(fits, default=1), 1)

    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    def run(self, trials: Sequence[Sequence[Point]], alone: bool = False) -> None:
        packed = [pickle.dumps([trial.without_place(p) for p in group]) for group in trials]
        refs = [ray.put(packed[i : i + BLOCK]) for i in range(0, len(packed), BLOCK)]
        turns = _Turns(self, trials, alone or self.driver.options.fresh_workers)
        trainable = tune.with_resources(
            tune.with_parameters(_trainable, refs=refs, job=self.job, body=self.body),
            {"CPU": self.driver.options.cpus_per_trial, "GPU": self.gpus},
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(search_alg=turns, num_samples=-1, reuse_actors=not self.driver.options.fresh_workers),
            run_config=tune.RunConfig(
                name=f"round-{time.time_ns()}",
                storage_path=self.scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=2),
                callbacks=[_Started(turns)],
                stop=_WhenAsked(turns),
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


def _trainable(config: dict[str, Any], refs: list[Any], job: Job, body: Body) -> None:
    """One turn of a worker: its trials one after the other. Everything of ours that fails has become a record before this returns.

    Reports, once a second and at the end, which trials ended since the last report and how far the one at work is.
    """
    context = ray.get_runtime_context()
    cpus = context.get_assigned_resources().get("CPU", 1)
    on_gpu = bool(context.get_accelerator_ids().get("GPU")) and torch.cuda.is_available()
    job = dataclasses.replace(job, device="cuda" if on_gpu else "cpu", threads=max(int(cpus), 1))
    start = last = time.monotonic()
    ended: list[tuple[int, bool, float]] = []

    def report(index: int, doing: str = "epoch", done: int = 0, total: int = 0, now: bool = False) -> None:
        nonlocal last
        if now or time.monotonic() - last > 1:
            last = time.monotonic()
            tune.report({"ended": list(ended), "at": index, "doing": [doing, done, total]})
            ended.clear()

    for index in config["trials"]:
        began = time.monotonic()
        if job.store.exists(job.stop_key()) or (index != config["trials"][0] and began - start > LONGEST_TURN):
            break  # the driver gives what was not begun to another turn
        report(index)
        points = pickle.loads(ray.get(refs[index // BLOCK])[index % BLOCK])
        statuses = body(points, job, functools.partial(report, index))
        ended.append((index, bool(statuses), time.monotonic() - began))
        if on_gpu:  # a warm worker gives the memory back before the next trial
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    report(-1, now=True)


class _Unsaved:
    """Tune writes its searchers and callbacks to disk for a restore that we never make; ours leave everything out."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return (object, ())


class _Turns(_Unsaved, Searcher):
    """Hands turns to Tune, which calls each a trial, and follows what their workers report. What a turn holds is up to `turns.Turns`."""

    def __init__(self, engine: RayEngine, groups: Sequence[Sequence[Point]], alone: bool):
        super().__init__()
        self.engine, self.groups = engine, groups
        self.turns = Turns([trial_work(group) for group in groups], engine.slots(), 1 if alone else len(groups))

    def suggest(self, trial_id: str) -> Any:
        """The trials of the next turn; None while a turn at work may still give some back; FINISHED at the end."""
        taken = [] if self.engine.driver.stop.asked() else self.turns.take(trial_id)
        if taken:
            return {"trials": taken}
        return None if self.turns.out else Searcher.FINISHED

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a resume is a new run over the points without a record."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """As `save`."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("an interrupted run is made anew, never restored")

    def begin(self, turn: str, index: int) -> None:
        """Show a trial as running."""
        name = f"{turn}/{index}"
        if name not in self.engine.state.running and index in self.turns.out.get(turn, ()):
            self.engine.begin(name, self.groups[index])

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Count what ended since the last report, and show how far the trial at work is."""
        for index, finished, seconds in result.get("ended", ()):
            self.begin(trial_id, index)
            if self.turns.ended(trial_id, index, seconds):
                self.engine.state.end_trial(f"{trial_id}/{index}", finished)
                self.engine.driver.take_records(self.groups[index])
        if result.get("at", -1) >= 0:
            self.begin(trial_id, result["at"])
            self.engine.follow(f"{trial_id}/{result['at']}", self.groups[result["at"]], *result["doing"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Put back what a turn did not begin. What a dead worker left has no record: the next round finds it."""
        self.on_trial_result(trial_id, result or {})
        for index in self.turns.close(trial_id, give_back=not error):
            self.engine.state.end_trial(f"{trial_id}/{index}", False)


class _Started(_Unsaved, tune.Callback):
    """Shows the first trial of a turn as running when its worker starts."""

    def __init__(self, turns: _Turns):
        self.turns = turns

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if left := self.turns.turns.out.get(trial.trial_id):
            self.turns.begin(trial.trial_id, left[0])


class _WhenAsked(_Unsaved, tune.Stopper):
    """Ends Tune once a stop was asked for and the running trials have saved and ended, or are overdue."""

    def __init__(self, turns: _Turns):
        self.engine = turns.engine

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        stop = self.engine.driver.stop
        return stop.asked() and (not self.engine.state.running or stop.overdue())
