"""What a record says as trackers take it: settings, results, curves by epoch, and sheets."""

from __future__ import annotations

import datetime
import hashlib
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from oneshot.console.tally import ended_at
from oneshot.console.text import short_text
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.store.tables import COST, TABLES
from oneshot.sweep import families
from oneshot.sweep.settings import COMMON, SettingError
from oneshot.trackers.base import Entry
from oneshot.trackers.pictures import sheets_of

USAGE = ("epochs_done", "parameters", *COST)
# numbers of a row that are measurements of nothing
NO_RESULTS = ("family_version", "seed")


def version_of(row: Mapping[str, Any]) -> str:
    """What differs once a point has another result: a short hash of how and when it ended."""
    text = f"{row.get('status')} {row.get('finished_at')}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def make(record: Record, store: Store, axes: Sequence[str], model: str) -> Entry:
    """What is logged of a point.

    Args:
        record: of the point, with its details.
        store: holds its drawings.
        axes: the swept settings.
        model: of the sweep, whose points the axes vary.

    Returns:
        The entry.
    """
    row = record.row
    names = ["seed", *_setting_names(row["model"])]
    settings = {name: row[name] for name in names if row.get(name) is not None}
    varied = {a: row[a] for a in axes if row["model"] == model and row.get(a) is not None}
    curves = _curves(record.curves)
    order = {column.name: place for place, column in enumerate(TABLES["points"].columns)}
    numbers = {
        name: float(value)
        for name, value in sorted(row.items(), key=lambda item: order.get(item[0], len(order)))
        if name not in settings and name not in NO_RESULTS and _is_number(value)
    }
    texts = {
        name: str(value)
        for name, value in row.items()
        if name not in settings and name not in numbers and value not in (None, "")
    }
    epochs = int(row.get("epochs_done") or 0)
    seconds = float(row.get("train_seconds") or 0.0)
    return Entry(
        point_id=row["point_id"],
        version=version_of(row),
        name=_name(row, varied),
        model=row["model"],
        status=str(row["status"]),
        settings=settings,
        axes=varied,
        results={name: v for name, v in numbers.items() if name not in USAGE},
        usage={name: v for name, v in numbers.items() if name in USAGE},
        texts={name: v for name, v in texts.items() if name not in ("status", "model")},
        curves=curves,
        epochs=epochs,
        ended_at=ended_at(row) or datetime.datetime.now(datetime.UTC).timestamp(),
        epoch_seconds=seconds / epochs if epochs else 0.0,
        sheets=sheets_of(store, row["sample_id"]) if row["status"] == "done" else {},
    )


def _name(row: Mapping[str, Any], varied: Mapping[str, Any]) -> str:
    """The point in words, with the beginning of its id, as no two points may have one name."""
    values = [f"{name}={short_text(value)}" for name, value in varied.items()]
    return " ".join([*(values or [row["model"]]), f"seed={row['seed']}", row["point_id"][:8]])


def _setting_names(model: str) -> list[str]:
    """The settings of a family; those that all families have where this version lacks it."""
    try:
        return [*COMMON, *families.declaration("models", model).fields]
    except SettingError:
        return list(COMMON)


def _curves(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[tuple[int, float]]]:
    """The curves of a point by "train/loss" and the like, without what is not finite."""
    epochs = [int(epoch) for epoch in columns.get("epoch", ())]
    found = {}
    for column, values in columns.items():
        kind, _, term = column.partition("_")
        name = f"{kind}/{term}" if kind in ("train", "validation") and term else f"train/{column}"
        known = [(e, float(v)) for e, v in zip(epochs, values) if _is_number(v)]
        if column not in ("epoch", "point_id") and known:
            found[name] = known
    return found


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no truth value."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)
