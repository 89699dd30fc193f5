"""From what gpu_slot.py measured to the whole grid, and the rows of the table. Everything about the
grid is extrapolated, and says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.gpu_measure import Bench
from benchmarks.gpu_stage import Result
from benchmarks.harness import NOT_MEASURED, Row

TIMES = range(20, 91, 10)
LATENTS = range(10, 386, 25)
BETAS = 17
STEPS, EPOCHS, A_EPOCH = 115_500, 500, 231  # of a point; batches of an epoch
POINTS = len(TIMES) * len(LATENTS) * BETAS
Results = dict[int, dict[str, Result]]


def value(results: Results, stage: int, name: str) -> float | None:
    found = results.get(stage, {}).get(name, {}).get("value")
    return None if found is None else float(found)


def step_seconds(results: Results, k: int) -> dict[int, float]:
    """Measured seconds a step at z 60, by time steps."""
    found = {
        40: value(results, 4, f"K {k}"),
        20: value(results, 5, f"K {k}, T 20"),
        90: value(results, 5, f"K {k}, T 90"),
    }
    return {t: v for t, v in found.items() if v is not None}


def line(steps: dict[int, float], t: int) -> float:
    """A step at t time steps: the line through what was measured, or proportional to t where it is
    one value.
    """
    if len(steps) == 1:
        ((at, seconds),) = steps.items()
        return seconds * t / at
    slope, start = np.polyfit(list(steps), list(steps.values()), 1)
    return float(slope * t + start)


def latents(results: Results, z: int) -> float:
    """A step at z latents relative to 60: between what was measured, and 1 where nothing was."""
    base, found = value(results, 4, "K 17"), {60: 1.0}
    for at in (10, 385):
        seconds = value(results, 5, f"K 17, z {at}")
        if seconds is not None and base:
            found[at] = seconds / base
    known = sorted(found)
    return float(np.interp(z, known, [found[at] for at in known]))


def hours(results: Results, k: int) -> float | None:
    """Hours of the grid in stacks of k (1 or 17): steps, and what an epoch took beyond its
    steps.
    """
    steps, epoch = step_seconds(results, k), value(results, 8, f"K {k}, one epoch")
    if not steps:
        return None
    rest = max(epoch - A_EPOCH * line(steps, 40), 0.0) if epoch is not None else 0.0
    a_stack = sum(
        STEPS * line(steps, t) * latents(results, z) + EPOCHS * rest * t / 40
        for t in TIMES
        for z in LATENTS
    )
    return a_stack * BETAS / k / 3600


def published_hours(results: Results) -> float | None:
    """The same one point after the other in the published style, a step proportional to the number
    of time steps; without evaluation.
    """
    step = value(results, 3, "published style, images prepared by its loader")
    return (
        None
        if step is None
        else sum(STEPS * step * t / 40 for t in TIMES) * len(LATENTS) * BETAS / 3600
    )


def grid(results: Results) -> dict[str, Any]:
    """Hours of the whole grid and points an hour, by way of training."""
    ways = {
        "published style": published_hours(results),
        "one at a time": hours(results, 1),
        "stacks of 17": hours(results, 17),
    }
    return {
        way: {"hours": h, "points_an_hour": POINTS / h, "label": "extrapolated"}
        for way, h in ways.items()
        if h is not None
    }


def rows(results: Results, bench: Bench, minutes: float) -> tuple[list[Row], dict[str, Any]]:
    """The rows of the table, and the extrapolation to the grid. Figures of tiny sizes or of a
    processor count as not measured.
    """
    whole, real = grid(results), bench.cuda and not bench.quick
    done = [n for n, r in results.items() if r]
    lost = sum("value" not in one for r in results.values() for one in r.values())
    made = [
        Row(
            7,
            f"GPU slot{'' if real else ', tried on tiny sizes or without a GPU'}",
            f"{len(done)} of 10 stages in {minutes:.1f} min",
            note=f"{lost} results skipped or failed",
        ),
    ]
    loader, plain = (
        value(results, 3, f"published style{more}")
        for more in (", images prepared by its loader", "")
    )
    one, many = (
        value(results, 4, "K 1") or value(results, 3, "compiled, graph, tf32"),
        value(results, 4, "K 17"),
    )
    each = many / BETAS if many else None
    made += [
        _row(
            3,
            "a training step on a GPU, compiled and graphed, data access included",
            one,
            loader,
            8,
            real,
        ),
        _row(3, "the same, data on the GPU for both", one, plain, None, real),
        _row(
            2,
            "17 stacked on a GPU against eager solo, a model's step",
            each,
            loader,
            40,
            real,
            "predicted 60 to 90",
        ),
        _row(
            2,
            "17 stacked on a GPU against our solo, a model's step",
            each,
            one,
            5,
            real,
            "predicted 5 to 8",
        ),
    ]
    for way, found in whole.items():
        hour = f"{found['points_an_hour']:.3g} points an hour, {found['hours']:.3g} h"
        note = (
            f"{POINTS:,} points, from"
            f" {'T 20, 40, 90' if len(step_seconds(results, 17)) > 2 else 'T 40'}"
        )
        made.append(
            Row(
                8,
                f"the grid on one GPU, {way}, extrapolated",
                hour if real else NOT_MEASURED,
                note=note,
            )
        )
    return made, whole


def _row(
    item: int,
    what: str,
    ours: float | None,
    baseline: float | None,
    least: float | None,
    real: bool,
    note: str = "",
) -> Row:
    target = "" if least is None else f"at least {least:g}"
    if not real or not ours or not baseline:
        return Row(
            item, what, NOT_MEASURED, target=target, met=NOT_MEASURED if target else "-", note=note
        )
    ratio = baseline / ours
    met = "-" if least is None else "yes" if ratio >= least else "no"
    return Row(
        item,
        what,
        f"{1e3 * ours:.3g} ms",
        f"{1e3 * baseline:.3g} ms",
        ratio,
        target=target,
        met=met,
        note=note,
    )
