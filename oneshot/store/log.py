"""The log of a sweep: all its records, each read once, and again when its file has changed."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oneshot.store import parts, records
from oneshot.store.parquet import unpacked
from oneshot.store.records import Record
from oneshot.store.row_check import ForeignFamily, OddRecord, check_row
from oneshot.store.store import Store


class Log:
    """The records of a sweep by point_id: `update` reads those that are new or have changed.

    Records that are in a part cost no read of their own. The details of the last `parts.KEPT`
    records stay in memory. Every row is checked: an odd value is left out of it with a warning, an
    odd record is passed over with one.

    damaged: paths of the records that count as missing. foreign: how many records there are of each
    family that this version lacks.

    Args:
        store: where the results are.
        sweep: name of the sweep.
        rows_only: whether to read no details at all, as for a status.
    """

    def __init__(self, store: Store, sweep: str, rows_only: bool = False):
        self.store, self.sweep, self.rows_only = store, sweep, rows_only
        self.records: dict[str, Record] = {}
        self.damaged: list[str] = []
        self.foreign: Counter[str] = Counter()
        self.parts = parts.Parts(store, sweep)
        self._versions: dict[str, str] = {}  # of the files that were read, by point_id
        self._detailed: deque[str] = deque()  # points whose details are in memory, oldest first

    def update(self, point_ids: Iterable[str] | None = None) -> list[Record]:
        """Read records that are new or have changed.

        On an object store that costs a listing a thousand records, and a request for each record
        that is read; with point_ids only the latter.

        Args:
            point_ids: the points to look at; None for all.

        Returns:
            What was read. A damaged record counts as absent and is named in a warning.
        """
        new = []
        if point_ids is not None:
            versions = self._versions_of(point_ids)
        else:
            versions = self._listed()
            if not self.parts.loaded:
                new = self._read_parts(versions)
        changed = [i for i, version in versions.items() if self._versions.get(i) != version]
        return new + self._read_files(changed)

    def version(self, point_id: str) -> str:
        """The version of this point's record as it was read; "" where none was."""
        record = self.records.get(point_id)
        return record.version if record else ""

    def _listed(self) -> dict[str, str]:
        """The versions of all record files, by point_id."""
        found = self.store.versions(f"{self.sweep}/records", ".json")
        return {name.removesuffix(".json"): version for name, version in found.items()}

    def _versions_of(self, point_ids: Iterable[str]) -> dict[str, str]:
        """The versions of these record files, as far as they are there.

        On an object store a version costs as much as the record, so all count as changed there.
        """
        if self.store.local(self.sweep) is None:
            return dict.fromkeys(point_ids, "")
        found = {i: self.store.version(records.key(self.sweep, i)) for i in point_ids}
        return {i: version for i, version in found.items() if version is not None}

    def _read_parts(self, versions: Mapping[str, str]) -> list[Record]:
        """The records that parts hold in these versions."""
        new = []
        for point_id, row in self.parts.load(versions):
            version = versions[point_id]
            if self._versions.get(point_id) == version:
                continue  # read from its own file before
            self._versions[point_id] = version
            checked = self._checked(point_id, row)
            if checked is not None:
                record = Record(checked, version=version, has_details=False)
                new.append(self._add(point_id, record))
        return new

    def _read_files(self, point_ids: Sequence[str]) -> list[Record]:
        """Read these record files; details only of as many as are kept in memory."""
        keys = {records.key(self.sweep, i): i for i in point_ids}
        new = []
        for i, (key, data, version) in enumerate(self.store.fetch_many(list(keys))):
            point_id = keys[key]
            if version and self._versions.get(point_id) == version:
                continue  # its version was not known before
            details = not self.rows_only and i < parts.KEPT
            record = self._decoded(point_id, data, version, details)
            if record is not None:
                new.append(self._add(point_id, record))
        return new

    def _decoded(
        self, point_id: str, data: bytes | OSError, version: str, details: bool
    ) -> Record | None:
        """The record in the bytes of its file; None if it is gone, or, with a warning, damaged."""
        if isinstance(data, OSError):
            self._versions.pop(point_id, None)  # the next update tries again
            if not isinstance(data, FileNotFoundError):
                self._count_as_damaged(point_id, f"is damaged ({data})")
            return None
        self._versions[point_id] = version
        try:
            record = records.decode(data, row_only=not details)
        except (ValueError, KeyError, TypeError) as error:
            self._count_as_damaged(point_id, f"is damaged ({error})")
            return None
        row = self._checked(point_id, record.row)
        if row is None:
            return None
        if details:
            record = unpacked(record, self._path(point_id))
        return dataclasses.replace(record, row=row, version=version)

    def _checked(self, point_id: str, row: Any) -> dict[str, Any] | None:
        """The row with what fits its columns; None, with a warning, if it cannot be the point's."""
        where = self._path(point_id)
        try:
            checked, problems = check_row(row, point_id)
        except ForeignFamily as error:
            self.foreign[error.family] += 1
            if self.foreign[error.family] == 1:
                passed = "records of it are passed over and stay"
                warnings.warn(f"{where}: {error}; {passed}", stacklevel=2)
            return None
        except OddRecord as error:
            if isinstance(row, dict) and row.get("point_id") != point_id:
                warnings.warn(f"{where} is passed over: {error}", stacklevel=2)
            else:
                self._count_as_damaged(point_id, f"is odd ({error})")
            return None
        if problems:
            warnings.warn(f"{where}: {'; '.join(problems)}: left empty", stacklevel=2)
        return checked

    def _count_as_damaged(self, point_id: str, what: str) -> None:
        """Warn, and take the record for missing even if it was whole when it was read before."""
        where = self._path(point_id)
        self.damaged.append(where)
        self.records.pop(point_id, None)
        again = "its point counts as missing and will be computed again"
        warnings.warn(f"{where} {what}; {again}", stacklevel=2)

    def _add(self, point_id: str, record: Record) -> Record:
        """Keep a record; the one that was added `parts.KEPT` records before loses its details."""
        record = dataclasses.replace(record, row=_interned(record.row))
        self.records[point_id], self._versions[point_id] = record, record.version
        if record.has_details:
            self._detailed.append(point_id)
        if len(self._detailed) > parts.KEPT:
            oldest = self._detailed.popleft()
            if old := self.records.get(oldest):  # else it was damaged since
                self.records[oldest] = Record(old.row, version=old.version, has_details=False)
        return record

    def _path(self, point_id: str) -> str:
        return self.store.path(records.key(self.sweep, point_id))


def _interned(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with texts that many rows share (columns, settings, provenance) in memory once."""
    return {sys.intern(k): sys.intern(v) if type(v) is str else v for k, v in row.items()}
