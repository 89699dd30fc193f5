"""What is known of a sweep while it runs, from its records and its driver's note: counts by axis
value, speed, machines, time left.

A record counts once, when it is read, so that looking again costs only the new ones. Nothing that a
note or a row says is trusted to have a form: what is odd is left out of the facts and ends nothing.
"""

from __future__ import annotations

import datetime
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from oneshot.console.progress import duration
from oneshot.store.plan import Plan
from oneshot.store.records import Record
from oneshot.types import Status

HOUR = 3600.0
MOST = 1e15
SHORTEST_SPAN = 60.0  # seconds: a first row a moment after the start is no speed yet
STATUSES: tuple[str, ...] = tuple(Status)


def number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def short(value: Any) -> str:
    """A value for a narrow column: of a long text, a path say, its end."""
    text = number(value)
    return text if len(text) <= 20 else "..." + text[-17:]


def line(text: Any) -> str:
    """A text from elsewhere as one line without control codes."""
    return "".join(c if c.isprintable() else " " for c in str(text))


class Tally:
    """The records of a plan's points, counted: `take` new ones, never all again."""

    def __init__(self, made: Plan):
        self.sweep, self.store = made.sweep, made.store
        self.points = {p.point_id: p for p in made.points}
        self.counts: Counter[str] = Counter()
        self.by_axis: dict[str, dict[Any, Counter[str]]] = {a: {} for a in self.sweep.axes}
        self.status: dict[str, str] = {}
        self.bad: dict[str, dict[str, Any]] = {}
        # when a row ended, its seconds, its machine; in order of time
        self.ends: list[tuple[float, float, str]] = []
        for point_id in self.points:
            self._set(point_id, Status.MISSING)
        self.take(made.log.records.values())

    def take(self, records: Iterable[Record]) -> int:
        """Count new or changed records; how many of them are of these points and have a status."""
        rows = [r.row for r in records if self._counts(r.row)]
        for row in rows:
            self._set(row["point_id"], row["status"])
            self.bad.pop(row["point_id"], None)
            if row["status"] != Status.DONE:
                self.bad[row["point_id"]] = row
        self.ends += [
            (ended, _seconds(row), str(row.get("host"))) for row in rows if (ended := when(row))
        ]
        self.ends.sort()  # nearly in order: linear
        return len(rows)

    def _counts(self, row: dict[str, Any]) -> bool:
        point_id, status = row.get("point_id"), row.get("status")
        return isinstance(point_id, str) and point_id in self.points and status in STATUSES[:3]

    def _set(self, point_id: str, status: str) -> None:
        old, self.status[point_id] = self.status.get(point_id), status
        point = self.points[point_id]
        tables = [
            self.by_axis[a].setdefault(point.settings[a], Counter())
            for a in self.sweep.axes
            if a in point.axes
        ]
        for table in [self.counts, *tables]:
            table[status] += 1
            if old:
                table[old] -= 1

    def last(self) -> float | None:
        """When the last row ended, seconds since 1970."""
        return self.ends[-1][0] if self.ends else None

    def last_hour(self, now: float) -> list[tuple[float, float, str]]:
        return self.ends[bisect_left(self.ends, (now - HOUR,)) :]

    def per_hour(self, now: float, started: float | None) -> tuple[float, float]:
        """Points an hour in the last hour, and since the driver started; over all rows if it does
        not say when.
        """
        recent = self.last_hour(now)
        since = self.ends[bisect_left(self.ends, (started,)) :] if started else self.ends
        begun = min((end - seconds for end, seconds, _ in recent), default=now)
        if started and started > now - HOUR:
            begun = min(begun, started)
        elif len(recent) < len(self.ends):
            begun = now - HOUR
        until = now if started else (self.last() or now)
        first = started or min((end - seconds for end, seconds, _ in since[:100]), default=now)
        return _speed(len(recent), now - max(now - HOUR, begun)), _speed(len(since), until - first)

    def failures(self, count: int) -> list[dict[str, Any]]:
        """The latest failed points; diverged ones if none failed."""
        failed = [r for r in self.bad.values() if r["status"] == Status.FAILED] or list(
            self.bad.values()
        )
        return sorted(failed, key=lambda r: when(r) or 0.0, reverse=True)[:count]


def when(row: dict[str, Any]) -> float | None:
    """When a row ended, seconds since 1970; None if it does not say."""
    try:
        return datetime.datetime.fromisoformat(row["finished_at"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _seconds(row: dict[str, Any]) -> float:
    """How long a row took, as far as it says."""
    return sum(
        _number(row.get(n)) or 0.0 for n in ("train_seconds", "draw_seconds", "score_seconds")
    )


def _speed(count: int, seconds: float) -> float:
    return HOUR * count / max(seconds, SHORTEST_SPAN)


def _number(value: Any) -> float | None:
    """A number out of a note or a row; None for anything else, and for what no clock or count
    is.
    """
    return float(value) if type(value) in (int, float) and abs(value) < MOST else None


@dataclass
class Facts:
    """Everything at one moment. running: None where no driver says; machines: trials at work, or
    rows of the last hour without a driver.
    """

    tally: Tally
    note: dict[str, Any] | None
    sign: float  # seconds since the driver's last sign
    now: float
    running: int | None = None
    per_hour: float = 0.0
    per_hour_overall: float = 0.0
    machines: dict[str, int] = field(default_factory=dict)
    told: bool = False  # whether the machines are the driver's word
    left: str = "-"
    phase: str = ""
    started: float | None = None

    def running_at(self, axis: str, value: Any) -> int:
        """Points at work with this value of an axis."""
        told = (self.note or {}).get("running")
        values = told.get(axis) if isinstance(told, dict) else None
        found = (
            (values.get(str(value)), values.get(number(value))) if isinstance(values, dict) else ()
        )
        return int(next((n for n in map(_number, found) if n), 0))


def gather(tally: Tally, held: tuple[dict[str, Any], float] | None, now: float) -> Facts:
    """The facts at the time now, seconds since 1970. held: as lease.holder gives it."""
    note, sign = held or (None, 0.0)
    facts = Facts(tally, note, sign, now)
    told = note or {}
    facts.started = _number(told.get("started"))
    running = _number(told.get("running_points"))
    facts.running = None if running is None else int(running)
    facts.per_hour, facts.per_hour_overall = tally.per_hour(now, facts.started)
    machines = told.get("machines")
    if isinstance(machines, dict):
        facts.machines, facts.told = (
            {line(m): int(_number(n) or 0) for m, n in machines.items()},
            True,
        )
    else:
        facts.machines = dict(
            Counter(line(host) for _, _, host in tally.last_hour(now)).most_common()
        )
    facts.phase = line(told.get("phase") or "")
    if note and tally.counts[Status.MISSING]:
        speed = facts.per_hour or facts.per_hour_overall
        known = told.get("left")
        if isinstance(known, str) and known not in ("", "-"):
            facts.left = line(known)
        elif speed:
            facts.left = f"about {duration(HOUR * tally.counts[Status.MISSING] / speed)}"
    return facts


def speed_text(facts: Facts) -> str:
    """As in `572 points/h in the last hour, 540 in this run`."""
    over = "in this run" if facts.started else "over all"
    return (
        f"{short_number(facts.per_hour)} points/h in the last hour,"
        f" {short_number(facts.per_hour_overall)} {over}"
    )


def short_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def machines_text(facts: Facts, room: int) -> str:
    """The machines with what each has, as many as there is room for."""
    if not facts.machines:
        return "none at work" if facts.told else "none known"
    count, total = len(facts.machines), sum(facts.machines.values())
    what = f"{total:,} trials" if facts.told else f"{total:,} rows in the last hour"
    text = f"{count:,} with {what}: " if count > 1 else ""
    names = [
        f"{m} {n:,}"
        for m, n in sorted(facts.machines.items(), key=lambda item: (-item[1], item[0]))
    ]
    shown = 1
    while shown < count and len(text + ", ".join(names[: shown + 1])) + 12 <= room:
        shown += 1
    more = (
        f" and {count - shown:,} more"
        if shown < count
        else ""
        if count > 1
        else " trials"
        if facts.told
        else " rows in the last hour"
    )
    return text + ", ".join(names[:shown]) + more


def driver_text(facts: Facts, host_room: int = 60) -> str:
    """Who runs the sweep and since when."""
    if not facts.note:
        return "no driver running"
    host = line(facts.note["host"])[:host_room]
    since = f" for {duration(max(facts.now - facts.started, 0))}" if facts.started else ""
    return f"process {facts.note['pid']} on {host}{since}, last sign {duration(facts.sign)} ago"


def last_row_text(facts: Facts) -> str:
    last = facts.tally.last()
    return f"last row {duration(max(facts.now - last, 0))} ago" if last else "no row yet"
