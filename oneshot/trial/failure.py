"""An exception becomes a row: status, type, message, and the traceback in a log file."""

from __future__ import annotations

import contextlib
import traceback

from oneshot.store import records
from oneshot.store.records import Record
from oneshot.sweep.point import Point
from oneshot.training.checkpoint import Training
from oneshot.training.loop import Diverged
from oneshot.trial.job import Job
from oneshot.trial.provenance import row_of
from oneshot.types import Status

MESSAGE_LENGTH = 2000  # characters of an exception's text that a row keeps


def record_failure(
    point: Point, error: BaseException, job: Job, training: Training | None = None, output: str = ""
) -> str:
    """Commit a row with status `failed`, or `diverged`, for a point whose trial raised.

    Another record that is there stays, unless this run read it as failed and tries that point
    again. Nothing that an exception carries (text that is not text, a `__str__` that raises) keeps
    it from being recorded.

    Args:
        point: the point that has no result.
        error: what was raised.
        job: the run; `job.failed` holds the versions of records that may be replaced.
        training: what was trained before, if anything was.
        output: what the trial printed, for the log.

    Returns:
        The status that the point has now.

    Raises:
        Unavailable: the results cannot be reached.
    """
    status = Status.DIVERGED if isinstance(error, Diverged) else Status.FAILED
    log = f"{job.sweep}/logs/{point.point_id}.txt"
    with contextlib.suppress(OSError):  # the row matters more than its log
        job.store.write(log, records.readable(output + traceback_text(error)).encode())
    row = row_of(point, status, job) | dict(
        error_type=type(error).__name__, error=_message(error), log=job.store.path(log)
    )
    if training:
        row |= dict(epochs_done=training.epochs_done, train_seconds=training.seconds)
    record = Record(row, curves=training.curve if training else {})
    try:
        records.encode(record)
    except (ValueError, TypeError):  # a curve that cannot be a table
        record = Record(row)
    if records.commit(job.store, job.sweep, record, job.failed.get(point.point_id, "")):
        return status
    return records.status(job.store, job.sweep, point.point_id) or status


def traceback_text(error: BaseException) -> str:
    """The traceback of an exception, with its notes and causes, as text."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        frames = "".join(traceback.format_tb(error.__traceback__))
        name = type(error).__name__
        return f"Traceback (most recent call last):\n{frames}{name}: {_message(error)}\n"


def _message(error: BaseException) -> str:
    """The text of an exception, cut to MESSAGE_LENGTH characters."""
    try:
        return records.readable(str(error))[:MESSAGE_LENGTH]
    except Exception as another:
        return f"({type(error).__name__} says nothing: its text raises {type(another).__name__})"
