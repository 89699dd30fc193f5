"""What is known of a sweep at one moment, from its records and its driver's heartbeat.

Nothing that a heartbeat says is trusted to have a form: what is odd is left out and ends nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from oneshot.console.running import Running, from_heartbeat
from oneshot.console.shards import ShardView, drivers_text
from oneshot.console.tally import HOUR, STATUSES, Tally, as_number
from oneshot.console.text import Column, duration, one_line, rate, value_text
from oneshot.types import Status

LABEL_COLUMNS = 22  # of the labels of the table of counts, at least


@dataclass
class Snapshot:
    """Everything that is known at one moment.

    Args:
        tally: the records.
        heartbeat: the driver's latest; None if no driver runs.
        heartbeat_age: seconds since the driver's last sign.
        now: the moment, seconds since 1970.
        running: points at work; None where no driver says.
        per_hour: points an hour in the last hour.
        per_hour_overall: points an hour since the driver started, or over all rows.
        machines: trials at work by machine, or rows of the last hour where no driver says.
        machines_from_driver: whether the machines are the driver's word.
        left: the time left, in words; "-" where it is not known.
        phase: what the driver prepares or waits for, in words.
        started: when the driver started, seconds since 1970.
        shards: what is known of each, where the sweep runs in shards; the heartbeat is theirs
            added up.
        at_work: the first trials at work, as the driver says.
        trials: how many there are.
    """

    tally: Tally
    heartbeat: dict[str, Any] | None
    heartbeat_age: float
    now: float
    running: int | None = None
    per_hour: float = 0.0
    per_hour_overall: float = 0.0
    machines: dict[str, int] = field(default_factory=dict)
    machines_from_driver: bool = False
    left: str = "-"
    phase: str = ""
    started: float | None = None
    shards: Sequence[ShardView] = ()
    at_work: list[Running] = field(default_factory=list)
    trials: int = 0

    def running_at(self, axis: str, value: Any) -> int:
        """Points at work with this value of an axis.

        Args:
            axis: a swept setting.
            value: one of its values.

        Returns:
            Their number, 0 where no driver says.
        """
        by_axis = (self.heartbeat or {}).get("running")
        counts = by_axis.get(axis) if isinstance(by_axis, dict) else None
        if not isinstance(counts, dict):
            return 0
        written = (as_number(counts.get(name)) for name in (str(value), value_text(value)))
        return int(next((count for count in written if count), 0))


def take_snapshot(
    tally: Tally,
    holder: tuple[dict[str, Any], float] | None,
    now: float,
    shards: Sequence[ShardView] = (),
) -> Snapshot:
    """What is known at a moment.

    Args:
        tally: the records.
        holder: the driver's heartbeat and its age in seconds, as the lease gives them.
        now: seconds since 1970.
        shards: of a sweep that runs in shards.

    Returns:
        The snapshot.
    """
    heartbeat, age = holder or (None, 0.0)
    said = heartbeat or {}
    running, machines = as_number(said.get("running_points")), said.get("machines")
    shot = Snapshot(tally, heartbeat, age, now, shards=shards)
    shot.started = as_number(said.get("started"))
    shot.running = None if running is None else int(running)
    shot.per_hour = tally.recent_per_hour(now, shot.started)
    shot.per_hour_overall = tally.overall_per_hour(now, shot.started)
    if isinstance(machines, dict):
        shot.machines = {one_line(m): int(as_number(n) or 0) for m, n in machines.items()}
        shot.machines_from_driver = True
    else:
        hosts = Counter(one_line(row.host) for row in tally.last_hour(now))
        shot.machines = dict(hosts.most_common())
    shot.phase = one_line(said.get("phase") or "")
    shot.at_work = from_heartbeat(said.get("at"))
    shot.trials = max(int(as_number(said.get("trials")) or 0), len(shot.at_work))
    if heartbeat and tally.counts[Status.MISSING]:
        shot.left = _left(shot, said.get("left"))
    return shot


def _left(shot: Snapshot, said: Any) -> str:
    """The time left: the driver's word, or what the speed so far makes of the missing points."""
    if isinstance(said, str) and said not in ("", "-"):
        return one_line(said)
    speed = shot.per_hour or shot.per_hour_overall
    return f"about {duration(HOUR * shot.tally.counts['missing'] / speed)}" if speed else "-"


def differing_axes(shot: Snapshot) -> list[tuple[str, dict[Any, Counter[str]]]]:
    """The axes by which counts differ, with the counts of each value.

    Where the shares of all values are alike, an axis says nothing.
    """

    def shares(counts: Counter[str]) -> tuple[float, ...]:
        return tuple(counts[status] / max(sum(counts.values()), 1) for status in STATUSES)

    return [
        (axis, values)
        for axis, values in shot.tally.by_axis.items()
        if len({shares(counts) for counts in values.values()}) > 1
    ]


def count_columns(shot: Snapshot, width: int = LABEL_COLUMNS) -> list[Column]:
    """The columns of the table of counts.

    Args:
        shot: which says whether there is a column of running points.
        width: of the labels, in columns.

    Returns:
        The labels, the statuses, and running points in brackets, as they are some of the missing.
    """
    columns = [Column("", width), *(Column(status, 8, right=True) for status in STATUSES)]
    return columns + [Column("(running)", 9, right=True, gap=1)] * (shot.running is not None)


def count_row(shot: Snapshot, label: str, counts: Counter[str], running: int) -> list[str]:
    """A row of the table of counts.

    Args:
        shot: which says whether there is a column of running points.
        label: what is counted.
        counts: by status.
        running: points at work.

    Returns:
        Its cells.
    """
    cells = [label, *(f"{counts[status]:,}" for status in STATUSES)]
    if shot.running is not None:
        cells.append(f"({running:,})" if running else "-")
    return cells


def speed_text(shot: Snapshot) -> str:
    """As in `572 points/h in the last hour, 540 in this run`."""
    over = "in this run" if shot.started else "over all"
    return f"{rate(shot.per_hour)} points/h in the last hour, {rate(shot.per_hour_overall)} {over}"


def machines_text(shot: Snapshot, room: int) -> str:
    """The machines with what each has, as many as there is room for.

    Args:
        shot: which knows them.
        room: characters.

    Returns:
        As in `2 with 5 trials: node7 3, node8 2`.
    """
    if not shot.machines:
        return "none at work" if shot.machines_from_driver else "none known"
    unit = "trials" if shot.machines_from_driver else "rows in the last hour"
    most_first = sorted(shot.machines.items(), key=lambda item: (-item[1], item[0]))
    names = [f"{machine} {count:,}" for machine, count in most_first]
    if len(names) == 1:
        return f"{names[0]} {unit}"
    text = f"{len(names):,} with {sum(shot.machines.values()):,} {unit}: "
    shown = 1
    while shown < len(names) and len(text + ", ".join(names[: shown + 1])) + 12 <= room:
        shown += 1
    more = f" and {len(names) - shown:,} more" if shown < len(names) else ""
    return text + ", ".join(names[:shown]) + more


def driver_text(shot: Snapshot, host_room: int = 60) -> str:
    """Who runs the sweep and since when.

    Args:
        shot: which knows it.
        host_room: characters of the name of its machine.

    Returns:
        As in `process 4711 on node7 for 2 h 00 m, last sign 3 s ago`.
    """
    if shot.shards:
        return drivers_text(shot.shards)
    if not shot.heartbeat:
        return "no driver running"
    host = one_line(shot.heartbeat["host"])[:host_room]
    since = f" for {duration(max(shot.now - shot.started, 0))}" if shot.started else ""
    age = duration(shot.heartbeat_age)
    return f"process {shot.heartbeat['pid']} on {host}{since}, last sign {age} ago"


def last_row_text(shot: Snapshot) -> str:
    """When the last row ended, as in `last row 12 s ago`."""
    last = shot.tally.last()
    return f"last row {duration(max(shot.now - last, 0))} ago" if last else "no row yet"


def as_json(shot: Snapshot) -> dict[str, Any]:
    """The snapshot as one JSON object; a running point is one of the missing ones."""

    def counts_at(axis: str, value: Any, counts: Counter[str]) -> dict[str, int]:
        known = {status: counts[status] for status in STATUSES if counts[status]}
        if shot.running is not None:
            known["running"] = shot.running_at(axis, value)
        return known

    shards = [
        dict(shard=f"{s.index}/{s.count}", points=s.points, missing=s.missing, driver=s.heartbeat)
        for s in shot.shards
    ]
    return dict(
        **({"shards": shards} if shards else {}),
        sweep=shot.tally.sweep.name,
        driver=shot.heartbeat,
        points=len(shot.tally.points),
        **{status: shot.tally.counts[status] for status in STATUSES},
        running=shot.running,
        by_axis={
            axis: {value_text(value): counts_at(axis, value, c) for value, c in values.items()}
            for axis, values in shot.tally.by_axis.items()
        },
        last_sign_seconds=round(shot.heartbeat_age, 1) if shot.heartbeat else None,
        last_row=shot.tally.last(),
        left=shot.left,
        per_hour=round(shot.per_hour, 2),
        per_hour_overall=round(shot.per_hour_overall, 2),
        machines=shot.machines,
        machines_from="driver" if shot.machines_from_driver else "rows",
        phase=shot.phase,
    )
