"""The result tables. One commit record a point (JSON, written last) is the log; records are folded into Parquet tables.

    RESULTS/<sweep>/records/<point_id>.json     the record: row, arrays, checksum. A point is done when it is here
    RESULTS/<sweep>/points.parquet              one row a point
    RESULTS/<sweep>/classes.parquet             one row a point and test class
    RESULTS/<sweep>/curves.parquet              one row a point and epoch
    RESULTS/<sweep>/generalization.parquet      one row a point and bin of originality

of families that say what their drawings rest on, where it was asked for:

    RESULTS/<sweep>/importance.parquet          one row a point and test class

and of families with a likelihood of sets, where a sweep has any:

    RESULTS/<sweep>/likelihood.parquet          one row a point, data set and size of the test sets
    RESULTS/<sweep>/layers.parquet              one row a point and level of the context (c) or of the images' latents (z)
    RESULTS/<sweep>/attention.parquet           one row a point, test set, level, head and member of the set
    RESULTS/<sweep>/confusion.parquet           one row a point, scorer, digit and predicted digit

A record is one JSON object laid out in lines, its row first, so that a status needs the first line only. Columns of numbers in its
arrays are {"float64" or "int64": base64 of little-endian numbers}, as a driver that starts reads thousands of records.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import json
import math
import struct
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oneshot import settings
from oneshot.points import COMMON
from oneshot.store import Store

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FORMAT = 4  # 1: columns of floats as lists; 2: no arrays but classes and curves; 3: no generalization
STATUSES = ("done", "diverged", "failed")
METRICS = (
    "diversity", "diversity_se", "recognizability", "recognizability_se", "originality", "originality_se",
    "human_diversity", "human_recognizability", "human_originality", "human_distance", "generalization_area", "generalization_coverage",
)  # fmt: skip
LIKELIHOODS = (
    "nelbo", "nll", "reconstruction", "kl_c", "kl_z", "mnist_nelbo", "classified_kl", "classified_elbo", "classified_reconstruction",
)  # fmt: skip
IMPORTANCE = ("importance_sparsity",)
COUNTS = ("drawings", "constant_drawings", "parameters", "epochs_done")
COST = ("train_seconds", "draw_seconds", "score_seconds", "peak_memory_mb")
PROVENANCE = (
    "sweep", "train_id", "sample_id", "simclr_id", "protonet_id", "data_fingerprint", "family_version", "metric_versions", "git_revision",
    "python", "torch", "host", "device", "trained_as", "finished_at", "error_type", "error", "log",
)  # fmt: skip
ARRAYS = ("classes", "curves", "generalization", "importance", "likelihood", "layers", "attention", "confusion")
TEXTS = {"class_name", "dataset", "latent", "scorer"}
WHOLE = {"epoch", "bin", "drawings", "set_size", "sets", "level", "set", "head", "member", "digit", "predicted", "count"}
FOLDED_AT_ONCE = 256  # records whose arrays become one row group: what a fold holds in memory


class NewerFormat(RuntimeError):
    """The tables were written by a newer version of this package."""


@dataclasses.dataclass(frozen=True)
class Record:
    """The result of one point. Each of ARRAYS maps a column to its values: lists, or arrays as a Log keeps them."""

    row: dict[str, Any]
    classes: dict[str, Any] = dataclasses.field(default_factory=dict)
    curves: dict[str, Any] = dataclasses.field(default_factory=dict)
    generalization: dict[str, Any] = dataclasses.field(default_factory=dict)
    importance: dict[str, Any] = dataclasses.field(default_factory=dict)
    likelihood: dict[str, Any] = dataclasses.field(default_factory=dict)
    layers: dict[str, Any] = dataclasses.field(default_factory=dict)
    attention: dict[str, Any] = dataclasses.field(default_factory=dict)
    confusion: dict[str, Any] = dataclasses.field(default_factory=dict)


def column_names() -> set[str]:
    """Every column that is not a setting; no setting may have one of these names."""
    return {"point_id", "status", "model", "seed", *METRICS, *LIKELIHOODS, *IMPORTANCE, *COUNTS, *COST, *PROVENANCE}


def key(sweep: str, point_id: str) -> str:
    return f"{sweep}/records/{point_id}.json"


def encode(record: Record) -> bytes:
    """The bytes of a record: floats of the row with 9 significant digits, NaN as null, a checksum of all before it at the end."""
    row = json.dumps({"format": FORMAT, **_plain(record.row)}, ensure_ascii=False)
    arrays = {kind: {n: _packed(v) for n, v in getattr(record, kind).items()} for kind in ARRAYS}
    lines = [f'"{kind}": {json.dumps(columns)},\n' for kind, columns in arrays.items() if columns or kind in ("classes", "curves")]
    body = f'{{"row": {row},\n{"".join(lines)}'
    return (body + f'"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n').encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


def _packed(column: Sequence[Any]) -> Any:
    """A column as it stands in a record."""
    if all(type(value) is int for value in column):
        return {"int64": base64.b64encode(struct.pack(f"<{len(column)}q", *column)).decode()}
    if not all(value is None or isinstance(value, float) for value in column):
        return _plain(column)
    numbers = [math.nan if value is None or not math.isfinite(value) else value for value in column]
    return {"float64": base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()}


def decode(data: bytes, row_only: bool = False) -> Record:
    """The record in these bytes; its row alone is quick, and the bytes are checked all the same.

    Raises ValueError if they are not whole, NewerFormat if a newer version wrote them.
    """
    body, _, last = data.rstrip(b"\n").rpartition(b"\n")
    if json.loads(b"{" + last).get("sha256") != hashlib.sha256(body + b"\n").hexdigest():
        raise ValueError("checksum wrong")
    parts = json.loads(data.partition(b"\n")[0].rstrip(b",") + b"}") if row_only else json.loads(data)
    version = parts["row"].pop("format")
    if version > FORMAT:
        raise NewerFormat(f"has record format {version}; this version reads 1 .. {FORMAT}")
    return Record(**{k: v for k, v in parts.items() if k != "sha256"})


def commit(store: Store, sweep: str, record: Record) -> None:
    """Write the record of a point; the point is done from this moment on. Writing it again replaces it."""
    store.write(key(sweep, record.row["point_id"]), encode(record))


def is_done(store: Store, sweep: str, point_id: str) -> bool:
    """Whether there is a whole record of this point with status `done`."""
    try:
        return bool(decode(store.read(key(sweep, point_id)), row_only=True).row["status"] == "done")
    except (OSError, ValueError, KeyError, TypeError):
        return False


class Log:
    """The records of a sweep, read once each: `update` reads the new and changed ones only.

    Arrays are kept as such, so that a fold only joins them; with rows_only they are not kept at all.
    """

    def __init__(self, store: Store, sweep: str, rows_only: bool = False):
        self.store, self.sweep, self.rows_only = store, sweep, rows_only
        self.records: dict[str, Record] = {}
        self.damaged: list[str] = []
        self._seen: dict[str, float] = {}

    def update(self, point_ids: Iterable[str] | None = None) -> list[Record]:
        """Read what is new, of these points only if given; returns it. A damaged record is named in a warning and counts as absent."""
        folder = f"{self.sweep}/records"
        if point_ids is None:
            found = self.store.names(folder, ".json")
        else:
            found = {f"{i}.json": t for i in point_ids if (t := self.store.time(f"{folder}/{i}.json")) is not None}
        new = []
        for name, time in found.items():
            if self._seen.get(name) == time:
                continue
            self._seen[name] = time
            try:
                record = decode(self.store.read(f"{folder}/{name}"), self.rows_only)
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError, OSError) as error:
                where = self.store.path(f"{folder}/{name}")
                self.damaged.append(where)
                warnings.warn(f"{where} is damaged ({error}); its point counts as missing and will be computed again", stacklevel=2)
                continue
            self.records[name.removesuffix(".json")] = record = _compact(record)
            new.append(record)
        return new


def _compact(record: Record) -> Record:
    """The record with its columns as NumPy arrays of numbers or Arrow arrays, 8 bytes a number."""
    return Record(record.row, **{kind: {n: _column(kind, n, v) for n, v in getattr(record, kind).items()} for kind in ARRAYS})


def _column(kind: str, name: str, values: Any) -> np.ndarray | pa.Array:
    """A column as a fold takes it, from a list or from what `_packed` made of one; NaN where there is no number."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, Mapping):
        ((form, text),) = values.items()
        return np.frombuffer(base64.b64decode(text), {"float64": "<f8", "int64": "<i8"}[form])
    return values if isinstance(values, (np.ndarray, pa.Array)) else pa.array(values, _array_type(kind, name))


def _joined(parts: Sequence[np.ndarray | pa.Array], kind: pa.DataType) -> pa.Array:
    """Columns under one another, null for NaN."""
    import numpy as np
    import pyarrow as pa

    if parts and all(isinstance(part, np.ndarray) for part in parts):
        return pa.array(np.concatenate(parts), kind, from_pandas=True)
    return pa.chunked_array([pa.array(part, kind, from_pandas=True) for part in parts], kind).combine_chunks()


def _array_type(kind: str, name: str) -> pa.DataType:
    """The type of a column of an array; null where a record has no number."""
    import pyarrow as pa

    if name in TEXTS or (kind, name) == ("attention", "level"):
        return pa.string()
    return pa.int64() if name in WHOLE else pa.float64()


def schemas(records: Sequence[Record], axes: Sequence[str], meta: Mapping[str, Any]) -> dict[str, pa.Schema]:
    """One fixed schema for each table that there is, settings of all families included; metadata says which columns are the axes."""
    import pyarrow as pa

    note = {b"oneshot": json.dumps({"format": FORMAT, "axes": list(axes), **meta}).encode()}
    fields = {"points": point_fields({r.row["model"] for r in records}, axes)}
    for kind in ARRAYS:
        names = dict.fromkeys(n for r in records for n in getattr(r, kind))
        if names or kind in ("classes", "curves"):
            fields[kind] = [pa.field("point_id", pa.string()), *(pa.field(n, _array_type(kind, n)) for n in names)]
    return {name: pa.schema(f, metadata=note) for name, f in fields.items()}


def table(kind: str, records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """One of the tables, of these records."""
    import pyarrow as pa

    if kind in ARRAYS:
        return _array_table(kind, records, schema)
    return pa.table([pa.array([_cell(r.row, f.name) for r in records], f.type) for f in schema], schema=schema)


def _cell(row: Mapping[str, Any], name: str) -> Any:
    """A value of the points table; the time of its end as a time."""
    value = row.get(name)
    return datetime.datetime.fromisoformat(value) if name == "finished_at" and value else value


def _array_table(kind: str, records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """One kind of array of these records under one another; a column that a record lacks is null there."""
    import numpy as np
    import pyarrow as pa

    found = [(r.row["point_id"], a) for r in records if (a := getattr(r, kind))]
    lengths = [len(next(iter(a.values()))) for _, a in found]
    columns = [pa.array([i for i, _ in found], pa.string()).take(pa.array(np.repeat(np.arange(len(found)), lengths)))]
    for field in list(schema)[1:]:
        parts = [
            _column(kind, field.name, a[field.name]) if field.name in a else pa.nulls(n, field.type) for (_, a), n in zip(found, lengths)
        ]
        columns.append(_joined(parts, field.type))
    return pa.table(columns, schema=schema)


def point_fields(models: Iterable[str], axes: Sequence[str]) -> list[pa.Field]:
    """The columns of the points table: identity, axes, seed, metrics, other settings, cost, provenance; types fixed."""
    import pyarrow as pa

    models = sorted(models)
    kinds = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str": pa.string()}
    types = {n: kinds[str(f.type)] for n, f in COMMON.items()}
    for model in models:
        types |= {n: kinds[str(f.type)] for n, f in settings.head("models", model).fields.items()}
    order = [("point_id", pa.string()), ("status", pa.string()), ("model", pa.string())]
    order += [(a, types[a]) for a in axes if a in types] + [("seed", pa.int64())]
    order += [(m, pa.float64()) for m in METRICS]
    if any("likelihood" in settings.head("models", model).fields for model in models):
        order += [(m, pa.float64()) for m in LIKELIHOODS]
    if any("importance_seeds" in settings.head("models", model).fields for model in models):
        order += [(m, pa.float64()) for m in IMPORTANCE]
    order += [(n, t) for n, t in types.items() if n not in axes]
    order += [(n, pa.int64()) for n in COUNTS] + [(n, pa.float64()) for n in COST]
    special = {"finished_at": pa.timestamp("us", tz="UTC"), "family_version": pa.int64()}
    order += [(n, special.get(n, pa.string())) for n in PROVENANCE]
    return [pa.field(n, t) for n, t in order]


def fold(store: Store, sweep: str, records: Sequence[Record], axes: Sequence[str], meta: Mapping[str, Any]) -> None:
    """Write the Parquet tables of these records; a reader always finds whole tables."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, schema in schemas(records, axes, {"sweep": sweep, **meta}).items():
        floats = [f.name for f in schema if f.type == pa.float64()]  # nearly all differ: a dictionary of them is lost time
        others = [n for n in schema.names if n not in floats]
        size = len(records) if name == "points" else FOLDED_AT_ONCE
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, schema, compression="snappy", use_dictionary=others, use_byte_stream_split=floats) as writer:
            for i in range(0, len(records), max(size, 1)):
                writer.write_table(table(name, records[i : i + size], schema))
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
