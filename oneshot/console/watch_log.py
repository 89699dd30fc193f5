"""A watched sweep in a log or a pipe: complete lines with the clock time, or JSON objects."""

from __future__ import annotations

import datetime
import json
import math
import time
from typing import Any, TextIO

from oneshot.console import snapshot
from oneshot.console.running import HEARTBEAT_COLUMNS, log_text
from oneshot.console.snapshot import Snapshot, differing_axes
from oneshot.console.tally import STATUSES, ended_at
from oneshot.console.terminal import write_whole
from oneshot.console.text import one_line, value_text
from oneshot.console.watch_view import View, ended_text, point_text
from oneshot.types import Status

QUIET_SECONDS = 60.0  # a line at least this often
AXES_SECONDS = 3600.0  # counts by axis value
SHOWN_FAILURES = 5
SHOWN_MACHINES = 20


class Log:
    """Complete lines; see `watch_view.Display`. A line is written where something changed.

    Args:
        stream: where to.
        as_json: whether they are JSON objects.
    """

    def __init__(self, stream: TextIO, as_json: bool):
        self.stream, self.as_json = stream, as_json
        self._last: Any = None  # the signature of what was written last
        self._written_at = self._axes_at = -1e9
        self._failed: set[tuple[str, str]] = set()  # point_id, time of failures written

    def begin(self, name: str) -> None:
        """Say that the results are being read for the first time."""
        if not self.as_json:
            self._line(f"{name} reading the results ...")

    def show(self, view: View) -> None:
        """Write what changed, and a line at least once a minute."""
        now, signature = time.monotonic(), _signature(view)
        quiet = now - self._written_at < QUIET_SECONDS
        if signature == self._last and quiet and not view.over:
            return
        self._last, self._written_at = signature, now
        if self.as_json:
            write_whole(self.stream, json.dumps(_plain(as_object(view))) + "\n")
            return
        if view.known:
            self._new_failures(view.known)
        self._line(summary(view))
        if view.known and view.known.at_work and not view.trouble:
            room = HEARTBEAT_COLUMNS - 20 - len(view.name)
            text = log_text(view.known.at_work, view.known.trials, room)
            self._line(f"{view.name} at: {text}")
        if view.known and now - self._axes_at > AXES_SECONDS and not view.trouble:
            self._axes_at = now
            for text in axes_lines(view.known):
                self._line(f"{view.name} {text}")

    def refresh(self, view: View) -> None:
        """Write nothing: ages alone are no news."""

    def wait(self, seconds: float) -> None:
        """Write nothing: it is said once the read has ended."""

    def end(self, view: View) -> None:
        """Write the last line."""
        if not self.as_json and view.known:
            self._line(f"{view.name} {ended_text(view.known)}")

    def close(self) -> None:
        """Write nothing: a log ends with its last whole line."""

    def _new_failures(self, known: Snapshot) -> None:
        """Points that failed since the last line, the latest few in full."""
        bad = known.tally.bad
        new = {(point_id, str(row.get("finished_at"))) for point_id, row in bad.items()}
        new -= self._failed
        self._failed |= new
        rows = [bad[point_id] for point_id, _ in new]
        rows.sort(key=lambda row: (row["status"] == Status.FAILED, ended_at(row) or 0.0))
        if (more := len(rows) - SHOWN_FAILURES) > 0:
            self._line(f"{known.tally.sweep.name} {more} more failed or diverged points")
        for row in rows[-SHOWN_FAILURES:]:
            error, log = one_line(row.get("error_type")), one_line(row.get("log"))
            self._line(f"{point_text(known, row)} {error} log={log}")

    def _line(self, text: str) -> None:
        write_whole(self.stream, f"{time.strftime('%H:%M:%S')} {text}\n")


def summary(view: View) -> str:
    """The one line of a log."""
    known = view.known
    if known is None or view.trouble:
        return f"{view.name} {view.trouble}"
    counts, total = known.tally.counts, len(known.tally.points)
    ended = total - counts[Status.MISSING]
    parts = [f"{view.name} {ended}/{total} {ended / max(total, 1):.0%} done={counts['done']}"]
    if known.running is not None:
        parts.append(f"running={known.running}")
    parts += [
        f"{status}={counts[status]}" for status in (Status.FAILED, Status.DIVERGED, Status.MISSING)
    ]
    if view.damaged:
        parts.append(f"damaged={view.damaged}")
    parts.append(f"rate={known.per_hour:.4g}/h overall={known.per_hour_overall:.4g}/h")
    parts.append(f"left={known.left.replace(' ', '')}")
    if known.machines:
        machines = [f"{name}:{count}" for name, count in known.machines.items()]
        parts.append(f"machines={','.join(machines[:SHOWN_MACHINES])}")
    if known.heartbeat:
        host = one_line(known.heartbeat["host"])
        parts.append(f"driver={known.heartbeat['pid']}@{host} sign={known.heartbeat_age:.0f}s")
    else:
        parts.append("driver=none")
    if known.phase:
        parts.append(f"now={known.phase!r}")
    return " ".join(parts)


def axes_lines(known: Snapshot) -> list[str]:
    """A line for each value of the axes by which counts differ."""
    lines = []
    for axis, values in differing_axes(known):
        for value, counts in values.items():
            total = sum(counts.values())
            parts = [f"done={counts['done']}"]
            if known.running is not None:
                parts.append(f"running={known.running_at(axis, value)}")
            parts += [
                f"{status}={counts[status]}"
                for status in (Status.FAILED, Status.DIVERGED, Status.MISSING)
            ]
            ended = total - counts[Status.MISSING]
            lines.append(f"{axis}={one_line(value_text(value))} {ended}/{total} {' '.join(parts)}")
    return lines


def as_object(view: View) -> dict[str, Any]:
    """One JSON object: that of --status, with the time, trouble and the latest failures."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    fields: dict[str, Any] = dict(time=now, sweep=view.name)
    if view.known:
        tally = view.known.tally
        names = ["point_id", "model", "seed", *tally.sweep.axes]
        names += ["status", "error_type", "error", "log", "finished_at", "host"]
        failures = tally.failures(SHOWN_FAILURES)
        fields |= snapshot.as_json(view.known)
        fields["latest_failures"] = [{name: row.get(name) for name in names} for row in failures]
    return fields | dict(trouble=view.trouble or None, damaged=view.damaged, over=view.over)


def _signature(view: View) -> Any:
    """What must change for a line to be written."""
    known, trouble = view.known, view.trouble.partition(" for ")[0]
    if known is None:
        return trouble
    heartbeat = known.heartbeat or {}
    machines = known.machines if known.machines_from_driver else None
    working = [heartbeat.get("running"), known.running, machines, known.phase]
    driver = [heartbeat.get("token"), heartbeat.get("pid")]
    counts = {status: known.tally.counts[status] for status in STATUSES}
    return trouble, view.damaged, counts, working, driver, len(known.tally.ended)


def _plain(value: Any) -> Any:
    """A value as JSON knows it: a number that is none becomes null."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
