"""What a run says before its first step, and where it has nothing to do or cannot go on."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oneshot.console import program
from oneshot.console.text import labelled, short_text, value_text
from oneshot.store.plan import Plan
from oneshot.sweep import families, own_metrics
from oneshot.sweep.point import CriticSpec, Point, kind_of
from oneshot.sweep.settings import COMMON
from oneshot.types import Kind, Status

if TYPE_CHECKING:
    from oneshot.console.outcome import Outcome

MOST_CHOICES = 16  # points that were chosen, of which is said why


def own_points(plan: Plan) -> list[Point]:
    """The points of the sweep's model, without references."""
    return [point for point in plan.points if point.model == plan.sweep.model]


def axes_text(points: Sequence[Point], axes: Sequence[str]) -> str:
    """The axes with their range and count, as in `beta 0 .. 4 (17)`.

    Args:
        points: whose values count.
        axes: the swept settings.

    Returns:
        One line.
    """
    parts = []
    for axis in axes:
        values = list(dict.fromkeys(p.settings[axis] for p in points if axis in p.axes))
        text = short_text(values[0]) if values else "-"
        if len(values) > 1:
            text += f" .. {short_text(values[-1])} ({len(values)})"
        parts.append(f"{axis} {text}")
    return "   ".join(parts)


def inputs_text(plan: Plan) -> str:
    """The data sets and critics of the sweep, and which are there."""
    names = ("dataset", "split", "image_size")
    by_data: dict[tuple[Any, ...], dict[str, CriticSpec]] = {}
    for point in plan.points:
        seen_by = (*(point.settings[name] for name in names), point.data_fingerprint[:6])
        by_data.setdefault(seen_by, {}).update({c.id: c for c in point.critics.values()})
    alike: dict[tuple[Any, ...], list[str]] = {}  # splits with the same critics, as greys have
    for (dataset, split, *rest), critics in by_data.items():
        alike.setdefault((dataset, *rest, tuple(critics)), []).append(split)
    texts = []
    for (dataset, size, fingerprint, _), splits in alike.items():
        critics = by_data[dataset, splits[0], size, fingerprint]
        seen = ", ".join(_critic_text(plan, critic) for critic in critics.values())
        several = f"{splits[0]} .. {splits[-1]} ({len(splits)} splits)"
        split = several if len(splits) > 1 else splits[0]
        data = f"{dataset} {split} {size}x{size} {fingerprint}"
        points = kind_of(dataset) == Kind.POINTS
        unseen = "no critics: modes are counted" if points else "no critics: likelihoods only"
        texts.append(f"{data}, {seen or unseen}")
    return "; ".join(texts)


def cautions(plan: Plan) -> list[str]:
    """What is odd about a sweep that can be run, a sentence each."""
    published = {
        (p.settings["dataset"], p.settings["split"]): None
        for p in plan.points
        if any(critic.settings.get("weights") for critic in p.critics.values())
    }
    return [
        f"published critics learned from the training classes of the split weak of omniglot, so"
        f" they know test classes of {split}: recognizability is too high"
        for dataset, split in published
        if dataset == "omniglot" and split != "weak"
    ]


def _critic_text(plan: Plan, critic: CriticSpec) -> str:
    """A critic, and whether it is there, as in `simclr 1a2b3c to be trained`."""
    state = "to be imported" if critic.settings.get("weights") else "to be trained"
    if plan.store.exists(critic.weights_key):
        state = "present"
    return f"{critic.kind} {critic.id[:6]} {state}"


def changed_settings(plan: Plan) -> dict[str, Any]:
    """The settings that all points share and that differ from the family's defaults."""
    fields = {**COMMON, **families.declaration("models", plan.sweep.model).fields}
    rows = [point.settings for point in own_points(plan)]
    return {
        name: value
        for name, value in (rows[0] if rows else {}).items()
        if name not in plan.sweep.axes
        and value != fields[name].default
        and all(row[name] == value for row in rows)
    }


def echo(plan: Plan, options: argparse.Namespace) -> str:
    """The configuration before the first step: what is asked, where it runs, what is no default.

    Args:
        plan: what is to be run.
        options: of the command line.

    Returns:
        Several lines.
    """
    points, name = own_points(plan), plan.sweep.name
    changed = ", ".join(f"{n} {value_text(value)}" for n, value in changed_settings(plan).items())
    counts = f"{len(plan.to_run):,} to run, {plan.before:,} have a result"
    from_environment = not options.results and os.environ.get("ONESHOT_RESULTS")
    source = " (from ONESHOT_RESULTS)" if from_environment else ""
    lines = [
        f"{name}: {plan.sweep.question}",
        labelled("points", f"{counts}   {axes_text(points, plan.sweep.axes)}"),
        *([labelled("shard", shard_text(plan))] if plan.shard else []),
        labelled("settings", f"{plan.sweep.model}: {changed or 'all default'}"),
        labelled("inputs", inputs_text(plan)),
        *([labelled("metrics", _metrics_text(plan))] if plan.sweep.metrics else []),
        *(labelled("take care", text) for text in cautions(plan)),
        *choice_lines(plan),
        labelled("engine", _engine_text(plan, options)),
        labelled("results", f"{plan.store.path(name)}{source}"),
    ]
    return "\n".join(lines)


def shard_text(plan: Plan) -> str:
    """Which part of the sweep is selected, as in `3/8, 12 of 96 trainings`."""
    here, everywhere = ({p.train_id for p in points} for points in (plan.points, plan.all_points))
    return f"{plan.shard}, {len(here):,} of {len(everywhere):,} trainings"


def shard_ended(plan: Plan) -> str:
    """What is left of the sweep after the run of a shard."""
    done = {point_id for point_id in plan.log.records}
    missing = sum(p.point_id not in done for p in plan.all_points)
    here = f"shard       {plan.shard} is done"
    if not missing:
        return f"{here}, and so is the whole sweep"
    return f"{here}; {missing:,} of {len(plan.all_points):,} points of the sweep are still missing"


def choice_lines(plan: Plan) -> list[str]:
    """The points that were chosen by rows, and why; none where the order of the sweep counts."""
    chosen = [p for p in plan.to_run if p.point_id in plan.reasons]
    lines = [
        labelled("" if i else "chosen", f"{p.label(plan.sweep.axes)}: {plan.reasons[p.point_id]}")
        for i, p in enumerate(chosen[:MOST_CHOICES])
    ]
    if (more := len(chosen) - MOST_CHOICES) > 0:
        lines.append(labelled("", f"... and {more:,} more"))
    return lines


def _metrics_text(plan: Plan) -> str:
    """The metrics of the user's with their columns, as in `./ink.py: ink_share, ink_sd`."""
    known = own_metrics.known(plan.sweep.metrics)
    return "; ".join(f"{metric.file.shown}: {', '.join(metric.columns)}" for metric in known)


def _engine_text(plan: Plan, options: argparse.Namespace) -> str:
    """What executes the trials."""
    if options.local:
        return "this process (--local)"
    if options.address:
        return f"Ray at {options.address}"
    if address := os.environ.get("RAY_ADDRESS"):
        return f"Ray at {address} (from RAY_ADDRESS)"
    return f"Ray on this machine, {plan.cpus} cores"


def analysis_command(plan: Plan) -> str:
    """The command that shows the tables of a sweep."""
    return shlex.join([*program.words("analyze"), plan.store.path(plan.sweep.name)])


def nothing_to_do(plan: Plan, retry: str) -> str:
    """The words of a run without points to run.

    Args:
        plan: whose points all have a result.
        retry: the command that runs failed ones again.

    Returns:
        Two or three lines.
    """
    counts = plan.counts()
    by_status = f"{counts['done']:,} done, {counts['diverged']} diverged, {counts['failed']} failed"
    of = f" of shard {plan.shard}" if plan.shard else ""
    lines = [f"Nothing to run: all {len(plan.points):,} points{of} have a result ({by_status})."]
    if plan.shard and not plan.points:
        trainings = len({p.train_id for p in plan.all_points})
        lines = [
            f"Nothing to run: shard {plan.shard} is empty, as there are {trainings} trainings."
        ]
    if counts[Status.FAILED]:
        lines.append(f"Run the failed ones again: {retry}")
    return "\n".join([*lines, f"Look at them: {analysis_command(plan)}"])


def aborted(plan: Plan, reason: str, command: str) -> str:
    """The last words of a run that could not go on.

    Args:
        plan: what was run.
        reason: why it could not, in words.
        command: the one that was given.

    Returns:
        Three lines.
    """
    total = len(plan.points)
    return (
        f"error: {reason}\n"
        f"  {total - plan.counts()['missing']:,} of {total:,} points have a result and are safe."
        " Once that is mended, the rest continues from checkpoints.\n"
        f"Continue: {command}"
    )


def stopped(plan: Plan, outcome: Outcome, command: str, reason: str = "") -> str:
    """The last words after Ctrl-C: how many points are finished, begun and untouched.

    Args:
        plan: what was run; the points that it was about are counted.
        outcome: how the run ended.
        command: the one that was given.
        reason: why it was stopped, if by no signal.

    Returns:
        Two lines.
    """
    ended = {row["point_id"] for row in outcome.new_rows}
    left = [
        point
        for point in plan.to_run
        if point.point_id not in ended and plan.status(point) in (Status.MISSING, Status.FAILED)
    ]
    finished = plan.before + len(plan.to_run) - len(left)
    try:
        trained, begun = plan.trainings() if left else (set(), set())
    except OSError as error:  # the results were out of reach, perhaps the reason for the stop
        unknown = f"which of them continue from checkpoints cannot be seen: {error.strerror}"
        rest = f"{len(left):,} left ({unknown})"
    else:
        known = trained | begun
        continuing = sum(p.train_id in known or p.tune_id in known for p in left)
        rest = f"{continuing:,} continue from checkpoints, {len(left) - continuing:,} not started"
    why = f"Stopped, as {reason}" if reason else "Stopped"
    return f"{why}: {finished:,} finished, {rest}.\nContinue: {command}"
