"""The command run_sweep.py: parse the arguments, do what they ask, tell mistakes in words.

Imports nothing heavy before the arguments are understood.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneshot.console import messages, preview, status, summary
from oneshot.console.arguments import Refused, assignments, command_line, parser
from oneshot.console.manifest import manifest
from oneshot.console.terminal import ReaderLeft, plain_warnings, tell, tell_error
from oneshot.engine import end_command
from oneshot.engine.demand import Impossible
from oneshot.engine.options import Options
from oneshot.paths import DataError, NoHomeError, user_path
from oneshot.store import estimate, plan
from oneshot.store.address import StoreError
from oneshot.store.plan import NothingSelected, Plan
from oneshot.store.records import NewerFormat
from oneshot.store.store import Store, Unavailable
from oneshot.sweep import definition, own_data
from oneshot.sweep.files import load_sweep
from oneshot.sweep.filter import FilterError
from oneshot.sweep.parts import SweepError
from oneshot.sweep.settings import SettingError
from oneshot.types import Status

SOCKET_ERRORS = (
    BrokenPipeError,
    ConnectionAbortedError,
    ConnectionRefusedError,
    ConnectionResetError,
)
COUNTING_SECONDS = 5.0  # after which no other model is counted for an estimate
ALIVE_SECONDS = 10.0  # a driver whose last sign is younger lives: it gives one every five


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    only_views = True
    try:
        with plain_warnings():
            options = parser().parse_args(arguments)
            only_views = _only_views(options)
            return _dispatch_and_explain(options)
    except ReaderLeft:
        # what was asked to be shown was shown as far as anybody read; a run is not done by that
        return 0 if only_views else 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        tell_error("Interrupted." if only_views else "Interrupted; run it again to continue.")
        return 128 + signal.SIGINT


def _dispatch_and_explain(options: argparse.Namespace) -> int:
    """Do what is asked; a mistake of the user's is told in words. Returns the exit status."""
    try:
        return _dispatch(options)
    except SweepError as error:
        for message, place in error.problems:
            first, _, rest = message.partition("\n")
            arrow = f"\n  --> {place}" if place else ""
            tell_error(f"error: {first}{arrow}" + (f"\n{rest}" if rest else ""))
        _traceback_if_asked()
    except SettingError as error:
        for message in error.problems:
            tell_error(f"error: {message}")
    except DataError as error:
        tell_error(f"error: {error}")
        _traceback_if_asked()
    except (FilterError, NothingSelected, NoHomeError, Refused, Impossible, StoreError) as error:
        _tell_refusal(str(error), getattr(error, "help", ""))
    except Unavailable as error:
        _tell_refusal(str(error), error.help)
        _traceback_if_asked()
    except NewerFormat as error:
        tell_error(
            f"error: {error}\n  Nothing was changed.   help: update oneshot, or choose another"
            " folder with --results"
        )
    except OSError as error:
        if not error.filename:
            raise
        _tell_refusal(f"{error.filename}: {error.strerror}")
        _traceback_if_asked()
    return 2


def _tell_refusal(message: str, help: str = "") -> None:
    """Print an error, and what would help."""
    tell_error(f"error: {message}" + (f"\n  help: {help}" if help else ""))


def _traceback_if_asked() -> None:
    """Raise the error of now again where a developer wants to see where it comes from."""
    if os.environ.get("ONESHOT_TRACEBACK") == "1":
        raise


def _dispatch(options: argparse.Namespace) -> int:
    """Do what is asked. Returns the exit status."""
    if options.check_cluster:
        from oneshot.cluster import check

        text, exit_status = check.report(options.check_cluster)
        tell(text)
        return exit_status
    if options.settings:
        tell(preview.settings_table(options.settings))
        return 0
    if not options.sweep:
        if options.list:
            tell(preview.sweep_list(as_json=options.json))
            return 0
        raise Refused(
            "which sweep?", "run_sweep.py --list shows them; run_sweep.py quickstart is a first one"
        )
    if options.serve and not options.watch:
        right = shlex.join(["run_sweep.py", options.sweep, "--status", "--watch", "--serve"])
        raise Refused("--serve goes with --status --watch", right)
    if options.watch:
        return _watch(options)
    made = _make_plan(options)
    _check_data(made, options)
    _check_files(made, options)
    if not (options.status or options.list):
        _count_costs(made)
    if options.check:
        tell(preview.dry_run(made, command_line(options), options.max_stack, options.json))
        return 0
    if options.status:
        tell(status.report(made, options.json))
        return 0
    if options.list:
        tell(preview.point_list(made, options.json))
        return 0
    exit_status = _run(made, options)
    end_command.run(options.on_end, made, exit_status)
    return exit_status


def _count_costs(made: Plan) -> None:
    """Count what the models to be trained cost, unless the user's cache has it."""
    if missing := estimate.uncounted(made):
        from oneshot.training import cost  # imports torch

        cost.count_all(missing, COUNTING_SECONDS)


def _only_views(options: argparse.Namespace) -> bool:
    """Whether only something is shown, and nothing is run."""
    return bool(
        options.check or options.status or options.list or options.check_cluster or options.settings
    )


def _watch(options: argparse.Namespace) -> int:
    """Show the status again and again. Returns the exit status."""
    if not options.status or options.check or options.list:
        right = shlex.join(["run_sweep.py", options.sweep, "--status", "--watch"])
        raise Refused("--watch goes with --status, and with no other look", right)
    from oneshot.console import watch

    def look() -> int:
        return watch.run(lambda: _make_plan(options), options.sweep, options.watch, options.json)

    if not options.serve:
        return look()
    from oneshot.report.page import follow

    made = _make_plan(options)
    folder = _local_folder(made)
    with follow.page_kept(folder, tell_error) as page, follow.served(page.file) as server:
        page.update(running=True)
        tell_error(f"{server.url} shows the points that came in")
        return look()


def _local_folder(made: Plan) -> Path:
    """The folder of the sweep; raises Refused where its results are in no folder."""
    folder = made.store.local(made.sweep.name)
    if folder is None:
        raise Refused(
            "a page is made of results in a local folder",
            "copy the tables and store/drawings here, then analyze.py RESULTS --report",
        )
    return folder


def _check_data(made: Plan, options: argparse.Namespace) -> None:
    """Raise DataError if images that a run needs are not here; only say so before a view."""
    from oneshot import data

    if options.status or options.list:
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


def _check_files(made: Plan, options: argparse.Namespace) -> None:
    """Raise SweepError if files of the user's, or of weights, that a run reads do not fit."""
    if options.status or options.list or not made.to_run:
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


def _make_plan(options: argparse.Namespace) -> Plan:
    """What is to be computed: the sweep file with the options, held against the results."""
    sweep = definition.override(
        load_sweep(user_path(options.sweep)), assignments(options.set), options.seeds
    )
    store = Store(user_path(options.results or os.environ.get("ONESHOT_RESULTS") or "results"))
    return plan.make(
        sweep,
        store,
        options.where,
        options.limit,
        options.retry_failed,
        os.cpu_count() or 1,
        rows_only=_only_views(options),
    )


def _run(made: Plan, options: argparse.Namespace) -> int:
    """Run what is missing, and say how that ended. Returns the exit status."""
    if options.report:
        _local_folder(made)
    if options.local and options.workers_per_trial > 1:
        raise Refused("--workers-per-trial needs Ray", "leave --local out")
    _check_trackers(options)
    from oneshot.store.lease import Lease, Taken, holder

    held_by, name = holder(made.store, made.sweep.name), made.sweep.name
    retry = command_line(options, retry_failed=True)
    if not made.to_run:
        if held_by is None:  # else the tables are another driver's to write
            with contextlib.suppress(Taken), Lease(made.store, name):
                made.compact()
                _log_all(made, options)
        with _page_kept(made, options):  # written when it is left
            tell(messages.nothing_to_do(made, retry), sys.stderr)
        return 1 if made.counts()[Status.FAILED] else 0
    if held_by is not None and held_by[1] <= ALIVE_SECONDS:
        raise _is_run_elsewhere(Taken(name, *held_by))
    _warn_of_another_file(made)
    tell(messages.echo(made, options), sys.stderr)
    from oneshot.critics.encoder import CriticError
    from oneshot.engine import driver
    from oneshot.engine.revision import git_revision

    note = json.dumps(manifest(made, options, git_revision()), indent=1).encode()
    try:
        with _page_kept(made, options):
            outcome = driver.run(made, _engine_options(options), _engine_class(options.local), note)
    except Taken as error:
        raise _is_run_elsewhere(error) from error
    except (DataError, CriticError) as error:
        tell_error(f"error: {error}")
        _traceback_if_asked()
        return 2
    except ConnectionError as error:
        # of some socket or pipe, and no word about the cluster
        if isinstance(error, SOCKET_ERRORS):
            raise
        help = "start one with ray up cluster.yaml, or leave --address out for this machine"
        raise Refused(str(error), getattr(error, "help", help)) from error
    if outcome.abort_reason:
        tell_error(messages.aborted(made, outcome.abort_reason, command_line(options)))
        return 1
    if outcome.signal:
        tell_error(messages.stopped(made, outcome, command_line(options)))
        return 128 + outcome.signal
    tell(summary.finished(made, outcome, retry))
    return 1 if made.counts()[Status.FAILED] or outcome.missing else 0


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

    return follow.page_kept(_local_folder(made), tell_error)


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
        log=tuple(options.log),
    )


def _engine_class(local: bool) -> Any:
    """The engine's class. Ray takes over a second to import, and is not where it is not used."""
    if local:
        from oneshot.engine.local import LocalEngine

        return LocalEngine
    from oneshot.engine.tune import RayEngine

    return RayEngine


def _warn_of_another_file(made: Plan) -> None:
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
