"""A point of finished results, made again from its record: what its weights and critics go by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.api.load import place_of
from oneshot.store import records
from oneshot.store.store import DamagedFile, Store
from oneshot.sweep import families, family_files
from oneshot.sweep.point import CriticSpec, Point, hash_file
from oneshot.sweep.settings import COMMON
from oneshot.types import Status

SHOWN = 8  # points that are named where one is not found


class NoSuchPoint(ValueError):
    """The results have no such point, or not what is wanted of it."""


@dataclass(frozen=True)
class StoredPoint:
    """A point with its record.

    Attributes:
        point: as it was run.
        row: of its record.
        store: of the results.
        sweep: name of the sweep.
    """

    point: Point
    row: dict[str, Any]
    store: Store
    sweep: str


def find(results: str | Path, point_id: str) -> StoredPoint:
    """A finished point of results.

    Args:
        results: folder of a sweep, or of results with one sweep in it; or the URI of a sweep.
        point_id: its id, or the first digits of it.

    Returns:
        The point.

    Raises:
        NoSuchPoint: there is none, there are several, or it did not end well.
        AnalysisError: there are no results.
    """
    store, sweep = place_of(results)
    known = [name.removesuffix(".json") for name in store.versions(f"{sweep}/records", ".json")]
    found = [name for name in sorted(known) if name.startswith(point_id)]
    if len(found) != 1 or not point_id:
        what = "is no point" if not found else f"begins the ids of {len(found)} points"
        shown = ", ".join((found or sorted(known))[:SHOWN])
        more = ", ..." if len(found or known) > SHOWN else ""
        raise NoSuchPoint(f"{point_id!r} {what} of {store.path(sweep)}. It has {shown}{more}")
    row = row_of(store, sweep, found[0])
    if row["status"] != Status.DONE:
        raise NoSuchPoint(f"the point {found[0]} is {row['status']}: {row.get('error') or ''}")
    return StoredPoint(remade(row, store, sweep), row, store, sweep)


def row_of(store: Store, sweep: str, point_id: str) -> dict[str, Any]:
    """The row in the record of a point.

    Args:
        store: of the results.
        sweep: name of the sweep.
        point_id: the whole id.

    Returns:
        The row.

    Raises:
        DamagedFile: the record is not whole.
    """
    key = records.key(sweep, point_id)
    try:
        return records.decode(store.read(key), row_only=True).row
    except ValueError as error:
        raise DamagedFile(f"{store.path(key)} is damaged: {error}") from error


def remade(row: Mapping[str, Any], store: Store, sweep: str) -> Point:
    """A point made again from its row; a family in a file of the user's is made known.

    Args:
        row: of a record.
        store: of the results.
        sweep: name of the sweep.

    Returns:
        The point, without what only a run needs: where the sweep file gives it, and how it stacks.

    Raises:
        SettingError: this version has no such family.
    """
    note, model = _note(store, sweep), row["model"]
    family_file = _use_own_family(row, note, store)
    known = {**COMMON, **families.declaration("models", model).fields}
    settings: dict[str, Any] = {
        name: row[name] if row.get(name) is not None else field.default
        for name, field in known.items()
    }
    words = str(row.get("metric_versions") or "").split()
    critics = {
        kind: CriticSpec(kind, {}, 0, row[f"{kind}_id"])
        for kind in ("simclr", "protonet")
        if row.get(f"{kind}_id")
    }
    if chooser := note.get("critics", {}).get("chooser"):
        critics["chooser"] = CriticSpec(**chooser)
    return Point(
        model=model,
        settings=settings,
        seed=row["seed"],
        axes={name: row.get(name) for name in note.get("axes", [])},
        train_id=row["train_id"],
        tune_id=row.get("tune_id") or "",
        sample_id=row["sample_id"],
        point_id=row["point_id"],
        stack_key="",
        critics=critics,
        graders={"plane": 1, **dict(zip(words[::2], map(int, words[1::2])))},
        data_fingerprint=row["data_fingerprint"],
        family_version=row["family_version"],
        files={
            name: hash_file(settings[name])
            for name in ("human_file",)
            if settings[name] and Path(settings[name]).is_file()
        },
        family_file=family_file,
    )


def _note(store: Store, sweep: str) -> dict[str, Any]:
    """What sweep.json says of the last run; nothing where it is not there, or not whole."""
    try:
        note = json.loads(store.read(f"{sweep}/sweep.json"))
    except (FileNotFoundError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _use_own_family(
    row: Mapping[str, Any], note: Mapping[str, Any], store: Store
) -> tuple[str, str]:
    """The path and the content of the file of the user's that a family is in; two "" if in none."""
    model, of_note = row["model"], note.get("family_file") or {}
    if model in families.names("models"):
        return "", ""
    digits = f"{row['family_version']:012x}"  # of the content, where the file states no VERSION
    keys = [key for key in store.keys("store/files") if key.split("/")[-1].startswith(digits)]
    if of_note and not keys:
        keys = [f"store/files/{of_note['content'][:16]}.py"]
    for key in keys:
        data = store.unseal(key)
        file = families.use(family_files.made(model, of_note.get("path") or f"{model}.py", data))
        return file.path, file.content
    return "", ""  # `declaration` says that there is no such family
