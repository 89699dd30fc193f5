"""What `--status` prints: counts by status and axis value, failures, speed and machines."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Sequence
from typing import Any

from oneshot.console import snapshot
from oneshot.console.running import log_text
from oneshot.console.shards import DriverLook, drivers_text, shard_lines
from oneshot.console.snapshot import Snapshot, count_row, differing_axes
from oneshot.console.tally import Tally
from oneshot.console.text import LABEL, WIDTH, duration, labelled, one_line, table, value_text
from oneshot.store.plan import Plan
from oneshot.types import Status

MOST_VALUES = 12  # of an axis; more are counted together


def report(plan: Plan, as_json: bool = False) -> str:
    """Counts by status and axis value, failures by error, speed and machines of a driver.

    Args:
        plan: the points, with the records that are known now.
        as_json: whether it is one JSON object.

    Returns:
        The text.
    """
    tally = Tally(plan)
    holder, shards = DriverLook(plan).look(tally)
    shot = snapshot.take_snapshot(tally, holder, time.time(), shards)
    if as_json:
        return json.dumps(snapshot.as_json(shot))
    lines = [f"{plan.sweep.name}  {len(plan.points):,} points, {_driver(shot)}"]
    if shot.heartbeat:
        room = 2 * (WIDTH - LABEL - 2) - 20
        at_work = log_text(shot.at_work, shot.trials, room)
        lines += [
            labelled(label, text)
            for label, text in [
                ("now", shot.phase),
                ("at work", at_work),
                ("speed", snapshot.speed_text(shot)),
                ("left", shot.left),
                ("machines", snapshot.machines_text(shot, room)),
            ]
            if text
        ]
    lines += table(snapshot.count_columns(shot), _rows(shot))
    return "\n".join([*lines, *shard_lines(shot.shards), *failure_lines(plan)])


def failure_lines(plan: Plan) -> list[str]:
    """Failed and diverged points, grouped by their error: how many, the error, the first one."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in plan.points:
        record = plan.log.records.get(point.point_id)
        if record and record.row["status"] != Status.DONE:
            error = str(record.row.get("error") or "").split("\n")[0]
            groups.setdefault((record.row.get("error_type") or "", error), []).append(record.row)
    lines = []
    for (kind, error), rows in groups.items():
        text = f"{len(rows)} x {kind}: {error}"
        lines.append(textwrap.fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
        lines.append(f"  first {rows[0]['point_id'][:8]}, {rows[0].get('log')}")
    return lines


def _driver(shot: Snapshot) -> str:
    """Who runs the sweep, and when the last row ended."""
    text = "no driver running"
    if shot.shards:
        text = drivers_text(shot.shards)
    elif shot.heartbeat:
        host, age = one_line(shot.heartbeat["host"]), duration(shot.heartbeat_age)
        text = f"run by process {shot.heartbeat['pid']} on {host}, last sign {age} ago"
    return f"{text}, {snapshot.last_row_text(shot)}" if shot.tally.last() else text


def _rows(shot: Snapshot) -> list[Sequence[str] | str]:
    """All points, then the values of each axis of which points are missing or went wrong."""
    rows: list[Sequence[str] | str] = [count_row(shot, "all", shot.tally.counts, shot.running or 0)]
    for axis, values in differing_axes(shot):
        open_values = {v: c for v, c in values.items() if c[Status.DONE] < sum(c.values())}
        if done := len(values) - len(open_values):
            rows.append(f"{axis}: {done} other values, all done")
        for value, counts in list(open_values.items())[:MOST_VALUES]:
            running = shot.running_at(axis, value)
            rows.append(count_row(shot, f"{axis} {value_text(value)}", counts, running))
        if len(open_values) > MOST_VALUES:
            rows.append(f"{axis}: {len(open_values) - MOST_VALUES} more values")
    return rows
