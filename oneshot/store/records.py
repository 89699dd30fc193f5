"""The result tables. One commit record a point (JSON, written last) is the log; records are folded
into Parquet tables.

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

A record is one JSON object laid out in lines, its row first, so that a status needs the first line
only. Columns of numbers in its arrays are {"float64" or "int64": base64 of little-endian numbers},
as a driver that starts reads thousands of records.

Of more than KEPT records, a fold makes parts, each written once:

    RESULTS/<sweep>/parts/00007-<kind>.parquet  the arrays of PART records, one file for each of the
    kinds above
    RESULTS/<sweep>/parts/00007-rows.parquet    their rows, with the version of each record file; written last

so that arrays need not stay in memory and no record is read again that has not changed. Parts may
be deleted at any time.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import errno
import hashlib
import itertools
import json
import math
import re
import struct
import sys
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from oneshot.store.columns import (
    ARRAYS,
    COST,
    COUNTS,
    IMPORTANCE,
    LIKELIHOODS,
    METRICS,
    PROVENANCE,
    TEXTS,
    WHOLE,
    ForeignFamily,
    OddRecord,
    check_row,
    uneven,
)
from oneshot.store.store import Store, Unavailable
from oneshot.sweep import settings
from oneshot.sweep.expansion import COMMON
from oneshot.types import Status

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# 1: columns of floats as lists; 2: no arrays but classes and curves; 3: no generalization
FORMAT = 4
FOLDED_AT_ONCE = 256  # records whose arrays become one row group: what a fold holds in memory
KEPT = 4096  # records whose arrays a log keeps in memory; more become parts
PART = 1024  # records of a part
# by how much a sweep of more than two parts grows before a fold during a run writes its arrays anew
GROWTH = 0.1
READERS = 16  # reads side by side from an object store

PARTS_FORMAT = 2  # 1: time and size in the place of the version of a record file
# of writers that replace one record at the same moment; each try that fails is another's success
COMMIT_TRIES = 50
RANK = {
    Status.FAILED: 0,
    Status.DIVERGED: 1,
    Status.DONE: 2,
}  # a record never gives way to one of lower rank


class NewerFormat(RuntimeError):
    """The tables were written by a newer version of this package."""


@dataclasses.dataclass
class Source:
    """The file that a Log read a record from.

    version: of the file, as the store tells it. kept: whether the record still has its arrays; else
    they are in a part or in the file.
    """

    parts: Parts
    version: str
    kept: bool = True


@dataclasses.dataclass(frozen=True)
class Record:
    """The result of one point. Each of ARRAYS maps a column to its values: lists, or arrays as a
    Log keeps them for a while.
    """

    row: dict[str, Any]
    classes: dict[str, Any] = dataclasses.field(default_factory=dict)
    curves: dict[str, Any] = dataclasses.field(default_factory=dict)
    generalization: dict[str, Any] = dataclasses.field(default_factory=dict)
    importance: dict[str, Any] = dataclasses.field(default_factory=dict)
    likelihood: dict[str, Any] = dataclasses.field(default_factory=dict)
    layers: dict[str, Any] = dataclasses.field(default_factory=dict)
    attention: dict[str, Any] = dataclasses.field(default_factory=dict)
    confusion: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: Source | None = dataclasses.field(default=None, compare=False, repr=False)


def column_names() -> set[str]:
    """Every column that is not a setting; no setting may have one of these names."""
    return {
        "point_id",
        "status",
        "model",
        "seed",
        *METRICS,
        *LIKELIHOODS,
        *IMPORTANCE,
        *COUNTS,
        *COST,
        *PROVENANCE,
    }


def key(sweep: str, point_id: str) -> str:
    return f"{sweep}/records/{point_id}.json"


def encode(record: Record) -> bytes:
    """The bytes of a record: floats of the row with 9 significant digits, NaN as null, a checksum
    of all before it at the end.

    Text that is no Unicode (lone surrogates) is written with backslashes. Raises ValueError if
    columns of an array differ in length.
    """
    for kind in ARRAYS:
        if wrong := uneven(getattr(record, kind)):
            raise ValueError(f"{kind}: {wrong}")
    row = json.dumps({"format": FORMAT, **_plain(record.row)}, ensure_ascii=False)
    arrays = {kind: {n: _packed(v) for n, v in getattr(record, kind).items()} for kind in ARRAYS}
    lines = [
        f'"{kind}": {json.dumps(columns)},\n'
        for kind, columns in arrays.items()
        if columns or kind in ("classes", "curves")
    ]
    body = f'{{"row": {row},\n{"".join(lines)}'
    return (body + f'"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n').encode()


def readable(text: str) -> str:
    """Text that can be written as UTF-8; what is no Unicode stands with backslashes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, str):
        return readable(value)
    return value.item() if hasattr(value, "item") else value  # a NumPy scalar


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
    try:
        if json.loads(b"{" + last).get("sha256") != hashlib.sha256(body + b"\n").hexdigest():
            raise ValueError("checksum wrong")
        parts = (
            json.loads(data.partition(b"\n")[0].rstrip(b",") + b"}")
            if row_only
            else json.loads(data)
        )
        version = parts["row"].pop("format")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no record: {type(error).__name__}") from None
    if version > FORMAT:
        raise NewerFormat(f"has record format {version}; this version reads 1 .. {FORMAT}")
    known = {f.name for f in dataclasses.fields(Record)} - {"source"}
    return Record(**{k: v for k, v in parts.items() if k in known})


def commit(store: Store, sweep: str, record: Record, replaces: str = "") -> bool:
    """Write the record of a point, unless one as good is there; the point has its result from this
    moment on.

    `done` takes the place of `diverged`, and both of `failed`; `failed` takes that of nothing but
    damaged bytes or the record that this run itself read as failed. So whatever a worker that was
    given up writes late, no result is lost or changed. Nothing is ever written over without
    looking: a file is created, or swapped for the version that was looked at.

    Args:
        store: where.
        sweep: whose record.
        record: its row has `point_id` and `status`.
        replaces: the version of the record that this run read as failed and tried again.

    Returns:
        Whether the record is this one now; False if another, which stays, is there.

    Raises:
        Unavailable: the store does not answer; ValueError: the record cannot be written (see
            `encode`).
    """
    place, data, status = key(sweep, record.row["point_id"]), encode(record), record.row["status"]
    for _ in range(COMMIT_TRIES):
        if store.create(place, data):
            return True
        try:
            there, version = store.fetch(place)
        except FileNotFoundError:
            continue
        if not (version == replaces or RANK[status] > _rank(there)):
            return False
        if store.swap(place, data, version):
            return True
    raise Unavailable.during(
        "write", errno.EBUSY, "others write it all the time", store.path(place)
    )


def _rank(data: bytes) -> int:
    """How final the record in these bytes is; -1 for bytes that are none. One of a newer version
    counts as done.
    """
    try:
        return RANK.get(decode(data, row_only=True).row["status"], -1)
    except NewerFormat:
        return RANK[Status.DONE]
    except (ValueError, KeyError, TypeError):
        return -1


def is_done(store: Store, sweep: str, point_id: str) -> bool:
    """Whether there is a whole record of this point with status `done`. Raises Unavailable where
    the store does not answer.
    """
    return status(store, sweep, point_id) == Status.DONE


def status(store: Store, sweep: str, point_id: str) -> Status | None:
    """The status in the record of this point; None where there is none, or it is not whole.

    Raises Unavailable where that cannot be known.
    """
    place = key(sweep, point_id)
    try:
        data = store.read(place)
    except FileNotFoundError:
        return None
    except Unavailable:
        raise
    except OSError as error:
        raise Unavailable.during(
            "read", error.errno or errno.EIO, error.strerror or str(error), store.path(place)
        ) from None
    rank = _rank(data)
    return next((name for name, at in RANK.items() if at == rank), None)


class Log:
    """The records of a sweep, read once each: `update` reads the new and changed ones only, and of
    those in parts no file at all.

    The arrays of the last KEPT records read are kept as such, so that a fold only joins them; with
    rows_only none are. Every row is checked (`columns.check_row`): an odd value is left out of it
    with a warning, an odd record is passed over with one.

    damaged: the records that count as missing, by path. foreign: how many there are of each family
    that this version lacks.
    """

    def __init__(self, store: Store, sweep: str, rows_only: bool = False):
        self.store, self.sweep, self.rows_only = store, sweep, rows_only
        self.records: dict[str, Record] = {}
        self.damaged: list[str] = []
        self.foreign: Counter[str] = Counter()
        self.parts = Parts(store, sweep)
        self._seen: dict[str, str] = {}  # the version of each file that was read
        self._kept: deque[str] = deque()

    def update(self, point_ids: Iterable[str] | None = None) -> list[Record]:
        """Read what is new, of these points only if given; returns it. A damaged record is named in
        a warning and counts as absent.

        Requests on an object store: one listing a thousand records, and one for each record read;
        with point_ids only the latter.
        """
        listed, folder = point_ids is None, f"{self.sweep}/records"
        found = (
            self._versions_of(point_ids)
            if point_ids is not None
            else self.store.versions(folder, ".json")
        )
        new = []
        if listed and not self.parts.loaded:
            for point_id, row in self.parts.load(found):
                name = f"{point_id}.json"
                if (
                    self._seen.get(name) != found[name]
                    and (checked := self._checked(name, row)) is not None
                ):
                    new.append(
                        self._keep(
                            point_id, Record(checked), Source(self.parts, found[name], kept=False)
                        )
                    )
        changed = [name for name, version in found.items() if self._seen.get(name) != version]
        for i, (name, data, version) in enumerate(_contents(self.store, folder, changed)):
            if version and self._seen.get(name) == version:
                continue
            self._seen[name] = version
            whole = not self.rows_only and i < KEPT
            if record := self._decoded(name, data, whole):
                new.append(
                    self._keep(
                        name.removesuffix(".json"), record, Source(self.parts, version, whole)
                    )
                )
        return new

    def version(self, point_id: str) -> str:
        """The version of this point's record as it was read; "" where none was."""
        record = self.records.get(point_id)
        return record.source.version if record and record.source else ""

    def _versions_of(self, point_ids: Iterable[str]) -> dict[str, str]:
        """The record files of these points; on an object store all of them, as asking costs as much
        as reading.
        """
        names = [f"{i}.json" for i in point_ids]
        if self.store.local(self.sweep) is None:
            return dict.fromkeys(names, "")
        versions = ((name, self.store.version(f"{self.sweep}/records/{name}")) for name in names)
        return {name: version for name, version in versions if version is not None}

    def _decoded(self, name: str, data: bytes | Exception, whole: bool) -> Record | None:
        """The record in the bytes of its file; None, with a warning, if it is damaged or odd."""
        try:
            if isinstance(data, Exception):
                raise data
            record = decode(data, row_only=not whole)
        except FileNotFoundError:
            self._seen.pop(name, None)
            return None
        except (ValueError, KeyError, TypeError, OSError) as error:
            # not its bytes, but the way to them: the next look tries again
            if isinstance(error, OSError):
                self._seen.pop(name, None)
            self._damaged(name, f"is damaged ({error})")
            return None
        row = self._checked(name, record.row)
        if row is None:
            return None
        record = dataclasses.replace(record, row=row)
        return (
            _compact(record, self.store.path(f"{self.sweep}/records/{name}")) if whole else record
        )

    def _damaged(self, name: str, what: str) -> None:
        where = self.store.path(f"{self.sweep}/records/{name}")
        self.damaged.append(where)
        # it may have been whole when it was read before
        self.records.pop(name.removesuffix(".json"), None)
        warnings.warn(
            f"{where} {what}; its point counts as missing and will be computed again", stacklevel=5
        )

    def _checked(self, name: str, row: Any) -> dict[str, Any] | None:
        """The row with what fits its columns; None, with a warning, if it can be no row of this
        point.
        """
        where = self.store.path(f"{self.sweep}/records/{name}")
        try:
            checked, problems = check_row(row, name.removesuffix(".json"))
        except ForeignFamily as error:
            self._seen.setdefault(name, "")
            self.foreign[error.family] += 1
            if self.foreign[error.family] == 1:
                warnings.warn(
                    f"{where}: {error}; records of it are passed over and stay", stacklevel=4
                )
            return None
        except OddRecord as error:
            if isinstance(row, dict) and row.get("point_id") != name.removesuffix(".json"):
                warnings.warn(f"{where} is passed over: {error}", stacklevel=4)
            else:
                self._damaged(name, f"is odd ({error})")
            return None
        if problems:
            warnings.warn(f"{where}: {'; '.join(problems)}: left empty", stacklevel=4)
        return checked

    def _keep(self, point_id: str, record: Record, source: Source) -> Record:
        """Take a record in; that which was read KEPT records earlier loses its arrays."""
        record = dataclasses.replace(record, row=_slim(record.row), source=source)
        self.records[point_id] = record
        self._seen[f"{point_id}.json"] = source.version
        if source.kept:
            self._kept.append(point_id)
        if len(self._kept) > KEPT:
            first = self._kept.popleft()
            old = self.records[first]
            if old.source is not None:
                self.records[first] = Record(
                    old.row, source=dataclasses.replace(old.source, kept=False)
                )
        return record


def _slim(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with texts that many rows share (columns, settings, provenance) in memory once."""
    return {sys.intern(k): sys.intern(v) if type(v) is str else v for k, v in row.items()}


def _contents(
    store: Store, folder: str, names: Sequence[str]
) -> Iterator[tuple[str, bytes | Exception, str]]:
    """The bytes of these files and their versions, or what went wrong; several at a time from an
    object store, where each waits
    for the network.

    Raises Unavailable where the store, and not a file, is in trouble.
    """

    def read(name: str) -> tuple[str, bytes | Exception, str]:
        try:
            return (name, *store.fetch(f"{folder}/{name}"))
        except Unavailable:
            raise
        except OSError as error:
            return name, error, ""

    if store.local(folder) is not None or len(names) < 2:
        yield from map(read, names)
        return
    with ThreadPoolExecutor(min(READERS, len(names))) as pool:
        for i in range(0, len(names), FOLDED_AT_ONCE):  # no more in memory than these
            yield from pool.map(read, names[i : i + FOLDED_AT_ONCE])


class OlderPart(RuntimeError):
    """A part that an older version made; its records are read from their own files."""


class DamagedPart(RuntimeError):
    """A part table cannot be read; its records are read again."""

    def __init__(self, number: int, where: str, error: Exception):
        super().__init__(f"{where} is damaged ({error}); it is made again from the records")
        self.number = number


class Parts:
    """The part tables of a sweep. A record is in a part if its file had the same version when the
    part was made.

    loaded: whether the parts that earlier runs left were read. folded: the versions of the records
    in the tables of arrays, once this process has written them.
    """

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep, self.folder = store, sweep, f"{sweep}/parts"
        self.loaded, self.next = False, 0
        self.columns: dict[int, dict[str, list[str]]] = {}  # of each part, the columns of each kind
        self.counts: dict[int, int] = {}
        self.folded: dict[str, str] | None = None
        self._where: dict[str, tuple[str, int]] = {}

    def load(self, found: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Read the parts that are there; point_id and row of each record whose file is as it
        was.
        """
        self.loaded = True
        names = sorted(self.store.names(self.folder, ".parquet"))
        self.next = max(
            (int(n.partition("-")[0]) + 1 for n in names if n.partition("-")[0].isdecimal()),
            default=0,
        )
        rows_names = [
            n for n in names if n.endswith("-rows.parquet") and n.partition("-")[0].isdecimal()
        ]
        for name, data, _ in _contents(self.store, self.folder, rows_names):
            number = int(name.partition("-")[0])
            try:
                held, columns = _read_rows(data)
                rows = [json.loads(row) for row in held["row"]]
            except OlderPart:
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                warnings.warn(
                    str(DamagedPart(number, self.store.path(f"{self.folder}/{name}"), error)),
                    stacklevel=4,
                )
                continue
            self.columns[number], self.counts[number] = columns, len(rows)
            for point_id, version, row in zip(held["point_id"], held["version"], rows):
                if found.get(f"{point_id}.json") == version:
                    self._where[point_id] = version, number
                    yield point_id, row

    def part(self, record: Record) -> int | None:
        """The number of the part that has the arrays of this record."""
        version, number = self._where.get(record.row["point_id"], (None, 0))
        ours = (
            record.source is not None
            and record.source.parts is self
            and version == record.source.version
        )
        return number if ours else None

    def write(self, waiting: Sequence[Record]) -> None:
        """Make parts of the records that are in none, if they are more than a log keeps in
        memory.
        """
        waiting = [
            r for r in waiting if r.source and r.source.parts is self and self.part(r) is None
        ]
        if len(waiting) > KEPT:
            for i in range(0, len(waiting) - PART + 1, PART):
                self._write(
                    [
                        r
                        for r in self.filled(waiting[i : i + PART])
                        if r.source is not None and r.source.kept
                    ]
                )

    def _write(self, records: Sequence[Record]) -> None:
        import pyarrow as pa

        start, columns = f"{self.folder}/{self.next:05d}", {}
        for kind, fields in _array_fields(records).items():
            columns[kind] = [f.name for f in fields[1:]]
            _write_table(
                self.store,
                f"{start}-{kind}.parquet",
                pa.schema(fields),
                [_array_table(kind, records, pa.schema(fields))],
            )
        versions = [r.source.version for r in records if r.source is not None]
        held = {
            "point_id": [r.row["point_id"] for r in records],
            "version": versions,
            "row": [json.dumps(r.row) for r in records],
        }
        note = json.dumps({"format": FORMAT, "parts": PARTS_FORMAT, "columns": columns}).encode()
        made = pa.table(held).replace_schema_metadata({b"oneshot": note})
        _write_table(self.store, f"{start}-rows.parquet", made.schema, [made])
        self._where |= {i: (version, self.next) for i, version in zip(held["point_id"], versions)}
        self.columns[self.next], self.counts[self.next] = columns, len(records)
        self.next += 1

    def filled(self, records: Sequence[Record]) -> list[Record]:
        """The records with their arrays, read again where the log gave them up; without arrays, and
        not `kept`, if that fails.
        """
        names = [
            f"{r.row['point_id']}.json"
            for r in records
            if r.source is not None and not r.source.kept
        ]
        read: dict[str, Record] = {}
        for name, data, _ in _contents(self.store, f"{self.sweep}/records", names):
            # the next start of a command names it
            with contextlib.suppress(ValueError, KeyError, TypeError):
                if not isinstance(data, Exception):
                    read[name] = _compact(
                        decode(data), self.store.path(f"{self.sweep}/records/{name}")
                    )
        out = []
        for one in records:
            again = read.get(f"{one.row['point_id']}.json")
            if again is not None and one.source is not None:
                one = dataclasses.replace(
                    again, row=one.row, source=dataclasses.replace(one.source, kept=True)
                )
            out.append(one)
        return out

    def read(self, number: int, kind: str, schema: pa.Schema, wanted: set[str]) -> pa.Table:
        """The rows of one part that belong to these points, with the columns of the whole table.
        Raises DamagedPart.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        key = f"{self.folder}/{number:05d}-{kind}.parquet"
        try:
            found = _read_table(self.store.read(key))
        except Unavailable:
            raise
        except (OSError, ValueError) as error:
            raise DamagedPart(number, self.store.path(key), error) from None
        if len(wanted) < self.counts[number]:
            found = found.filter(pc.is_in(found["point_id"], pa.array(sorted(wanted), pa.string())))
        columns = [
            found[f.name] if f.name in found.column_names else pa.nulls(len(found), f.type)
            for f in schema
        ]
        return pa.table(columns, schema=schema)

    def forget(self, number: int) -> None:
        """Delete a damaged part; its records wait for another."""
        self.store.delete(f"{self.folder}/{number:05d}-rows.parquet")
        self._where = {i: (version, n) for i, (version, n) in self._where.items() if n != number}

    def due(self, records: Sequence[Record]) -> bool:
        """Whether to write the tables of arrays in the middle of a run: always for a few thousand
        points, else after growth.
        """
        if self.folded is None or len(records) <= 2 * PART:
            return True
        same = sum(
            r.source is not None and self.folded.get(r.row["point_id"]) == r.source.version
            for r in records
        )
        return len(records) + len(self.folded) - 2 * same >= GROWTH * len(records)


def _read_rows(data: bytes | Exception) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """The columns of a part's rows, and the columns of its arrays by kind.

    Raises OSError, ValueError, KeyError or TypeError if damaged, OlderPart, NewerFormat.
    """
    if isinstance(data, Exception):
        raise data
    found = _read_table(data)
    meta = json.loads((found.schema.metadata or {})[b"oneshot"])
    if meta["format"] > FORMAT or meta.get("parts", 1) > PARTS_FORMAT:
        raise NewerFormat(f"parts have format {meta['format']}; this version reads 1 .. {FORMAT}")
    if meta.get("parts", 1) < PARTS_FORMAT:
        raise OlderPart
    return found.select(["point_id", "version", "row"]).to_pydict(), meta["columns"]


def _read_table(data: bytes) -> pa.Table:
    """A Parquet file, its checksums compared."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()


def _compact(record: Record, where: str) -> Record:
    """The record with its columns as NumPy arrays of numbers or Arrow arrays, 8 bytes a number.

    An array that cannot be a table's (columns of different lengths, a text among numbers) is left
    out with a warning.
    """
    arrays: dict[str, Any] = {}
    for kind in ARRAYS:
        try:
            arrays[kind] = {n: _column(kind, n, v) for n, v in getattr(record, kind).items()}
            if wrong := uneven(arrays[kind]):
                raise ValueError(wrong)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.warn(
                f"{where}: no {kind} of it in the table: {str(error).splitlines()[0]}", stacklevel=6
            )
            arrays[kind] = {}
    return Record(record.row, **arrays)


def _column(kind: str, name: str, values: Any) -> np.ndarray | pa.Array:
    """A column as a fold takes it, from a list or from what `_packed` made of one; NaN where there
    is no number.
    """
    import numpy as np
    import pyarrow as pa

    if isinstance(values, Mapping):
        ((form, text),) = values.items()
        return np.frombuffer(base64.b64decode(text), {"float64": "<f8", "int64": "<i8"}[form])
    return (
        values
        if isinstance(values, (np.ndarray, pa.Array))
        else pa.array(values, _array_type(kind, name))
    )


def _joined(parts: Sequence[np.ndarray | pa.Array], kind: pa.DataType) -> pa.Array:
    """Columns under one another, null for NaN."""
    import numpy as np
    import pyarrow as pa

    if parts and all(isinstance(part, np.ndarray) for part in parts):
        return pa.array(np.concatenate(parts), kind, from_pandas=True)
    return pa.chunked_array(
        [pa.array(part, kind, from_pandas=True) for part in parts], kind
    ).combine_chunks()


def _array_type(kind: str, name: str) -> pa.DataType:
    """The type of a column of an array; null where a record has no number."""
    import pyarrow as pa

    if name in TEXTS or (kind, name) == ("attention", "level"):
        return pa.string()
    return pa.int64() if name in WHOLE else pa.float64()


def schemas(
    records: Sequence[Record], axes: Sequence[str], meta: Mapping[str, Any]
) -> dict[str, pa.Schema]:
    """One fixed schema for each table that there is, settings of all families included; metadata
    says which columns are the axes.
    """
    import pyarrow as pa

    note = {b"oneshot": json.dumps({"format": FORMAT, "axes": list(axes), **meta}).encode()}
    fields = {
        "points": point_fields({r.row["model"] for r in records}, axes),
        **_array_fields(records, always=("classes", "curves")),
    }
    return {name: pa.schema(f, metadata=note) for name, f in fields.items()}


def _array_fields(
    records: Sequence[Record],
    others: Iterable[Mapping[str, Sequence[str]]] = (),
    always: Sequence[str] = (),
) -> dict[str, list[pa.Field]]:
    """The columns of the tables of arrays, first those of the others: of each kind that has any, or
    is always there.
    """
    import pyarrow as pa

    others, fields = list(others), {}
    for kind in ARRAYS:
        names = dict.fromkeys(n for columns in others for n in columns.get(kind, ()))
        names |= dict.fromkeys(n for r in records for n in getattr(r, kind))
        if names or kind in always:
            fields[kind] = [
                pa.field("point_id", pa.string()),
                *(pa.field(n, _array_type(kind, n)) for n in names),
            ]
    return fields


def table(kind: str, records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """One of the tables, of these records."""
    import pyarrow as pa

    if kind in ARRAYS:
        return _array_table(kind, records, schema)
    columns = {f.name: [r.row.get(f.name) for r in records] for f in schema}
    if "finished_at" in columns:
        columns["finished_at"] = [
            datetime.datetime.fromisoformat(t) if t else None for t in columns["finished_at"]
        ]
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def _array_table(kind: str, records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """One kind of array of these records under one another; a column that a record lacks is null
    there.
    """
    import numpy as np
    import pyarrow as pa

    found = [(r.row["point_id"], a) for r in records if (a := getattr(r, kind))]
    lengths = [len(next(iter(a.values()))) for _, a in found]
    columns = [
        pa.array([i for i, _ in found], pa.string()).take(
            pa.array(np.repeat(np.arange(len(found)), lengths))
        )
    ]
    for field in list(schema)[1:]:
        parts = [
            _column(kind, field.name, a[field.name]) if field.name in a else pa.nulls(n, field.type)
            for (_, a), n in zip(found, lengths)
        ]
        columns.append(_joined(parts, field.type))
    return pa.table(columns, schema=schema)


def point_fields(models: Iterable[str], axes: Sequence[str]) -> list[pa.Field]:
    """The columns of the points table: identity, axes, seed, metrics, other settings, cost,
    provenance; types fixed.
    """
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


def fold(
    store: Store,
    sweep: str,
    records: Sequence[Record],
    axes: Sequence[str],
    meta: Mapping[str, Any],
    whole: bool = True,
) -> None:
    """Write the Parquet tables of these records; a reader always finds whole tables.

    With whole=False, as in the middle of a run, the tables of arrays may stay as they are until the
    sweep has grown by GROWTH; the first fold of a process writes them all the same. Points come in
    the order given; in tables of arrays, those of parts come first.
    """
    import pyarrow as pa

    note = {
        b"oneshot": (
            json.dumps({"format": FORMAT, "axes": list(axes), "sweep": sweep, **meta}).encode()
        )
    }
    fields = point_fields({r.row["model"] for r in records}, axes)
    points = pa.schema(fields, metadata=note)
    _write_table(store, f"{sweep}/points.parquet", points, [table("points", records, points)])
    parts = next((r.source.parts for r in records if r.source is not None), None)
    if parts is None or (parts.store.root, parts.sweep) != (store.root, sweep):
        # of no record: arrays are in memory, or read from where they are
        parts = Parts(store, sweep)
    parts.write(records)
    if not whole and not parts.due(records):
        return
    while True:
        try:
            _write_arrays(store, sweep, records, parts, note)
            break
        except DamagedPart as error:
            warnings.warn(str(error), stacklevel=2)
            parts.forget(error.number)
    parts.folded = {r.row["point_id"]: r.source.version for r in records if r.source is not None}


def _write_arrays(
    store: Store, sweep: str, records: Sequence[Record], parts: Parts, note: dict[bytes, bytes]
) -> None:
    """Write the table of each kind of array: parts first, then what is in none. Raises
    DamagedPart.
    """
    import pyarrow as pa

    held: dict[int, set[str]] = {}
    loose = []
    for one in records:
        number = parts.part(one)
        if number is None:
            loose.append(one)
        else:
            held.setdefault(number, set()).add(one.row["point_id"])
    loose = [r for i in range(0, len(loose), KEPT) for r in _filled(loose[i : i + KEPT])]
    numbers = sorted(held)
    kinds = _array_fields(loose, [parts.columns[n] for n in numbers], always=("classes", "curves"))
    for kind, fields in kinds.items():
        schema = pa.schema(fields, metadata=note)
        old = (parts.read(n, kind, schema, held[n]) for n in numbers if kind in parts.columns[n])
        new = (
            _array_table(kind, loose[i : i + FOLDED_AT_ONCE], schema)
            for i in range(0, len(loose), FOLDED_AT_ONCE)
        )
        _write_table(store, f"{sweep}/{kind}.parquet", schema, itertools.chain(old, new))


def _filled(records: Sequence[Record]) -> list[Record]:
    """The records with their arrays, each from where it was read."""
    first = next((r.source.parts for r in records if r.source is not None), None)
    return list(records) if first is None else first.filled(records)


def _write_table(store: Store, key: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write a Parquet file, a row group a table, whole or not at all; no more than one row group is
    in memory.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # nearly all differ: a dictionary of them is lost time
    floats = [f.name for f in schema if f.type == pa.float64()]
    others = [f.name for f in schema if f.name not in (*floats, "row")]
    how: dict[str, Any] = dict(
        compression="snappy",
        use_dictionary=others,
        use_byte_stream_split=floats,
        write_page_checksum=True,
    )
    with store.replacing(key) as file, pq.ParquetWriter(file, schema, **how) as writer:
        for one in tables:
            writer.write_table(one, row_group_size=max(len(one), 1))


def check_format(store: Store, sweep: str) -> None:
    """Raise NewerFormat if the points table of this sweep was written by a newer version.

    What the table says of itself stands as plain text in the end of the file, so that no library
    needs to be loaded for it.
    """

    def footer(file: Any) -> bytes:
        end = file.seek(0, 2)
        file.seek(max(end - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(end - 8 - length, 0))
        return bytes(file.read(length))

    try:
        said = re.search(
            rb'\{"format": ([0-9]{1,9})\b', store.read_with(f"{sweep}/points.parquet", footer)
        )
    except Unavailable:
        raise
    except (OSError, ValueError):
        # no table yet; or a damaged one, which is rebuilt from the records
        return
    if said and int(said[1]) > FORMAT:
        version = int(said[1])
        raise NewerFormat(
            f"{store.path(sweep)} has table format {version}; this version reads 1 .. {FORMAT}"
        )
