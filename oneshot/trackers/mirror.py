"""Mirrors rows, curves and sheets to trackers as the driver writes them into the tables.

Each tracker has a process, and a thread that feeds it. A tracker that fails costs one warning, and
is left alone for the rest of the run: what it lacks is logged by the next run with `--log`. A note
in the results says which points it has, so that none is logged twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from oneshot.store.plan import Plan
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.trackers import entries
from oneshot.trackers.base import Target
from oneshot.trackers.process import receive, send

PATIENCE_SECONDS = 120.0  # for one point, at the end of a run
STOPPED_SECONDS = 10.0  # the same of a run that was stopped
NOTE_SECONDS = 1.0  # between two writes of the note
# the variables by which a user says where a tracker keeps things
PLACES = {
    "mlflow": ("MLFLOW_TRACKING_URI",),
    "wandb": ("WANDB_DIR", "WANDB_PROJECT", "WANDB_ENTITY"),
    "trackio": ("TRACKIO_DIR",),
}


class Mirror(contextlib.AbstractContextManager["Mirror"]):
    """Logs the records of a plan. A context, which waits at its end for what is not logged yet.

    Args:
        plan: of the run.
        names: of the trackers; none is fine.
        say: prints a line.
        stopped: whether the run was asked to stop, so that the rest waits for the next one.
    """

    def __init__(
        self,
        plan: Plan,
        names: Sequence[str],
        say: Callable[[str], None],
        stopped: Callable[[], bool] = lambda: False,
    ):
        self.plan, self.say, self.stopped = plan, say, stopped
        names = list(dict.fromkeys(names))
        self._feeds = [Feed(name, plan.store, _target(plan), self._entry, say) for name in names]

    def update(self, records: Sequence[Record]) -> None:
        """Log those of the records that a tracker lacks, soon and elsewhere.

        Args:
            records: of the sweep, as they are written into its tables.
        """
        for feed in self._feeds:
            feed.add(records)

    def __exit__(self, *exc: object) -> None:
        for feed in self._feeds:
            feed.end()
        try:
            for feed in self._feeds:
                feed.wait(self.stopped)
        except KeyboardInterrupt:  # the results are whole, and the next run logs the rest
            for feed in self._feeds:
                feed.give_up("interrupted")

    def waiting(self) -> str:
        """What is not logged yet, in words; "" if nothing is."""
        left = {feed.name: feed.left for feed in self._feeds if feed.left}
        return ", ".join(f"{name} lacks {count:,} points" for name, count in left.items())

    def _entry(self, record: Record) -> Any:
        """What is logged of a record, whose details are read again where they were dropped."""
        if not record.has_details:
            record = self.plan.log.parts.with_details([record])[0]
        sweep = self.plan.sweep
        return entries.make(record, self.plan.store, sweep.axes, sweep.model)


class Feed:
    """One tracker: the points that wait for it, the note of those that it has, and its process.

    Attributes:
        name: of the tracker.
        left: points that wait.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        target: Target,
        entry: Callable[[Record], Any],
        say: Callable[[str], None],
    ):
        self.name, self.store, self.target, self.say = name, store, target, say
        self.left = 0
        self._entry = entry
        self._key = f"{target.sweep}/logged/{name}.json"
        self._logged: dict[str, str] = {}  # the version of each point that it has
        self._asked: dict[str, str] = {}  # of those that were put into the queue
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._noted_at, self._moved_at = 0.0, time.monotonic()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = self._cut = False  # whether it failed; whether the rest is left
        self._thread: threading.Thread | None = None

    def add(self, records: Sequence[Record]) -> None:
        """Queue what the tracker lacks; the first call starts its process."""
        if self._failed:
            return
        if self._thread is None:
            self._asked = dict(self._read_note())
            self._logged = dict(self._asked)
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        for record in records:
            point_id, version = record.row["point_id"], entries.version_of(record.row)
            if self._asked.get(point_id) != version:
                self._asked[point_id] = version
                self._count(1)
                self._queue.put(record)

    def end(self) -> None:
        """Say that nothing more comes."""
        self._queue.put(None)

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Wait for what is queued; a tracker that does not move is ended.

        Args:
            stopped: whether to wait no longer than for the point that is under way.
        """
        self._moved_at = time.monotonic()
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.1)
            self._cut = self._cut or stopped()
            patience = STOPPED_SECONDS if self._cut else PATIENCE_SECONDS
            if time.monotonic() - self._moved_at > patience:
                return self.give_up(f"it has logged nothing for {patience:.0f} s")

    def give_up(self, why: str) -> None:
        """End the process of the tracker, if there is one, and say why."""
        if self._thread is not None and self._thread.is_alive():
            self._fail(why)
            self._kill()

    # In the thread

    def _run(self) -> None:
        try:
            record = self._queue.get()
            if record is None:
                return  # nothing new: no process is needed
            with tempfile.TemporaryFile() as printed:
                self._process = _started(self.name, printed)
                try:
                    self._talk(record)
                finally:
                    self._kill()
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}".splitlines()[0])
        finally:
            with contextlib.suppress(Exception):
                self._write_note()

    def _talk(self, record: Record | None) -> None:
        """Send records and read answers, until the end or a failure."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        send(process.stdin, self.target)
        if not self._answered("opened"):
            return
        while record is not None:
            send(process.stdin, self._entry(record))
            if not self._answered("logged"):
                return
            self._logged[record.row["point_id"]] = entries.version_of(record.row)
            self._count(-1)
            self._moved_at = time.monotonic()
            if time.monotonic() - self._noted_at > NOTE_SECONDS:
                self._write_note()
            record = None if self._cut else self._queue.get()
        process.stdin.close()
        self._answered("closed")

    def _answered(self, wanted: str) -> bool:
        """Read an answer; False, after a warning, where it is a failure."""
        assert self._process is not None and self._process.stdout is not None
        try:
            what, text = receive(self._process.stdout)
        except EOFError:
            what, text = "failed", "its process ended"
        if what == wanted == "opened":
            self.say(f"{self.name}: {text}")
        if what == "failed":
            self._fail(text)
        return bool(what == wanted)

    def _fail(self, why: str) -> None:
        """Say once why this tracker gets no more, and leave it alone."""
        with self._lock:
            first, self._failed = not self._failed, True
        if first:
            self.say(
                f"warning: --log {self.name} is given up in this run: {why}. The next run with it"
                " logs what is missing"
            )
        self.left = 0

    def _kill(self) -> None:
        """End the process, if it has not ended."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        if not self._failed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_SECONDS)
        process.kill()
        process.wait()

    # Which points it has

    def _count(self, by: int) -> None:
        with self._lock:
            self.left = max(self.left + by, 0)

    def _read_note(self) -> dict[str, str]:
        """The points that it has, as far as the note is of the same place."""
        try:
            note = json.loads(self.store.read(self._key))
            points = note["points"] if note["place"] == self._place() else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {k: v for k, v in points.items() if isinstance(v, str)}

    def _write_note(self) -> None:
        note = {"place": self._place(), "points": self._logged}
        self.store.write(self._key, json.dumps(note).encode())
        self._noted_at = time.monotonic()

    def _place(self) -> str:
        """Where it keeps things, as far as the user says; at another place it has nothing yet."""
        given = {name: os.environ.get(name, "") for name in PLACES.get(self.name, ())}
        return "|".join(f"{name}={value}" for name, value in given.items() if value)


def _started(name: str, printed: Any) -> subprocess.Popen[bytes]:
    """The process of a tracker; signals that stop the driver do not reach it."""
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "oneshot.trackers.process", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=printed,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )


def _target(plan: Plan) -> Target:
    """What a tracker is told of the sweep."""
    sweep = plan.sweep
    local = plan.store.local(sweep.name)
    # results on an object store: trackers without a server write below the working directory
    folder = local if local is not None else Path("results") / sweep.name
    axes = {
        axis: list(dict.fromkeys(p.settings[axis] for p in plan.all_points if axis in p.axes))
        for axis in sweep.axes
    }
    return Target(sweep.name, sweep.question, axes, plan.measure(), str(folder.absolute()))
