"""A trial: one training and everything drawn and scored from it. Whatever happens here, each of its
points ends as one record.

points that share a training or a stack -> inputs -> fit (or the stored trainings) -> draw (or the
stored drawings) -> grade -> commit
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import importlib
import io
import itertools
import math
import os
import platform
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oneshot.contracts import ExplainedFamily, SetFamily, TrainedFamily
from oneshot.nn import data_parallel
from oneshot.scoring import importance_maps, sample
from oneshot.scoring.importance import explain
from oneshot.scoring.likelihood import grade_likelihood
from oneshot.scoring.plane import grade
from oneshot.store import records
from oneshot.store.costs import Shape
from oneshot.store.records import Record
from oneshot.store.store import DamagedFile, Store, Unavailable, with_checksum
from oneshot.sweep.expansion import Point, stacks
from oneshot.training.batches import batches_for
from oneshot.training.cost import of_shape
from oneshot.training.loop import (
    Checkpoint,
    Diverged,
    Stopped,
    Tick,
    Training,
    fit,
    unwatched,
    watch,
)
from oneshot.trial import inputs
from oneshot.trial.inputs import Inputs
from oneshot.types import Drawings

# The most memory of a step to what it keeps for its backward pass: up to 1.13 was measured.
PEAK = 1.3
NOT_TRAINED = dict(epochs_done=0, train_seconds=0.0)


@dataclass(frozen=True)
class Job:
    """What the driver tells every trial of a run.

    run: its name. drop_weights: delete a training once all its points here are done. workers:
    processes that train one point together.
    patient: points that run out of the device's memory get no record, as another round gives them
    more room. look_seconds: how seldom a trial may look in the store whether it is to stop;
    report_seconds: how often it tells how far it is.
    failed: of points that are tried again, the version of the record that this run read as failed;
    no other gives way to a failure.
    asked: whether the driver asked to stop, where it is this process.
    """

    store: Store
    sweep: str
    run: str = ""
    checkpoint_seconds: float = 60.0
    drop_weights: bool = False
    workers: int = 1
    device: str = "cpu"
    threads: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    patient: bool = False
    look_seconds: float = 0.0
    report_seconds: float = 1.0
    failed: dict[str, str] = field(default_factory=dict)
    asked: Callable[[], bool] | None = None
    _looked: dict[str, Any] = field(default_factory=dict, repr=False)

    def stop_asked(self) -> bool:
        """Whether the driver asked all trials to stop, as the store had it at most `look_seconds`
        ago.

        A store that does not answer has asked for nothing: the training goes on, and saves when it
        can.
        """
        if self.asked is not None and self.asked():
            return True
        now = time.monotonic()
        if now - self._looked.get("at", -math.inf) >= self.look_seconds:
            with contextlib.suppress(Unavailable):
                self._looked.update(asked=self.store.exists(self.stop_key()))
            self._looked.update(at=time.monotonic())
        return bool(self._looked.get("asked", False))

    def stop_key(self) -> str:
        return f"{self.sweep}/stop-{self.run}"


def run(points: Sequence[Point], job: Job, report: Tick = unwatched) -> dict[str, str]:
    """Compute the records of points that share one training or train as one stack; returns the
    status of each point by point_id.

    report(what, done, total) follows the work: "epoch", "drawing" and what else it may be. An
    exception becomes a row with status `failed` (`diverged` for non-finite losses). Points of a
    training that was asked to stop get no record and no status; they continue from their checkpoint
    when the sweep is run again. Points that are done already, as when a worker died in the middle
    of its trial, stay as they are. Raises store.Unavailable when the results cannot be reached,
    which is no point's fault.
    """
    if job.threads:
        torch.set_num_threads(job.threads)
    statuses = {
        p.point_id: "done" for p in points if records.is_done(job.store, job.sweep, p.point_id)
    }
    points = [p for p in points if p.point_id not in statuses]
    if not points:
        data_parallel.now().agree(False)
        return statuses
    output = io.StringIO()
    tick = watch(report, job.stop_asked)
    trainings = {p.train_id: p for p in points}
    try:
        with contextlib.redirect_stdout(output):
            given = inputs.load(points[0], job.store, torch.device(job.device))
            outcomes = _train(list(trainings.values()), given, job, report)
    except Stopped:
        return {}
    except Unavailable:
        raise
    except (Exception, SystemExit) as error:  # a library that gives up ends no sweep
        if data_parallel.now().size > 1:
            raise
        outcomes = dict.fromkeys(trainings, error)
    for _, group in itertools.groupby(points, key=lambda p: (p.train_id, p.sample_id)):
        drawn: Drawn | None = None
        for point in group:
            outcome = outcomes[point.train_id]
            try:
                if isinstance(outcome, BaseException):
                    raise outcome
                with contextlib.redirect_stdout(output):
                    given = inputs.load(point, job.store, torch.device(job.device))
                    drawn = drawn or _draw(point, given, outcome, job, tick)
                    statuses[point.point_id] = _grade(point, given, outcome, drawn, job, tick)
            except Stopped:
                continue  # after its training, which is stored: the point has no record yet
            except Unavailable:
                raise
            except (Exception, SystemExit) as error:
                if job.patient and isinstance(error, torch.OutOfMemoryError):
                    continue
                statuses[point.point_id] = _fail(
                    point, error, getattr(outcome, "training", None), job, output
                )
    if job.drop_weights:
        for train_id in trainings:
            if all(statuses.get(p.point_id) == "done" for p in points if p.train_id == train_id):
                job.store.delete(_training_key(trainings[train_id]))
    return statuses


@dataclass
class Trained:
    """A family ready to draw, and what it cost."""

    family: Any
    training: Training | None
    parameters: int = 0


@dataclass
class Drawn:
    drawings: Drawings
    seconds: float


def build(point: Point) -> Any:
    """The family object of a point, untrained; its initial weights depend on the seed alone."""
    module = importlib.import_module(f"oneshot.models.{point.model}")
    config = module.Config(**point.config())
    if not module.FAMILY.trained:
        return module.FAMILY(config)
    from oneshot import rng

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.key(point.seed, "weights"))
        return module.FAMILY(config, point.settings["image_size"])


def _train(
    points: Sequence[Point], given: Inputs, job: Job, report: Tick
) -> dict[str, Trained | BaseException]:
    """The stored training of each point's train_id, or a new one, continued from its checkpoint if
    one was left; new ones as one stack.
    """
    outcomes: dict[str, Trained | BaseException] = {}
    waiting: list[tuple[Point, TrainedFamily]] = []
    for point in points:
        family = build(point)
        if not family.trained:
            outcomes[point.train_id] = Trained(family, None)
        elif (training := _stored(point, job)) is not None:
            outcomes[point.train_id] = Trained(family, training, _count(family))
        else:
            waiting.append((point, family))
    # the others wait for this word; what raises in a group ends the group
    if data_parallel.now().size > 1:
        return outcomes | (
            _fit(waiting, given, job, report) if data_parallel.now().agree(bool(waiting)) else {}
        )
    while waiting:
        most = _most_in_memory(*waiting[0], job) if len(waiting) > 1 else 1
        chunk, waiting = waiting[:most], waiting[most:]
        outcomes |= _fit_or_halve(chunk, given, job, report)
    return outcomes


def _count(family: TrainedFamily) -> int:
    return sum(p.numel() for p in family.parameters())


def _training_key(point: Point) -> str:
    return f"store/trainings/{point.train_id}/training.pt"


def _stored(point: Point, job: Job) -> Training | None:
    """The finished training of a point; a damaged one is set aside."""
    key = _training_key(point)
    try:
        return Training.from_bytes(job.store.unseal(key), job.store.path(key))
    except FileNotFoundError:
        return None
    except DamagedFile:
        job.store.set_aside(_training_key(point))
        return None


def _most_in_memory(point: Point, family: TrainedFamily, job: Job) -> int:
    """How many models of this size train at once in the memory that is free, by counted bytes."""
    if family.cannot_stack:
        return 1
    if job.device.startswith("cuda"):
        torch.cuda.empty_cache()  # what earlier stacks held
        free = 0.8 * torch.cuda.mem_get_info()[0]
    else:
        # its share beside the other trials
        free = 0.6 * _free_memory() / max((os.cpu_count() or 1) // max(job.threads, 1), 1)
    state = 8 * 4.0 * _count(family)  # weights, moments, gradient and copies
    shape = Shape.of(point.model, point.settings)
    assert shape is not None
    return max(int(free / (PEAK * of_shape(shape).kept + state)), 1)


def _free_memory() -> float:
    """Bytes of main memory that can be had; 4 GiB where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return 1024.0 * int(
            next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
        )
    return 4.0 * 2**30


def _fit_or_halve(
    members: Sequence[tuple[Point, TrainedFamily]], given: Inputs, job: Job, report: Tick
) -> dict[str, Trained | BaseException]:
    """Train these as one stack; if that raises, as two halves, one after the other, each from what
    is stored of it.

    So a stack that is too large for the device shrinks, and a point that raises ends alone as
    failed. Raises Stopped.
    """
    try:
        return _fit(members, given, job, report)
    except (Stopped, Unavailable):
        raise
    except (Exception, SystemExit) as error:
        if len(members) == 1:
            error.add_note(_told(error))
            # the frames would hold the tensors
            return {members[0][0].train_id: error.with_traceback(None)}
    torch.cuda.empty_cache()  # outside the handler, whose traceback holds the tensors
    points, half = [point for point, _ in members], len(members) // 2
    return _train(points[:half], given, job, report) | _train(points[half:], given, job, report)


def assist(point: Point, job: Job) -> None:
    """What all processes of a group but the first do: train with them, if they train at all, and
    leave the rest to the first.
    """
    torch.set_num_threads(job.threads or 1)
    given = inputs.load(point, job.store, torch.device(job.device))
    if data_parallel.now().agree(False):
        _fit([(point, build(point))], given, job, unwatched)


def _fit(
    members: Sequence[tuple[Point, TrainedFamily]], given: Inputs, job: Job, report: Tick
) -> dict[str, Trained | BaseException]:
    """Train these as one stack and store each of the trainings."""
    device, first = torch.device(job.device), data_parallel.now().rank == 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    points, families = [p for p, _ in members], [f for _, f in members]
    material = batches_for(
        families[0], given.data, given.exemplars, device, given.greys(families[0].config)
    )
    places = [f"store/trainings/{p.train_id}/checkpoint.pt" for p in points]
    checkpoints = [
        Checkpoint(
            job.store, place, job.checkpoint_seconds, writes=first, finished=_training_key(point)
        )
        for place, point in zip(places, points)
    ]
    ended = fit(
        families,
        material,
        points[0].seed,
        checkpoints,
        lambda epoch, epochs, row: report(
            "epoch", epoch, epochs, loss=row.get("train_loss", math.nan)
        ),
        job.stop_asked,
        accelerated=device.type == "cuda",
    )
    outcomes: dict[str, Trained | BaseException] = {}
    if not first:
        return outcomes
    for point, family, checkpoint, training in zip(points, families, checkpoints, ended):
        if isinstance(training, Diverged):
            outcomes[point.train_id] = training
        else:
            job.store.seal(_training_key(point), training.to_bytes(weights_only=True))
            outcomes[point.train_id] = Trained(family, training, _count(family))
        job.store.delete(checkpoint.key)
    return outcomes


def _draw(point: Point, given: Inputs, trained: Trained, job: Job, tick: Tick) -> Drawn:
    """The stored drawings of this sample_id, or new ones; damaged ones are set aside and drawn
    again. Raises Stopped.
    """
    key = f"store/drawings/{point.sample_id}/drawings.npz"
    start = time.monotonic()
    try:
        return Drawn(sample.from_bytes(job.store.read(key), job.store.path(key)), 0.0)
    except FileNotFoundError:
        pass
    except DamagedFile as error:
        warnings.warn(f"{error}; kept as {job.store.set_aside(key)}, drawn again", stacklevel=2)
    family, n = trained.family, point.settings["drawings_per_class"]
    if n == 0:
        return Drawn(sample.none(given.data), 0.0)
    if isinstance(family, TrainedFamily):
        _load(point, trained, torch.device(job.device))
        drawings = sample.draw(
            family, given.data, given.exemplars, n, point.seed, torch.device(job.device), tick=tick
        )
    else:
        drawings = family.draw(given.data, given.exemplars, n, point.seed)
    job.store.write(key, sample.to_bytes(drawings))
    return Drawn(drawings, time.monotonic() - start)


def _grade(
    point: Point, given: Inputs, trained: Trained, drawn: Drawn, job: Job, tick: Tick
) -> str:
    """Score the drawings, where critics see them, and the likelihoods, where the family has them,
    and commit the row.
    """
    start = time.monotonic()
    drawings, training = drawn.drawings, trained.training
    row = _row(point, "done", job)
    tables: dict[str, Any] = {"curves": training.curve if training else {}}
    if given.critics is not None:
        human = None if point.model == "human" else given.human  # people are their own reference
        grades = grade(
            drawings,
            given.critics,
            point.settings["protocol"],
            human,
            point.settings["diversity_drawings"],
        )
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            label=drawings.label,
            **{k: v.astype(np.float32) for k, v in grades.drawings.items()},  # type: ignore[arg-type]
        )
        job.store.write(f"store/scores/{point.point_id}.npz", with_checksum(buffer.getvalue()))
        row |= grades.totals
        counts = np.bincount(drawings.label, minlength=len(drawings.exemplars)).tolist()
        tables["classes"] = {
            "class_name": list(drawings.class_names),
            "drawings": counts,
            **grades.classes,
        }
        tables["generalization"] = grades.generalization
    if isinstance(trained.family, SetFamily):
        numbers, more = _likelihood(point, given, trained, job, tick)
        row |= numbers
        tables |= more
    if isinstance(trained.family, ExplainedFamily) and point.settings["importance_seeds"]:
        tables["importance"] = _importance(point, given, trained, job, tick)
        row["importance_sparsity"] = importance_maps.mean_sparsity(tables["importance"])
    row |= dict(
        drawings=len(drawings.images),
        constant_drawings=drawings.constant,
        parameters=trained.parameters,
    )
    row |= dict(
        draw_seconds=drawn.seconds,
        score_seconds=time.monotonic() - start,
        peak_memory_mb=_peak_memory_mb(job.device),
    )
    row |= (
        dict(
            epochs_done=training.epochs_done,
            train_seconds=training.seconds,
            trained_as=training.how,
        )
        if training
        else NOT_TRAINED
    )
    record = Record(row, **tables)
    records.encode(record)  # what cannot be a record is this point's failure
    records.commit(job.store, job.sweep, record)
    return "done"


def _likelihood(
    point: Point, given: Inputs, trained: Trained, job: Job, tick: Tick
) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """The likelihoods of a set family on the test classes: numbers of the row, and tables. Raises
    Stopped.
    """
    family, device = trained.family, torch.device(job.device)
    _load(point, trained, device)
    return grade_likelihood(
        family, family.config, given.data, given.greys(family.config), device, tick
    )


def _importance(
    point: Point, given: Inputs, trained: Trained, job: Job, tick: Tick
) -> dict[str, list[Any]]:
    """Store what the drawings rest on, in the exemplars of the test classes; returns the table of
    it. Raises Stopped.
    """
    device = torch.device(job.device)
    _load(point, trained, device)
    found = explain(
        trained.family,
        given.data,
        given.exemplars,
        point.settings["importance_seeds"],
        device,
        tick,
    )
    job.store.write(importance_maps.key(point.point_id), importance_maps.to_bytes(found))
    return importance_maps.columns(found)


def _load(point: Point, trained: Trained, device: torch.device) -> None:
    """Put the weights that this point draws from into the family, and the point's own sample and
    score settings.
    """
    assert trained.training is not None
    # it was built for the first point of its training
    trained.family.config = type(trained.family.config)(**point.config())
    trained.family.to(device).load_state_dict(getattr(trained.training, point.settings["weights"]))


def _fail(
    point: Point, error: BaseException, training: Training | None, job: Job, output: io.StringIO
) -> str:
    """Turn an exception into a row, with the traceback in a log file that the row names; returns
    the status that the point has.

    Another record that is there stays, unless this run read it as failed and tries that point
    again. Nothing that an exception carries (text that is none, a `__str__` that raises) keeps it
    from being told. Raises Unavailable.
    """
    status = "diverged" if isinstance(error, Diverged) else "failed"
    log = f"{job.sweep}/logs/{point.point_id}.txt"
    text = f"{output.getvalue()}{_told(error)}"
    with contextlib.suppress(OSError):
        job.store.write(log, records.readable(text).encode())
    row = _row(point, status, job) | dict(
        error_type=type(error).__name__, error=_message(error), log=job.store.path(log)
    )
    if training:
        row |= dict(epochs_done=training.epochs_done, train_seconds=training.seconds)
    record = Record(row, curves=training.curve if training else {})
    try:
        records.encode(record)
    except (ValueError, TypeError):
        record = Record(row)
    if records.commit(job.store, job.sweep, record, job.failed.get(point.point_id, "")):
        return status
    return records.status(job.store, job.sweep, point.point_id) or status


def _message(error: BaseException) -> str:
    """What an exception says, at most 2,000 characters."""
    try:
        return records.readable(str(error))[:2000]
    except Exception as another:
        return f"({type(error).__name__} says nothing: its text raises {type(another).__name__})"


def _told(error: BaseException) -> str:
    """The traceback of an exception as text."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        frames = "".join(traceback.format_tb(error.__traceback__))
        return (
            f"Traceback (most recent call last):\n{frames}{type(error).__name__}:"
            f" {_message(error)}\n"
        )


def record_failure(point: Point, error: BaseException, job: Job) -> str:
    """A `failed` row for a point whose worker can no longer write one; returns the status that the
    point has now.

    If the point has a record by now, that stays. Raises Unavailable.
    """
    return _fail(point, error, None, job, io.StringIO())


def _row(point: Point, status: str, job: Job) -> dict[str, Any]:
    """Identity, settings and provenance of a row."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    device = torch.cuda.get_device_name() if job.device.startswith("cuda") else _processor()
    here = dict(
        python=platform.python_version(),
        torch=torch.__version__,
        host=platform.node(),
        device=device,
        finished_at=now,
    )
    return {"status": status, **point.row(), "sweep": job.sweep, **job.provenance, **here}


@functools.cache
def _processor() -> str:
    """The processor's model name, or its architecture where the system does not tell."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if named:
            return named[0]
    return platform.processor() or platform.machine()


def _peak_memory_mb(device: str) -> float:
    """Peak memory of the device, or of this process on a CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


def group(points: Sequence[Point], max_stack: int = 1, slots: int = 1) -> list[list[Point]]:
    """Points in trials, in the order of their first point: those that share a training or train as
    one stack go together.

    Within a trial, points that share drawings stand side by side. max_stack, slots: as in
    `points.stacks`.
    """
    members: dict[str, list[Point]] = {}
    for point in points:
        members.setdefault(point.train_id, []).append(point)
    order = {train_id: i for i, train_id in enumerate(members)}
    groups = sorted(stacks(points, max_stack, slots), key=lambda ids: order[ids[0]])
    return [
        [p for i in ids for p in sorted(members[i], key=lambda p: p.sample_id)] for ids in groups
    ]


def without_place(point: Point) -> Point:
    """A point as it travels to a worker."""
    return dataclasses.replace(point, place="")
