"""The command run_sweep.py: parse, validate, then one call. Imports nothing heavy before the
arguments are understood.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import json
import math
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from oneshot.console import messages, preview, status, summary
from oneshot.console.manifest import manifest
from oneshot.console.terminal import ReaderLeft, plain_warnings, tell, tell_error
from oneshot.engine.demand import Impossible
from oneshot.paths import DataError, NoHomeError, user_path
from oneshot.store import estimate, plan
from oneshot.store.plan import NothingSelected, Plan
from oneshot.store.records import NewerFormat
from oneshot.store.store import Store, StoreError, Unavailable
from oneshot.sweep import SweepError, definition
from oneshot.sweep.files import load_sweep
from oneshot.sweep.filter import FilterError
from oneshot.sweep.settings import SettingError
from oneshot.types import Status

SOCKET_ERRORS = (
    BrokenPipeError,
    ConnectionAbortedError,
    ConnectionRefusedError,
    ConnectionResetError,
)
SURE_SECONDS = 10.0  # a driver whose last sign is younger lives: it gives one every five
COUNTING_SECONDS = 5.0  # after which no other model is counted for an estimate
LOOKS = "look, and run nothing"  # the group of flags that are no part of a run's command
EPILOG = """\
examples:
  python run_sweep.py quickstart
  python run_sweep.py vae_stn --check
  python run_sweep.py vae_stn_lines --set epochs=20 --limit 2
  python run_sweep.py vae_stn --where "beta <= 1 and z == 85" --seeds 3
  python run_sweep.py vae_stn --status

Running a sweep again computes only what has no result yet: that is the resume.
exit status: 0 all selected points have a result, 1 some failed, 2 refused;
stopped and saved: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 141 output unread.
"""


class Parser(argparse.ArgumentParser):
    """argparse with near names for misspelt flags, and errors in our form."""

    def error(self, message: str) -> NoReturn:
        lines = [f"error: {message}"]
        flags = [s for action in self._actions for s in action.option_strings if s.startswith("--")]
        for word in message.replace(":", " ").split():
            if (
                word.startswith("--")
                and word not in flags
                and (near := difflib.get_close_matches(word, flags, 1))
            ):
                lines.append(f"  help: did you mean {near[0]}?")
        tell_error("\n".join([*lines, f"  help: {self.prog} --help lists the flags"]))
        sys.exit(2)

    def print_help(self, file: Any = None) -> None:
        tell(self.format_help().rstrip("\n"), file)


def parser() -> Parser:
    """The arguments of run_sweep.py."""
    p = Parser(
        prog="run_sweep.py",
        usage="run_sweep.py SWEEP [options]",
        description="Train, draw and score every point of a sweep; leave one row a point.",
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("sweep", nargs="?", metavar="SWEEP", help="a file, or a name in sweeps/")
    what = p.add_argument_group("what to run")
    what.add_argument(
        "--where", metavar="EXPR", default="", help="only points for which this holds"
    )
    what.add_argument(
        "--limit",
        type=_positive,
        metavar="N",
        help="at most N points of the model, in the sweep's order",
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another fixed setting; critic.name=value for a critic",
    )
    what.add_argument(
        "--seeds", type=_positive, metavar="N", help="N seeds for every point [the sweep's]"
    )
    what.add_argument("--retry-failed", action="store_true", help="run failed points again")
    what.add_argument(
        "--stop-on-failure", action="store_true", help="stop at the first failed point [go on]"
    )
    how = p.add_argument_group("how to run")
    how.add_argument(
        "--local", action="store_true", help="in this process, without Ray, one trial at a time"
    )
    how.add_argument(
        "--address", metavar="ADDR", help="the Ray cluster to join [RAY_ADDRESS, else this machine]"
    )
    how.add_argument(
        "--cpus-per-trial",
        type=_more_than_none,
        default=1.0,
        metavar="X",
        help="processors of a trial [1]",
    )
    how.add_argument(
        "--gpus-per-trial",
        type=_amount,
        metavar="X",
        help="share of a GPU for a trial, as .25 [1 if there is one]",
    )
    how.add_argument(
        "--workers-per-trial",
        type=_positive,
        default=1,
        metavar="K",
        help="train each point on K workers at once, data-parallel [1]",
    )
    how.add_argument(
        "--fresh-workers", action="store_true", help="a new process for every trial [warm workers]"
    )
    how.add_argument(
        "--results",
        metavar="PATH",
        help="folder or URI of the results [ONESHOT_RESULTS, else results]",
    )
    how.add_argument(
        "--max-stack",
        type=_positive,
        metavar="K",
        help="most trainings that train as one stacked model [64 on a GPU, else 8]",
    )
    how.add_argument(
        "--checkpoint-seconds",
        type=_amount,
        default=60.0,
        metavar="S",
        help="most seconds between two checkpoints [60]",
    )
    how.add_argument(
        "--drop-weights",
        action="store_true",
        help=(
            "delete a point's weights when it is done; other sample settings then train anew [keep]"
        ),
    )
    look = p.add_argument_group(LOOKS)
    look.add_argument(
        "--check",
        "-n",
        "--dry-run",
        action="store_true",
        help="validate, count, estimate; writes nothing",
    )
    look.add_argument(
        "--status", action="store_true", help="done, diverged, failed and missing points, by axis"
    )
    look.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=10.0,
        metavar="SECONDS",
        help="with --status: again and again [10]",
    )
    look.add_argument(
        "--list",
        action="store_true",
        help="the points of SWEEP with their status; all sweeps without SWEEP",
    )
    look.add_argument(
        "--check-cluster",
        metavar="FILE",
        help="what is wrong in a cluster file and what it asks for; contacts no cloud",
    )
    look.add_argument(
        "--settings",
        metavar="FAMILY",
        help="the settings of a model or critic: stage, type, range, default",
    )
    look.add_argument(
        "--json", action="store_true", help="print --check, --status and --list as JSON"
    )
    return p


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return value


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


def _more_than_none(text: str) -> float:
    if not (value := _amount(text)):
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds; SWEEP stands before --watch"
        ) from None
    if not 0.1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is outside 0.1 .. 86400 seconds")
    return value


class Refused(ValueError):
    """Bad usage: the message, and what would help."""

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    looking = True
    try:
        with plain_warnings():
            options = parser().parse_args(arguments)
            looking = _looks(options)
            return _answered(options)
    except ReaderLeft:
        # what was asked to be shown was shown as far as anybody read; a run is not done by that
        return 0 if looking else 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        tell_error("Interrupted." if looking else "Interrupted; run it again to continue.")
        return 128 + signal.SIGINT


def _answered(options: argparse.Namespace) -> int:
    """Do what is asked; a mistake of the user's is told in words."""
    try:
        return _dispatch(options)
    except SweepError as error:
        for message, place in error.problems:
            first, _, rest = message.partition("\n")
            tell_error(
                f"error: {first}"
                + (f"\n  --> {place}" if place else "")
                + (f"\n{rest}" if rest else "")
            )
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
    tell_error(f"error: {message}" + (f"\n  help: {help}" if help else ""))


def _traceback_if_asked() -> None:
    if os.environ.get("ONESHOT_TRACEBACK") == "1":
        raise


def _dispatch(options: argparse.Namespace) -> int:
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
    if options.watch:
        if not options.status or options.check or options.list:
            right = shlex.join(["run_sweep.py", options.sweep, "--status", "--watch"])
            raise Refused("--watch goes with --status, and with no other look", right)
        from oneshot.console import watch

        return watch.run(lambda: _plan(options), options.sweep, options.watch, options.json)
    made = _plan(options)
    _look_for_data(made, options)
    if not (options.status or options.list):
        _count_costs(made)
    if options.check:
        tell(preview.dry_run(made, command(options), options.max_stack, options.json))
        return 0
    if options.status:
        tell(status.report(made, options.json))
        return 0
    if options.list:
        tell(preview.point_list(made, options.json))
        return 0
    return _run(made, options)


def _looks(options: argparse.Namespace) -> bool:
    """Whether only something is shown."""
    return bool(
        options.check or options.status or options.list or options.check_cluster or options.settings
    )


def _look_for_data(made: Plan, options: argparse.Namespace) -> None:
    """Raise DataError if images that a run needs are not here; say it where somebody only looks."""
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


def _plan(options: argparse.Namespace) -> Plan:
    chosen = definition.override(
        load_sweep(user_path(options.sweep)), _assignments(options.set), options.seeds
    )
    store = Store(user_path(options.results or os.environ.get("ONESHOT_RESULTS") or "results"))
    cpus = os.cpu_count() or 1
    return plan.make(
        chosen,
        store,
        options.where,
        options.limit,
        options.retry_failed,
        cpus,
        rows_only=_looks(options),
    )


def _count_costs(made: Plan) -> None:
    """Count what the models to be trained cost, unless the user's cache has it."""
    if missing := estimate.uncounted(made):
        from oneshot.training import cost  # imports torch

        cost.count_all(missing, COUNTING_SECONDS)


def _assignments(texts: Sequence[str]) -> dict[str, Any]:
    """`--set` texts as values: one literal each; a bare word is a text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise Refused(f"--set {text!r} is not NAME=VALUE", "for example --set epochs=20")
        try:
            read = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            # all that it says of what is no literal
            read = value.strip()
        if isinstance(read, (list, tuple, set, dict)) or (
            read == value.strip() and ("," in read or read.startswith(("[", "(")))
        ):
            raise Refused(
                f"--set {text!r} gives several values",
                f"write an axis into the sweep file: grid({name.strip()}=[...])",
            )
        found[name.strip()] = read
    return found


def command(options: argparse.Namespace, **changes: Any) -> str:
    """The command of a run with these options, to be pasted into a shell; changes: options that
    differ.

    It is made from the parser's own flags, so that none is forgotten; those that only look are left
    out.
    """
    p, given = parser(), {**vars(options), **changes}
    looks = next(group for group in p._action_groups if group.title == LOOKS)
    words = ["python", "run_sweep.py"]
    last: list[str] = []
    for action in p._actions:
        value = given.get(action.dest, action.default)
        if action in looks._group_actions or action.dest == "help" or value == action.default:
            continue
        if not action.option_strings:
            (last if str(value).startswith("-") else words).append(str(value))
            continue
        flag = action.option_strings[0]
        if isinstance(action, argparse._StoreTrueAction):
            words.append(flag)
        elif isinstance(action, argparse._AppendAction):
            words += [word for one in value for word in _given(flag, one)]
        elif isinstance(action, argparse._StoreAction):
            words += _given(flag, value)
        else:
            raise TypeError(f"{flag} is a kind of flag that cannot be written down")
    return shlex.join([*words, *(["--", *last] if last else [])])


def _given(flag: str, value: Any) -> list[str]:
    """A flag with its value as words; in one word where the value could be taken for a flag."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def _run(made: Plan, options: argparse.Namespace) -> int:
    if options.local and options.workers_per_trial > 1:
        raise Refused("--workers-per-trial needs Ray", "leave --local out")
    from oneshot.store.lease import Lease, Taken, holder

    holding, name = holder(made.store, made.sweep.name), made.sweep.name
    retry = command(options, retry_failed=True)
    if not made.to_run:
        if holding is None:  # else the tables are another driver's to write
            with contextlib.suppress(Taken), Lease(made.store, name):
                made.compact()
        tell(messages.nothing_to_do(made, retry), sys.stderr)
        return 1 if made.counts()[Status.FAILED] else 0
    if holding is not None and holding[1] <= SURE_SECONDS:
        raise _taken(Taken(name, *holding))
    _warn_of_another_file(made)
    tell(messages.echo(made, options), sys.stderr)
    from oneshot.critics.encoder import CriticError
    from oneshot.engine import driver

    note = json.dumps(manifest(made, options, driver.revision()), indent=1).encode()
    run_options = driver.Options(
        address=options.address or os.environ.get("RAY_ADDRESS", ""),
        gpus_per_trial=options.gpus_per_trial,
        cpus_per_trial=options.cpus_per_trial,
        workers_per_trial=options.workers_per_trial,
        checkpoint_seconds=options.checkpoint_seconds,
        fresh_workers=options.fresh_workers,
        stop_on_failure=options.stop_on_failure,
        max_stack=options.max_stack,
        drop_weights=options.drop_weights,
    )
    try:
        outcome = driver.run(made, run_options, _engine(options.local), note)
    except Taken as error:
        raise _taken(error) from error
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
    if outcome.trouble:
        tell_error(messages.aborted(made, outcome.trouble, command(options)))
        return 1
    if outcome.signal:
        tell_error(messages.stopped(made, outcome, command(options)))
        return 128 + outcome.signal
    tell(summary.finished(made, outcome, retry))
    return 1 if made.counts()[Status.FAILED] or outcome.left else 0


def _warn_of_another_file(made: Plan) -> None:
    """Say it if these results were made from another sweep file that asks something else."""
    try:
        manifest = json.loads(made.store.read(f"{made.sweep.name}/sweep.json"))
    except (FileNotFoundError, ValueError):
        return
    if isinstance(manifest, dict) and (text := definition.other_origin(made.sweep, manifest)):
        warnings.warn(text, stacklevel=2)


def _engine(local: bool) -> Any:
    """The engine's class; Ray takes over a second to import and is left alone where it is not
    used.
    """
    if local:
        from oneshot.engine.driver import LocalEngine

        return LocalEngine
    from oneshot.engine.tune import RayEngine

    return RayEngine


def _taken(error: Any) -> Refused:
    return Refused(
        str(error),
        f"--status watches it; if it is dead, run this again in {error.wait:.0f} s (there is"
        " nothing to unlock)",
    )
