"""The result tables. One commit record a point (JSON, written last) is the log; records are folded into Parquet tables.

    RESULTS/<sweep>/records/<point_id>.json     the record: row, classes, curves, checksum. A point is done when it is here
    RESULTS/<sweep>/points.parquet              one row a point
    RESULTS/<sweep>/classes.parquet             one row a point and test class
    RESULTS/<sweep>/curves.parquet              one row a point and epoch

A record is one JSON object laid out in lines, its row first, so that a status needs the first line only.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oneshot import settings
from oneshot.points import COMMON
from oneshot.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
STATUSES = ("done", "diverged", "failed")
METRICS = (
    "diversity", "diversity_se", "recognizability", "recognizability_se", "originality", "originality_se",
    "human_diversity", "human_recognizability", "human_originality", "human_distance",
)  # fmt: skip
COUNTS = ("drawings", "constant_drawings", "parameters", "epochs_done")
COST = ("train_seconds", "draw_seconds", "score_seconds", "peak_memory_mb")
PROVENANCE = (
    "sweep", "train_id", "sample_id", "simclr_id", "protonet_id", "data_fingerprint", "family_version", "metric_versions", "git_revision",
    "python", "torch", "host", "device", "finished_at", "error_type", "error", "log",
)  # fmt: skip
ARRAYS = ("classes", "curves")


class NewerFormat(RuntimeError):
    """The tables were written by a newer version of this package."""


@dataclasses.dataclass(frozen=True)
class Record:
    """The result of one point. classes and curves map a column to its list of values."""

    row: dict[str, Any]
    classes: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    curves: dict[str, list[Any]] = dataclasses.field(default_factory=dict)


def column_names() -> set[str]:
    """Every column that is not a setting; no setting may have one of these names."""
    return {"point_id", "status", "model", "seed", *METRICS, *COUNTS, *COST, *PROVENANCE}


def key(sweep: str, point_id: str) -> str:
    return f"{sweep}/records/{point_id}.json"


def encode(record: Record) -> bytes:
    """The bytes of a record: floats with 9 significant digits, NaN as null, a checksum of all before it at the end."""
    row = json.dumps({"format": FORMAT, **_plain(record.row)}, ensure_ascii=False)
    body = f'{{"row": {row},\n"classes": {json.dumps(_plain(record.classes))},\n"curves": {json.dumps(_plain(record.curves))},\n'
    return (body + f'"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n').encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


def decode(data: bytes) -> Record:
    """The record in these bytes. Raises ValueError if they are not whole, NewerFormat if a newer version wrote them."""
    body, _, last = data.rstrip(b"\n").rpartition(b"\n")
    if json.loads(b"{" + last).get("sha256") != hashlib.sha256(body + b"\n").hexdigest():
        raise ValueError("checksum wrong")
    parts = json.loads(data)
    version = parts["row"].pop("format")
    if version > FORMAT:
        raise NewerFormat(f"has record format {version}; this version reads 1 .. {FORMAT}")
    return Record(parts["row"], parts["classes"], parts["curves"])


def commit(store: Store, sweep: str, record: Record) -> None:
    """Write the record of a point; the point is done from this moment on. Writing it again replaces it."""
    store.write(key(sweep, record.row["point_id"]), encode(record))


class Log:
    """The records of a sweep, read once each: `update` reads the new and changed ones only."""

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep = store, sweep
        self.records: dict[str, Record] = {}
        self.damaged: list[str] = []
        self._seen: dict[str, float] = {}

    def update(self, point_ids: Iterable[str] | None = None) -> list[Record]:
        """Read what is new, of these points only if given; returns it. A damaged record is named in a warning and counts as absent."""
        new = []
        found = self.store.names(f"{self.sweep}/records", ".json") if point_ids is None else {f"{i}.json": None for i in point_ids}
        for name, time in found.items():
            if time is not None:
                if self._seen.get(name) == time:
                    continue
                self._seen[name] = time
            try:
                record = decode(self.store.read(f"{self.sweep}/records/{name}"))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, OSError) as error:
                where = self.store.path(f"{self.sweep}/records/{name}")
                self.damaged.append(where)
                warnings.warn(f"{where} is damaged ({error}); its point counts as missing and will be computed again", stacklevel=2)
                continue
            self.records[name.removesuffix(".json")] = record
            new.append(record)
        return new


def tables(records: Sequence[Record], axes: Sequence[str], meta: Mapping[str, Any]) -> dict[str, pa.Table]:
    """The three tables with one fixed schema each, settings of all families included; metadata says which columns are the axes."""
    import pyarrow as pa

    note = {b"oneshot": json.dumps({"format": FORMAT, "axes": list(axes), **meta}).encode()}
    schema = pa.schema(point_fields({r.row["model"] for r in records}, axes), metadata=note)
    points = pa.Table.from_pylist([_typed(r.row, schema.names) for r in records], schema=schema)
    built = {"points": points}
    for kind in ARRAYS:
        fields = [("point_id", pa.string()), *_array_fields(kind, records)]
        columns: dict[str, list[Any]] = {name: [] for name, _ in fields}
        for record in records:
            arrays = getattr(record, kind)
            length = len(next(iter(arrays.values()), []))
            columns["point_id"] += [record.row["point_id"]] * length
            for name, _ in fields[1:]:
                columns[name] += arrays.get(name, [None] * length)
        built[kind] = pa.table(columns, schema=pa.schema(fields, metadata=note))
    return built


def _typed(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A row with all columns; the time of its end as a time."""
    full = {n: row.get(n) for n in names}
    if full["finished_at"]:
        full["finished_at"] = datetime.datetime.fromisoformat(full["finished_at"])
    return full


def _array_fields(kind: str, records: Sequence[Record]) -> list[tuple[str, pa.DataType]]:
    import pyarrow as pa

    names = dict.fromkeys(n for r in records for n in getattr(r, kind))
    types = {"class_name": pa.string(), "epoch": pa.int64(), "drawings": pa.int64()}
    return [(n, types.get(n, pa.float64())) for n in names]


def point_fields(models: Iterable[str], axes: Sequence[str]) -> list[pa.Field]:
    """The columns of the points table: identity, axes, seed, metrics, other settings, cost, provenance; types fixed."""
    import pyarrow as pa

    kinds = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str": pa.string()}
    types = {n: kinds[str(f.type)] for n, f in COMMON.items()}
    for model in sorted(models):
        types |= {n: kinds[str(f.type)] for n, f in settings.head("models", model).fields.items()}
    order = [("point_id", pa.string()), ("status", pa.string()), ("model", pa.string())]
    order += [(a, types[a]) for a in axes if a in types] + [("seed", pa.int64())]
    order += [(m, pa.float64()) for m in METRICS]
    order += [(n, t) for n, t in types.items() if n not in axes]
    order += [(n, pa.int64()) for n in COUNTS] + [(n, pa.float64()) for n in COST]
    special = {"finished_at": pa.timestamp("us", tz="UTC"), "family_version": pa.int64()}
    order += [(n, special.get(n, pa.string())) for n in PROVENANCE]
    return [pa.field(n, t) for n, t in order]


def fold(store: Store, sweep: str, records: Sequence[Record], axes: Sequence[str], meta: Mapping[str, Any]) -> None:
    """Write the Parquet tables of these records; a reader always finds whole tables."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, table in tables(records, axes, {"sweep": sweep, **meta}).items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        store.write(f"{sweep}/{name}.parquet", sink.getvalue().to_pybytes())


def check_format(store: Store, sweep: str) -> None:
    """Raise NewerFormat if the points table of this sweep was written by a newer version."""
    path = store.local(f"{sweep}/points.parquet")
    if path is None or not path.exists():
        return
    import pyarrow.parquet as pq

    try:
        meta = pq.read_schema(path).metadata or {}
    except (OSError, ValueError):  # a damaged table is rebuilt from the records
        return
    version = json.loads(meta.get(b"oneshot", b"{}")).get("format", FORMAT)
    if version > FORMAT:
        raise NewerFormat(f"{path.parent} has table format {version}; this version reads 1 .. {FORMAT}")
