"""What run_sweep.py prints: dry run, status, lists, the echo before a run and the summary after it.
Text for 80 columns; no torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import re
import shlex
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oneshot.console import status as facts
from oneshot.console.progress import duration
from oneshot.console.status import number, short
from oneshot.store.lease import holder
from oneshot.store.plan import Plan, estimate
from oneshot.store.tables import DETAILS
from oneshot.sweep import definition, settings
from oneshot.sweep.definition import SweepError
from oneshot.sweep.expansion import COMMON, STACK_ON_CPU, STACK_ON_GPU, Point, count, stacks
from oneshot.types import Status

if TYPE_CHECKING:
    from oneshot.engine.driver import Outcome

LABEL = 12


def _line(label: str, text: str) -> str:
    """One labelled line, wrapped at 80 columns."""
    return "\n".join(wrapped(label, text, 79))


def wrapped(label: str, text: str, wide: int) -> list[str]:
    """The lines of a labelled text."""
    indent = " " * (LABEL + 2)
    return textwrap.wrap(
        text,
        wide,
        initial_indent=f"  {label:<{LABEL}}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def axes_text(points: Sequence[Point], axes: Sequence[str]) -> str:
    """The axes with their range and count, as in `beta 0 .. 4 (17)`."""
    parts = []
    for axis in axes:
        values = list(dict.fromkeys(p.settings[axis] for p in points if axis in p.axes))
        span = (
            f"{short(values[0])} .. {short(values[-1])} ({len(values)})"
            if len(values) > 1
            else short(values[0])
        )
        parts.append(f"{axis} {span}")
    return "   ".join(parts)


def own(made: Plan) -> list[Point]:
    """The points of the sweep's model, without references."""
    return [p for p in made.points if p.model == made.sweep.model]


def inputs_text(made: Plan) -> str:
    """The data sets and critics of the sweep, and which are there."""
    texts = []
    for p in {
        (p.settings["dataset"], p.settings["split"], p.settings["image_size"]): p
        for p in made.points
    }.values():
        critics = []
        for spec in (p.simclr, p.protonet) if p.scored else ():
            there = (
                "present"
                if made.store.exists(spec.weights_key)
                else "to be imported"
                if spec.settings.get("weights")
                else "to be trained"
            )
            critics.append(f"{spec.kind} {spec.id[:6]} {there}")
        size = p.settings["image_size"]
        seen = ", ".join(critics) or "no critics: likelihoods only"
        texts.append(
            f"{p.settings['dataset']} {p.settings['split']} {size}x{size} {p.data_fingerprint[:6]},"
            f" {seen}"
        )
    return "; ".join(texts)


def stacks_text(made: Plan, max_stack: int | None) -> tuple[int, str]:
    """How many stacks the trainings to run make on one GPU, and in words, there and on the cores of
    this machine.
    """
    chosen = [p for p in made.to_run if p.model == made.sweep.model]
    on_gpu = stacks(chosen, max_stack or STACK_ON_GPU)
    on_cpu = stacks(chosen, max_stack or STACK_ON_CPU, made.cpus)
    count = f"{sum(map(len, on_gpu)):,}"
    if len(on_gpu) == int(count.replace(",", "")):
        return len(on_gpu), f"{count}, each on its own"
    return (
        len(on_gpu),
        (
            f"{count}, trained as stacks: {_sizes(on_gpu)} on a GPU; {_sizes(on_cpu)} on"
            f" {made.cpus} cores"
        ),
    )


def _sizes(groups: Sequence[Sequence[str]]) -> str:
    sizes = sorted(Counter(map(len, groups)).items(), reverse=True)
    return " and ".join(f"{count:,} of {size}" for size, count in sizes[:2]) + (
        " and smaller" if len(sizes) > 2 else ""
    )


def check(made: Plan, command: str, max_stack: int | None, as_json: bool) -> str:
    """The dry run: counts, stacks, inputs, cost, and why old rows are not reused."""
    counts, points = made.counts(), own(made)
    trainings = {p.train_id for p in made.to_run if p.model == made.sweep.model}
    groups, stacked = stacks_text(made, max_stack)
    seconds, basis = estimate(made)
    seeds = len({p.seed for p in points})
    found = dict(
        sweep=made.sweep.name,
        points=len(made.points),
        to_run=len(made.to_run),
        trainings=len(trainings),
        stacked_groups=groups,
        estimate_seconds=None if seconds is None else round(seconds),
        estimate_basis=basis,
        **{s: counts[s] for s in facts.STATUSES},
    )
    if as_json:
        return json.dumps(found)
    references, cores = len(made.points) - len(points), f"{made.cpus} cores of this machine"
    lines = [
        f"{made.sweep.name}: {made.sweep.question}",
        _line("axes", axes_text(points, made.sweep.axes) or "none"),
        _line(
            "points",
            f"{len(points):,} of {made.sweep.model}{f' with {seeds} seeds' if seeds > 1 else ''},"
            f" {references} references",
        ),
        _line(
            "",
            "   ".join(
                [f"to run {len(made.to_run):,}", *(f"{s} {counts[s]:,}" for s in facts.STATUSES)]
            ),
        ),
        _line("trainings", stacked),
        _line("inputs", inputs_text(made)),
        _line(
            "estimate",
            (
                f"none: {basis}"
                if seconds is None
                else f"about {duration(seconds)} on {cores}, training alone ({basis})"
            ),
        ),
    ]
    lines += [_line("not reused", reason) for reason in made.stale()]
    lines += [
        _line("first", f"{p.point_id[:8]}  {p.label(made.sweep.axes)}")
        for p in made.to_run
        if p.model == made.sweep.model
    ][:1]
    return "\n".join([*lines, f"Nothing was run or written. Run: {command}"])


def status(made: Plan, command: str, max_stack: int | None, as_json: bool) -> str:
    """Counts by status and, for axis values where not all is done, by axis; failures grouped by
    error; speed and machines of a driver.
    """
    known = facts.gather(facts.Tally(made), holder(made.store, made.sweep.name), time.time())
    if as_json:
        return json.dumps(facts_json(known, made))
    driver = "no driver running"
    if known.note:
        driver = (
            f"run by process {known.note['pid']} on {facts.line(known.note['host'])}, last sign"
            f" {duration(known.sign)} ago"
        )
    if last := known.tally.last():
        driver += f", last row {duration(max(known.now - last, 0))} ago"
    lines = [
        f"{made.sweep.name}  {len(made.points):,} points, {driver}",
        *(driver_lines(known) if known.note else []),
    ]
    lines += [table_head(known), table_row(known, "all", known.tally.counts, known.running)]
    for axis, values in telling_axes(known):
        open_values = {v: c for v, c in values.items() if c[Status.DONE] < sum(c.values())}
        rest = len(values) - len(open_values)
        note = f"   ({rest} other values: all done)" if rest else ""
        if note and known.running is not None:  # no room beside five columns
            lines, note = [*lines, f"{axis}: {rest} other values, all done"], ""
        for value, c in list(open_values.items())[:12]:
            lines.append(
                table_row(known, f"{axis} {number(value)}", c, known.running_at(axis, value)) + note
            )
            note = ""
        if len(open_values) > 12:
            lines.append(f"{axis}: {len(open_values) - 12} more values")
    lines += _failures(made)
    return "\n".join(lines)


def driver_lines(known: facts.Facts) -> list[str]:
    """What is at work and how fast, one labelled line each."""
    room = 2 * (79 - LABEL - 2) - 20
    told = [
        ("now", known.phase),
        ("speed", facts.speed_text(known)),
        ("left", known.left),
        ("machines", facts.machines_text(known, room)),
    ]
    return [_line(label, text) for label, text in told if text]


def telling_axes(known: facts.Facts) -> list[tuple[str, dict[Any, Counter[str]]]]:
    """The axes by which counts differ; where all values are alike, an axis says nothing."""
    found = []
    for axis, values in known.tally.by_axis.items():
        if (
            len(
                {
                    tuple(c[n] / max(sum(c.values()), 1) for n in facts.STATUSES)
                    for c in values.values()
                }
            )
            > 1
        ):
            found.append((axis, values))
    return found


def table_head(known: facts.Facts, wide: int = 22) -> str:
    # in brackets: they are some of the missing ones
    running = f"{'(running)':>10}" if known.running is not None else ""
    return f"{'':<{wide}}" + "".join(f"{n:>10}" for n in facts.STATUSES) + running


def table_row(
    known: facts.Facts, label: str, counts: Counter[str], running: int | None, wide: int = 22
) -> str:
    cell = f"({running:,})" if running else "-"
    return (
        f"{label:<{wide}}"
        + "".join(f"{counts[n]:>10,}" for n in facts.STATUSES)
        + (f"{cell:>10}" if known.running is not None else "")
    )


def facts_json(known: facts.Facts, made: Plan) -> dict[str, Any]:
    """The facts as one JSON object; a running point is one of the missing ones."""
    tells = known.running is not None
    by_axis: dict[str, Any] = {}
    for axis, values in known.tally.by_axis.items():
        by_axis[axis] = {
            number(v): (
                {n: c[n] for n in facts.STATUSES if c[n]}
                | ({"running": known.running_at(axis, v)} if tells else {})
            )
            for v, c in values.items()
        }
    counts = {n: known.tally.counts[n] for n in facts.STATUSES}
    return dict(
        sweep=made.sweep.name,
        driver=known.note,
        points=len(made.points),
        **counts,
        running=known.running,
        by_axis=by_axis,
        last_sign_seconds=round(known.sign, 1) if known.note else None,
        last_row=known.tally.last(),
        left=known.left,
        per_hour=round(known.per_hour, 2),
        per_hour_overall=round(known.per_hour_overall, 2),
        machines=known.machines,
        machines_from="driver" if known.told else "rows",
        phase=known.phase,
    )


def _failures(made: Plan) -> list[str]:
    """Failed and diverged points, grouped by their error."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for p in made.points:
        record = made.log.records.get(p.point_id)
        if record and record.row["status"] != Status.DONE:
            first = str(record.row.get("error") or "").split("\n")[0]
            groups.setdefault((record.row.get("error_type") or "", first), []).append(record.row)
    lines = []
    for (kind, text), found in groups.items():
        lines.append(
            textwrap.fill(
                f"{len(found)} x {kind}: {text}", 79, subsequent_indent="  ", break_on_hyphens=False
            )
        )
        lines.append(f"  first {found[0]['point_id'][:8]}, {found[0].get('log')}")
    return lines


def listing(made: Plan, command: str, max_stack: int | None, as_json: bool) -> str:
    """Every point with its id, axes and status."""
    axes = made.sweep.axes
    entries = [
        dict(
            point_id=p.point_id,
            model=p.model,
            status=made.status(p),
            **{a: p.settings[a] for a in axes if a in p.axes},
            seed=p.seed,
        )
        for p in made.points
    ]
    if as_json:
        return json.dumps(entries)
    columns = ["point_id", "model", "status", *axes, "seed"]
    cells = [
        [number(e.get(c, "-"))[:10] if c == "point_id" else number(e.get(c, "-")) for c in columns]
        for e in entries
    ]
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip()
        for row in [columns, *cells]
    )


def sweeps_table(as_json: bool) -> str:
    """The sweeps of the folder `sweeps/`: name, points, question."""
    entries = []
    for path in (
        sorted(p for p in os.listdir("sweeps") if p.endswith(".py") and not p.startswith("_"))
        if os.path.isdir("sweeps")
        else []
    ):
        try:
            found = definition.load(os.path.join("sweeps", path))
            entries.append(dict(name=found.name, points=count(found), question=found.question))
        except SweepError as error:
            entries.append(
                dict(
                    name=path, points=0, question=f"invalid: {error.problems[0][0].splitlines()[0]}"
                )
            )
    if as_json:
        return json.dumps(entries)
    wide = max((len(str(e["name"])) for e in entries), default=0)
    return (
        "\n".join(f"{e['name']:<{wide}} {e['points']:>6,}  {e['question']}"[:79] for e in entries)
        or "there is no sweep in sweeps/"
    )


def settings_table(family: str) -> str:
    """The settings of a family: name, stage, type, allowed values, default, unit and meaning."""
    kind = "critics" if family in settings.names("critics") else "models"
    head = settings.head(kind, family)
    fields = head.fields if kind == "critics" else {**COMMON, **head.fields}
    lines = [textwrap.fill(head.summary, 79)]
    for stage in settings.STAGES:
        for name, field in fields.items():
            if field.metadata["stage"] == stage:
                unit = f" {field.metadata['unit']}" if field.metadata["unit"] else ""
                line = (
                    f"  {stage:<7}{name:<19}{field.type!s:<6}{settings.range_text(field)}{unit} "
                    f" [{field.default}]"
                )
                lines.append(textwrap.fill(line, 79, subsequent_indent=" " * 34))
                lines.append(
                    textwrap.fill(
                        field.metadata["help"],
                        79,
                        initial_indent=" " * 9,
                        subsequent_indent=" " * 9,
                    )
                )
    variants = f"variants: {', '.join(head.variants)}" if head.variants else ""
    return "\n".join([*lines, textwrap.fill(variants, 79, subsequent_indent=" " * 10)]).rstrip()


def differing(made: Plan) -> dict[str, Any]:
    """The settings that all points of the sweep share and that differ from the family's
    defaults.
    """
    head = settings.head("models", made.sweep.model)
    defaults = {n: f.default for n, f in {**COMMON, **head.fields}.items()}
    rows = [p.settings for p in own(made)]
    alike = {n: v for n, v in rows[0].items() if all(row[n] == v for row in rows)} if rows else {}
    return {n: v for n, v in alike.items() if n not in made.sweep.axes and v != defaults[n]}


def echo(made: Plan, options: argparse.Namespace) -> str:
    """The configuration, before the first step: what is asked, where it runs, and only the settings
    that are not default.
    """
    address = options.address or os.environ.get("RAY_ADDRESS", "")
    source = "" if options.address or not address else " (from RAY_ADDRESS)"
    engine = (
        "this process (--local)"
        if options.local
        else f"Ray at {address}{source}"
        if address
        else f"Ray on this machine, {made.cpus} cores"
    )
    where_from = (
        ""
        if options.results
        else " (from ONESHOT_RESULTS)"
        if os.environ.get("ONESHOT_RESULTS")
        else ""
    )
    changed = ", ".join(f"{n} {number(v)}" for n, v in differing(made).items())
    lines = [
        f"{made.sweep.name}: {made.sweep.question}",
        _line(
            "points",
            f"{len(made.to_run):,} to run, {made.before:,} have a result  "
            f" {axes_text(own(made), made.sweep.axes)}",
        ),
        _line("settings", f"{made.sweep.model}: {changed or 'all default'}"),
        _line("inputs", inputs_text(made)),
        _line("engine", engine),
        _line("results", f"{made.store.path(made.sweep.name)}{where_from}"),
    ]
    return "\n".join(lines)


def manifest(made: Plan, options: argparse.Namespace, revision: str) -> dict[str, Any]:
    """sweep.json: everything about the run that was started."""
    first, chosen = (own(made) or made.points)[0], made.sweep
    asked = {**vars(options), "results": made.store.path("")}
    return {
        **{n: getattr(chosen, n) for n in ("name", "path", "question", "model", "axes", "variant")},
        "fixed": dict(chosen.fixed),
        "seeds": chosen.seed_list(),
        "points": len(made.points),
        "to_run": len(made.to_run),
        "settings": first.settings,
        "simclr": dataclasses.asdict(first.simclr),
        "protonet": dataclasses.asdict(first.protonet),
        "git_revision": revision,
        "options": {
            k: _without_secrets(v) for k, v in asked.items() if v not in (None, False, "", [])
        },
    }


def _without_secrets(value: Any) -> Any:
    """A value with every URI in it stripped of user, password and all parameters but those that say
    where it is.
    """
    if isinstance(value, list):
        return [_without_secrets(v) for v in value]
    if not isinstance(value, str) or "://" not in value:
        return value
    address, _, query = re.sub(r"://[^/\s?]*@", "://", value).partition("?")
    kept = [
        part
        for part in query.split("&")
        if part.partition("=")[0] in ("region", "scheme", "endpoint_override") and "@" not in part
    ]
    return address + ("?" + "&".join(kept) if kept else "")


def _analysis(made: Plan) -> str:
    """The command that shows the tables of a sweep."""
    return shlex.join(["python", "analyze.py", made.store.path(made.sweep.name)])


def nothing_to_do(made: Plan, retry: str) -> str:
    """The words of a run without points to run; retry: the command that runs failed ones again."""
    counts = made.counts()
    by_status = (
        f"{counts[Status.DONE]:,} done, {counts[Status.DIVERGED]} diverged,"
        f" {counts[Status.FAILED]} failed"
    )
    text = f"Nothing to run: all {len(made.points):,} points have a result ({by_status})."
    again = f"\nRun the failed ones again: {retry}" if counts[Status.FAILED] else ""
    return f"{text}{again}\nLook at them: {_analysis(made)}"


def broken_off(made: Plan, trouble: str, command: str) -> str:
    """The last words of a run that could not go on; command: the one that was given."""
    counts = made.counts()
    safe = (
        f"{len(made.points) - counts[Status.MISSING]:,} of {len(made.points):,} points have a"
        " result and are safe."
    )
    return (
        f"error: {trouble}\n  {safe} Once that is mended, the rest continues from"
        f" checkpoints.\nContinue: {command}"
    )


def stopped(made: Plan, outcome: Outcome, command: str) -> str:
    """The last words after Ctrl-C: of the points that the run was about, how many are finished,
    begun and untouched.
    """
    ended = {row["point_id"] for row in outcome.new_rows}
    left = [
        p
        for p in made.to_run
        if p.point_id not in ended and made.status(p) in (Status.MISSING, Status.FAILED)
    ]
    finished = made.before + len(made.to_run) - len(left)
    try:
        trained, begun = made.trainings() if left else (set(), set())
    except OSError as error:  # the results were out of reach, perhaps the reason for the stop
        rest = (
            f"{len(left):,} left (which of them continue from checkpoints cannot be seen:"
            f" {error.strerror})"
        )
    else:
        continuing = sum(p.train_id in trained or p.train_id in begun for p in left)
        rest = f"{continuing:,} continue from checkpoints, {len(left) - continuing:,} not started"
    return f"Stopped: {finished:,} finished, {rest}.\nContinue: {command}"


def finished(made: Plan, outcome: Outcome, retry: str) -> str:
    """The summary at the end of a run: counts, the nearest point beside people, failures, what was
    written, what comes next.

    retry: the command that runs failed points again.
    """
    counts = outcome.counts
    head = (
        f"Finished: {counts[Status.DONE]:,} done, {counts[Status.DIVERGED]} diverged,"
        f" {counts[Status.FAILED]} failed in {duration(outcome.seconds)}."
    )
    lines = [
        head,
        *(_nearest_table(made) if made.measure() == "human_distance" else _likelihood_table(made)),
    ]
    lines += _failures(made)
    folder, rows = made.store.path(made.sweep.name), made.current_records()
    try:
        there = set(made.store.versions(made.sweep.name, ".parquet"))
    except OSError:
        # they were written a moment ago; that they cannot be listed is no failure of the run
        there = set()
    tables = [name for name in (*DETAILS, "critics") if f"{name}.parquet" in there]
    lines.append(
        _line(
            "written", ", ".join([f"{folder}/points.parquet ({len(rows):,} rows)", *tables])
        ).strip()
    )
    if others := len(made.log.records) - len(rows):
        lines.append(_line("", f"{others:,} records of other settings stay in {folder}/records"))
    lines.append(f"next        {_analysis(made)}")
    if made.counts()[Status.FAILED]:
        lines.append(f"            {retry}")
    return "\n".join(lines)


def measured(value: Any, error: Any, digits: int) -> str:
    """A value with its standard error, as in `0.3412 +- 0.0047`: at least so many digits, and two
    of the error.
    """
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "-"
    if not isinstance(error, (int, float)) or not math.isfinite(error):
        return f"{value:.{digits}f}"
    if error > 0:
        digits = max(digits, min(1 - math.floor(math.log10(error)), 4))
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def _nearest_table(made: Plan) -> list[str]:
    """The nearest point of the model and the references, in one small table."""
    rows = [r.row for r in made.current_records() if r.row["status"] == Status.DONE]
    models = [
        r for r in rows if r["model"] == made.sweep.model and r.get("human_distance") is not None
    ]
    if not models:
        return []
    best = min(models, key=lambda r: r["human_distance"])
    axes = made.sweep.axes
    head = (
        f"{'':<12}"
        + "".join(f"{a:>{max(len(a), 6) + 2}}" for a in axes)
        + f"{'diversity':>18}{'recognizability':>19}{'distance':>10}"
    )
    lines = [head]
    for name, row in [
        ("nearest", best),
        *(
            ({"human": "people"}.get(r["model"], r["model"]), r)
            for r in rows
            if r["model"] in definition.REFERENCES
        ),
    ]:
        values = "".join(
            f"{short(row.get(a, '')) if row['model'] == made.sweep.model else '':>{max(len(a), 6) + 2}}"
            for a in axes
        )
        spread = measured(row.get("diversity"), row.get("diversity_se"), 2)
        percent = measured(row.get("recognizability"), row.get("recognizability_se"), 1)
        lines.append(
            f"{name:<12}{values}{spread:>18}{percent:>19}{measured(row.get('human_distance'), None, 2):>10}"
        )
    return lines


def _likelihood_table(made: Plan) -> list[str]:
    """The three points of lowest NELBO in one small table."""
    rows = [
        r.row
        for r in made.current_records()
        if r.row["status"] == Status.DONE and r.row.get("nelbo") is not None
    ]
    axes = [*made.sweep.axes, "seed"]
    widths = [max([len(a), 6, *(len(short(r.get(a, ""))) for r in rows)]) + 2 for a in axes]
    lines = (
        [
            f"{'':<12}"
            + "".join(f"{a:>{w}}" for a, w in zip(axes, widths))
            + f"{'NELBO':>9}{'NLL':>9}"
        ]
        if rows
        else []
    )
    for place, row in enumerate(sorted(rows, key=lambda r: r["nelbo"])[:3]):
        values = "".join(f"{short(row.get(a, '')):>{w}}" for a, w in zip(axes, widths))
        nll = f"{row['nll']:.2f}" if row.get("nll") is not None else "-"
        lines.append(f"{'lowest' if place == 0 else '':<12}{values}{row['nelbo']:>9.2f}{nll:>9}")
    return lines
