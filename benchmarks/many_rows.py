"""100,000 results of one sweep: reading their records, folding them, resuming, and the memory that
it takes.

    python benchmarks/many_rows.py [--quick] [--records N] [--epochs N]

Records are made up, of realistic size (150 test classes; 50 epochs, which make 15 kB a record; 500
make 44 kB). Each measurement is a process of its own, so that its memory is its own. Files are in
the page cache, as they are written just before.

first: a command that starts where no table is. resumed: the same with part tables, then 100 more
records and a fold in the middle of a run.
status: rows alone. pandas: a reader. Baseline: all arrays kept in memory and every table written
from them, as for small sweeps.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engine import peak_memory_mb
from harness import Row, parser, save
from tables import AXES, CLASSES, CURVES, record

from oneshot.store import records
from oneshot.store.compaction import compact
from oneshot.store.log import Log
from oneshot.store.parquet import unpacked
from oneshot.store.records import Record
from oneshot.store.store import Store

SWEEP = "made"
MORE = 100  # records that a run adds between two folds


def write_records(store: Store, first: int, count: int, epochs: int) -> int:
    """Write records without waiting for the disk; returns their bytes."""
    rng, numbers, size = random.Random(first), np.random.default_rng(first), 0
    folder = Path(store.path(f"{SWEEP}/records"))
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"alphabet/character{i:02d}" for i in range(CLASSES)]
    for i in range(first, first + count):
        measured = {
            n: (10 * numbers.random(CLASSES)).tolist()
            for n in ("diversity", "recognizability", "originality")
        }
        curves = {
            "epoch": list(range(epochs)),
            **{n: (100 * numbers.random(epochs)).tolist() for n in CURVES},
        }
        row = record(i, rng, classes=0, epochs=0).row
        encoded = records.encode(
            Record(row, {"class_name": names, "drawings": [10] * CLASSES, **measured}, curves)
        )
        size += (folder / f"{i:016x}.json").write_bytes(encoded)
    return size


def timed(program: Callable[[], Any]) -> float:
    start = time.perf_counter()
    program()
    return time.perf_counter() - start


def fold(store: Store, log: Log, whole: bool = True) -> float:
    """Seconds of a fold of all records of a log."""
    return timed(
        lambda: compact(store, SWEEP, list(log.records.values()), AXES, {}, whole, log.parts)
    )


def first(store: Store, epochs: int) -> dict[str, float]:
    """A command that finds records and no tables."""
    log = Log(store, SWEEP)
    return dict(read=timed(log.update), look=timed(log.update), fold=fold(store, log))


def resumed(store: Store, epochs: int) -> dict[str, float]:
    """A command that finds tables and parts; its run adds a few records and folds in the middle and
    at the end.
    """
    log = Log(store, SWEEP)
    took = dict(read=timed(log.update), fold=fold(store, log))
    write_records(store, len(log.records), MORE, epochs)
    took |= dict(
        look=timed(log.update),
        fold_midway=fold(store, log, whole=False),
        fold_at_end=fold(store, log),
    )
    return took


def status(store: Store, epochs: int) -> dict[str, float]:
    """Rows alone, from parts where they are."""
    return dict(read=timed(Log(store, SWEEP, rows_only=True).update))


def pandas(store: Store, epochs: int) -> dict[str, float]:
    """A reader of points, and of one column of the classes."""
    import pandas as pd

    folder = store.path(SWEEP)
    took = dict(points=timed(lambda: pd.read_parquet(f"{folder}/points.parquet")))
    took["classes"] = timed(
        lambda: pd.read_parquet(
            f"{folder}/classes.parquet", columns=["point_id", "recognizability"]
        )
    )
    took["rows"] = len(pd.read_parquet(f"{folder}/points.parquet", columns=["point_id"]))
    return took


def kept(store: Store, epochs: int) -> dict[str, float]:
    """The baseline: every record read whole, all arrays in memory, the tables written from them
    into a folder beside.
    """
    start, made = time.perf_counter(), []
    for path in sorted(Path(store.path(f"{SWEEP}/records")).iterdir()):
        made.append(unpacked(records.decode(path.read_bytes()), str(path)))
    read = time.perf_counter() - start
    return dict(read=read, fold=timed(lambda: compact(store, "kept", made, AXES, {})))


MEASURES = {"first": first, "resumed": resumed, "status": status, "pandas": pandas, "kept": kept}


def apart(what: str, folder: str, epochs: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--measure",
        what,
        "--folder",
        folder,
        "--epochs",
        str(epochs),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{what:<8}" + "  ".join(f"{k} {v:.2f}" for k, v in found.items()),
        file=sys.stderr,
        flush=True,
    )
    return found


def report(count: int, epochs: int, folder: str) -> None:
    """Write the records, measure in turn, print and save."""
    store = Store(folder)
    size = write_records(store, 0, count, epochs)
    found = {what: apart(what, folder, epochs) for what in MEASURES}
    if found["pandas"]["rows"] != count + MORE:
        raise RuntimeError(
            f"points.parquet has {found['pandas']['rows']:.0f} rows of {count + MORE}"
        )
    one, again, baseline = (found[what] for what in ("first", "resumed", "kept"))
    memory = max(
        run["memory_mb"] for what, run in found.items() if what in ("first", "resumed", "status")
    )
    what = f"{count:,} records ({CLASSES} classes, {epochs} epochs)"

    def line(text: str, ours: float, base: float, note: str = "") -> Row:
        return Row(9, text, f"{ours:.1f} s", f"{base:.1f} s", base / ours, note=note)

    lines = [
        line(
            f"start on {what}, no tables yet: read and check all",
            one["read"],
            baseline["read"],
            f"{size / count / 1000:.1f} kB each",
        ),
        line("the first fold, parts and all tables", one["fold"], baseline["fold"]),
        line(
            "start again, rows from parts",
            again["read"],
            baseline["read"],
            f"then looking for new records takes {again['look']:.1f} s",
        ),
        line(
            f"a fold in the middle of a run, {MORE} new records",
            again["fold_midway"],
            baseline["fold"],
        ),
        line("a fold at the end of a run, all tables", again["fold_at_end"], baseline["fold"]),
        Row(
            9,
            "rows alone, as --status",
            f"{found['status']['read']:.1f} s",
            note=f"{found['status']['memory_mb']:.0f} MB",
        ),
        Row(
            9,
            "the same rows into pandas: points; one column of the classes",
            f"{found['pandas']['points']:.2f} s; {found['pandas']['classes']:.2f} s",
        ),
        Row(
            9,
            "peak memory of these commands",
            f"{memory:.0f} MB",
            f"{baseline['memory_mb']:.0f} MB",
            baseline["memory_mb"] / memory,
            target="under 2000 MB",
            met="yes" if memory < 2000 else "no",
        ),
    ]
    save("many_rows", lines, measured=found, records=count, epochs=epochs, bytes_each=size / count)


def main() -> None:
    p = parser(__doc__)
    p.add_argument(
        "--measure", choices=list(MEASURES), help="one measurement in this process, as JSON"
    )
    p.add_argument(
        "--folder",
        default="",
        help="where the records are, or are to be written [a temporary folder]",
    )
    p.add_argument("--records", type=int, default=100_000, help="how many records [100000]")
    p.add_argument("--epochs", type=int, default=50, help="epochs of each [50]")
    options = p.parse_args()
    if options.measure:
        import pyarrow.parquet  # noqa: F401, RUF100

        took = MEASURES[options.measure](Store(options.folder), options.epochs)
        print(json.dumps({**took, "memory_mb": peak_memory_mb()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        report(200 if options.quick else options.records, options.epochs, options.folder or folder)


if __name__ == "__main__":
    main()
