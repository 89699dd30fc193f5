"""A trial: one training and everything drawn and scored from it.

`run` is the whole of it, from top to bottom: inputs -> train -> tune -> draw -> grade -> commit.
Each step has a file of its own beside this one. Whatever happens, each point of a trial ends as one
record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import itertools
import math
import time
from collections.abc import Collection, Sequence
from typing import Any

import torch

from oneshot.nn import data_parallel
from oneshot.store import records
from oneshot.store.records import Record
from oneshot.store.store import Unavailable
from oneshot.sweep.graders import need_weights
from oneshot.sweep.grouping import stack_member, stacks
from oneshot.sweep.point import Point
from oneshot.training.loop import Stopped, Tick, unwatched, watch
from oneshot.trial import inputs, own_family
from oneshot.trial.draw import Drawn, draw, drawings_key
from oneshot.trial.failure import record_failure
from oneshot.trial.grade import grade
from oneshot.trial.job import Job
from oneshot.trial.machine import peak_memory_mb
from oneshot.trial.provenance import row_of
from oneshot.trial.train import Trained, build, drop_weights, fit_stack, train
from oneshot.trial.tune import drop_tuning, tune
from oneshot.types import Status


def run(points: Sequence[Point], job: Job, report: Tick = unwatched) -> dict[str, str]:
    """Compute the records of points that share one training or train as one stack.

    An exception becomes a row with status `failed` (`diverged` for non-finite losses). Points of a
    training that was asked to stop get no record and no status; they continue from their checkpoint
    when the sweep is run again. Points that are done already, as when a worker died in the middle
    of its trial, stay as they are.

    Args:
        points: of one trial, as `group` makes them.
        job: what all trials of the run have in common.
        report: is called with (what, done, total); what is "epoch", "drawing" and other work.

    Returns:
        The status of each point by point_id.

    Raises:
        Unavailable: the results cannot be reached, which is no failure of a point.
    """
    if job.threads:
        torch.set_num_threads(job.threads)

    # ---- Points that are done already stay as they are
    statuses: dict[str, str] = {
        p.point_id: Status.DONE for p in points if records.is_done(job.store, job.sweep, p.point_id)
    }
    points = [p for p in points if p.point_id not in statuses]
    if not points:
        # the other workers of a group wait for this word
        data_parallel.current_group().broadcast_flag(False)
        return statuses
    device, output = torch.device(job.device), io.StringIO()
    tick = watch(report, job.stop_requested)  # raises Stopped within the long steps
    trainings, tunings = ({getattr(p, n): p for p in points} for n in ("train_id", "tune_id"))

    # ---- Inputs, training and tuning, of all points together
    try:
        with contextlib.redirect_stdout(output):
            own_family.use(points[0], job.store)
            given = inputs.load(points[0], job.store, device)
            is_drawn = functools.partial(_is_drawn, points, job)
            trained_by_id = train(list(trainings.values()), given, job, report, is_drawn)
            outcomes = tune([*tunings.values()], trained_by_id, given, job, report, is_drawn)
    except Stopped:
        return {}
    except Unavailable:
        raise
    except (Exception, SystemExit) as error:  # a library that calls exit ends no sweep
        if data_parallel.current_group().size > 1:
            raise  # the group starts again from the checkpoint
        outcomes = dict.fromkeys(tunings, error)

    # ---- The points one by one: those with the same drawings side by side, which are made once
    for _, same_drawings in itertools.groupby(points, key=lambda p: (p.tune_id, p.sample_id)):
        drawn: Drawn | None = None
        for point in same_drawings:
            trained = outcomes[point.tune_id]
            try:
                if isinstance(trained, BaseException):
                    raise trained
                with contextlib.redirect_stdout(output):
                    # Draw
                    given = inputs.load(point, job.store, device)
                    drawn = drawn or draw(point, given, trained, job, tick)

                    # Grade
                    start = time.monotonic()
                    metrics, tables = grade(point, given, trained, drawn.drawings, job, tick)

                    # Commit
                    row = row_of(point, Status.DONE, job) | metrics
                    row |= dict(
                        drawings=len(drawn.drawings.images),
                        constant_drawings=drawn.drawings.constant,
                        parameters=trained.parameters,
                        draw_seconds=drawn.seconds,
                        score_seconds=time.monotonic() - start,
                        peak_memory_mb=peak_memory_mb(job.device),
                    )
                    row |= _cost(trained)
                    tables["curves"] = _curve(trained)
                    record = Record(row, **tables)
                    records.encode(record)  # what cannot be a record is this point's failure
                    records.commit(job.store, job.sweep, record)
                    statuses[point.point_id] = Status.DONE
            except Stopped:
                continue  # after its training, which is stored: the point has no record yet
            except Unavailable:
                raise
            except (Exception, SystemExit) as error:
                if job.patient and isinstance(error, torch.OutOfMemoryError):
                    continue  # another round gives it more room
                before = getattr(trained, "training", None)  # also of a Diverged
                statuses[point.point_id] = record_failure(
                    point, error, job, before, output.getvalue()
                )

    # ---- Weights that no point needs any more
    if job.drop_weights:
        done = {p.point_id for p in points if statuses.get(p.point_id) == Status.DONE}
        for tune_id, point in tunings.items():
            if all(p.point_id in done for p in points if p.tune_id == tune_id):
                drop_tuning(point, job)
        for train_id, point in trainings.items():
            if all(p.point_id in done for p in points if p.train_id == train_id):
                drop_weights(point, job)
    return statuses


def _is_drawn(points: Sequence[Point], job: Job, of: str) -> bool:
    """Whether all points of a training, or tuning, have their drawings, and need no more of it."""
    return all(
        not need_weights(p.graders) and job.store.exists(drawings_key(p))
        for p in points
        if of in (p.train_id, p.tune_id)
    )


def _curve(trained: Trained) -> dict[str, list[float]]:
    """The losses of the training, and of the tuning behind it, whose epochs count on."""
    first = trained.training.curve if trained.training else {}
    if trained.tuning is None:
        return first
    second, count = trained.tuning.curve, trained.training.epochs_done if trained.training else 0
    curve: dict[str, list[float]] = {}
    for name in {**first, **second}:
        before = first.get(name, [math.nan] * count)
        after = second.get(name, [math.nan] * trained.tuning.epochs_done)
        curve[name] = before + ([e + count for e in after] if name == "epoch" else after)
    return curve


def _cost(trained: Trained) -> dict[str, Any]:
    """The columns that say what a training took; none was taken for a reference."""
    training = trained.training
    if training is None:
        return {} if trained.family.trained else dict(epochs_done=0, train_seconds=0.0)
    cost: dict[str, Any] = dict(
        epochs_done=training.epochs_done, train_seconds=training.seconds, trained_as=training.how
    )
    if trained.tuning is not None:
        cost |= dict(tune_seconds=trained.tuning.seconds, tuned_as=trained.tuning.how)
    return cost


def assist(point: Point, job: Job) -> None:
    """Train with the first worker of a group, which does everything else alone.

    Args:
        point: the one that the group computes.
        job: as the first worker has it.

    Raises:
        Stopped: the run was asked to stop.
    """
    torch.set_num_threads(job.threads or 1)
    own_family.use(point, job.store)
    given = inputs.load(point, job.store, torch.device(job.device))
    if data_parallel.current_group().broadcast_flag(
        False
    ):  # the first worker has something to train
        fit_stack([(point, build(point))], given, job, unwatched)


def group(
    points: Sequence[Point],
    max_stack: int = 1,
    slots: int = 1,
    trained: Collection[str] = (),
) -> list[list[Point]]:
    """Points in trials: those that share a training or train as one stack go together.

    Points whose training is stored and which are tuned go by their tunings, so that these are
    spread over all slots.

    Args:
        points: of a sweep.
        max_stack: most trainings, or tunings, in one trial.
        slots: trials that run at once, over which the trainings are spread.
        trained: train_ids of the trainings that are stored.

    Returns:
        Trials in the order of their first point. Within a trial, points that share drawings stand
        side by side.
    """
    members: dict[str, list[Point]] = {}
    for point in points:
        members.setdefault(stack_member(point, trained), []).append(point)
    order = {name: i for i, name in enumerate(members)}
    groups = sorted(stacks(points, max_stack, slots, trained), key=lambda ids: order[ids[0]])
    return [
        [p for i in ids for p in sorted(members[i], key=lambda p: (p.tune_id, p.sample_id))]
        for ids in groups
    ]


def without_place(point: Point) -> Point:
    """A point as it travels to a worker: without the line of the sweep file that it stems from."""
    return dataclasses.replace(point, place="")
