"""Trials as Ray Tune trials on warm workers, on this machine or a cluster. The only module that
imports ray.

Tune is used as an executor: its loggers, reports and restores are off, its trials carry nothing but
a number, and an interrupted run is never restored but made anew over the points without a record
(see `oneshot/README.md`, decisions).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import itertools
import json
import math
import os
import pickle
import platform
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.update(
    RAY_AIR_NEW_OUTPUT="0", TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_DISABLE_SIGINT_HANDLER="1"
)
os.environ.update(
    TUNE_GLOBAL_CHECKPOINT_S="3600", TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0"
)
os.environ.update(TUNE_PRINT_ALL_TRIAL_ERRORS="0")  # what a lost worker means is said by `Losses`
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import torch
from ray import tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.search import Searcher

from oneshot.engine import demand, ray_connection, worker_group
from oneshot.engine.autoscaler import grows_elsewhere, promised
from oneshot.engine.demand import Impossible, Resources, Waiting
from oneshot.engine.driver import Engine, default_device
from oneshot.engine.lost_workers import Loss, Losses, judge
from oneshot.engine.queue import Turns
from oneshot.engine.worker_group import Told, tell
from oneshot.store import records
from oneshot.store.estimate import trial_work
from oneshot.store.store import Unavailable, Unwritable
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick
from oneshot.trial import prepare, trial
from oneshot.trial.trial import Job
from oneshot.types import Status

Body = Callable[[Sequence[Point], Job, Tick], dict[str, str]]
BLOCK = 64  # trials in one object of Ray's store
SLOTS_SECONDS = 10.0  # how often the size of the cluster is looked at
ROOM_SECONDS = 5.0  # how often it is looked whether the machines there are could run what is left
BUSY_SECONDS = 30.0  # without a trial at work, after which it is said that none starts


class RayEngine(Engine):
    """Trials as Ray Tune trials on warm workers. body: what a worker does with the points of a
    trial.
    """

    body: Body = staticmethod(trial.run)

    def __enter__(self) -> RayEngine:
        self.owned = not ray.is_initialized()
        self.waiting = Waiting(self.state, self.driver.progress.event)
        self.looked = self.began_waiting = time.monotonic()
        self.scratch = tempfile.mkdtemp(prefix="oneshot-tune-")
        try:
            address = self.driver.options.address
            if self.owned:
                ray_connection.join(address)
                self.driver.stop.listen()  # ray.init ends the process at a SIGTERM
            self.to_come = promised() if address else []
            self.demand()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self.owned and ray.is_initialized():  # not while it hangs in joining a cluster
            ray.shutdown()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def demand(self) -> None:
        """Hold what the trials ask for against the cluster, before anything is prepared.

        Raises:
            Impossible: a trial would wait for ever, as no machine that there is or may come can
                hold it.
        """
        if grows_elsewhere():
            return
        for share, workers in self.asks(self.driver.plan.to_run):
            if refused := demand.refusal(self._there(), self.to_come, share, workers):
                raise refused

    def asks(self, points: Iterable[Point], attempt: int = 0) -> list[tuple[dict[str, float], int]]:
        """What the trials of these points ask for, each thing once: the share of each worker, and
        how many workers.
        """
        families = [_family(model) for model in dict.fromkeys(p.model for p in points)]
        found = [
            (self.share(f.gpu_share, attempt), self.job.workers if f.trained else 1)
            for f in families
        ]
        return [one for i, one in enumerate(found) if one not in found[:i]]

    def _prepare(self, point: Point) -> None:
        """Prepare on one node with all its processors (and its GPU), following the progress through
        a small file in the store.
        """
        share = self._whole_node()
        key = f"{self.job.sweep}/prepare.json"
        task = ray.remote(num_cpus=share["CPU"], num_gpus=share["GPU"], max_retries=2)(
            _prepare_remotely
        )
        future = task.remote(trial.without_place(point), self.job, key, int(share["CPU"]))
        shown, began = "", time.monotonic()
        while not ray.wait([future], timeout=1.0)[0]:
            with contextlib.suppress(OSError, ValueError):
                text = self.job.store.read(key).decode()
                if text != shown:
                    shown = text
                    self.waiting.show("")
                    self.phase(*json.loads(text))
            busy = not shown and time.monotonic() - began > BUSY_SECONDS
            if self.room_is_due():
                self.look_for_room([(share, 1)], busy)
        self.waiting.show("")
        try:
            ray.get(future)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from None
            raise
        except ray.exceptions.RayError as error:
            text = (
                "the worker that prepared the inputs ended each time:"
                f" {judge('', str(error), False, '').how}"
            )
            raise Impossible(text, "--local prepares them in this process") from error
        finally:
            self.job.store.delete(key)

    def _whole_node(self) -> dict[str, float]:
        """All processors of the smallest node that may prepare, and its GPU: of those with a GPU,
        where there are any.
        """
        nodes = [machine for machine in self._machines() if machine.get("CPU")]
        nodes = [node for node in nodes if node.get("GPU")] or nodes
        gpus = min((node.get("GPU", 0.0) for node in nodes), default=0.0)
        return {"CPU": min((node["CPU"] for node in nodes), default=1.0), "GPU": min(gpus, 1.0)}

    def room_is_due(self) -> bool:
        return time.monotonic() - self.looked > ROOM_SECONDS

    def look_for_room(self, asks: Iterable[tuple[Resources, int]], busy: bool = False) -> None:
        """Say so while no machine of the cluster could hold what is asked for; busy: or none of
        them starts one.
        """
        self.looked, there, asks = time.monotonic(), self._there(), list(asks)
        found = [words for share, workers in asks if (words := demand.lacks(there, share, workers))]
        if not found and busy and asks:
            found = [f"a free worker with {demand.words(asks[0][0])}"]
        self.waiting.show(found[0] if found else "")

    def _there(self) -> list[Resources]:
        """The resources of each node there is."""
        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def _machines(self) -> list[Resources]:
        """The resources of each node there is, and of one of each kind that may come."""
        return [*self._there(), *(resources for _, resources in self.to_come)]

    def _has_gpus(self) -> bool:
        return any(machine.get("GPU") for machine in self._machines())

    def slots(self) -> int:
        """How many trials fit side by side on the cluster: as it is now, or as it may grow."""
        return demand.slots(
            self._there(), self.to_come, self.share(1.0), self.driver.options.workers_per_trial
        )

    def device(self) -> str:
        return "cuda" if self.share(1.0).get("GPU") else "cpu"

    def share(self, gpus: float, attempt: int = 0) -> dict[str, float]:
        """What a trial asks for. gpus: its family's share of a GPU, where no flag says another;
        each later attempt gets twice as much.
        """
        options = self.driver.options
        asked = (
            options.gpus_per_trial
            if options.gpus_per_trial is not None
            else gpus * self._has_gpus()
        )
        machines, more = self._machines(), 2**attempt
        most = max((m.get("CPU", 0) for m in machines if m.get("GPU", 0) >= asked), default=1)
        cpus = max(min(options.cpus_per_trial * more, most), options.cpus_per_trial)
        return {"CPU": cpus, "GPU": asked if asked >= 1 else min(asked * more, 1.0)}

    def run(self, trials: Sequence[Sequence[Point]], attempt: int = 0) -> None:
        packed = [pickle.dumps([trial.without_place(p) for p in group]) for group in trials]
        refs = [ray.put(packed[i : i + BLOCK]) for i in range(0, len(packed), BLOCK)]
        shares = [
            self.share(max(_family(p.model).gpu_share for p in group), attempt) for group in trials
        ]
        # asked for ahead, as an autoscaler sees them
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(16, min(self.slots(), 200)))
        patient = attempt == 0 and any(0 < one["GPU"] < 1 for one in shares)
        job = dataclasses.replace(self.paced(), patient=patient)
        turns = _Turns(
            self,
            trials,
            shares,
            attempt > 0 or self.driver.options.fresh_workers or job.workers > 1,
        )
        trainable = tune.with_resources(
            tune.with_parameters(_trainable, refs=refs, job=job, body=self.body), _resources
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=turns, num_samples=-1, reuse_actors=not self.driver.options.fresh_workers
            ),
            run_config=tune.RunConfig(
                name=f"round-{time.time_ns()}",
                storage_path=self.scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                callbacks=[_Followed(turns)],
                stop=_WhenAsked(turns),
            ),
        )
        tuner.fit()
        self.waiting.show("")
        self.state.running.clear()
        self.driver.machines.clear()


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What a turn asks for; of one that trains by a group of workers, the group asks for it."""
    return tune.PlacementGroupFactory(
        [config["share"] if config["workers"] == 1 else {"CPU": worker_group.WAITING}]
    )


def _any_death_is_one(whole: Callable[..., None]) -> Callable[..., None]:
    """Tune ends altogether when Ray's memory monitor ends a worker, as that error is none of an
    actor: make it one.
    """

    @functools.wraps(whole)
    def failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, ray.exceptions.OutOfMemoryError):
            exception = ray.exceptions.RayActorError(error_msg=str(exception))
        whole(manager, tracked_actor_task, exception)

    return failed


RayActorManager._actor_task_failed = _any_death_is_one(RayActorManager._actor_task_failed)  # type: ignore[method-assign]


def _family(model: str) -> Any:
    """The class of a family."""
    return importlib.import_module(f"oneshot.models.{model}").FAMILY


def _prepare_remotely(point: Point, job: Job, key: str, cpus: int) -> None:
    torch.set_num_threads(cpus)
    last = -math.inf

    def report(*what: Any) -> None:
        nonlocal last
        if time.monotonic() - last > 1:
            last = time.monotonic()
            job.store.write(key, json.dumps(what).encode())

    report("inputs", 0, 0, {})  # a sign that the task has found its room
    prepare.prepare(point, job.store, torch.device(default_device()), report)


class _Ended(BaseException):
    """Tune ends this turn: what its report raises, told apart from an exit that a family calls."""


def _trainable(config: dict[str, Any], refs: list[Any], job: Job, body: Body) -> None:
    """One turn of a worker: its trials one after the other. Everything of ours that fails has
    become a record before this returns.

    Reports at its start, every `report_seconds` and at the end, which trials ended since the last
    report and how far the one at work is.
    """
    with contextlib.suppress(_Ended):
        _turn(config, refs, job, body)


def _turn(config: dict[str, Any], refs: list[Any], job: Job, body: Body) -> None:
    context = ray.get_runtime_context()
    cpus = context.get_assigned_resources().get("CPU", 1)
    on_gpu = bool(context.get_accelerator_ids().get("GPU")) and torch.cuda.is_available()
    job = dataclasses.replace(job, device="cuda" if on_gpu else "cpu", threads=max(int(cpus), 1))
    where = {"node": context.get_node_id(), "host": platform.node()}
    start, last = time.monotonic(), -math.inf
    ended: list[tuple[int, bool, float]] = []

    def report(
        index: int,
        doing: str = "epoch",
        done: int = 0,
        total: int = 0,
        loss: float = math.nan,
        now: bool = False,
        **more: Any,
    ) -> None:
        nonlocal last
        if now or time.monotonic() - last > job.report_seconds:
            last = time.monotonic()
            try:
                tune.report(
                    {
                        "ended": list(ended),
                        "at": index,
                        "doing": [doing, done, total, loss],
                        **where,
                        **more,
                    }
                )
            except SystemExit as stop:
                raise _Ended from stop
            ended.clear()

    for index in config["trials"]:
        began, points = time.monotonic(), list[Point]()
        try:
            if job.stop_requested() or (
                index != config["trials"][0] and began - start > config["longest"]
            ):
                break  # the driver gives what was not begun to another turn
            report(index)
            packed = ray.get(refs[index // BLOCK])
            points = pickle.loads(packed[index % BLOCK])
            work = (
                body
                if config["workers"] == 1
                else functools.partial(worker_group.run, share=config["share"])
            )
            finished = bool(work(points, job, functools.partial(report, index)))
        except Unavailable as error:
            # of no point's making: the driver finds out whether it is this machine's trouble or
            # everybody's
            report(
                index, now=True, unavailable=str(error), unwritable=isinstance(error, Unwritable)
            )
            return
        except ray.exceptions.RayError:
            raise  # the points did not arrive: as a worker that is lost
        except (Exception, SystemExit) as error:
            try:
                told = record_failures(points, error, job)
            except Unavailable as away:
                report(
                    index, now=True, unavailable=str(away), unwritable=isinstance(away, Unwritable)
                )
                return
            if told:
                report(index, now=True, raised=told)
            finished = True
        ended.append((index, finished, time.monotonic() - began))
        if on_gpu:  # a warm worker gives the memory back before the next trial
            try:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            except Exception as error:
                # after some errors a device is lost to its process: the next trials need another
                # one
                report(-1, now=True, broken=tell(error).text)
                raise
    report(-1, now=True)


def record_failures(points: Sequence[Point], error: BaseException, job: Job) -> list[str]:
    """Leave a `failed` row for each of these points that is not done, here where the error arose.

    Returns:
        Nothing; or the error's type, its text and its traceback, where a row could not be written
        and the driver must do it.

    Raises:
        Unavailable: the store takes no row.
    """
    told = list(tell(error).args)
    if not points:
        return told  # it arose before there were any
    try:
        for point in points:
            # the failure of an earlier run gives way to this one
            if records.status(job.store, job.sweep, point.point_id) in (None, Status.FAILED):
                trial.record_failure(point, error, job)
    except Unavailable:
        raise
    except Exception:
        return told
    return []


class _Unsaved:
    """Tune writes its searchers and callbacks to disk for a restore that we never make; ours leave
    everything out.
    """

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return (object, ())


class _Turns(_Unsaved, Searcher):
    """Hands turns to Tune, which calls each a trial, and follows what their workers report. What a
    turn holds is up to `turns.Turns`.

    shares: what each trial asks for.
    """

    def __init__(
        self,
        engine: RayEngine,
        groups: Sequence[Sequence[Point]],
        shares: Sequence[Mapping[str, float]],
        alone: bool,
    ):
        super().__init__()
        self.engine, self.groups, self.shares = engine, groups, shares
        workers = {True: engine.job.workers, False: 1}
        self.kinds = [
            (tuple(share.items()), workers[_family(group[0].model).trained])
            for share, group in zip(shares, groups)
        ]
        self.turns = Turns(
            [trial_work(group) for group in groups], engine.slots(), 1 if alone else len(groups)
        )
        self.losses = Losses(lambda: {node["NodeID"] for node in ray.nodes() if node["Alive"]})
        self.places: dict[str, tuple[str, str]] = {}  # of each turn at work: node and host
        self.failed: set[str] = set()
        # turns whose worker ends itself, as it can run no more trials
        self.broken: set[str] = set()
        self.looked = self.busy_since = time.monotonic()

    def suggest(self, trial_id: str) -> Any:
        """The trials of the next turn; None while a turn at work may still give some back; FINISHED
        at the end.
        """
        self.lose(self.losses.settled())
        if time.monotonic() - self.looked > SLOTS_SECONDS:  # nodes come and go
            self.looked, self.turns.slots = time.monotonic(), self.engine.slots()
        if self.engine.job.workers > 1 and len(self.turns.out) >= self.turns.slots:
            return None  # these trials only wait for their groups, and so many groups find room
        taken = [] if self.engine.driver.stop.asked() else self.turns.take(trial_id)
        if taken:
            share = max((self.shares[i] for i in taken), key=lambda share: tuple(share.values()))
            trained = any(_family(p.model).trained for i in taken for p in self.groups[i])
            workers = self.engine.job.workers if trained else 1
            return {
                "trials": taken,
                "share": share,
                "workers": workers,
                "longest": self.turns.longest,
            }
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
        if "host" in result and trial_id in self.turns.out:
            self.places[trial_id] = result["node"], result["host"]
            self.engine.driver.machines[trial_id] = result["host"]
        for index, finished, seconds in result.get("ended", ()):
            self.begin(trial_id, index)
            if self.turns.ended(trial_id, index, seconds):
                self.engine.state.end_trial(f"{trial_id}/{index}", finished)
                self.engine.driver.take_records(self.groups[index])
        if result.get("at", -1) >= 0:
            self.begin(trial_id, result["at"])
            self.engine.follow(
                f"{trial_id}/{result['at']}", self.groups[result["at"]], *result["doing"]
            )
        if "raised" in result and trial_id in self.turns.out:
            self.record(self.groups[result["at"]], Told(*result["raised"]).again(), result["host"])
        if "broken" in result:
            self.broken.add(trial_id)
        if "unavailable" in result and trial_id in self.turns.out:
            self.engine.driver.without_store(
                result["unavailable"], result["unwritable"], self.places[trial_id][1]
            )
            self.end(trial_id, self.turns.close(trial_id, but_first=True))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Put back what a turn did not begin. What became of a turn whose worker died, `fail` hears
        next.
        """
        self.on_trial_result(trial_id, result or {})
        if error:
            self.failed.add(trial_id)
        else:
            self.end(trial_id, self.turns.close(trial_id))

    def fail(self, turn: str, error: Exception | None) -> None:
        """Take the end of a worker to judgement. What was raised outside of a trial is of the trial
        that it kept from running.
        """
        if turn not in self.failed:
            return
        self.failed.remove(turn)
        if turn in self.broken:
            self.broken.remove(turn)
            self.end(turn, self.turns.close(turn))
        elif isinstance(error, ray.exceptions.RayTaskError):
            self.raised(turn, error)
        else:
            unavailable = isinstance(error, ray.exceptions.ActorUnavailableError)
            text = f"{error} preempted" if getattr(error, "preempted", False) else str(error)
            self.losses.open.append(
                judge(turn, text, unavailable, self.places.get(turn, ("", ""))[0])
            )

    def raised(self, turn: str, error: Exception) -> None:
        """Leave rows for the first trial of a turn, which raised before anything of ours could; the
        others are handed out again.
        """
        left, host = self.turns.out.get(turn, [])[:1], self.places.get(turn, ("", "a machine"))[1]
        cause = error
        while isinstance(inner := getattr(cause, "cause", None), Exception) and inner is not cause:
            cause = inner
        if isinstance(cause, ray.exceptions.RayError) and not isinstance(
            cause, ray.exceptions.RayTaskError
        ):
            how = f"its points did not reach it: {tell(cause).text.strip().splitlines()[0]}"
            self.losses.open.append(Loss(turn, how, False, self.places.get(turn, ("", ""))[0]))
            return
        if isinstance(cause, Unavailable):
            self.engine.driver.without_store(str(cause), isinstance(cause, Unwritable), host)
        else:
            told = Told(type(cause).__name__, tell(cause).text, tell(error).text).again()
            for index in left:
                self.record(self.groups[index], told, host)
                self.turns.ended(turn, index, 0.0)
        self.end(turn, [*left, *self.turns.close(turn, but_first=isinstance(cause, Unavailable))])

    def record(self, points: Sequence[Point], error: Exception, host: str) -> None:
        """Write the rows of points whose worker could not write them."""
        try:
            if told := record_failures(points, error, self.engine.job):
                self.engine.driver.end_for(
                    f"no row can be written for {points[0].point_id}: {told[1]}"
                )
        except Unavailable as away:
            self.engine.driver.without_store(str(away), isinstance(away, Unwritable), host)
        self.engine.driver.take_records(points, at_once=True)

    def look_for_room(self) -> None:
        """Say what the trials that are left wait for, if no machine could run them or all are busy
        with something else.
        """
        if self.engine.state.running or not self.turns.out:
            self.busy_since = time.monotonic()
        left = {self.kinds[i] for i in itertools.chain(self.turns.queue, *self.turns.out.values())}
        asks = [(dict(share), workers) for share, workers in left]
        self.engine.look_for_room(asks, time.monotonic() - self.busy_since > BUSY_SECONDS)

    def lose(self, losses: Sequence[Loss]) -> None:
        """Hand out again what a lost machine had; leave the trial that took its worker down, or may
        have, to the next round.
        """
        gone: Counter[str] = Counter()
        for loss in losses:
            host, left = (
                self.places.get(loss.turn, ("", "a machine"))[1],
                list(self.turns.out.get(loss.turn, ())),
            )
            for index in left:  # what has a record by now had no part in the end
                self.engine.driver.take_records(self.groups[index], at_once=True)
                if self.engine.driver.has_all(self.groups[index]):
                    self.turns.ended(loss.turn, index, 0.0)
            open_ = self.turns.close(loss.turn, but_first=not loss.lost)
            if loss.lost:
                gone[host] += 1
            else:
                self.engine.driver.lost_worker(
                    loss.how, host, self.groups[open_[0]] if open_ else []
                )
            self.end(loss.turn, left)
        for host, trials in gone.items():
            self.engine.driver.lost_machine(host, trials)

    def end(self, turn: str, left: Sequence[int]) -> None:
        """Show these trials of a turn as running no more."""
        self.engine.driver.machines.pop(turn, None)
        self.places.pop(turn, None)
        for index in left:
            self.engine.state.end_trial(f"{turn}/{index}", False)


class _Followed(_Unsaved, tune.Callback):
    """Shows the first trial of a turn as running when its worker starts, and tells of a worker's
    end.
    """

    def __init__(self, turns: _Turns):
        self.turns = turns

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if left := self.turns.turns.out.get(trial.trial_id):
            self.turns.begin(trial.trial_id, left[0])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with contextlib.suppress(OSError, TypeError):
            self.turns.fail(
                trial.trial_id, pickle.loads(Path(trial.pickled_error_file).read_bytes())
            )
        self.turns.fail(trial.trial_id, None)


class _WhenAsked(_Unsaved, tune.Stopper):
    """Ends Tune once a stop was asked for and the running trials have saved and ended, or are
    overdue; at once where they cannot save.
    """

    def __init__(self, turns: _Turns):
        self.turns, self.engine = turns, turns.engine

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        stop, trouble = self.engine.driver.stop, self.engine.driver.trouble
        # this is asked at every step of Tune's loop
        if not stop.asked() and self.engine.room_is_due():
            self.turns.look_for_room()
        return stop.asked() and (bool(trouble) or not self.engine.state.running or stop.overdue())
