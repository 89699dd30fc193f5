"""Records: one file a point, RESULTS/<sweep>/records/<point_id>.json, written last.

A point has its result from the moment on at which its record is there. A record is one JSON object
laid out in lines: the row, which a status needs alone, then the detail tables (`tables.DETAILS`),
then a checksum of all lines before. Columns of numbers are {"float64" or "int64": base64 of
little-endian numbers}, which is quick to read. Tables are made from records (`compaction`).
"""

from __future__ import annotations

import base64
import dataclasses
import errno
import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from oneshot.store.store import Store, Unavailable
from oneshot.store.tables import DETAILS
from oneshot.types import Status

# 1: columns of floats as lists; 2: no details but classes and curves; 3: no generalization
FORMAT = 4
# of writers that replace one record at the same moment; each try that fails is another's success
COMMIT_TRIES = 50
# a record never gives way to one of lower rank
RANK = {Status.FAILED: 0, Status.DIVERGED: 1, Status.DONE: 2}


class NewerFormat(RuntimeError):
    """The records or tables were written by a newer version of this package."""


@dataclasses.dataclass(frozen=True)
class Record:
    """The result of one point: its row, and the columns of its rows in each of the detail tables.

    version: of the file that it was read from, as the store tells it; "" if from none. has_details:
    False where only the row was read, or the details were dropped to save memory.
    """

    row: dict[str, Any]
    classes: dict[str, Any] = dataclasses.field(default_factory=dict)
    curves: dict[str, Any] = dataclasses.field(default_factory=dict)
    generalization: dict[str, Any] = dataclasses.field(default_factory=dict)
    importance: dict[str, Any] = dataclasses.field(default_factory=dict)
    likelihood: dict[str, Any] = dataclasses.field(default_factory=dict)
    class_nelbo: dict[str, Any] = dataclasses.field(default_factory=dict)
    layers: dict[str, Any] = dataclasses.field(default_factory=dict)
    attention: dict[str, Any] = dataclasses.field(default_factory=dict)
    confusion: dict[str, Any] = dataclasses.field(default_factory=dict)
    predicted: dict[str, Any] = dataclasses.field(default_factory=dict)
    modes: dict[str, Any] = dataclasses.field(default_factory=dict)
    version: str = dataclasses.field(default="", compare=False)
    has_details: bool = dataclasses.field(default=True, compare=False)


def key(sweep: str, point_id: str) -> str:
    """The key of the record of a point.

    Args:
        sweep: name of the sweep.
        point_id: id of the point.

    Returns:
        The key in the store.
    """
    return f"{sweep}/records/{point_id}.json"


def encode(record: Record) -> bytes:
    """The bytes of a record: floats of the row with 9 significant digits, NaN as null.

    Text that is no Unicode (lone surrogates) is written with backslashes.

    Raises:
        ValueError: columns of a detail table differ in length.
    """
    for table in DETAILS:
        if wrong := uneven(getattr(record, table)):
            raise ValueError(f"{table}: {wrong}")
    row = json.dumps({"format": FORMAT, **_plain(record.row)}, ensure_ascii=False)
    details = {t: {n: _pack(v) for n, v in getattr(record, t).items()} for t in DETAILS}
    lines = [
        f'"{table}": {json.dumps(columns)},\n'
        for table, columns in details.items()
        if columns or table in ("classes", "curves")
    ]
    body = f'{{"row": {row},\n{"".join(lines)}'
    return (body + f'"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n').encode()


def decode(data: bytes, row_only: bool = False) -> Record:
    """The record in these bytes, which are checked whatever is wanted of them.

    Args:
        data: the bytes of a record.
        row_only: whether to leave out the details, which is much quicker.

    Returns:
        The record; columns of its details are as `encode` packed them.

    Raises:
        ValueError: the bytes are not whole.
        NewerFormat: a newer version wrote them.
    """
    body, _, last = data.rstrip(b"\n").rpartition(b"\n")
    try:
        if json.loads(b"{" + last).get("sha256") != hashlib.sha256(body + b"\n").hexdigest():
            raise ValueError("checksum wrong")
        text = data.partition(b"\n")[0].rstrip(b",") + b"}" if row_only else data
        parts = json.loads(text)
        written_by = parts["row"].pop("format")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no record: {type(error).__name__}") from None
    if written_by > FORMAT:
        raise NewerFormat(f"has record format {written_by}; this version reads 1 .. {FORMAT}")
    details = {table: parts[table] for table in DETAILS if table in parts}
    return Record(parts["row"], **details, has_details=not row_only)


def uneven(columns: Mapping[str, Sequence[Any]]) -> str:
    """A sentence if these columns of one table differ in length; "" if they do not."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) <= 1:
        return ""
    told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
    return f"its columns differ in length: {told}"


def readable(text: str) -> str:
    """Text that can be written as UTF-8: what is no Unicode stands with backslashes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    """A value of a row as JSON can hold it."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, str):
        return readable(value)
    return value.item() if hasattr(value, "item") else value  # a NumPy scalar


def _pack(column: Sequence[Any]) -> Any:
    """A column of a detail table as it stands in a record."""
    if all(type(value) is int for value in column):
        return {"int64": base64.b64encode(struct.pack(f"<{len(column)}q", *column)).decode()}
    if not all(value is None or isinstance(value, float) for value in column):
        return _plain(column)
    numbers = [math.nan if value is None or not math.isfinite(value) else value for value in column]
    return {"float64": base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()}


def commit(store: Store, sweep: str, record: Record, replaces: str = "") -> bool:
    """Write the record of a point, unless one as good is there.

    `done` takes the place of `diverged`, and both of `failed`; `failed` takes that of nothing but
    damaged bytes, or of the record that this run itself read as failed. So a worker that was given
    up and writes late loses and changes no result. Nothing is written over without a look: a file
    is created, or swapped for the version that was looked at.

    Args:
        store: where the results are.
        sweep: whose record.
        record: its row has `point_id` and `status`.
        replaces: the version of the record that this run read as failed and tried again.

    Returns:
        Whether the record is this one now; False if another, which stays, is there.

    Raises:
        Unavailable: the store does not answer.
        ValueError: the record cannot be written (see `encode`).
    """
    place, data, status = key(sweep, record.row["point_id"]), encode(record), record.row["status"]
    for _ in range(COMMIT_TRIES):
        if store.create(place, data):
            return True
        try:
            stored, version = store.fetch(place)
        except FileNotFoundError:
            continue
        if version != replaces and RANK[status] <= _rank(stored):
            return False
        if store.swap(place, data, version):
            return True
    raise Unavailable.during(
        "write", errno.EBUSY, "others write it all the time", store.path(place)
    )


def _rank(data: bytes) -> int:
    """How final a record is; -1 for bytes that are none; one of a newer version counts as done."""
    try:
        return RANK.get(decode(data, row_only=True).row["status"], -1)
    except NewerFormat:
        return RANK[Status.DONE]
    except (ValueError, KeyError, TypeError):
        return -1


def is_done(store: Store, sweep: str, point_id: str) -> bool:
    """Whether there is a whole record of this point with status `done`.

    Args:
        store: where the results are.
        sweep: name of the sweep.
        point_id: id of the point.

    Returns:
        Whether it is done.

    Raises:
        Unavailable: the store does not answer.
    """
    return status(store, sweep, point_id) == Status.DONE


def status(store: Store, sweep: str, point_id: str) -> Status | None:
    """The status in the record of this point.

    Args:
        store: where the results are.
        sweep: name of the sweep.
        point_id: id of the point.

    Returns:
        The status; None where there is no whole record.

    Raises:
        Unavailable: the record cannot be read.
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
