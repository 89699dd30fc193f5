"""The records of a sweep, counted as they come: by status and axis value, with speed and failures.

A record counts once, when it is read, so that looking again costs only the new ones. Nothing that a
row says is trusted to have a form: what is odd is left out and ends nothing.
"""

from __future__ import annotations

import datetime
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from oneshot.store.plan import Plan
from oneshot.store.records import Record
from oneshot.types import Status

HOUR = 3600.0
STATUSES: tuple[str, ...] = tuple(Status)
SHORTEST_SPAN = 60.0  # seconds: a first row a moment after the start is no speed yet
FIRST_ROWS = 100  # among so many rows, the one that began first has begun the sweep
MOST = 1e15  # no clock and no count goes so far


class Ended(NamedTuple):
    """A row that ended: when (seconds since 1970), how many seconds it took, and where."""

    at: float
    seconds: float
    host: str

    @property
    def began(self) -> float:
        """When its training began, seconds since 1970."""
        return self.at - self.seconds


class Tally:
    """The records of a plan's points, counted.

    Args:
        plan: the points to be counted, with the records that are known now.
    """

    def __init__(self, plan: Plan):
        self.sweep, self.store = plan.sweep, plan.store
        self.points = {point.point_id: point for point in plan.points}
        self.counts: Counter[str] = Counter()
        self.by_axis: dict[str, dict[Any, Counter[str]]] = {axis: {} for axis in self.sweep.axes}
        self.status: dict[str, str] = {}
        self.bad: dict[str, dict[str, Any]] = {}  # rows of failed and diverged points
        self.ended: list[Ended] = []  # in order of time
        for point_id in self.points:
            self._count(point_id, "missing")
        self.add(plan.log.records.values())

    def add(self, records: Iterable[Record]) -> int:
        """Count new or changed records; how many of them are of these points and have a status."""
        rows = [record.row for record in records if self._is_ours(record.row)]
        for row in rows:
            self._count(row["point_id"], row["status"])
            self.bad.pop(row["point_id"], None)
            if row["status"] != Status.DONE:
                self.bad[row["point_id"]] = row
            if at := ended_at(row):
                self.ended.append(Ended(at, _seconds(row), str(row.get("host"))))
        self.ended.sort()  # nearly in order: linear
        return len(rows)

    def _is_ours(self, row: dict[str, Any]) -> bool:
        """Whether a row is of one of these points, and has a status."""
        point_id, status = row.get("point_id"), row.get("status")
        return isinstance(point_id, str) and point_id in self.points and status in STATUSES[:3]

    def _count(self, point_id: str, status: str) -> None:
        """Count a point with this status, and no longer with the one that it had."""
        old, self.status[point_id] = self.status.get(point_id), status
        point = self.points[point_id]
        counts = [
            self.by_axis[axis].setdefault(point.settings[axis], Counter())
            for axis in self.sweep.axes
            if axis in point.axes
        ]
        for counter in [self.counts, *counts]:
            counter[status] += 1
            if old:
                counter[old] -= 1

    def last(self) -> float | None:
        """When the last row ended, seconds since 1970; None before the first."""
        return self.ended[-1].at if self.ended else None

    def since(self, time: float) -> list[Ended]:
        """The rows that ended at this time or later, seconds since 1970."""
        return self.ended[bisect_left(self.ended, (time,)) :]

    def last_hour(self, now: float) -> list[Ended]:
        """The rows of the last hour."""
        return self.since(now - HOUR)

    def recent_per_hour(self, now: float, started: float | None) -> float:
        """Points an hour, over the last hour or the part of it in which the sweep was at work.

        Args:
            now: seconds since 1970.
            started: when the driver started; None if nobody says.

        Returns:
            The speed.
        """
        rows, hour_ago = self.last_hour(now), now - HOUR
        begins = [row.began for row in rows]
        if started and started > hour_ago:
            begins.append(started)
        elif len(rows) < len(self.ended):  # older rows: it was at work for the whole hour
            begins.append(hour_ago)
        begin = max(min(begins, default=now), hour_ago)
        return _per_hour(len(rows), now - begin)

    def overall_per_hour(self, now: float, started: float | None) -> float:
        """Points an hour since the driver started, or over all rows if nobody says when.

        Args:
            now: seconds since 1970.
            started: when the driver started; None if nobody says.

        Returns:
            The speed.
        """
        if started:
            return _per_hour(len(self.since(started)), now - started)
        begin = min((row.began for row in self.ended[:FIRST_ROWS]), default=now)
        return _per_hour(len(self.ended), (self.last() or now) - begin)

    def failures(self, count: int) -> list[dict[str, Any]]:
        """The latest failed points; diverged ones if none failed."""
        failed = [row for row in self.bad.values() if row["status"] == Status.FAILED]
        rows = failed or list(self.bad.values())
        return sorted(rows, key=lambda row: ended_at(row) or 0.0, reverse=True)[:count]


def ended_at(row: dict[str, Any]) -> float | None:
    """When a row ended, seconds since 1970; None if it does not say."""
    try:
        return datetime.datetime.fromisoformat(row["finished_at"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def as_number(value: Any) -> float | None:
    """A number out of a heartbeat or a row; None for anything else, and for absurd ones."""
    return float(value) if type(value) in (int, float) and abs(value) < MOST else None


def _seconds(row: dict[str, Any]) -> float:
    """How long a row took, as far as it says."""
    names = ("train_seconds", "draw_seconds", "score_seconds")
    return sum(as_number(row.get(name)) or 0.0 for name in names)


def _per_hour(count: int, seconds: float) -> float:
    return HOUR * count / max(seconds, SHORTEST_SPAN)
