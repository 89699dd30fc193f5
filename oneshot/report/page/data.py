"""What a page needs of results: columns, places on the plane, intervals, texts, sections."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from oneshot.console import program
from oneshot.report.analysis.intervals import BY_CLASS, DISTANCE, RATIO, Scores
from oneshot.report.analysis.nearest import luck_text, nearest, nearest_title
from oneshot.report.analysis.plane import across, human_point, plane_units
from oneshot.report.averages import ranking_metric
from oneshot.report.columns import DECIMALS
from oneshot.report.page.blocks import shortened
from oneshot.report.page.columns import empty_columns, encoded_columns
from oneshot.report.results import Results
from oneshot.report.select import varying_axes
from oneshot.report.table import default_columns
from oneshot.report.text import setting_text
from oneshot.store.tables import LARGEST_FIRST
from oneshot.sweep.definition import NULLS, REFERENCES

MOST_INTERVALS = 10_000  # points; the intervals of more would take minutes
CHANCE = 5.0  # per cent: one of the 20 classes of an episode
RINGS = (0.5, 1, 2, 3, 4)  # distances to people


def page_data(results: Results, parts: Sequence[Results]) -> dict[str, Any]:
    """All of the page but drawings and what is looked at point by point.

    Args:
        results: The results, joined where there are several.
        parts: The results that were joined.

    Returns:
        Plain values for JSON.
    """
    points = results.points
    title, luck = finding(results)
    references = [*REFERENCES, *NULLS]
    return {
        "name": results.name,
        "question": " / ".join(part.question for part in parts if part.question),
        "finding": title,
        "luck": luck,
        "revision": results.revision,
        "sweeps": [part.name for part in parts],
        "axes": varying_axes(results),
        "asked": results.axes,
        "references": references,
        "ranking": ranking_metric(points),
        "largestFirst": list(LARGEST_FIRST),
        "decimals": DECIMALS,
        "table": default_columns(results, points),
        "columns": encoded_columns(results),
        "empty": empty_columns(results),
        "intervals": point_intervals(results),
        "intervalLimit": MOST_INTERVALS,
        "plane": plane(results),
        "commands": [run_command(part) for part in parts],
        "warnings": list(results.warnings),
    }


def finding(results: Results) -> tuple[str, str]:
    """What the plane shows, in one line, and what luck would do with as many equal models.

    Args:
        results: The results.

    Returns:
        The title and the note on luck; the note is empty where it is unknown. Of more than
        MOST_INTERVALS points nothing is tested, which the title says.
    """
    rows = results.models
    if results.points.empty:
        return "No point has a result yet", ""
    if len(rows) > MOST_INTERVALS:
        known = rows.dropna(subset=DISTANCE)
        best = None if known.empty else known.iloc[int(known[DISTANCE].to_numpy().argmin())]
        if best is None:
            return f"{results.name}: {len(rows):,} points", ""
        where = setting_text(results, best)
        return f"Nearest to people: {where}, distance {best[DISTANCE]:.2f} (not tested)", ""
    if rows.empty:
        count = len(results.evaluated) or len(results.requested)
        return f"{results.name}: {count:,} point{'s' * (count != 1)}", ""
    found = nearest(results)
    return nearest_title(results, found), luck_text(found.luck) if found else ""


def plane(results: Results) -> dict[str, Any]:
    """The plane: its axes, people's place, and how long a distance of 1 is.

    Args:
        results: The results.

    Returns:
        The columns across and up, people (None where unknown), units, chance and rings.
    """
    human = human_point(results)
    units = plane_units(results)
    known = human is not None and bool(np.isfinite(units).all())
    return {
        "x": across(results),
        "y": "recognizability",
        "scored": bool(len(results.models) or len(results.references)),
        "human": list(human) if human else None,
        "units": list(units) if known else None,
        "chance": CHANCE,
        "rings": list(RINGS),
    }


def point_intervals(results: Results) -> dict[str, list[list[float | None]]]:
    """The 95 % interval of each point's own scores, for other test classes.

    Args:
        results: The results.

    Returns:
        The lower and the upper ends by metric; nothing where no metric was scored by class, or of
        more than MOST_INTERVALS points.
    """
    rows = results.points
    if rows.empty or len(rows) > MOST_INTERVALS or results.classes.empty:
        return {}
    scores = Scores(results, rows)
    out = {}
    for metric in [name for name in (*BY_CLASS, DISTANCE, RATIO) if name in rows]:
        ends = scores.point_bounds(metric)
        if np.isfinite(ends).any():
            out[metric] = [shortened(side, 5) for side in ends.T]
    return out


def run_command(results: Results) -> str:
    """The command that ran a sweep, with the settings and seeds that were given to it.

    It ends before `--where`, which says which of its points is to run again.
    """
    words = [*program.words("run"), results.name]
    try:
        note = json.loads((results.folder / "sweep.json").read_text(encoding="utf-8"))
        options = note["options"] if isinstance(note["options"], dict) else {}
        given = str(options.get("sweep") or "") or results.name
        words[-1] = given
        for text in options.get("set") or []:
            words += ["--set", str(text)]
        if options.get("seeds"):
            words += ["--seeds", str(options["seeds"])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return shlex.join(words)
