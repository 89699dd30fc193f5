"""Parts: Parquet files of a thousand records each, so that no record is read again without need.

Of more than KEPT records, compaction makes parts, each written once:

    RESULTS/<sweep>/parts/00007-<table>.parquet  rows of PART records, a file for each detail table
    RESULTS/<sweep>/parts/00007-rows.parquet     their rows of the points table as JSON, with the
                                                 version of each record file; written last

So details of many records need not stay in memory, and a command that starts reads only records
that are in no part or have changed since. Parts may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oneshot.store import records
from oneshot.store.parquet import detail_fields, detail_table, read_table, unpacked, write_table
from oneshot.store.records import FORMAT, NewerFormat, Record
from oneshot.store.store import Store, Unavailable

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = 4096  # records whose details a log keeps in memory; more become parts
PART = 1024  # records of a part
# by how much a sweep of more than two parts grows before its detail tables are written in a run
GROWTH = 0.1
PARTS_FORMAT = 2  # 1: time and size in the place of the version of a record file


class OlderPart(RuntimeError):
    """A part that an older version made; its records are read from their own files."""


class DamagedPart(RuntimeError):
    """A file of a part cannot be read; its records are read again from their own files."""

    def __init__(self, number: int, where: str, error: Exception):
        super().__init__(f"{where} is damaged ({error}); it is made again from the records")
        self.number = number


class Parts:
    """The parts of a sweep. A record is in a part that was made of the same version of its file.

    loaded: whether the parts that earlier runs left were read. columns: names of columns by part
    and table. compacted: the versions of the records in the detail tables, once this process has
    written them.
    """

    def __init__(self, store: Store, sweep: str):
        self.store, self.sweep, self.folder = store, sweep, f"{sweep}/parts"
        self.loaded, self.next = False, 0
        self.columns: dict[int, dict[str, list[str]]] = {}
        self.compacted: dict[str, str] | None = None
        self._counts: dict[int, int] = {}  # records of each part
        self._place: dict[str, tuple[str, int]] = {}  # version and part of each point's record

    def load(self, versions: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """Read the parts that are there; yields point_id and row of each record that is unchanged.

        versions: of the record files that are there, by point_id.
        """
        self.loaded = True
        names = (re.fullmatch(r"([0-9]+)-(\w+)\.parquet", n) for n in self.store.names(self.folder))
        found = sorted((int(name[1]), name[2], name[0]) for name in names if name)
        self.next = max((number + 1 for number, _, _ in found), default=0)
        files = {f"{self.folder}/{name}": number for number, of, name in found if of == "rows"}
        for key, data, _ in self.store.fetch_many(list(files)):
            number = files[key]
            try:
                held, columns = _read_rows(data)
                rows = [json.loads(row) for row in held["row"]]
            except OlderPart:
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                damaged = DamagedPart(number, self.store.path(key), error)
                warnings.warn(str(damaged), stacklevel=2)
                continue
            self.columns[number], self._counts[number] = columns, len(rows)
            for point_id, version, row in zip(held["point_id"], held["version"], rows):
                if versions.get(point_id) == version:
                    self._place[point_id] = version, number
                    yield point_id, row

    def number_of(self, record: Record) -> int | None:
        """The part that has the details of this record; None if none has."""
        version, number = self._place.get(record.row["point_id"], ("", 0))
        return number if version and version == record.version else None

    def add(self, records: Sequence[Record]) -> None:
        """Make parts of the records that are in none, if they are more than a log keeps."""
        waiting = [r for r in records if r.version and self.number_of(r) is None]
        if len(waiting) <= KEPT:
            return
        for i in range(0, len(waiting) - PART + 1, PART):
            self._write([r for r in self.with_details(waiting[i : i + PART]) if r.has_details])

    def _write(self, records: Sequence[Record]) -> None:
        """Write the next part."""
        import pyarrow as pa

        start, columns = f"{self.folder}/{self.next:05d}", {}
        for table, fields in detail_fields(records).items():
            columns[table] = [f.name for f in fields[1:]]
            schema = pa.schema(fields)
            rows = detail_table(table, records, schema)
            write_table(self.store, f"{start}-{table}.parquet", schema, [rows])
        held = {
            "point_id": [r.row["point_id"] for r in records],
            "version": [r.version for r in records],
            "row": [json.dumps(r.row) for r in records],
        }
        note = json.dumps({"format": FORMAT, "parts": PARTS_FORMAT, "columns": columns}).encode()
        index = pa.table(held).replace_schema_metadata({b"oneshot": note})
        write_table(self.store, f"{start}-rows.parquet", index.schema, [index])
        self._place |= {r.row["point_id"]: (r.version, self.next) for r in records}
        self.columns[self.next], self._counts[self.next] = columns, len(records)
        self.next += 1

    def with_details(self, given: Sequence[Record]) -> list[Record]:
        """The records with their details, which are read again where the log has dropped them.

        Where that fails a record stays without; the next start of a command names it.
        """
        keys = {
            records.key(self.sweep, r.row["point_id"]): r.row["point_id"]
            for r in given
            if not r.has_details
        }
        read: dict[str, Record] = {}
        for key, data, _ in self.store.fetch_many(list(keys)):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                if isinstance(data, bytes):
                    read[keys[key]] = unpacked(records.decode(data), self.store.path(key))
        return [
            dataclasses.replace(read[point_id], row=one.row, version=one.version)
            if (point_id := one.row["point_id"]) in read
            else one
            for one in given
        ]

    def read(self, number: int, table: str, schema: pa.Schema, wanted: set[str]) -> pa.Table:
        """The rows that a part has of these points.

        Args:
            number: of the part.
            table: a detail table.
            schema: of the whole table; columns that the part lacks are null.
            wanted: ids of points.

        Returns:
            The rows, in the order of the part.

        Raises:
            DamagedPart: the file cannot be read.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        key = f"{self.folder}/{number:05d}-{table}.parquet"
        try:
            rows = read_table(self.store.read(key))
        except Unavailable:
            raise
        except (OSError, ValueError) as error:
            raise DamagedPart(number, self.store.path(key), error) from None
        if len(wanted) < self._counts[number]:
            rows = rows.filter(pc.is_in(rows["point_id"], pa.array(sorted(wanted), pa.string())))
        columns = [
            rows[f.name] if f.name in rows.column_names else pa.nulls(len(rows), f.type)
            for f in schema
        ]
        return pa.table(columns, schema=schema)

    def drop(self, number: int) -> None:
        """Delete a damaged part; its records wait for another."""
        self.store.delete(f"{self.folder}/{number:05d}-rows.parquet")
        self._place = {i: (version, n) for i, (version, n) in self._place.items() if n != number}

    def is_due(self, records: Sequence[Record]) -> bool:
        """Whether to write the detail tables of these records in the middle of a run.

        They are always for a few thousand points, else once the sweep has grown by GROWTH.
        """
        if self.compacted is None or len(records) <= 2 * PART:
            return True
        same = sum(
            r.version != "" and self.compacted.get(r.row["point_id"]) == r.version for r in records
        )
        return len(records) + len(self.compacted) - 2 * same >= GROWTH * len(records)


def _read_rows(data: bytes | Exception) -> tuple[dict[str, list[Any]], dict[str, list[str]]]:
    """The columns of a part's file of rows, and the names of its columns by detail table.

    Raises OSError, ValueError, KeyError or TypeError if damaged, OlderPart, NewerFormat.
    """
    if isinstance(data, Exception):
        raise data
    found = read_table(data)
    about = json.loads((found.schema.metadata or {})[b"oneshot"])
    if about["format"] > FORMAT or about.get("parts", 1) > PARTS_FORMAT:
        raise NewerFormat(f"parts have format {about['format']}; this version reads 1 .. {FORMAT}")
    if about.get("parts", 1) < PARTS_FORMAT:
        raise OlderPart
    return found.select(["point_id", "version", "row"]).to_pydict(), about["columns"]
