"""The part of a row that all points have: identity, settings, versions, and the machine."""

from __future__ import annotations

import datetime
import platform
from typing import Any

import torch

from oneshot.sweep.point import Point
from oneshot.trial.job import Job
from oneshot.trial.machine import device_name


def row_of(point: Point, status: str, job: Job) -> dict[str, Any]:
    """The columns of a row that do not depend on what the trial computes.

    Args:
        point: whose row it is; its ids and settings are columns.
        status: done, diverged or failed.
        job: its sweep and provenance are columns.

    Returns:
        Values by column name, in the order of the columns.
    """
    here = dict(
        python=platform.python_version(),
        torch=torch.__version__,
        host=platform.node(),
        device=device_name(job.device),
        finished_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    return {"status": status, **point.row(), "sweep": job.sweep, **job.provenance, **here}
