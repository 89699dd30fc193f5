"""Who runs a sweep, as one heartbeat: that of its driver, or those of its shards added up.

Nothing that a heartbeat says is trusted to have a form: what is odd is left out and ends nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneshot.console.tally import Tally, as_number
from oneshot.console.text import Column, duration, one_line, table
from oneshot.store.plan import Plan
from oneshot.store.shards import Observer
from oneshot.sweep.shards import assign, partition_name
from oneshot.types import Status

Holder = tuple[dict[str, Any], float]


@dataclass
class ShardView:
    """What is known of one shard.

    Attributes:
        index: which part, from 1.
        count: how many parts there are.
        points: how many points it has.
        missing: how many of them have no result.
        heartbeat: of its driver; None where nobody runs it.
        age: seconds since that.
    """

    index: int
    count: int
    points: int
    missing: int
    heartbeat: dict[str, Any] | None = None
    age: float = 0.0

    def state(self) -> str:
        """Who runs it, in words."""
        if self.heartbeat:
            host, pid = one_line(self.heartbeat["host"]), self.heartbeat["pid"]
            return f"process {pid} on {host}, last sign {duration(self.age)} ago"
        return "nobody runs it" if self.missing else "done"


class DriverLook:
    """Looks who runs a sweep, once or again and again.

    Args:
        plan: the sweep; the shards are those of all its points.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self._observer = Observer(plan.store, plan.sweep.name)
        self._parts: dict[str, dict[str, int]] = {}  # the part of each train_id, by partition

    def look(self, tally: Tally) -> tuple[Holder | None, list[ShardView]]:
        """The driver's heartbeat with its age, and the shards if it runs in such.

        Args:
            tally: the points that are counted.
        """
        whole = self._observer.whole()
        if whole is not None:
            return whole, []
        seen = {
            partition: holders
            for partition, holders in self._observer.shards().items()
            if self._assigned(partition)
        }
        if not seen:
            return None, []
        # the parts that run now; else those of which most have run
        partition = max(
            seen, key=lambda p: (sum(h is not None for h in seen[p].values()), len(seen[p]))
        )
        shards = self._views(partition, seen[partition], tally)
        living = [(s.heartbeat, s.age) for s in shards if s.heartbeat]
        return (_added_up(living) if living else None), shards

    def _assigned(self, partition: str) -> dict[str, int]:
        """The part of each training; {} for a partition of other trainings."""
        if partition not in self._parts:
            points, count = self.plan.all_points, int(partition.partition("-")[0])
            same = partition == partition_name(points, count)
            self._parts[partition] = assign(points, count) if same else {}
        return self._parts[partition]

    def _views(
        self, partition: str, holders: Mapping[int, Holder | None], tally: Tally
    ) -> list[ShardView]:
        """All shards of a partition that have points here."""
        count, parts = int(partition.partition("-")[0]), self._assigned(partition)
        points: Counter[int] = Counter()
        missing: Counter[int] = Counter()
        for point_id, point in tally.points.items():
            points[parts[point.train_id]] += 1
            missing[parts[point.train_id]] += tally.status[point_id] == Status.MISSING
        return [
            ShardView(index, count, points[index], missing[index], *(holders.get(index) or ()))
            for index in sorted(points)
        ]


def _added_up(living: Sequence[Holder]) -> Holder:
    """One heartbeat for several drivers."""
    notes = [note for note, _ in living]
    started = [at for note in notes if (at := as_number(note.get("started"))) is not None]
    running: dict[str, Counter[str]] = {}
    for note in notes:
        by_axis = note.get("running")
        for axis, counts in by_axis.items() if isinstance(by_axis, dict) else ():
            running.setdefault(axis, Counter()).update(_counts(counts))
    machines = sum((Counter(_counts(note.get("machines"))) for note in notes), Counter[str]())
    hosts = {one_line(note["host"]) for note in notes}
    return {
        "host": ", ".join(sorted(hosts)),
        "pid": notes[0]["pid"],
        "started": min(started, default=None),
        "phase": "; ".join(
            dict.fromkeys(t for n in notes if (t := one_line(n.get("phase") or "")))
        ),
        "running": {axis: dict(counts) for axis, counts in running.items()},
        "running_points": sum(int(as_number(n.get("running_points")) or 0) for n in notes),
        "machines": dict(machines),
        "left": "",
        "drivers": len(notes),
    }, min(age for _, age in living)


def _counts(value: Any) -> dict[str, int]:
    """Counts by name, without what is odd."""
    if not isinstance(value, dict):
        return {}
    return {name: int(n) for name, said in value.items() if (n := as_number(said)) is not None}


def drivers_text(shards: Sequence[ShardView]) -> str:
    """How many shards run, as in `3 of 8 shards are running, last sign 2 s ago`."""
    living = [s for s in shards if s.heartbeat]
    if not living:
        return f"none of its {shards[0].count} shards is running"
    sign = duration(min(s.age for s in living))
    return f"{len(living)} of {shards[0].count} shards are running, last sign {sign} ago"


def shard_lines(shards: Sequence[ShardView]) -> list[str]:
    """A line for each shard that is not done: points, missing points, who runs it."""
    open_shards = [s for s in shards if s.missing or s.heartbeat]
    if not open_shards:
        return []
    columns = [
        Column("shard", 10),
        Column("points", 8, right=True),
        Column("missing", 8, right=True),
        Column("", 40),
    ]
    rows: list[Sequence[str] | str] = [
        [f"{s.index}/{s.count}", f"{s.points:,}", f"{s.missing:,}", f"  {s.state()}"]
        for s in open_shards
    ]
    return table(columns, rows)
