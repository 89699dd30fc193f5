"""The fourth step of a trial: each grader that applies to the point adds columns and tables."""

from __future__ import annotations

import functools
import importlib

import torch

from oneshot.scoring.work import Columns, Tables, Work
from oneshot.sweep import own_metrics
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick
from oneshot.trial import own_metric
from oneshot.trial.files import local_file
from oneshot.trial.inputs import Inputs
from oneshot.trial.job import Job
from oneshot.trial.once import make_once
from oneshot.trial.train import Trained, load_weights
from oneshot.types import Drawings


def grade(
    point: Point, given: Inputs, trained: Trained, drawings: Drawings, job: Job, tick: Tick
) -> tuple[Columns, Tables]:
    """Score a point by all graders that apply to it, in the order of their names.

    Args:
        point: its score settings say what is scored, and how.
        given: images, critics and people.
        trained: the family.
        drawings: what it drew.
        job: store and device.
        tick: is called with (what, done, total) batch by batch.

    Returns:
        Columns of the row, and tables by name.

    Raises:
        Stopped: the run was asked to stop.
        Diverged: the importance maps hold non-finite pixels.
        MissingInput: a metric of the user's is not on this machine.
    """
    device = torch.device(job.device)
    work = Work(
        point=point,
        data=given.data,
        exemplars=given.exemplars,
        drawings=drawings,
        critics=given.critics,
        human=given.human,
        people=given.people,
        family=trained.family,
        load_weights=functools.partial(load_weights, point, trained, device),
        greys=lambda: given.greys(trained.family.config),
        store=job.store,
        device=device,
        classifier=given.classifier,
        base_classifier=given.base_classifier,
        tick=tick,
        file=lambda name: local_file(point.settings[name], point.files.get(name, ""), job.store),
        once=functools.partial(
            make_once,
            store=job.store,
            report=lambda what, done, total, losses: tick(what, done, total),
        ),
    )
    columns: Columns = {}
    tables: Tables = {}
    own_metric.use(point, job.store)
    for name in point.graders:
        if own_metrics.is_known(name):
            columns |= own_metric.score(name, drawings)
            continue
        of_row, of_tables = importlib.import_module(f"oneshot.scoring.graders.{name}").grade(work)
        columns |= of_row
        tables |= of_tables
    return columns, tables
