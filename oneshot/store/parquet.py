"""Parquet files of the tables: their columns, rows of records as Arrow tables, writing and reading.

No column is left to be guessed from values: types are those of `tables`, so that all files of a
table have one schema.
"""

from __future__ import annotations

import base64
import datetime
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oneshot.store.records import Record, uneven
from oneshot.store.row_check import later_settings
from oneshot.store.store import Store
from oneshot.store.tables import (
    CLASS_LIKELIHOODS,
    COST,
    COUNTS,
    DETAILS,
    DINO,
    FEW_SHOT,
    IMPORTANCE,
    LIKELIHOODS,
    METRICS,
    MODES,
    PANEL,
    PROVENANCE,
    REMOVED,
    TABLES,
    column_type,
)
from oneshot.sweep import families, own_metrics
from oneshot.sweep.settings import COMMON, SELDOM
from oneshot.types import Kind

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ALWAYS = ("classes", "curves")  # tables that there are even without a row


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type of a column of type int, float, bool, str or time."""
    import pyarrow as pa

    return {
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "str": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
    }[name]


def point_fields(
    models: Iterable[str],
    axes: Sequence[str],
    seldom: bool = False,
    metrics: Sequence[str] = (),
) -> list[pa.Field]:
    """The columns of the points table, in order.

    Args:
        models: families that the table has rows of; the settings of all are columns.
        axes: settings that vary, which come first.
        seldom: whether a row needs the columns of SELDOM.
        metrics: the columns of metrics of the user's that rows have.

    Returns:
        Identity, axes, seed, metrics, other settings, cost and provenance.
    """
    import pyarrow as pa

    heads = [families.declaration("models", model) for model in sorted(models)]
    fixed = {column.name: column.type for column in TABLES["points"].columns}
    left_out = () if seldom else SELDOM
    own = {name: str(f.type) for name, f in COMMON.items() if name not in left_out}
    for head in heads:
        own |= {name: str(f.type) for name, f in head.fields.items()}
    names = [
        "point_id",
        "status",
        "model",
        *(a for a in axes if a in own),
        "seed",
        *METRICS,
        *PANEL,
        *DINO,
    ]
    if any("likelihood" in head.fields for head in heads):
        names += LIKELIHOODS
    if any("class_likelihood" in head.fields for head in heads):
        names += CLASS_LIKELIHOODS
    if any("importance_seeds" in head.fields for head in heads):
        names += IMPORTANCE
    if any(Kind.GREYS in families.kinds(head.name) for head in heads):
        names += REMOVED
    if any(Kind.POINTS in families.kinds(head.name) for head in heads):
        names += [name for name in MODES if name not in names]
    if any("generated_per_class" in head.fields for head in heads):
        names += FEW_SHOT
    names += metrics
    names += [name for name in own if name not in axes]
    names += [*COUNTS, *COST, *PROVENANCE]
    types = own | fixed | dict.fromkeys(metrics, "float")
    return [pa.field(name, arrow_type(types[name])) for name in dict.fromkeys(names)]


def points_table(records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """The rows of these records under one another.

    Args:
        records: in the order of the table.
        schema: of the points table.

    Returns:
        The table; a value that a row lacks is null, or the default of a setting that its family got
        later.
    """
    import pyarrow as pa

    later = {model: later_settings(model) for model in {r.row["model"] for r in records}}
    rows = [{**later[r.row["model"]], **r.row} for r in records]
    columns = {f.name: [row.get(f.name) for row in rows] for f in schema}
    for name in own_metrics.columns().keys() & columns.keys():  # nothing else has checked these
        columns[name] = [v if type(v) in (int, float) else None for v in columns[name]]
    if "finished_at" in columns:
        columns["finished_at"] = [
            datetime.datetime.fromisoformat(t) if t else None for t in columns["finished_at"]
        ]
    return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def detail_fields(
    records: Sequence[Record],
    others: Sequence[Mapping[str, Sequence[str]]] = (),
    always: Sequence[str] = (),
) -> dict[str, list[pa.Field]]:
    """The columns of each detail table that has any, or is always there.

    Args:
        records: whose columns.
        others: more names of columns by table, which come first.
        always: tables that there are without a column.

    Returns:
        By table, its columns with point_id first.
    """
    import pyarrow as pa

    fields = {}
    for table in DETAILS:
        names = dict.fromkeys(n for columns in others for n in columns.get(table, ()))
        names |= dict.fromkeys(n for r in records for n in getattr(r, table))
        if names or table in always:
            types = {name: arrow_type(column_type(table, name)) for name in ("point_id", *names)}
            fields[table] = [pa.field(name, of) for name, of in types.items()]
    return fields


def detail_table(name: str, records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """The rows of these records in a detail table, under one another.

    Args:
        name: of the table.
        records: in the order of the table.
        schema: of the table.

    Returns:
        The table; a column that a record lacks is null there.
    """
    import numpy as np
    import pyarrow as pa

    found = [(r.row["point_id"], columns) for r in records if (columns := getattr(r, name))]
    lengths = [len(next(iter(columns.values()))) for _, columns in found]
    point_ids = pa.array([point_id for point_id, _ in found], pa.string())
    columns = [point_ids.take(pa.array(np.repeat(np.arange(len(found)), lengths)))]
    for field in list(schema)[1:]:
        parts = [
            _unpack(name, field.name, of[field.name])
            if field.name in of
            else pa.nulls(length, field.type)
            for (_, of), length in zip(found, lengths)
        ]
        columns.append(_joined(parts, field.type))
    return pa.table(columns, schema=schema)


def unpacked(record: Record, where: str) -> Record:
    """The record with columns of details as NumPy or Arrow arrays, 8 bytes a number.

    Details that can be no table (columns of different lengths, a text among numbers) are left out
    with a warning.

    Args:
        record: as it was decoded.
        where: its file, for the warning.

    Returns:
        A record of the same row.
    """
    details: dict[str, Any] = {}
    for table in DETAILS:
        try:
            details[table] = {n: _unpack(table, n, v) for n, v in getattr(record, table).items()}
            if wrong := uneven(details[table]):
                raise ValueError(wrong)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = str(error).splitlines()[0]
            warnings.warn(f"{where}: no {table} of it in the table: {what}", stacklevel=2)
            details[table] = {}
    return Record(record.row, **details)


def _unpack(table: str, name: str, values: Any) -> np.ndarray | pa.Array:
    """A column of details as an array, from a list or as a record packs it; NaN for no number."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, Mapping):
        ((form, text),) = values.items()
        return np.frombuffer(base64.b64decode(text), {"float64": "<f8", "int64": "<i8"}[form])
    if isinstance(values, (np.ndarray, pa.Array)):
        return values
    return pa.array(values, arrow_type(column_type(table, name)))


def _joined(parts: Sequence[np.ndarray | pa.Array], of: pa.DataType) -> pa.Array:
    """Columns under one another, null for NaN."""
    import numpy as np
    import pyarrow as pa

    if parts and all(isinstance(part, np.ndarray) for part in parts):
        return pa.array(np.concatenate(parts), of, from_pandas=True)
    arrays = [pa.array(part, of, from_pandas=True) for part in parts]
    return pa.chunked_array(arrays, of).combine_chunks()


def write_table(store: Store, key: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write a Parquet file, whole or not at all; one row group at a time is in memory.

    Args:
        store: where.
        key: of the file.
        schema: of all tables.
        tables: each becomes a row group.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # nearly all floats differ: a dictionary of them is lost time
    floats = [f.name for f in schema if f.type == pa.float64()]
    others = [f.name for f in schema if f.name not in (*floats, "row")]
    how: dict[str, Any] = dict(
        compression="snappy",
        use_dictionary=others,
        use_byte_stream_split=floats,
        write_page_checksum=True,
    )
    with store.replacing(key) as file, pq.ParquetWriter(file, schema, **how) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(len(table), 1))


def read_table(data: bytes) -> pa.Table:
    """The table in the bytes of a Parquet file, whose checksums are compared.

    Raises:
        OSError, ValueError: the bytes are not whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()
