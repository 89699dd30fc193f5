"""From a sweep to its run: what is checked before it, what surrounds it, which engine it has.

The command and `oneshot.run` both come this way. Imports nothing heavy before a run begins.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.console.arguments import Refused
from oneshot.console.manifest import manifest
from oneshot.console.terminal import tell, tell_error
from oneshot.engine.options import Options
from oneshot.engine.processors import usable_processors
from oneshot.paths import DataError, user_path
from oneshot.store import estimate, plan
from oneshot.store.plan import Plan
from oneshot.store.store import Store
from oneshot.sweep import Sweep, definition, own_data, shards
from oneshot.sweep.parts import SweepError

if TYPE_CHECKING:
    from oneshot.console.outcome import Outcome

SOCKET_ERRORS = (
    BrokenPipeError,
    ConnectionAbortedError,
    ConnectionRefusedError,
    ConnectionResetError,
)
COUNTING_SECONDS = 5.0  # after which no other model is counted for an estimate
ALIVE_SECONDS = 10.0  # a driver whose last sign is younger lives: it gives one every five


def plan_of(
    sweep: Sweep,
    settings: Mapping[str, Any],
    options: argparse.Namespace,
    rows_only: bool = False,
) -> Plan:
    """What is to be computed: a sweep with the options, held against the results.

    Args:
        sweep: as it is written.
        settings: those of `--set`.
        options: of the command line.
        rows_only: for a plan that is only shown.

    Returns:
        The plan.

    Raises:
        SweepError: a mistake in the sweep.
        CannotChoose: no rows speak for points.
        Refused: flags that do not go together.
    """
    root = user_path(options.results or os.environ.get("ONESHOT_RESULTS") or "results")
    made = plan.make(
        definition.override(sweep, settings, options.seeds),
        Store(root),
        options.where,
        options.limit,
        options.retry_failed,
        usable_processors(),
        rows_only=rows_only,
        shard=shards.parse(options.shard) if options.shard else None,
    )
    if (options.refine or options.suggest) and not (options.status or options.list):
        _choose_points(made, options)
    return made


def _choose_points(made: Plan, options: argparse.Namespace) -> None:
    """Let the plan run the points that the rows that are there speak for."""
    given = [f"--{name}" for name in ("refine", "suggest", "limit") if getattr(options, name)]
    if len(given) > 1:
        raise Refused(
            f"{' and '.join(given)} do not go together",
            "--refine N and --suggest optuna:N say themselves how many points are run",
        )
    if any(point.model == made.sweep.model for point in made.to_run):
        from oneshot.store import choices  # imports NumPy

        choices.narrow(made, options.refine, options.suggest or "")


def check_data(made: Plan, options: argparse.Namespace, only_views: bool = False) -> None:
    """Raise DataError if images that a run needs are not here; only say so before a view.

    Args:
        made: what is to be run, or shown.
        options: of the command line.
        only_views: whether it is only shown.
    """
    from oneshot import data

    if only_views:
        for name in sorted(
            {p.settings["dataset"] for p in made.points if data.is_absent(p.data_fingerprint)}
        ):
            tell(f"note: {name} is not here, so that no result on it can be found", sys.stderr)
        return
    remote = not options.local and bool(options.address or os.environ.get("RAY_ADDRESS"))
    for error in data.missing_of(made.points if made.to_run else [], remote):
        if not isinstance(error, data.WillBeDownloaded):
            raise error
        tell(f"note: {error}", sys.stderr)


def check_files(made: Plan) -> None:
    """Raise SweepError if files of the user's, or of weights, that a run reads do not fit."""
    if not made.to_run:
        return
    datasets = {p.settings["dataset"] for p in made.to_run}
    if made.sweep.has_own_parts or any(own_data.find(name) for name in datasets):
        from oneshot.trial import own_parts  # imports torch

        if problems := own_parts.problems(made.to_run):
            raise SweepError(problems)
    named = ("weights_file", "dino_weights")
    files = [p.settings.get(name) for p in made.to_run for name in named]
    files += [given.get("weights") for given in made.sweep.critics.values()]
    if not any(files):
        return
    from oneshot.trial import weight_files  # imports torch

    if problems := weight_files.problems(made.to_run):
        raise SweepError(problems)


def count_costs(made: Plan) -> None:
    """Count what the models to be trained cost, unless the user's cache has it."""
    if missing := estimate.uncounted(made):
        from oneshot.training import cost  # imports torch

        cost.count_all(missing, COUNTING_SECONDS)


def launch(made: Plan, options: argparse.Namespace, begin: Callable[[], object]) -> Outcome | None:
    """Run what is missing of a plan, and write its tables.

    Args:
        made: the plan.
        options: of the command line: where and how it is run.
        begin: called once before a run, when nothing stands against it.

    Returns:
        How the run ended; None where there was nothing to run.

    Raises:
        Refused: it cannot be run so, or another driver runs it.
        DataError: images are damaged.
        CriticError: a critic cannot be trained.
    """
    if options.report:
        local_folder(made)
    if options.max_cost is not None and not options.price_per_gpu_hour:
        raise Refused("--max-cost needs a price", "add --price-per-gpu-hour X")
    if options.local and options.workers_per_trial > 1:
        raise Refused("--workers-per-trial needs Ray", "leave --local out")
    _check_trackers(options)
    from oneshot.store.lease import Taken, holder
    from oneshot.store.shards import TABLES_ONLY, folder, title

    if not made.to_run:
        _write_tables(made, options)
        with _page_kept(made, options):  # written when it is left
            return None
    name, shard = made.sweep.name, made.shard
    held_by = holder(made.store, folder(name, made.all_points, shard) if shard else name)
    if held_by is not None and held_by[1] <= ALIVE_SECONDS:
        if held_by[0].get(TABLES_ONLY):
            help = "--status shows them; run one of them, --shard I/N, or wait for their end"
            raise Refused(f"{name} is being run in shards", help)
        raise _is_run_elsewhere(Taken(title(name, shard), *held_by))
    warn_of_another_file(made)
    begin()
    from oneshot.engine import driver
    from oneshot.engine.revision import git_revision

    note = json.dumps(manifest(made, options, git_revision()), indent=1).encode()
    try:
        with _page_kept(made, options):
            return driver.run(made, _engine_options(options), engine_class(options.local), note)
    except Taken as error:
        raise _is_run_elsewhere(error) from error
    except ConnectionError as error:
        # of some socket or pipe, and no word about the cluster
        if isinstance(error, SOCKET_ERRORS):
            raise
        help = "start one with ray up cluster.yaml, or leave --address out for this machine"
        raise Refused(str(error), getattr(error, "help", help)) from error


def errors_of_inputs() -> tuple[type[Exception], ...]:
    """What `launch` raises where images or critics cannot be had."""
    from oneshot.critics.encoder import CriticError  # imports torch, as a run has done by now

    return DataError, CriticError


def local_folder(made: Plan) -> Path:
    """The folder of the sweep; raises Refused where its results are in no folder."""
    folder = made.store.local(made.sweep.name)
    if folder is None:
        raise Refused(
            "a page is made of results in a local folder",
            "copy the tables and store/drawings here, then analyze.py RESULTS --report",
        )
    return folder


def _write_tables(made: Plan, options: argparse.Namespace) -> None:
    """Write the tables of a sweep in which nothing is to run, unless another driver writes them."""
    from oneshot.engine.sweep_tables import SweepTables

    def write() -> None:
        made.compact()
        _log_all(made, options)

    SweepTables(made.store, made.sweep.name).write_last(lambda: bool(made.log.update()), write)


def _check_trackers(options: argparse.Namespace) -> None:
    """Raise Refused if the package of a tracker is not installed."""
    if options.log:
        from oneshot.trackers import base

        base.check(options.log)


def _log_all(made: Plan, options: argparse.Namespace) -> None:
    """Log what trackers lack of a sweep that has all its results."""
    if options.log:
        from oneshot.trackers.mirror import Mirror

        with Mirror(made, options.log, tell_error) as mirror:
            mirror.update(made.current_records())


def _page_kept(made: Plan, options: argparse.Namespace) -> contextlib.AbstractContextManager[Any]:
    """Keep the page of the sweep current, if that is asked for, as long as the context lasts."""
    if not options.report:
        return contextlib.nullcontext()
    from oneshot.report.page import follow

    return follow.page_kept(local_folder(made), tell_error)


def _engine_options(options: argparse.Namespace) -> Options:
    """The arguments that say how to run, as the engine takes them."""
    return Options(
        address=options.address or os.environ.get("RAY_ADDRESS", ""),
        gpus_per_trial=options.gpus_per_trial,
        cpus_per_trial=options.cpus_per_trial,
        workers_per_trial=options.workers_per_trial,
        checkpoint_seconds=options.checkpoint_seconds,
        fresh_workers=options.fresh_workers,
        stop_on_failure=options.stop_on_failure,
        max_stack=options.max_stack,
        drop_weights=options.drop_weights,
        max_hours=options.max_hours,
        max_cost=options.max_cost,
        price_per_gpu_hour=options.price_per_gpu_hour or 0.0,
        log=tuple(options.log),
    )


def engine_class(local: bool) -> Any:
    """The engine's class. Ray takes over a second to import, and is not where it is not used."""
    if local:
        from oneshot.engine.local import LocalEngine

        return LocalEngine
    # in a notebook both ask for packages of widgets, which nothing here uses
    logging.getLogger("ray.widgets.util").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        from oneshot.engine.tune import RayEngine

    return RayEngine


def warn_of_another_file(made: Plan) -> None:
    """Say it if these results were made from another sweep file that asks something else."""
    try:
        known = json.loads(made.store.read(f"{made.sweep.name}/sweep.json"))
    except (FileNotFoundError, ValueError):
        return
    if isinstance(known, dict) and (text := definition.other_origin(made.sweep, known)):
        warnings.warn(text, stacklevel=2)


def _is_run_elsewhere(error: Any) -> Refused:
    """The refusal of a sweep whose lease another driver holds."""
    return Refused(
        str(error),
        f"--status watches it; if it is dead, run this again in {error.wait:.0f} s (there is"
        " nothing to unlock)",
    )
