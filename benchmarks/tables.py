"""Results: reading tables into pandas, and folding records into them.

    python benchmarks/tables.py [--quick]

Records are made up, of realistic size: a row of a VAE-STN point, 150 test classes with 4 metrics,
500 epochs with 6 columns. Baselines: one Parquet file a row in a folder, and one JSON record a row
read with the standard library; both with fewer rows, per row.
"""

from __future__ import annotations

import datetime
import json
import random
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness import Paired, Row, of_pairs, parser, save

from oneshot.store import records
from oneshot.store.compaction import compact
from oneshot.store.log import Log
from oneshot.store.parquet import point_fields, points_table
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.store.tables import COST, COUNTS, METRICS, PROVENANCE
from oneshot.sweep import families
from oneshot.sweep.settings import COMMON

CLASSES, EPOCHS = 150, 500
CURVES = ("train_loss", "train_kl", "train_nll", "validation_loss", "learning_rate")
AXES = ("beta", "time_steps", "z")


def record(index: int, rng: random.Random, classes: int = CLASSES, epochs: int = EPOCHS) -> Record:
    """A made-up record."""
    head = families.declaration("models", "vae_stn")
    end = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=index)
    row: dict[str, Any] = {
        "point_id": f"{index:016x}",
        "status": "done",
        "model": "vae_stn",
        "seed": 44,
    }
    row |= {n: f.default for n, f in {**COMMON, **head.fields}.items()}
    row |= {
        "beta": index % 17 / 4,
        "time_steps": 20 + 10 * (index // 17 % 8),
        "z": 10 + 25 * (index // 136 % 16),
    }
    row |= {n: rng.random() for n in (*METRICS, *COST)} | {n: rng.randrange(10_000) for n in COUNTS}
    row |= dict.fromkeys(PROVENANCE, "0123456789abcdef") | {
        "family_version": 1,
        "finished_at": end.isoformat(),
        "sweep": "made",
    }
    numbers = {
        n: [10 * rng.random() for _ in range(classes)]
        for n in ("diversity", "recognizability", "originality")
    }
    per_class = {
        "class_name": [f"alphabet/character{i:02d}" for i in range(classes)],
        "drawings": [10] * classes,
        **numbers,
    }
    curves = {
        "epoch": list(range(epochs)),
        **{n: [100 * rng.random() for _ in range(epochs)] for n in CURVES},
    }
    return Record(row, per_class, curves)


def write_records(store: Store, count: int) -> float:
    """Commit `count` records, without waiting for the disk; returns the seconds of encoding and
    writing one.
    """
    rng = random.Random(0)
    folder = Path(store.path("made/records"))
    folder.mkdir(parents=True)
    spent = 0.0
    for i in range(count):
        made = record(i, rng)
        start = time.perf_counter()
        (folder / f"{i:016x}.json").write_bytes(records.encode(made))
        spent += time.perf_counter() - start
    return spent / count


def median_seconds(program: Callable[[], Any], repeats: int) -> float:
    """The median time of a few runs, after one that is not counted."""
    program()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        program()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def fold(store: Store, log: Log) -> float:
    """Seconds of one fold of everything that a log holds."""
    start = time.perf_counter()
    compact(store, "made", list(log.records.values()), AXES, {}, parts=log.parts)
    return time.perf_counter() - start


def fold_rows(store: Store, count: int) -> tuple[list[Row], dict[str, float]]:
    """Fold `count` records: from the files on, as at the start of a command, and again with a few
    more, as during a run.
    """
    encode = write_records(store, count)
    log = Log(store, "made")
    start = time.perf_counter()
    log.update()
    read = time.perf_counter() - start
    first = fold(store, log)
    again = statistics.median(fold(store, log) for _ in range(3))
    start = time.perf_counter()
    log.update()
    look = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    what = f"{count:,} records ({CLASSES} classes, {EPOCHS} epochs)"
    made = [
        Row(
            6,
            f"fold {what} into Parquet",
            f"{first:.2f} s",
            target="at most 2 s",
            met="yes" if first <= 2 else "no",
            note=(
                f"again {again:.2f} s; looking for new records {1000 * look:.0f} ms; peak memory"
                f" {memory:.0f} MB"
            ),
        ),
        Row(
            6,
            "the same from the files on, every record read and checked",
            f"{read + first:.2f} s",
            target="at most 2 s",
            met="yes" if read + first <= 2 else "no",
            note="once, when a command starts",
        ),
    ]
    return made, dict(
        encode_and_write=encode,
        read=read,
        first_fold=first,
        fold_again=again,
        look=look,
        memory_mb=memory,
    )


def read_rows(store: Store, count: int, most: float) -> tuple[Row, float]:
    """The row about reading a points table of `count` rows, and the seconds."""
    import pandas as pd

    rng = random.Random(1)
    compact(
        store, f"read{count}", [record(i, rng, classes=0, epochs=0) for i in range(count)], AXES, {}
    )
    path = store.path(f"read{count}/points.parquet")
    if len(pd.read_parquet(path)) != count:
        raise RuntimeError(f"{path} does not hold {count} rows")
    took = median_seconds(lambda: pd.read_parquet(path), 7)
    met = "yes" if took <= most else "no"
    return (
        Row(
            6,
            f"{count:,} rows into pandas",
            f"{1000 * took:.0f} ms",
            target=f"at most {1000 * most:.0f} ms",
            met=met,
        ),
        took,
    )


def against(store: Store, count: int, each: float, repeats: int) -> list[Row]:
    """Rows against two ways to keep a file a row, per row; `each`: our seconds a row."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(2)
    made = [record(i, rng, classes=0, epochs=0) for i in range(count)]
    parquet, plain = Path(store.path("parquet")), Path(store.path("json"))
    parquet.mkdir()
    plain.mkdir()
    schema = pa.schema(point_fields({r.row["model"] for r in made}, AXES))
    table = points_table(made, schema)
    for i, one in enumerate(made):
        pq.write_table(
            pa.Table.from_batches(table.slice(i, 1).to_batches()), parquet / f"{i:06d}.parquet"
        )
        (plain / f"{i:06d}.json").write_text(json.dumps(one.row))

    def read_json() -> pd.DataFrame:
        return pd.DataFrame([json.loads(p.read_text()) for p in sorted(plain.iterdir())])

    ways: Sequence[tuple[str, Callable[[], Any]]] = [
        ("a folder with one Parquet file a row", lambda: pd.read_parquet(parquet)),
        ("one JSON file a row", read_json),
    ]
    lines = []
    for what, way in ways:
        theirs = median_seconds(way, repeats) / count
        pair: Paired = of_pairs([(each, theirs)])
        line = pair.row(
            6,
            f"a row into pandas against {what}",
            unit="us",
            scale=1e6,
            note=f"baseline with {count:,} rows",
        )
        line.low = line.high = None
        lines.append(line)
    return lines


def main() -> None:
    options = parser(__doc__).parse_args()
    counts = (20, 50, 5) if options.quick else (2176, 100_000, 300)
    warnings.simplefilter("error")
    import pandas  # noqa: F401, RUF100
    import pyarrow.parquet  # noqa: F401, RUF100

    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        lines, more = fold_rows(store, counts[0])
        few, each = read_rows(store, counts[0], 0.05)
        many, _ = read_rows(store, counts[1], 1.0)
        lines = [few, many, *lines, *against(store, counts[2], each / counts[0], 3)]
    save("tables", lines, seconds=more)


if __name__ == "__main__":
    main()
