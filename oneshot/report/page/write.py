"""Writing the page of results: how much of the drawings fits, and what lies beside the file."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oneshot.console import program
from oneshot.report.averages import ranking_metric
from oneshot.report.page import sections
from oneshot.report.page.assemble import assemble
from oneshot.report.page.blocks import CHUNK, compressed, json_bytes
from oneshot.report.page.data import page_data
from oneshot.report.page.details import detail_blocks, thinned
from oneshot.report.page.drawings import EXTENTS, Collected, Extent, collect, wanted_samples
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced
from oneshot.store.tables import LARGEST_FIRST

BUDGET = 5_000_000  # bytes of a page that carries everything itself
TEXT = 4 / 3  # how much longer bytes are as text
NEAREST, FARTHEST = 2000, 200  # points whose drawings a page carries where all do not fit
SHEETS_SHARE = 0.3  # of the budget, at most
LEAST_SHARE = 0.2  # of the budget, for drawings of a page whose others lie beside it
PROBES = 24  # samples by which the size of all is estimated


@dataclass
class Written:
    """A page that was written.

    Attributes:
        file: The page.
        size: Its bytes.
        beside: The folder of blocks beside it; None where the page carries everything.
        notes: What it leaves out, a sentence each.
    """

    file: Path
    size: int
    beside: Path | None = None
    notes: list[str] = field(default_factory=list)


def write_page(
    results: Results,
    parts: Sequence[Results],
    file: Path,
    *,
    where: str = "",
    running: bool = False,
    budget: int = BUDGET,
) -> Written:
    """Write the page of results, in one step, so that nobody reads half of it.

    Args:
        results: The results, joined and selected.
        parts: The results of each sweep, beside whose folders the drawings lie.
        file: The page.
        where: The filter by which they were selected; the page says so.
        running: Whether more rows are to come; the page says so, and looks for them.
        budget: The bytes up to which the page carries everything itself.

    Returns:
        What was written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    data = page_data(results, parts)
    details = detail_blocks(results)
    sheets, sheets_left_out = sections.sheets(parts, int(budget * SHEETS_SHARE))
    data |= {
        "effects": sections.effects(results),
        "sheets": sheets,
        "critics": sections.critics(parts),
        "definitions": sections.definitions(),
    }
    room = int(budget / TEXT) - len(compressed(json_bytes(data))) - _total(details)
    drawings = _fitting(results, parts, room)
    data |= {
        "details": {"chunk": CHUNK, "blocks": len(details), "thinned": thinned(results)},
        "count": len(results.points),
        "where": where,
        "running": running,
        "written": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        "served": None,
    }
    kept: dict[str, bytes] = {}
    folder = file.parent / f"{file.stem}_blocks"
    files: dict[str, bytes] = {}
    if drawings is not None:
        kept = _named("drawings", drawings.blocks) | _named("details", details)
    else:
        room = max(room + _total(details), int(budget * LEAST_SHARE / TEXT))
        drawings, data["served"], files = _beside(results, parts, details, room, folder.name)
        kept = _named("drawings", drawings.blocks)
    data["drawings"] = drawings.description()
    data["notes"] = notes(results, drawings, data, where)
    if sheets_left_out:
        data["notes"].append(f"{sheets_left_out} more sheets are in store/sheets.")
    blocks = {"data": compressed(json_bytes(data)), **kept}
    texts = {"TITLE": f"{results.name}: oneshot", "FINDING": data["finding"], "NAME": results.name}
    page = assemble(texts, blocks, fetches=running or bool(files)).encode()
    _write_files(folder, files)
    _replace(file, page)
    _remove_others(folder, files)
    return Written(file, len(page), folder if files else None, data["notes"])


def notes(
    results: Results, drawings: Collected, data: dict[str, Any], where: str = ""
) -> list[str]:
    """What a page shows less of than there is, a sentence each.

    Args:
        results: The results.
        drawings: The drawings that it shows.
        data: The rest of the page.
        where: The filter by which the points were selected.

    Returns:
        The sentences.
    """
    out = []
    if where:
        out.append(f"Only points for which {where}; people, copies and noise stay.")
    full = data["served"]["drawings"] if data["served"] else drawings.description()
    kinds = full["kinds"]
    classes, each = full["keptClasses"], full["keptDrawings"]
    shown_classes = max((len(kind["names"]) for kind in kinds), default=0)
    # of drawings for no class, groups are shown as if they were classes
    of_class = [
        sum(kind["counts"]) if kind["names"][:1] == [""] else max(kind["counts"], default=0)
        for kind in kinds
    ]
    shown_each = max(of_class, default=0)
    if any(kind["points"] for kind in kinds):
        shown_each = each  # one image shows all
    if classes > shown_classes > 0:
        out.append(f"{shown_classes} of {classes} classes are shown, evenly spaced by name.")
    if each > shown_each > 1:
        out.append(f"{shown_each} of {each} drawings of a class are shown, the first ones.")
    for count, what in ((full["damaged"], "are damaged"), (full["absent"], "are not kept")):
        if count:
            out.append(f"The drawings of {count:,} sample{'s' * (count != 1)} {what}.")
    if len(results.points) > data["intervalLimit"]:
        out.append(
            f"Intervals of single points are computed of at most {data['intervalLimit']:,} points."
        )
    return out


def _fitting(results: Results, parts: Sequence[Results], room: int) -> Collected | None:
    """As much of the drawings of all points as fits; None if not even the least does."""
    samples = list(dict.fromkeys(name for name in wanted_samples(results) if name))
    for extent in EXTENTS:
        if len(samples) > 4 * PROBES:
            probed = set(evenly_spaced(samples, PROBES))
            rows = [i for i, name in enumerate(wanted_samples(results)) if name in probed]
            some = collect(results, parts, extent, rows)
            if some.size / max(len(some.sample_kind), 1) * len(samples) > 1.1 * room:
                continue
        drawings = collect(results, parts, extent)
        if not drawings.blocks or drawings.size <= room:
            return drawings
    return None


def _beside(
    results: Results,
    parts: Sequence[Results],
    details: list[bytes],
    room: int,
    folder: str,
) -> tuple[Collected, dict[str, Any], dict[str, bytes]]:
    """The drawings that the page carries, what it has to know of the others, and their files."""
    extent = EXTENTS[4]
    everything = collect(results, parts, extent)
    blocks = _named("drawings", everything.blocks) | _named("details", details)
    names = {
        name: f"{name}-{hashlib.sha256(block).hexdigest()[:8]}.gz" for name, block in blocks.items()
    }
    few = _chosen(results, parts, extent, room)
    folders = dict.fromkeys(str(part.folder) for part in parts)
    command = shlex.join([*program.words("analyze"), *folders, "--report", "--serve"])
    served = {
        "drawings": everything.description(),
        "files": {name: f"{folder}/{at}" for name, at in names.items()},
        "inline": sum(sample >= 0 for sample in few.point_sample),
        "command": command,
    }
    return few, served, {names[name]: block for name, block in blocks.items()}


def _chosen(results: Results, parts: Sequence[Results], extent: Extent, room: int) -> Collected:
    """The drawings of the points nearest to people and farthest, as many as fit."""
    points = results.points
    by = ranking_metric(points)
    order = points[by].reset_index(drop=True).dropna() if by in points else points["seed"]
    rows = order.sort_values(ascending=by not in LARGEST_FIRST, kind="stable").index.to_numpy()
    share = 1.0
    while True:
        near, far = int(NEAREST * share), int(FARTHEST * share)
        last = rows[len(rows) - far :] if far else rows[:0]
        some = collect(results, parts, extent, np.concatenate([rows[:near], last]).tolist())
        if some.size <= max(room, 0) or not some.blocks:
            return some
        share *= 0.9 * max(room, 0) / some.size
        if NEAREST * share < 1:
            return collect(results, parts, extent, [])


def _named(family: str, blocks: Sequence[bytes]) -> dict[str, bytes]:
    """Blocks by name."""
    return {f"{family}-{number}": block for number, block in enumerate(blocks)}


def _total(blocks: Sequence[bytes]) -> int:
    """The bytes of all blocks."""
    return sum(map(len, blocks))


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write the blocks beside the page; their names say what they hold, so none is replaced."""
    if files:
        folder.mkdir(exist_ok=True)
    for name, data in files.items():
        if not (folder / name).is_file():
            _replace(folder / name, data)


def _replace(file: Path, data: bytes) -> None:
    """Write a file in one step."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _remove_others(folder: Path, files: dict[str, bytes]) -> None:
    """Remove blocks of an earlier page, which the new one does not name."""
    if not folder.is_dir():
        return
    for path in folder.glob("*-*.gz"):
        if path.name not in files:
            path.unlink(missing_ok=True)
    if not files:
        with contextlib.suppress(OSError):
            folder.rmdir()
