"""Trials as Ray Tune trials on warm workers, on this machine or a cluster.

Tune is used as an executor: its loggers, reports and restores are off, and its trials carry nothing
but the numbers of ours. `tune_dispatch` decides who does what, `tune_hooks` is what Tune calls, and
`tune_worker` is what runs on the workers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any

os.environ.update(
    RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_DISABLE_SIGINT_HANDLER="1"
)
os.environ.update(
    TUNE_GLOBAL_CHECKPOINT_S="3600", TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0"
)
# what a lost worker means is said by `SweepRun.on_lost_worker`
os.environ.update(TUNE_PRINT_ALL_TRIAL_ERRORS="0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray import tune

from oneshot.engine import ray_connection, tune_worker
from oneshot.engine.base import Engine
from oneshot.engine.demand import Impossible, WaitDisplay
from oneshot.engine.lost_workers import classify
from oneshot.engine.tune_dispatch import BUSY_SECONDS, Dispatcher
from oneshot.engine.tune_hooks import BatchCallback, BatchSearcher, NoReport, StopWhenRequested
from oneshot.engine.tune_resources import ClusterResources, Request
from oneshot.engine.tune_worker import TRIALS_PER_OBJECT, Body
from oneshot.engine.worker_group import WAITING_CPUS
from oneshot.sweep.point import Point
from oneshot.trial import trial

MAX_PENDING_BATCHES = 200  # that wait for room at once


class RayEngine(Engine):
    """An engine on Ray.

    Attributes:
        body: what a worker does with the points of a trial.
    """

    body: Body = staticmethod(trial.run)

    def __enter__(self) -> RayEngine:
        options = self.sweep_run.options
        self.owned = not ray.is_initialized()
        self.wait_display = WaitDisplay(self.state, self.sweep_run.progress.event)
        self.scratch = tempfile.mkdtemp(prefix="oneshot-tune-")
        try:
            if self.owned:
                where = f"joining Ray at {options.address}" if options.address else "starting Ray"
                self.state.phase = where
                ray_connection.join(options.address)
                self.sweep_run.stop.install()  # Ray prints pages at a SIGTERM
            self.resources = ClusterResources(options, self.wait_display)
            models = dict.fromkeys(p.model for p in self.sweep_run.plan.to_run)
            self.resources.check(self.resources.request([model]) for model in models)
            self.state.phase = ""
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self.owned and ray.is_initialized():  # not while it hangs in joining a cluster
            ray.shutdown()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def slots(self) -> int:
        """How many trials fit side by side on the cluster, as it is now or as it may grow."""
        return self.resources.slots()

    def held(self) -> float:
        """The GPUs of the machines that are there now; without any, how many trials fit there."""
        return self.resources.held()

    def device(self) -> str:
        """Where trials run: `cuda` or `cpu`."""
        return "cuda" if self.resources.whole_gpu_request().gpus else "cpu"

    def prepare_inputs(self, point: Point) -> None:
        """Compute what a point lacks of its inputs, on one node with all its processors.

        The node reports its progress through a small file in the store.
        """
        request = self.resources.whole_node()
        # shards of one sweep prepare beside each other
        key = f"{self.job.sweep}/prepare-{self.job.run}.json"
        task = ray.remote(num_cpus=request.cpus, num_gpus=request.gpus, max_retries=2)(
            tune_worker.prepare_inputs
        )
        future = task.remote(trial.without_place(point), self.job, key, int(request.cpus))
        try:
            self._follow_preparation(future, key, request)
            ray.get(future)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from None
            raise
        except ray.exceptions.RayError as error:
            cause = classify("", str(error), False, "").cause
            text = f"the worker that prepared the inputs ended each time: {cause}"
            raise Impossible(text, "--local prepares them in this process") from error
        finally:
            self.job.store.delete(key)

    def _follow_preparation(self, future: Any, key: str, request: Request) -> None:
        """Show how far a preparation is, until it ends; and if it finds no room, what it needs."""
        shown, began = "", time.monotonic()
        while not ray.wait([future], timeout=1.0)[0]:
            with contextlib.suppress(OSError, ValueError):
                text = self.job.store.read(key).decode()
                if text != shown:
                    shown = text
                    self.wait_display.show("")
                    self.show_preparation(*json.loads(text))
            if self.resources.check_due():
                all_busy = not shown and time.monotonic() - began > BUSY_SECONDS
                self.resources.show_shortage([request], all_busy)
        self.wait_display.show("")

    def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
        """Run trials to their end, or until a stop is requested.

        Args:
            trials: the points of each trial.
            attempt: the round.
        """
        packed = [pickle.dumps([trial.without_place(p) for p in points]) for points in trials]
        refs = [
            ray.put(packed[i : i + TRIALS_PER_OBJECT])
            for i in range(0, len(packed), TRIALS_PER_OBJECT)
        ]
        requests = self._requests(trials, attempt)
        patient = attempt == 0 and any(0 < request.gpus < 1 for request in requests)
        job = dataclasses.replace(self.paced_job(), patient=patient)
        fresh_workers = self.sweep_run.options.fresh_workers
        share_batches = attempt == 0 and not fresh_workers and job.workers == 1
        dispatcher = Dispatcher(self, self.resources, trials, requests, share_batches)
        # asked for ahead, as an autoscaler sees them
        pending = max(16, min(self.slots(), MAX_PENDING_BATCHES))
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(pending)
        trainable = tune.with_parameters(tune_worker.run_batch, refs=refs, job=job, body=self.body)
        tuner = tune.Tuner(
            tune.with_resources(trainable, _placement),
            tune_config=tune.TuneConfig(
                search_alg=BatchSearcher(dispatcher),
                num_samples=-1,
                reuse_actors=not fresh_workers,
            ),
            run_config=tune.RunConfig(
                name=f"round-{time.time_ns()}",
                storage_path=self.scratch,
                verbose=0,
                progress_reporter=NoReport(),
                failure_config=tune.FailureConfig(max_failures=0),
                callbacks=[BatchCallback(dispatcher)],
                stop=StopWhenRequested(dispatcher),
            ),
        )
        tuner.fit()
        self.wait_display.show("")
        self.state.running.clear()
        self.sweep_run.hosts.clear()

    def _requests(self, trials: Iterable[Sequence[Point]], attempt: int) -> list[Request]:
        """What each trial asks for; the machines are asked once for trials of the same models.

        References ask for what the sweep's own model does: Tune gives a warm worker only to a trial
        of the same request, and takes seconds to start another.
        """
        models = [tuple(dict.fromkeys(p.model for p in points)) for points in trials]
        own = (self.sweep_run.plan.sweep.model,)
        if own in models and self.sweep_run.options.workers_per_trial == 1:
            models = [own] * len(models)
        known = {names: self.resources.request(names, attempt) for names in dict.fromkeys(models)}
        return [known[names] for names in models]


def _placement(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """The resources of a batch; where a group of workers trains, the group asks for its own."""
    share = config["share"] if config["workers"] == 1 else {"CPU": WAITING_CPUS}
    return tune.PlacementGroupFactory([share])
