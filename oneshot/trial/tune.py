"""Between training and drawing: families that are tuned on a few examples of novel classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch

from oneshot import rng
from oneshot.contracts import TunedFamily
from oneshot.nn import data_parallel
from oneshot.sweep.grouping import STACK_ON_CPU, STACK_ON_GPU
from oneshot.sweep.point import Point
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint
from oneshot.training.loop import Diverged, Tick, fit
from oneshot.trial.inputs import Inputs
from oneshot.trial.job import Job
from oneshot.trial.train import (
    Member,
    Outcomes,
    Trained,
    build,
    in_stacks,
    keep,
    keep_summary,
    stored_under,
)


def tune(
    points: Sequence[Point],
    trained: Outcomes,
    given: Inputs,
    job: Job,
    report: Tick,
    is_drawn: Callable[[str], bool] = lambda tune_id: False,
) -> Outcomes:
    """The stored tuning of each point, or a new one, continued from its checkpoint.

    Tunings of one training that differ only in settings which keep all shapes are one stack, with
    one copy of what is frozen.

    Args:
        points: one of each tuning.
        trained: what their trainings came to, by train_id.
        given: the inputs of the points.
        job: store and device.
        report: is called with ("tuning", epoch, epochs, loss=...) after each epoch of a tuning.
        is_drawn: whether what a tuning was for is drawn, so that it need not be had again where its
            weights are gone.

    Returns:
        By tune_id: the tuned family, or what its tuning, or training, raised. What is not tuned is
        as its training left it.

    Raises:
        Stopped: the run was asked to stop; checkpoints are written.
        Unavailable: the results cannot be reached.
    """
    outcomes: Outcomes = {}
    stacks: dict[str, list[Point]] = {}
    for point in points:
        result = trained[point.train_id]
        if isinstance(result, BaseException) or not isinstance(result.family, TunedFamily):
            outcomes[point.tune_id] = result
        else:
            stacks.setdefault(point.tune_key, []).append(point)
    most = STACK_ON_GPU if job.device.startswith("cuda") else STACK_ON_CPU
    for stack in stacks.values():
        before = trained[stack[0].train_id]
        assert isinstance(before, Trained)
        for start in range(0, len(stack), most):
            outcomes |= in_stacks(
                stack[start : start + most],
                job,
                partial(_resolve, before=before, job=job, is_drawn=is_drawn),
                partial(_fit, before=before, given=given, job=job, report=report),
                lambda point: point.tune_id,
            )
    return outcomes


def tuning_key(point: Point) -> str:
    """Where the store keeps the finished tuning of a point."""
    return f"store/tunings/{point.tune_id}/training.pt"


def summary_key(point: Point) -> str:
    """Where the store keeps what is left of a tuning whose weights were dropped."""
    return f"store/tunings/{point.tune_id}/summary.pt"


def drop_tuning(point: Point, job: Job) -> None:
    """Delete the finished tuning of a point; its curve and cost stay.

    Args:
        point: whose tuning.
        job: its store.
    """
    if point.tune_id != point.train_id:
        keep_summary(tuning_key(point), summary_key(point), job)


def _resolve(
    points: Sequence[Point], before: Trained, job: Job, is_drawn: Callable[[str], bool]
) -> tuple[Outcomes, list[Member]]:
    """Stored tunings as outcomes; families with the weights of the training, to be tuned."""
    outcomes: Outcomes = {}
    untuned: list[Member] = []
    for point in points:
        stored = stored_under(tuning_key(point), job)
        if stored is None and is_drawn(point.tune_id):
            stored = stored_under(summary_key(point), job)
        if stored is not None:
            outcomes[point.tune_id] = Trained(before.family, before.training, stored)
        else:
            untuned.append((point, _to_be_tuned(point, before)))
    return outcomes, untuned


def _to_be_tuned(point: Point, before: Trained) -> TunedFamily:
    """A family of the point's own settings, with the weights of its training."""
    if before.training is None or not before.training.end:
        raise RuntimeError(
            f"the weights of training {point.train_id} were dropped, and a tuning needs them. Run"
            " again with --retry-failed: it is trained again"
        )
    family: TunedFamily = build(point)
    family.load_state_dict(before.training.end)
    family.tuning = True
    return family


def _fit(
    members: Sequence[Member], before: Trained, given: Inputs, job: Job, report: Tick
) -> Outcomes:
    """Tune these families as one stack, and store each of the tunings.

    A tuning is short: one process does it, also where several trained together.
    """
    device = torch.device(job.device)
    points, families = [p for p, _ in members], [f for _, f in members]
    checkpoints = [
        Checkpoint(
            job.store,
            f"store/tunings/{point.tune_id}/checkpoint.pt",
            job.checkpoint_seconds,
            finished=tuning_key(point),
        )
        for point in points
    ]
    with data_parallel.use_group(data_parallel.SINGLE_PROCESS):
        tunings = fit(
            families,
            batches_for(families[0], given.data, given.exemplars, device),
            rng.key(points[0].seed, "tuning"),  # other noise than that of the training
            checkpoints,
            lambda epoch, epochs, row: report(
                "tuning", epoch, epochs, loss=row.get("train_loss", math.nan)
            ),
            job.stop_requested,
            accelerated=device.type == "cuda",
        )
    outcomes: Outcomes = {}
    for point, checkpoint, tuning in zip(points, checkpoints, tunings):
        keep(tuning, tuning_key(point), checkpoint, job)
        if isinstance(tuning, Diverged):
            outcomes[point.tune_id] = tuning
        else:
            outcomes[point.tune_id] = Trained(before.family, before.training, tuning)
    return outcomes
