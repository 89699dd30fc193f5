"""What is shown before anything runs: the dry run, points, sweeps, and settings of a family."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from oneshot.console.messages import (
    axes_text,
    cautions,
    choice_lines,
    inputs_text,
    own_points,
    shard_text,
)
from oneshot.console.tally import STATUSES
from oneshot.console.text import WIDTH, Column, duration, labelled, table, value_text
from oneshot.store.estimate import OnDevice, by_device, estimate, work_left
from oneshot.store.plan import Plan
from oneshot.sweep import SweepError, families
from oneshot.sweep.expansion import count
from oneshot.sweep.files import known_sweeps, load_sweep
from oneshot.sweep.grouping import STACK_ON_CPU, STACK_ON_GPU, stacks
from oneshot.sweep.settings import COMMON, STAGES, range_text

ID_DIGITS = 10  # of a point_id in a list


def dry_run(
    plan: Plan,
    command: str,
    max_stack: int | None = None,
    as_json: bool = False,
    price: float | None = None,
) -> str:
    """What a run would do: counts, stacks, inputs, cost, and why old rows are not reused.

    Args:
        plan: what would be run.
        command: the one that would run it.
        max_stack: most trainings in a stack; None for the default of the machine.
        as_json: whether it is one JSON object.
        price: of a GPU hour, or of an hour of a trial slot without GPUs.

    Returns:
        The text.
    """
    counts, points = plan.counts(), own_points(plan)
    to_run = [point for point in plan.to_run if point.model == plan.sweep.model]
    groups, stacked = stacks_text(plan, max_stack)
    work = work_left(plan)
    seconds, basis = estimate(plan, work)
    devices = _device_entries(by_device(plan, work), price)
    if as_json:
        return json.dumps(
            dict(
                sweep=plan.sweep.name,
                points=len(plan.points),
                to_run=len(plan.to_run),
                trainings=len({point.train_id for point in to_run}),
                stacked_groups=groups,
                estimate_seconds=None if seconds is None else math.ceil(seconds),
                estimate_basis=basis,
                devices=devices,
                **{status: counts[status] for status in STATUSES},
            )
        )
    seeds = len({point.seed for point in points})
    with_seeds = f" with {seeds} seeds" if seeds > 1 else ""
    references = len(plan.points) - len(points)
    by_status = [f"{status} {counts[status]:,}" for status in STATUSES]
    cost = f"none: {basis}"
    if seconds is not None:
        cores = f"{plan.cpus} cores of this machine"
        cost = f"about {duration(seconds)} on {cores}, training alone ({basis})"
    lines = [
        f"{plan.sweep.name}: {plan.sweep.question}",
        labelled("axes", axes_text(points, plan.sweep.axes) or "none"),
        labelled(
            "points",
            f"{len(points):,} of {plan.sweep.model}{with_seeds}, {references} references",
        ),
        labelled("", "   ".join([f"to run {len(plan.to_run):,}", *by_status])),
        *([labelled("shard", shard_text(plan))] if plan.shard else []),
        labelled("trainings", stacked),
        labelled("inputs", inputs_text(plan)),
        *(labelled("take care", text) for text in cautions(plan)),
        *choice_lines(plan),
        labelled("estimate", cost),
        *_device_lines(devices, price),
        *(labelled("not reused", reason) for reason in plan.stale()),
        *(labelled("first", f"{p.point_id[:8]}  {p.label(plan.sweep.axes)}") for p in to_run[:1]),
        f"Nothing was run or written. Run: {command}",
    ]
    return "\n".join(lines)


def _device_entries(found: Sequence[OnDevice], price: float | None) -> list[dict[str, Any]]:
    """What is to run on one slot of each device of which there are rows, for JSON."""
    return [
        dict(
            device=on.device,
            rows=on.rows,
            hours=on.seconds / 3600,
            cost=None if price is None else price * on.seconds / 3600,
        )
        for on in found
    ]


def _device_lines(devices: Sequence[dict[str, Any]], price: float | None) -> list[str]:
    """The same in words, with what it costs."""
    lines = []
    for on in devices:
        took = duration(3600 * on["hours"])
        cost = "" if price is None else f": {on['cost']:.2f} at {price:g} an hour"
        text = f"about {took} on one {on['device']}, with scoring ({on['rows']:,} rows){cost}"
        lines.append(labelled("", text))
    if price is not None and not lines:
        lines.append(labelled("", "no price: no row says how long a point takes; run --limit 2"))
    return lines


def stacks_text(plan: Plan, max_stack: int | None) -> tuple[int, str]:
    """How the trainings to run make stacks.

    Args:
        plan: what would be run.
        max_stack: most trainings in a stack; None for the default of the machine.

    Returns:
        The number of stacks on one GPU, and the stacks there and on the cores of this machine, in
        words.
    """
    points = [point for point in plan.to_run if point.model == plan.sweep.model]
    on_gpu = stacks(points, max_stack or STACK_ON_GPU)
    on_cpu = stacks(points, max_stack or STACK_ON_CPU, plan.cpus)
    trainings = sum(map(len, on_gpu))
    if len(on_gpu) == trainings:
        return len(on_gpu), f"{trainings:,}, each on its own"
    sizes = f"{_sizes(on_gpu)} on a GPU; {_sizes(on_cpu)} on {plan.cpus} cores"
    return len(on_gpu), f"{trainings:,}, trained as stacks: {sizes}"


def _sizes(groups: Sequence[Sequence[str]]) -> str:
    """The sizes of groups, as in `3 of 17 and 1 of 5`."""
    sizes = sorted(Counter(map(len, groups)).items(), reverse=True)
    text = " and ".join(f"{number_of:,} of {size}" for size, number_of in sizes[:2])
    return text + (" and smaller" if len(sizes) > 2 else "")


def point_list(plan: Plan, as_json: bool = False) -> str:
    """Every point with its id, axes and status.

    Args:
        plan: the points.
        as_json: whether it is one JSON list.

    Returns:
        The text.
    """
    axes = plan.sweep.axes
    entries = [
        dict(
            point_id=point.point_id,
            model=point.model,
            status=plan.status(point),
            **{axis: point.settings[axis] for axis in axes if axis in point.axes},
            seed=point.seed,
        )
        for point in plan.points
    ]
    if as_json:
        return json.dumps(entries)
    names = ["point_id", "model", "status", *axes, "seed"]
    rows = [[value_text(entry.get(name, "-")) for name in names] for entry in entries]
    rows = [[point_id[:ID_DIGITS], *cells] for point_id, *cells in rows]
    return "\n".join(table([Column(name) for name in names], rows))


def sweep_list(as_json: bool = False) -> str:
    """The sweeps of the folder `sweeps/`, or of the package: name, points, question."""
    entries = []
    for file in known_sweeps().values():
        try:
            sweep = load_sweep(file)
            entry = dict(name=sweep.name, points=count(sweep), question=sweep.question)
        except SweepError as error:
            problem = error.problems[0][0].splitlines()[0]
            entry = dict(name=file.name, points=0, question=f"invalid: {problem}")
        entries.append(entry)
    if as_json:
        return json.dumps(entries)
    columns = [Column(), Column("", 6, right=True, gap=1), Column()]
    rows = [[str(e["name"]), f"{e['points']:,}", str(e["question"])] for e in entries]
    lines = table(columns, rows, heading=False)
    return "\n".join(line[:WIDTH] for line in lines) or "there is no sweep in sweeps/"


def settings_table(family: str) -> str:
    """The settings of a family: name, type, allowed values, default, unit and meaning, by stage."""
    if families.is_path(family):
        family = families.use_file(family).name
    kind = "critics" if family in families.names("critics") else "models"
    declared = families.declaration(kind, family)
    fields = declared.fields if kind == "critics" else {**COMMON, **declared.fields}
    lines = [textwrap.fill(declared.summary, WIDTH)]
    margin = " " * 9
    for stage in STAGES:
        for name, field in fields.items():
            if field.metadata["stage"] != stage:
                continue
            unit = f" {field.metadata['unit']}" if field.metadata["unit"] else ""
            values = f"{range_text(field)}{unit}  [{field.default}]"
            line = f"  {stage:<7}{name:<19}{field.type!s:<6}{values}"
            lines.append(textwrap.fill(line, WIDTH, subsequent_indent=" " * 34))
            meaning = field.metadata["help"]
            lines.append(
                textwrap.fill(meaning, WIDTH, initial_indent=margin, subsequent_indent=margin)
            )
    variants = f"variants: {', '.join(declared.variants)}" if declared.variants else ""
    lines.append(textwrap.fill(variants, WIDTH, subsequent_indent=" " * 10))
    return "\n".join(lines).rstrip()
