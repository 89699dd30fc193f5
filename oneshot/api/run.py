"""run: a sweep from a program or a notebook, in the way of the command run_sweep.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.api.load import points_of
from oneshot.console.arguments import parser
from oneshot.console.status import failure_lines
from oneshot.console.terminal import plain_warnings, tell
from oneshot.console.text import duration
from oneshot.engine import launch
from oneshot.store.plan import Plan
from oneshot.sweep import Sweep, SweepError
from oneshot.sweep.files import load_sweep
from oneshot.sweep.parts import calling_line
from oneshot.types import Status

if TYPE_CHECKING:
    import pandas as pd

    from oneshot.console.outcome import Outcome


def run(
    sweep: Sweep | str | Path,
    results: str | Path | None = None,
    *,
    where: str = "",
    limit: int | None = None,
    shard: str = "",
    refine: int | None = None,
    suggest: str = "",
    settings: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    retry_failed: bool = False,
    stop_on_failure: bool = False,
    local: bool = False,
    address: str = "",
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float | None = None,
    workers_per_trial: int = 1,
    max_stack: int | None = None,
    checkpoint_seconds: float = 60.0,
    drop_weights: bool = False,
    max_hours: float | None = None,
    max_cost: float | None = None,
    price_per_gpu_hour: float | None = None,
    log: Sequence[str] = (),
    report: bool = False,
) -> pd.DataFrame:
    """Run what has no result yet of a sweep, and return its table of points.

    Progress goes to stderr; a notebook shows it below the cell. An interrupt (Ctrl-C, or the stop
    button of a notebook) lets the trials save a checkpoint. The same call continues from there.

    Args:
        sweep: the sweep, which has a name; or a sweep file, or its name.
        results: folder or URI of the results; None for $ONESHOT_RESULTS, else `results`.
        where: only points for which this holds, as in "beta <= 1".
        limit: at most so many points of the model.
        shard: the I-th of N parts of the sweep, "I/N"; other processes run the others.
        refine: so many points between rows that differ most, for a map.
        suggest: points that a sampler asks for, "optuna" or "optuna:N".
        settings: other fixed settings, by name; by "critic.name" those of a critic.
        seeds: so many seeds for every point; None for those of the sweep.
        retry_failed: whether failed points are run again.
        stop_on_failure: whether the first failed point ends the run.
        local: in this process, without Ray, one trial at a time.
        address: the Ray cluster to join; "" for $RAY_ADDRESS, else this machine.
        cpus_per_trial: processors of a trial.
        gpus_per_trial: share of a GPU for a trial; None for 1 if there is one.
        workers_per_trial: processes that train one point together.
        max_stack: trainings of one stacked model at most; None for what suits the device.
        checkpoint_seconds: most seconds between two checkpoints.
        drop_weights: whether the weights of a point are deleted once it is done.
        max_hours: after so many hours the run ends; trainings are saved.
        max_cost: the same at this cost, which needs a price.
        price_per_gpu_hour: of a GPU, or of a trial slot without GPUs.
        log: trackers that rows are mirrored to, as ["tensorboard"].
        report: whether the page report.html is kept current.

    Returns:
        One row a point, as `load` gives it.

    Raises:
        SweepError: a mistake in the sweep; nothing was run.
        DataError: images are not here, or damaged.
        ValueError: an argument cannot be, or another process runs this sweep.
        RunEnded: the run could not go on.
        KeyboardInterrupt: it was interrupted; what is finished is safe.
    """
    given = {k: v for k, v in locals().items() if k not in ("sweep", "settings")}
    options = _options({**given, "results": None if results is None else str(results)})
    try:
        with plain_warnings():
            plan = launch.plan_of(_named(sweep), settings or {}, options)
            launch.check_data(plan, options)
            launch.check_files(plan)
            launch.count_costs(plan)
            outcome = launch.launch(plan, options, lambda: _tell_what_runs(plan))
            _tell_how_it_ended(plan, outcome)
    except Exception as error:
        if help := getattr(error, "help", ""):
            error.add_note(f"help: {help}")
        raise
    return points_of(plan.store, plan.sweep.name)


class RunEnded(RuntimeError):
    """A run could not go on; what is finished is safe, and the same call continues."""


def _options(given: Mapping[str, Any]) -> argparse.Namespace:
    """The options of the command with these values; ValueError for one that cannot be."""
    options = parser().parse_args([])
    for action in (a for a in parser()._actions if a.dest in given):
        value = given[action.dest]
        if value == "" and action.type is not None:
            value = action.default
        if value is not None and value != action.default and callable(action.type):
            try:
                value = action.type(str(value))
            except argparse.ArgumentTypeError as error:
                raise ValueError(f"{action.dest} = {given[action.dest]!r}: {error}") from None
        setattr(options, action.dest, value)
    return options


def _named(sweep: Sweep | str | Path) -> Sweep:
    """The sweep itself; SweepError for one without a name, which has no folder for its results."""
    if not isinstance(sweep, Sweep):
        return load_sweep(sweep)
    if not sweep.name:
        raise SweepError(
            [
                (
                    "the sweep has no name for the folder of its results: Sweep(name=...)",
                    calling_line(),
                )
            ]
        )
    return sweep


def _tell_what_runs(plan: Plan) -> None:
    """Say before the first step how much there is to do."""
    text = f"{len(plan.to_run):,} points to run, {plan.before:,} have a result"
    tell(f"{plan.sweep.name}: {text}", sys.stderr)


def _tell_how_it_ended(plan: Plan, outcome: Outcome | None) -> None:
    """Say how many points ended in which way; raises what a stopped run raises."""
    place = plan.store.path(plan.sweep.name)
    counts = plan.counts()
    have = f"{len(plan.points) - counts[Status.MISSING]:,} of {len(plan.points):,} points"
    if outcome is None:
        tell(f"{plan.sweep.name}: nothing to run, {have} have a result in {place}", sys.stderr)
        return
    if outcome.abort_reason:
        raise RunEnded(f"{outcome.abort_reason}\n{have} have a result; the same call continues")
    if outcome.spent:
        tell(
            f"{outcome.spent}: {have} have a result in {place}; the same call continues", sys.stderr
        )
        return
    if outcome.signal:
        raise KeyboardInterrupt(f"{have} have a result in {place}; the same call continues")
    ended = ", ".join(f"{count:,} {status}" for status, count in outcome.counts.items() if count)
    tell(f"{plan.sweep.name}: {ended} in {duration(outcome.seconds)}, {place}", sys.stderr)
    for line in failure_lines(plan):
        tell(line, sys.stderr)
