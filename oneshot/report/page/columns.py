"""The columns of the points as a page carries them, each with its group and its definition."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from oneshot.report.columns import EXTRA_METRICS, METRICS
from oneshot.report.results import Results
from oneshot.report.table import exact_types
from oneshot.store.tables import COST, COUNTS, PROVENANCE, TABLES, column_names

Encoded = dict[str, Any]
FEW = 0.5  # share of different values above which a list of levels would be longer than the values
DEFINITIONS = {column.name: column.text for column in TABLES["points"].columns}


def encoded_columns(results: Results) -> list[Encoded]:
    """Every column of the points that holds something.

    Args:
        results: The results.

    Returns:
        One dict a column: its `name`, `group` (axis, identity, metric, setting, cost, count or
        provenance), `type` (int, float, bool, str or time), `text` (its definition; empty of a
        setting), whether it is one of the `schema`, and its values: `const` where all are equal,
        `levels` and `codes` where few differ, else `values`.
    """
    frame = exact_types(results, results.points)
    names = [name for name in frame if frame[name].notna().any()]
    names += [name for name in ("diversity", "recognizability", "human_distance") if name in frame]
    schema = column_names()
    return [
        {
            "name": str(name),
            "group": _group(results, str(name)),
            "text": DEFINITIONS.get(str(name), ""),
            "schema": name in schema,
            **_values(frame[name]),
        }
        for name in dict.fromkeys(names)
    ]


def empty_columns(results: Results) -> list[Encoded]:
    """The columns of the points that hold nothing: their names, and whether of the schema."""
    schema, points = column_names(), results.points
    empty = [name for name in points if not points[name].notna().any()]
    return [{"name": str(name), "schema": name in schema} for name in empty]


def _group(results: Results, name: str) -> str:
    """What kind of column this is."""
    if name in results.axes:
        return "axis"
    if name in ("point_id", "status", "model", "seed"):
        return "identity"
    # a metric of a family, or what is said of a metric
    if name in (*METRICS, *EXTRA_METRICS) or name.endswith("_se") or name.startswith("human_"):
        return "metric"
    for group, members in (("cost", COST), ("count", COUNTS), ("provenance", PROVENANCE)):
        if name in members:
            return group
    return "metric" if name in DEFINITIONS else "setting"


def _values(column: pd.Series) -> Encoded:
    """The type of a column and its values in the shortest of three forms."""
    kind, values = _typed(column)
    if len(values) and all(value == values[0] for value in values):
        return {"type": kind, "const": values[0]}
    levels = list(dict.fromkeys(values))
    if kind != "float" and len(levels) < FEW * len(values):
        codes = {level: i for i, level in enumerate(levels)}
        return {"type": kind, "levels": levels, "codes": [codes[value] for value in values]}
    return {"type": kind, "values": values}


def _typed(column: pd.Series) -> tuple[str, list[Any]]:
    """The type of a column and its values as Python's own; an empty cell is None."""
    types = pd.api.types
    cells = column.astype(object).where(column.notna(), None).tolist()
    if types.is_datetime64_any_dtype(column):
        return "time", [cell and cell.isoformat() for cell in cells]
    known = [cell for cell in cells if cell is not None]
    if types.is_bool_dtype(column) or (known and all(isinstance(cell, bool) for cell in known)):
        return "bool", [cell if cell is None else bool(cell) for cell in cells]
    if types.is_integer_dtype(column):
        return "int", [cell if cell is None else int(cell) for cell in cells]
    if types.is_float_dtype(column):
        finite = [cell is not None and math.isfinite(cell) for cell in cells]
        return "float", [cell if ok else None for cell, ok in zip(cells, finite)]
    return "str", [cell if cell is None else str(cell) for cell in cells]
