"""The fourth step of a trial: each grader that fits the family adds columns and tables."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch

from oneshot.contracts import ExplainedFamily, SetFamily
from oneshot.scoring import importance_maps, plane
from oneshot.scoring.importance import explain
from oneshot.scoring.likelihood import grade_likelihood
from oneshot.store.store import with_checksum
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick
from oneshot.trial.inputs import Inputs
from oneshot.trial.job import Job
from oneshot.trial.train import Trained, load_weights
from oneshot.types import Drawings

Columns = dict[str, Any]  # of the row: a number each
Tables = dict[str, Any]  # by name: lists by column, one value a line


def grade(
    point: Point, given: Inputs, trained: Trained, drawings: Drawings, job: Job, tick: Tick
) -> tuple[Columns, Tables]:
    """Score the drawings, the likelihoods and the importance maps of a point.

    Drawings are scored where there are critics, likelihoods where the family is of sets, and
    importance maps where the family has them and the point wants them.

    Args:
        point: its score settings say what is scored, and how.
        given: images, critics and people's point.
        trained: the family.
        drawings: what it drew.
        job: store and device.
        tick: is called with (what, done, total) batch by batch.

    Returns:
        Columns of the row, and tables by name.

    Raises:
        Stopped: the run was asked to stop.
        Diverged: the importance maps hold non-finite pixels.
    """
    columns: Columns = {}
    tables: Tables = {}
    if given.critics is not None:
        columns, tables = _grade_drawings(point, given, drawings, job)
    if isinstance(trained.family, SetFamily):
        device, family = torch.device(job.device), trained.family
        load_weights(point, trained, device)
        greys = given.greys(family.config)
        more, likelihoods = grade_likelihood(family, family.config, given.data, greys, device, tick)
        columns |= more
        tables |= likelihoods
    if isinstance(trained.family, ExplainedFamily) and point.settings["importance_seeds"]:
        tables["importance"] = grade_importance(point, given, trained, job, tick)
        columns["importance_sparsity"] = importance_maps.mean_sparsity(tables["importance"])
    return columns, tables


def _grade_drawings(
    point: Point, given: Inputs, drawings: Drawings, job: Job
) -> tuple[Columns, Tables]:
    """The metrics of the plane, as columns and tables; those of each drawing go into the store."""
    assert given.critics is not None
    human = None if point.model == "human" else given.human  # people are their own reference
    protocol, most = point.settings["protocol"], point.settings["diversity_drawings"]
    grades = plane.grade(drawings, given.critics, protocol, human, most)
    of_drawings: dict[str, Any] = {k: v.astype(np.float32) for k, v in grades.drawings.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, label=drawings.label, **of_drawings)
    job.store.write(f"store/scores/{point.point_id}.npz", with_checksum(buffer.getvalue()))
    classes = {
        "class_name": list(drawings.class_names),
        "drawings": np.bincount(drawings.label, minlength=len(drawings.exemplars)).tolist(),
        **grades.classes,
    }
    return grades.totals, {"classes": classes, "generalization": grades.generalization}


def grade_importance(
    point: Point, given: Inputs, trained: Trained, job: Job, tick: Tick
) -> dict[str, list[Any]]:
    """Store which pixels of the exemplars of the test classes the drawings rest on.

    Args:
        point: over how many draws of noise a map is averaged.
        given: images and exemplars.
        trained: an ExplainedFamily.
        job: store and device.
        tick: is called with ("importance maps", done, total) batch by batch.

    Returns:
        The table `importance`: the sparsity of the map of each class.

    Raises:
        Stopped: the run was asked to stop.
    """
    device, seeds = torch.device(job.device), point.settings["importance_seeds"]
    load_weights(point, trained, device)
    maps = explain(trained.family, given.data, given.exemplars, seeds, device, tick)
    job.store.write(importance_maps.key(point.point_id), importance_maps.to_bytes(maps))
    return importance_maps.columns(maps)
