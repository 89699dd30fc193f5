"""Compaction: the Parquet tables of a sweep are written from its records.

RESULTS/<sweep>/points.parquet    one row a point
RESULTS/<sweep>/<table>.parquet   the detail tables (see `tables`), of those that have a row
"""

from __future__ import annotations

import itertools
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from oneshot.store.parquet import (
    ALWAYS,
    detail_fields,
    detail_table,
    point_fields,
    points_table,
    write_table,
)
from oneshot.store.parts import DamagedPart, Parts
from oneshot.store.records import FORMAT, NewerFormat, Record
from oneshot.store.store import Store, Unavailable
from oneshot.sweep import own_metrics
from oneshot.sweep.settings import COMMON, SELDOM, default_of

USUAL = {name: default_of(COMMON[name]) for name in SELDOM}  # needs no column
ROW_GROUP = 256  # records whose details become one row group: what compaction holds in memory


def compact(
    store: Store,
    sweep: str,
    records: Sequence[Record],
    axes: Sequence[str],
    meta: Mapping[str, Any],
    whole: bool = True,
    parts: Parts | None = None,
) -> None:
    """Write the tables of these records; a reader always finds whole tables.

    Args:
        store: where the results are.
        sweep: name of the sweep.
        records: in the order of the points table; in detail tables, those in parts come first.
        axes: settings that vary.
        meta: what else the tables say of the sweep.
        whole: whether detail tables must be written too; in the middle of a run they may stay as
            they are until the sweep has grown, but for the first time in a process.
        parts: those of the log of the records; None where the records are of no log.
    """
    import pyarrow as pa

    about = {"format": FORMAT, "axes": list(axes), "sweep": sweep, **meta}
    seldom = any(any(r.row.get(n) not in (None, v) for n, v in USUAL.items()) for r in records)
    own = [name for name in own_metrics.columns() if any(name in r.row for r in records)]
    about |= {"metrics": own} if own else {}
    note = {b"oneshot": json.dumps(about).encode()}
    fields = point_fields({r.row["model"] for r in records}, axes, seldom, own)
    schema = pa.schema(fields, metadata=note)
    rows = points_table(records, schema)
    write_table(store, f"{sweep}/points.parquet", schema, [rows])
    if parts is None:
        parts = Parts(store, sweep)
    else:
        parts.add(records)
    if not whole and not parts.is_due(records):
        return
    while True:
        try:
            _write_details(store, sweep, records, parts, note)
            break
        except DamagedPart as error:
            warnings.warn(str(error), stacklevel=2)
            parts.drop(error.number)
    parts.compacted = {r.row["point_id"]: r.version for r in records if r.version}


def _write_details(
    store: Store, sweep: str, records: Sequence[Record], parts: Parts, note: dict[bytes, bytes]
) -> None:
    """Write each detail table: parts first, then records that are in none. Raises DamagedPart."""
    import pyarrow as pa

    in_parts: dict[int, set[str]] = {}
    loose = []
    for record in records:
        number = parts.number_of(record)
        if number is None:
            loose.append(record)
        else:
            in_parts.setdefault(number, set()).add(record.row["point_id"])
    loose = parts.with_details(loose)
    numbers = sorted(in_parts)
    tables = detail_fields(loose, [parts.columns[n] for n in numbers], ALWAYS)
    for table, fields in tables.items():
        schema = pa.schema(fields, metadata=note)
        old = (
            parts.read(n, table, schema, in_parts[n]) for n in numbers if table in parts.columns[n]
        )
        new = (
            detail_table(table, loose[i : i + ROW_GROUP], schema)
            for i in range(0, len(loose), ROW_GROUP)
        )
        write_table(store, f"{sweep}/{table}.parquet", schema, itertools.chain(old, new))


def check_format(store: Store, sweep: str) -> None:
    """See that the points table of a sweep was not written by a newer version.

    What the table says of itself stands as plain text in the end of the file, so that no library
    needs to be loaded for it.

    Args:
        store: where the results are.
        sweep: name of the sweep.

    Raises:
        NewerFormat: it was.
    """

    def footer(file: Any) -> bytes:
        end = file.seek(0, 2)
        file.seek(max(end - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(end - 8 - length, 0))
        return bytes(file.read(length))

    try:
        text = store.read_with(f"{sweep}/points.parquet", footer)
    except Unavailable:
        raise
    except (OSError, ValueError):
        return  # no table yet; or a damaged one, which is written again
    said = re.search(rb'\{"format": ([0-9]{1,9})\b', text)
    if said and int(said[1]) > FORMAT:
        version = int(said[1])
        raise NewerFormat(
            f"{store.path(sweep)} has table format {version}; this version reads 1 .. {FORMAT}"
        )
