"""The command run_sweep.py: parse the arguments, do what they ask, tell mistakes in words.

Imports nothing heavy before the arguments are understood.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence

from oneshot.console import messages, preview, program, status, summary
from oneshot.console.arguments import Refused, assignments, command_line, parser
from oneshot.console.terminal import ReaderLeft, plain_warnings, tell, tell_error
from oneshot.engine import end_command, launch
from oneshot.engine.demand import Impossible
from oneshot.paths import DataError, NoHomeError, user_path
from oneshot.store.address import StoreError
from oneshot.store.plan import CannotChoose, NothingSelected, Plan
from oneshot.store.records import NewerFormat
from oneshot.store.store import Unavailable
from oneshot.sweep.files import load_sweep
from oneshot.sweep.filter import FilterError
from oneshot.sweep.parts import SweepError
from oneshot.sweep.settings import SettingError
from oneshot.types import Status

BUDGET_SPENT = 3  # the exit status of a run that its budget ended


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
    except (Unavailable, CannotChoose) as error:
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
    tell_error(program.named(f"error: {message}" + (f"\n  help: {help}" if help else "")))


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
    views = options.status or options.list
    launch.check_data(made, options, views)
    if not views:
        launch.check_files(made)
        launch.count_costs(made)
    if options.check:
        words = command_line(options), options.max_stack, options.json
        tell(preview.dry_run(made, *words, options.price_per_gpu_hour))
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
    folder = launch.local_folder(made)
    with follow.page_kept(folder, tell_error) as page, follow.served(page.file) as server:
        page.update(running=True)
        tell_error(f"{server.url} shows the points that came in")
        return look()


def _make_plan(options: argparse.Namespace) -> Plan:
    """What is to be computed: the sweep file with the options, held against the results."""
    sweep = load_sweep(user_path(options.sweep))
    return launch.plan_of(sweep, assignments(options.set), options, _only_views(options))


def _run(made: Plan, options: argparse.Namespace) -> int:
    """Run what is missing, and say how that ended. Returns the exit status."""
    retry = command_line(options, retry_failed=True)
    try:
        outcome = launch.launch(
            made, options, lambda: tell(messages.echo(made, options), sys.stderr)
        )
    except launch.errors_of_inputs() as error:
        tell_error(f"error: {error}")
        _traceback_if_asked()
        return 2
    if outcome is None:
        tell(messages.nothing_to_do(made, retry), sys.stderr)
        return 1 if made.counts()[Status.FAILED] else 0
    if outcome.abort_reason:
        tell_error(messages.aborted(made, outcome.abort_reason, command_line(options)))
        return 1
    if outcome.spent:
        again = command_line(options)
        tell_error(messages.stopped(made, outcome, again, outcome.spent))
        return BUDGET_SPENT
    if outcome.signal:
        tell_error(messages.stopped(made, outcome, command_line(options)))
        return 128 + outcome.signal
    tell(summary.finished(made, outcome, retry))
    if made.shard:
        tell(messages.shard_ended(made))
    return 1 if made.counts()[Status.FAILED] or outcome.missing else 0
