"""The state of one run: which points have no record yet, and the tables made from records.

A point is done when its record is in the store. Nothing that an engine counts or saves is trusted,
so an interrupted run is never restored: a new run computes the points without a record.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from oneshot.console.outcome import Outcome
from oneshot.console.progress import Progress, State
from oneshot.console.text import value_text
from oneshot.engine.options import Options
from oneshot.engine.stop import StopHandler
from oneshot.engine.sweep_tables import SweepTables
from oneshot.store.lease import Lease
from oneshot.store.plan import Plan
from oneshot.store.tables import LARGEST_FIRST
from oneshot.sweep.point import Point
from oneshot.trackers.mirror import Mirror
from oneshot.trial.job import Job
from oneshot.types import Status

ROUNDS = 3  # how often a point is tried whose worker dies
COMPACT_SECONDS = 5.0  # between two compactions
COMPACT_SHARE = 20  # a compaction takes at most one such part of the time
SHOWN_LOST_WORKERS = 5


class SweepRun:
    """One run of a sweep.

    Attributes:
        missing: the points that are to run and have no record yet, by point_id.
        attempt: the round of now, from 0.
        hosts: the host of each worker at work.
        running_points: the points of each trial at work.
        abort_reason: why the run ends before its time, in words; "" if it does not.
        spent: which budget is spent, in words; "" if none is.
        mirror: passes rows to trackers.
        new_rows: the rows that ended in this run.
        lease: the lease on the sweep or its shard, None where nobody else can hold it.
        tables: of a shard, the right to write the tables of the whole sweep.
    """

    def __init__(self, plan: Plan, job: Job, options: Options, state: State, progress: Progress):
        self.plan, self.job, self.options = plan, job, options
        self.state, self.progress = state, progress
        self.stop = StopHandler(job, progress.say)
        self.mirror = Mirror(plan, options.log, progress.event, self.stop.requested)
        self.missing = {p.point_id: p for p in plan.to_run}
        self.attempt = 0
        self.hosts: dict[str, str] = {}
        self.running_points: dict[str, Sequence[Point]] = {}
        self.abort_reason = self.spent = ""
        self.new_rows: list[dict[str, Any]] = []
        self.lease: Lease | None = None
        self.tables: SweepTables | None = None
        if plan.shard:
            self.tables = SweepTables(plan.store, plan.sweep.name)
        self.started, self._began = time.time(), time.monotonic()
        self._death_causes: dict[str, str] = {}
        self._shown_lost_workers = 0
        self._uncompacted = False
        self._lock = threading.Lock()

    # Records

    def missing_points(self) -> list[Point]:
        """The points to run that have no record yet, in the sweep's order."""
        with self._lock:
            return list(self.missing.values())

    def all_recorded(self, points: Sequence[Point]) -> bool:
        """Whether each of these points has its record."""
        return not any(p.point_id in self.missing for p in points)

    def fetch_records(self, points: Sequence[Point] | None = None, at_once: bool = False) -> bool:
        """Read new records and count them.

        Args:
            points: only these points, None for all.
            at_once: also ask an object store for single points. There each point costs requests, so
                that otherwise they wait for the next listing.

        Returns:
            Whether there were any.
        """
        if points is not None and not at_once and self.plan.store.local("") is None:
            return False
        with self._lock:
            ids = (
                None
                if points is None
                else [p.point_id for p in points if p.point_id in self.missing]
            )
            records = self.plan.log.update(ids)
            self._uncompacted = self._uncompacted or bool(records)
            rows = [r.row for r in records if r.row["point_id"] in self.missing]
            for row in rows:
                self._count(row)
            return bool(rows)

    def _count(self, row: dict[str, Any]) -> None:
        """Count a new record, show it, and stop the run if it failed and that was asked for."""
        self.missing.pop(row["point_id"])
        self.new_rows.append(row)
        self.state.end_point(row["status"])
        value, text = best_point(self.plan, [row])
        self.state.improve(value, text)
        if row["status"] != Status.DONE:
            self.progress.failure(row["status"], row, self.plan.sweep.axes)
        if (
            row["status"] == Status.FAILED
            and self.options.stop_on_failure
            and not self.stop.requested()
        ):
            self.progress.say("Stopping at the first failure, as asked.")
            self.stop.request_stop()

    def death_cause(self, point: Point) -> str:
        """Why the worker of this point died the last time, in words."""
        return self._death_causes.get(point.point_id, "it vanished without a word")

    # Tables

    @contextlib.contextmanager
    def compacting(self) -> Iterator[None]:
        """Write records into the tables every few seconds while the context lasts, and at its end.

        This takes at most a twentieth of the time.
        """
        end = threading.Event()

        def loop() -> None:
            pause = COMPACT_SECONDS
            while not end.wait(pause):
                start = time.monotonic()
                try:
                    self._fetch_for_tables()
                    if self._uncompacted:
                        self.compact(whole=False)
                except Exception as error:
                    # a full disk must not end the run: records are retried at the end
                    self.progress.event(f"tables not written: {_describe(error)}")
                pause = max(COMPACT_SECONDS, COMPACT_SHARE * (time.monotonic() - start))

        thread = threading.Thread(target=loop, name="compact", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            self.state.phase = "writing the tables"
            thread.join()
            try:
                self._compact_last()
                self.state.phase = "logging to trackers" if self.options.log else ""
            except Exception as error:
                text = f"tables not written: {_describe(error)}"
                self.progress.event(text)
                self.abort_reason = self.abort_reason or text

    def _fetch_for_tables(self) -> None:
        """Read the records that the tables lack; a shard that writes none, its own alone."""
        others_write = self.tables is not None and not self.tables.take()
        in_folder = self.plan.store.local("") is not None
        self.fetch_records(self.missing_points() if others_write and in_folder else None)

    def _compact_last(self) -> None:
        """Write the tables at the end of the run; of a shard, unless another shard will."""
        self.fetch_records()
        if self.tables is None:
            self.compact()
        elif self.holds_lease() and (self.tables.holding() or not self.stop.requested()):
            self.tables.write_last(self._fetch_any, self.compact)
        else:
            self.tables.release()

    def _fetch_any(self) -> bool:
        """Read new records of all points; whether there were any."""
        self._uncompacted = False
        self.fetch_records()
        return self._uncompacted

    def compact(self, whole: bool = True) -> None:
        """Write the tables of all points with a record, unless another driver does.

        `whole` is False where large tables of arrays may wait for the end.
        """
        if not self.holds_lease() or not (self.tables is None or self.tables.take()):
            return
        with self._lock:
            self._uncompacted = False
            records = self.plan.current_records()
        # without the lock: whoever counts records need not wait for a file of all curves
        self.plan.compact(records, whole)
        self.mirror.update(records)
        self.state.folded_at = time.monotonic()

    # What others are told, and what ends a run early

    def holds_lease(self) -> bool:
        """Whether this driver may write tables and records: not once another one may run."""
        return self.lease is None or self.lease.held()

    def heartbeat(self) -> dict[str, Any]:
        """What the lease publishes of this run while it goes on."""
        running = {
            name: points
            for name, points in list(self.running_points.items())
            if name in self.state.running
        }
        points = [p for trial_points in running.values() for p in trial_points]
        axes = {
            axis: dict(Counter(value_text(p.settings[axis]) for p in points if axis in p.axes))
            for axis in self.plan.sweep.axes
        }
        shard = self.plan.shard
        part = {"shard": str(shard), "points": len(self.plan.points)} if shard else {}
        return {
            **part,
            "started": self.started,
            "phase": self.state.phase,
            "running": axes,
            "running_points": len(points),
            "trials": len(running),
            "at": self.state.published_trials(),
            "machines": dict(Counter(list(self.hosts.values()))),
            "per_minute": self.state.per_minute(),
            "left": self.state.left(),
        }

    def on_lost_machine(self, host: str, trials: int) -> None:
        """Say that a machine is gone, and that its `trials` run again.

        Args:
            host: its name.
            trials: how many trials it had.
        """
        self.progress.event(
            f"lost machine {host}: {trials} trials run again elsewhere, from their checkpoints"
        )

    def on_lost_worker(self, cause: str, host: str, points: Sequence[Point]) -> None:
        """Note why a worker died; its points are tried again in the next round.

        Args:
            cause: in words.
            host: the machine that it was on.
            points: the points of the trial that it was at.
        """
        self._death_causes |= {p.point_id: cause for p in points}
        self._shown_lost_workers += 1
        if points and self._shown_lost_workers <= SHOWN_LOST_WORKERS:
            label = trial_label(points, self.plan.sweep.axes)
            self.progress.event(
                f"lost worker on {host} at {label} (try {self.attempt + 1} of {ROUNDS}): {cause}"
            )

    def on_unreachable_store(self, text: str, unwritable: bool, host: str) -> None:
        """React to a trial that could not reach the results.

        The run ends if they take no files, or if the driver cannot write either. Otherwise only
        that machine has trouble.

        Args:
            text: the error.
            unwritable: whether the store takes no files.
            host: the machine of the trial.
        """
        if unwritable:
            return self.abort(text)
        key = f"{self.job.sweep}/probe-{self.job.run}"
        try:
            self.job.store.write(key, b"")
            self.job.store.delete(key)
        except OSError as error:
            self.abort(str(error))
        else:
            self.progress.event(
                f"{host} cannot reach the results ({text}); its trial is tried again in the next"
                " round"
            )

    def abort(self, reason: str) -> None:
        """End the run for this reason; later reasons are dropped."""
        if not self.abort_reason:
            self.abort_reason = reason
            self.progress.say(f"Stopping: {reason}")
            self.stop.request_stop()

    def on_reader_gone(self) -> None:
        """Stop as pipes do when nobody reads what the run prints, as after `| head`."""
        if not self.stop.requested():
            self.stop.request_stop(signal.SIGPIPE)
            if self.stop.preparing:  # nothing there asks whether to stop
                os.kill(os.getpid(), signal.SIGINT)

    def on_spent(self, reason: str) -> None:
        """Stop as at a signal, as the budget of the run is spent, for this reason."""
        if not self.stop.requested() and self.missing:
            self.spent = reason
            self.progress.say(f"Stopping: {reason}; running trials save a checkpoint.")
            self.stop.request_stop()
            if self.stop.preparing:  # nothing there asks whether to stop
                os.kill(os.getpid(), signal.SIGINT)

    def on_lease_lost(self, text: str) -> None:
        """End without waiting for the trials, as the driver that holds the sweep can use them."""
        self.abort_reason = text
        self.progress.say(f"Stopping: {text}")
        self.stop.request_immediate_stop()

    def outcome(self) -> Outcome:
        """How the run ended."""
        return Outcome(
            dict(self.state.counts),
            len(self.missing),
            time.monotonic() - self._began,
            self.stop.signal,
            self.abort_reason,
            self.new_rows,
            self.spent if self.missing else "",
        )


def best_point(plan: Plan, rows: Sequence[dict[str, Any]]) -> tuple[float, str]:
    """The done point of the sweep's model that is best by `Plan.measure`.

    Args:
        plan: the points of the run.
        rows: the rows to choose from.

    Returns:
        Its distance, or what else the measure is, infinity where there is none; its settings in
        words, "" where there is none.
    """
    measure = plan.measure()
    best = (max if measure in LARGEST_FIRST else min)(
        (
            r
            for r in rows
            if r["status"] == Status.DONE and r["model"] == plan.sweep.model
            if r.get(measure) is not None
        ),
        key=lambda r: r[measure],
        default=None,
    )
    if best is None:
        return float("inf"), ""
    axes = [*plan.sweep.axes, "seed"]
    return best[measure], ", ".join(f"{axis} {value_text(best[axis])}" for axis in axes)


def trial_label(points: Sequence[Point], axes: Sequence[str]) -> str:
    """A trial in words, as in `beta=0 seed=44 .. beta=4 seed=44 (17 stacked)`.

    Args:
        points: the points of the trial.
        axes: the settings that are named.

    Returns:
        Its first training and, of a stack, its last one.
    """
    trainings = list({p.train_id: p for p in points}.values())
    first = trainings[0].label(axes)
    if len(trainings) == 1:
        return first
    return f"{first} .. {trainings[-1].label(axes)} ({len(trainings)} stacked)"


def _describe(error: Exception) -> str:
    """An error of writing tables in words."""
    return str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
