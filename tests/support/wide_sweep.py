"""A sweep of ten points and three references, with rows and heartbeats that nobody earned.

`HELPER` is a program that commits its rows while it holds the lease of the sweep.
"""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

import small

from oneshot.store import plan, records
from oneshot.store.plan import Plan
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point

HEARTBEAT = dict(
    pid=4711,
    host="node7",
    machine="m",
    token="t",
    running={"beta": {"0": 1, "1.5": 3}},
    running_points=4,
    trials=2,
    left="8 h 50 m",
    machines={"node7": 1, "node8": 1},
    per_minute=9.4,
    phase="",
)
HELPER = """
import sys, time
sys.path.insert(0, "tests/support")
from wide_sweep import commit, points_of
from oneshot.store.lease import Lease
from oneshot.store.store import Store

store, points = Store(sys.argv[1]), points_of(sys.argv[2])
with Lease(store, "wide", lambda: {"running_points": 2, "machines": {"node7": 2}, "left": "5 s"}):
    for i, point in enumerate(points):
        time.sleep(float(sys.argv[3]))
        commit(store, point, status="failed" if i == 2 else "done")
"""


def sweep_file(folder: Path, values: int = 10) -> Path:
    path = folder / "wide.py"
    text = small.SWEEP.format(epochs=2, batch=512).replace(
        "[0.0, 1.0, 2.0]", f"[i / 2 for i in range({values})]"
    )
    small.write_images(folder)
    path.write_text(text)
    return path


def points_of(path: Path | str) -> list[Point]:
    return [p for p in expand(load_sweep(str(path))) if p.model == "vae_stn"]


def commit(
    store: Store,
    point: Point,
    status: str = "done",
    ago: float = 0.0,
    host: str = "node7",
    **more: Any,
) -> None:
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=ago)
    row = (
        point.row()
        | dict(
            status=status,
            host=host,
            finished_at=ended.isoformat(timespec="seconds"),
            train_seconds=30.0,
        )
        | more
    )
    if status != "done":
        row |= dict(
            error_type="OutOfMemoryError",
            error="CUDA out of\nmemory",
            log=store.path(f"wide/logs/{point.point_id}.txt"),
        )
    records.commit(store, "wide", Record(row))


def plan_of(path: Path, store: Store) -> Plan:
    return plan.make(load_sweep(str(path)), store, rows_only=True)


def write_heartbeat(store: Store, ago: float = 0.0, **more: Any) -> None:
    store.write(
        "wide/driver-1.json", json.dumps(HEARTBEAT | dict(time=time.time() - ago) | more).encode()
    )
