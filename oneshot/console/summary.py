"""The summary after a run: counts, the best points, failures, what was written, what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oneshot.console.messages import analysis_command
from oneshot.console.status import failure_lines
from oneshot.console.text import Column, duration, labelled, measured, short_text, table
from oneshot.store.plan import Plan
from oneshot.store.tables import DETAILS
from oneshot.sweep.definition import NULLS, REFERENCES
from oneshot.types import Status

if TYPE_CHECKING:
    from oneshot.console.outcome import Outcome

BEST = 3  # points of a table of likelihoods, hits or gains


def finished(plan: Plan, outcome: Outcome, retry: str) -> str:
    """The summary at the end of a run.

    Args:
        plan: what was run, with all its records.
        outcome: how the run ended.
        retry: the command that runs failed points again.

    Returns:
        Several lines.
    """
    counts, tables = (
        outcome.counts,
        {
            "human_distance": _nearest_table,
            "mode_distance": _modes_table,
            "nelbo": _likelihood_table,
            "classified_gain": _gain_table,
        },
    )
    lines = [
        f"Finished: {counts['done']:,} done, {counts['diverged']} diverged,"
        f" {counts['failed']} failed in {duration(outcome.seconds)}.",
        *tables.get(plan.measure(), _hits_table)(plan),
        *failure_lines(plan),
        *_written_lines(plan),
        f"next        {analysis_command(plan)}",
    ]
    if plan.counts()[Status.FAILED]:
        lines.append(f"            {retry}")
    return "\n".join(lines)


def _written_lines(plan: Plan) -> list[str]:
    """The tables that there are, and records that are in none of them."""
    folder, rows = plan.store.path(plan.sweep.name), plan.current_records()
    try:
        there = set(plan.store.versions(plan.sweep.name, ".parquet"))
    except OSError:
        # they were written a moment ago; that they cannot be listed is no failure of the run
        there = set()
    tables = [name for name in (*DETAILS, "critics") if f"{name}.parquet" in there]
    written = ", ".join([f"{folder}/points.parquet ({len(rows):,} rows)", *tables])
    lines = [labelled("written", written).strip()]
    if others := len(plan.log.records) - len(rows):
        lines.append(labelled("", f"{others:,} records of other settings stay in {folder}/records"))
    return lines


def _nearest_table(plan: Plan) -> list[str]:
    """The point of the model that is nearest to people, and the references."""
    model, axes = plan.sweep.model, plan.sweep.axes
    done = [record.row for record in plan.current_records() if record.row["status"] == Status.DONE]
    measured_rows = [r for r in done if r["model"] == model and r.get("human_distance") is not None]
    if not measured_rows:
        return []
    columns = [Column("", 12), *(Column(axis, 6, right=True) for axis in axes)]
    columns += [
        Column("diversity", 16, right=True),
        Column("recognizability", 17, right=True),
        Column("distance", 8, right=True),
    ]

    def cells(name: str, row: Mapping[str, Any]) -> list[str]:
        is_own = row["model"] == model
        return [
            name,
            *(short_text(row.get(axis, "")) if is_own else "" for axis in axes),
            measured(row.get("diversity"), row.get("diversity_se"), 2),
            measured(row.get("recognizability"), row.get("recognizability_se"), 1),
            measured(row.get("human_distance"), None, 2),
        ]

    rows = [cells("nearest", min(measured_rows, key=lambda row: row["human_distance"]))]
    for row in done:
        if row["model"] in REFERENCES:
            rows.append(cells("people" if row["model"] == "human" else row["model"], row))
    return table(columns, rows)


def _modes_table(plan: Plan) -> list[str]:
    """The three points nearest to the data's modes, and what knows nothing of the removed one."""
    done = [record.row for record in plan.current_records() if record.row["status"] == Status.DONE]
    rows = [row for row in done if row.get("mode_distance") is not None]
    own = [row for row in rows if row["model"] == plan.sweep.model]
    if not own:
        return []
    axes = [*plan.sweep.axes, "seed"]
    columns = [Column("", 12), *(Column(axis, 6, right=True) for axis in axes)]
    shown = ("mode_distance", "hits_missing", "modes_covered", "off_modes")
    columns += [Column(name, len(name), right=True) for name in shown]

    def cells(name: str, row: Mapping[str, Any], settings: list[str]) -> list[str]:
        numbers = [row.get(column) for column in shown]
        return [name, *settings, *("-" if v is None else f"{v:.4g}" for v in numbers)]

    lines = []
    for place, row in enumerate(sorted(own, key=lambda row: row["mode_distance"])[:BEST]):
        values = [short_text(row.get(axis, "")) for axis in axes]
        lines.append(cells("" if place else "nearest", row, values))
    for name in NULLS:
        if of_null := [row for row in rows if row["model"] == name]:
            found = {n: [row[n] for row in of_null if row.get(n) is not None] for n in shown}
            means = {n: sum(numbers) / len(numbers) for n, numbers in found.items() if numbers}
            lines.append(cells(name, means, [""] * len(axes)))
    return table(columns, lines)


def _likelihood_table(plan: Plan) -> list[str]:
    """The three points of lowest NELBO."""
    rows = [
        record.row
        for record in plan.current_records()
        if record.row["status"] == Status.DONE and record.row.get("nelbo") is not None
    ]
    if not rows:
        return []
    axes = [*plan.sweep.axes, "seed"]
    columns = [Column("", 12), *(Column(axis, 6, right=True) for axis in axes)]
    columns += [Column("NELBO", 7, right=True), Column("NLL", 7, right=True)]
    cells = []
    for place, row in enumerate(sorted(rows, key=lambda row: row["nelbo"])[:BEST]):
        nll = f"{row['nll']:.2f}" if row.get("nll") is not None else "-"
        values = [short_text(row.get(axis, "")) for axis in axes]
        cells.append(["" if place else "lowest", *values, f"{row['nelbo']:.2f}", nll])
    return table(columns, cells)


def _hits_table(plan: Plan) -> list[str]:
    """The three points with the most hits of what was left out, and the references.

    Beside the hits stand those that real images of the kept classes have.
    """
    return _most(plan, "most hits", {"hits_missing": ("hits", 4), "false_hits": ("false hits", 4)})


def _most(plan: Plan, name: str, shown: Mapping[str, tuple[str, int]]) -> list[str]:
    """The three points with most of a number, and the references.

    Args:
        plan: of the sweep.
        name: of the first line.
        shown: the head and the digits of each number, by its column; the first one ranks.

    Returns:
        The lines of a table; none where no point has the number.
    """
    metric, model, axes = next(iter(shown)), plan.sweep.model, [*plan.sweep.axes, "seed"]
    done = [record.row for record in plan.current_records() if record.row["status"] == Status.DONE]
    rows = [row for row in done if row.get(metric) is not None]
    own = sorted((r for r in rows if r["model"] == model), key=lambda r: -r[metric])
    if not own:
        return []
    columns = [Column("", 12), *(Column(axis, 6, right=True) for axis in axes)]
    columns += [Column(head, max(len(head), 7), right=True) for head, _ in shown.values()]

    def cells(first: str, row: Mapping[str, Any]) -> list[str]:
        numbers = [measured(row.get(n), None, digits) for n, (_, digits) in shown.items()]
        return [first, *(short_text(row.get(axis, "")) for axis in axes), *numbers]

    best = [cells("" if place else name, row) for place, row in enumerate(own[:BEST])]
    references = [cells(row["model"], row) for row in rows if row["model"] != model]
    return table(columns, [*best, *references])


def _gain_table(plan: Plan) -> list[str]:
    """The three points whose drawings a classifier gains most by, and real images."""
    shown = {
        "classified_gain": ("gain", 1),
        "classified_supports": ("shots", 1),
        "fid": ("FID", 1),
        "sample_recall": ("recall", 2),
    }
    return _most(plan, "most gain", shown)
