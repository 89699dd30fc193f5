"""Checks of a row that was read from a record, before it goes into the table of points.

A record may come from another version, another machine or an editor. `check_row` keeps the values
that fit their columns, so that one odd value costs that value alone, never the table.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

from oneshot.store.tables import TABLES
from oneshot.sweep import families
from oneshot.sweep.settings import COMMON, default_of
from oneshot.types import Status

STATUSES = (Status.DONE, Status.DIVERGED, Status.FAILED)  # that a record may have
# Identity that rows have since a later version, with what it was before.
LATER_COLUMNS = {"classifier_id": ""}
INT64 = 2**63  # integers of a table are below it


class OddRecord(ValueError):
    """A whole record that cannot be a row: no such family or status, or another point's row."""


class ForeignFamily(OddRecord):
    """A record of a family that this version lacks; it stays, and is in no table."""

    def __init__(self, family: str):
        super().__init__(f"there is no family {family!r} here")
        self.family = family


@families.kept
def column_types(model: str) -> dict[str, str]:
    """The type of every column of a row of this family: int, float, bool, str or time.

    Raises:
        SettingError: there is no such family.
    """
    found = {
        n: str(f.type)
        for n, f in {**COMMON, **families.declaration("models", model).fields}.items()
    }
    return found | {column.name: column.type for column in TABLES["points"].columns}


@families.kept
def later_settings(model: str) -> dict[str, Any]:
    """The settings that a family got after its ids were published, and LATER_COLUMNS: defaults.

    Rows that were made before lack them, and mean the defaults.

    Raises:
        SettingError: there is no such family.
    """
    fields = {**COMMON, **families.declaration("models", model).fields}
    return LATER_COLUMNS | {
        n: default_of(f) for n, f in fields.items() if f.metadata["omit_default"]
    }


def check_row(row: Any, point_id: str) -> tuple[dict[str, Any], list[str]]:
    """Check a row against the columns of its family: each value is of its column's type, or None.

    Args:
        row: what stands in a record.
        point_id: the point whose record it is, by the name of its file.

    Returns:
        The row, and a sentence for each value that was left out.

    Raises:
        OddRecord: the row is that of another point, or has no known status.
        ForeignFamily: its family is not in this version.
    """
    if not isinstance(row, dict):
        raise OddRecord("it holds no row")
    if row.get("point_id") != point_id:
        raise OddRecord(
            f"it is the record of point {str(row.get('point_id'))[:40]}, as copies under another"
            " name are"
        )
    if row.get("status") not in STATUSES:
        raise OddRecord(f"status {row.get('status')!r} is none of {', '.join(STATUSES)}")
    model = row.get("model")
    if not isinstance(model, str) or not families.is_known(model):
        raise ForeignFamily(str(model))
    types, problems = column_types(model), []
    checked = dict(later_settings(model))
    for name, value in row.items():
        if value is None and name in checked:
            continue
        wanted = types.get(name)
        if wanted is None or value is None or type(value) is _EXACT.get(wanted):  # nearly all
            checked[name] = value
            continue
        checked[name], fits = _converted(value, wanted)
        if not fits:
            problems.append(f"{name} = {str(value)[:40]!r} is no {_WORDS[wanted]}")
    return checked, problems


_EXACT = {"float": float, "str": str, "bool": bool}
_WORDS = {
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "str": "text",
    "time": "time",
}


def _converted(value: Any, wanted: str) -> tuple[Any, bool]:
    """The value as this type and True; None and False where it is not of it."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted == "int" and number:
        whole = isinstance(value, int) or (math.isfinite(value) and value == int(value))
        return (int(value), True) if whole and -INT64 <= value < INT64 else (None, False)
    if wanted == "float" and number:
        try:
            return float(value), True
        except OverflowError:
            return None, False
    if wanted == "bool" and isinstance(value, bool):
        return value, True
    if wanted == "str" and isinstance(value, str):
        return value, True
    if wanted == "time" and isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value)
            (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
        except (ValueError, OverflowError):
            return None, False
        if 1 < moment.year < 9999:
            return value, True
    return None, False
