"""The command run_sweep.py: parse, validate, then one call. Imports nothing heavy before the arguments are understood."""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from oneshot import looks, plan, sweep
from oneshot.places import DataError
from oneshot.plan import Plan
from oneshot.rows import NewerFormat
from oneshot.settings import SettingError
from oneshot.store import Store, StoreError, Unavailable
from oneshot.sweep import SweepError
from oneshot.where import WhereError

EPILOG = """\
examples:
  python run_sweep.py quickstart
  python run_sweep.py vae_stn --check
  python run_sweep.py vae_stn_lines --set epochs=20 --limit 2
  python run_sweep.py vae_stn --where "beta <= 1 and z == 85" --seeds 3
  python run_sweep.py vae_stn --status

Running a sweep again computes only what has no result yet: that is the resume.
exit status: 0 all selected points have a result, 1 some failed, 2 refused,
nothing ran, 130 interrupted.
"""


class Parser(argparse.ArgumentParser):
    """argparse with near names for misspelt flags, and errors in our form."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}", file=sys.stderr)
        flags = [s for action in self._actions for s in action.option_strings if s.startswith("--")]
        for word in message.replace(":", " ").split():
            if word.startswith("--") and word not in flags and (near := difflib.get_close_matches(word, flags, 1)):
                print(f"  help: did you mean {near[0]}?", file=sys.stderr)
        print(f"  help: {self.prog} --help lists the flags", file=sys.stderr)
        sys.exit(2)


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
    what.add_argument("--where", metavar="EXPR", default="", help="only points for which this holds")
    what.add_argument("--limit", type=_positive, metavar="N", help="at most N points of the model, in the sweep's order")
    what.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another fixed setting; critic.name=value for a critic"
    )
    what.add_argument("--seeds", type=_positive, metavar="N", help="N seeds for every point [the sweep's]")
    what.add_argument("--retry-failed", action="store_true", help="run failed points again")
    what.add_argument("--stop-on-failure", action="store_true", help="stop at the first failed point [go on]")
    how = p.add_argument_group("how to run")
    how.add_argument("--local", action="store_true", help="in this process, without Ray, one trial at a time")
    how.add_argument("--address", metavar="ADDR", help="the Ray cluster to join [RAY_ADDRESS, else this machine]")
    how.add_argument("--cpus-per-trial", type=float, default=1.0, metavar="X", help="processors of a trial [1]")
    how.add_argument("--gpus-per-trial", type=float, metavar="X", help="share of a GPU for a trial, as .25 [1 if there is one]")
    how.add_argument(
        "--workers-per-trial", type=_positive, default=1, metavar="K", help="train each point on K workers at once, data-parallel [1]"
    )
    how.add_argument("--fresh-workers", action="store_true", help="a new process for every trial [warm workers]")
    how.add_argument("--results", metavar="PATH", help="folder or URI of the results [ONESHOT_RESULTS, else results]")
    how.add_argument(
        "--max-stack", type=_positive, metavar="K", help="most trainings that train as one stacked model [64 on a GPU, else 8]"
    )
    how.add_argument("--checkpoint-seconds", type=float, default=60.0, metavar="S", help="most seconds between two checkpoints [60]")
    how.add_argument(
        "--drop-weights", action="store_true", help="delete a point's weights when it is done; other sample settings then train anew [keep]"
    )
    look = p.add_argument_group("look, and run nothing")
    look.add_argument("--check", "-n", "--dry-run", action="store_true", help="validate, count, estimate; writes nothing")
    look.add_argument("--status", action="store_true", help="done, diverged, failed and missing points, by axis")
    look.add_argument("--watch", nargs="?", type=_seconds, const=10.0, metavar="SECONDS", help="with --status: again and again [10]")
    look.add_argument("--list", action="store_true", help="the points of SWEEP with their status; all sweeps without SWEEP")
    look.add_argument("--check-cluster", metavar="FILE", help="what is wrong in a cluster file and what it asks for; contacts no cloud")
    look.add_argument("--settings", metavar="FAMILY", help="the settings of a model or critic: stage, type, range, default")
    look.add_argument("--json", action="store_true", help="print --check, --status and --list as JSON")
    return p


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds; SWEEP stands before --watch") from None
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
    options = parser().parse_args(arguments)
    try:
        return _dispatch(options)
    except SweepError as error:
        for message, place in error.problems:
            first, _, rest = message.partition("\n")
            print(f"error: {first}" + (f"\n  --> {place}" if place else "") + (f"\n{rest}" if rest else ""), file=sys.stderr)
        _traceback_if_asked()
    except SettingError as error:
        for message in error.problems:
            print(f"error: {message}", file=sys.stderr)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        _traceback_if_asked()
    except (WhereError, Refused, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        if getattr(error, "help", ""):
            print(f"  help: {error.help}", file=sys.stderr)  # type: ignore[union-attr]
    except (Unavailable, ConnectionError) as error:
        print(f"error: {error}", file=sys.stderr)
        print(
            f"  help: {getattr(error, 'help', 'start one with ray up cluster.yaml, or leave --address out for this machine')}",
            file=sys.stderr,
        )
        _traceback_if_asked()
    except NewerFormat as error:
        print(f"error: {error}\n  Nothing was changed.   help: update oneshot, or choose another folder with --results", file=sys.stderr)
    except OSError as error:
        if not error.filename:
            raise
        print(f"error: cannot write {error.filename}: {error.strerror}\n  help: choose another folder with --results", file=sys.stderr)
        _traceback_if_asked()
    return 2


def _traceback_if_asked() -> None:
    if os.environ.get("ONESHOT_TRACEBACK") == "1":
        raise


def _dispatch(options: argparse.Namespace) -> int:
    if options.check_cluster:
        from oneshot import cluster

        text, status = cluster.report(options.check_cluster)
        print(text)
        return status
    if options.settings:
        print(looks.settings_table(options.settings))
        return 0
    if not options.sweep:
        if options.list:
            print(looks.sweeps_table(as_json=options.json))
            return 0
        raise Refused("which sweep?", "run_sweep.py --list shows them; run_sweep.py quickstart is a first one")
    if options.watch:
        if not options.status or options.check or options.list:
            raise Refused("--watch goes with --status, and with no other look", f"run_sweep.py {options.sweep} --status --watch")
        from oneshot import watch

        return watch.run(lambda: _plan(options), options.sweep, options.watch, options.json)
    made = _plan(options)
    _look_for_data(made, options)
    if options.check or options.status or options.list:
        view = looks.check if options.check else looks.status if options.status else looks.listing
        print(view(made, _command(options), options.max_stack, options.json))
        return 0
    return _run(made, options)


def _look_for_data(made: Plan, options: argparse.Namespace) -> None:
    """Raise DataError if images that a run needs are not here; say it where somebody only looks."""
    from oneshot import data

    if options.status or options.list:
        for name in sorted({p.settings["dataset"] for p in made.points if data.is_absent(p.data_fingerprint)}):
            print(f"note: {name} is not here, so that no result on it can be found", file=sys.stderr)
        return
    remote = not options.local and bool(options.address or os.environ.get("RAY_ADDRESS"))
    for error in data.missing_of(made.points if made.to_run else [], remote):
        if not isinstance(error, data.WillBeDownloaded):
            raise error
        print(f"note: {error}", file=sys.stderr)


def _plan(options: argparse.Namespace) -> Plan:
    chosen = sweep.override(sweep.load(options.sweep), _assignments(options.set), options.seeds)
    store = Store(options.results or os.environ.get("ONESHOT_RESULTS") or "results")
    looking = options.check or options.status or options.list
    return plan.make(chosen, store, options.where, options.limit, options.retry_failed, os.cpu_count() or 1, rows_only=looking)


def _assignments(texts: Sequence[str]) -> dict[str, Any]:
    """`--set` texts as values: one literal each; a bare word is a text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise Refused(f"--set {text!r} is not NAME=VALUE", "for example --set epochs=20")
        if "," in value or value.startswith(("[", "(")):
            raise Refused(f"--set {text!r} gives several values", f"write an axis into the sweep file: grid({name.strip()}=[...])")
        try:
            found[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            found[name.strip()] = value.strip()
    return found


def _command(options: argparse.Namespace) -> str:
    """The command that runs what was looked at."""
    words = ["python run_sweep.py", options.sweep]
    words += [f'--where "{options.where}"'] * bool(options.where) + [f"--set {s}" for s in options.set]
    words += [f"--{n.replace('_', '-')} {v}" for n in ("limit", "seeds", "results", "max_stack") if (v := getattr(options, n)) is not None]
    words += ["--retry-failed"] * options.retry_failed + ["--local"] * options.local
    return " ".join(words)


def _run(made: Plan, options: argparse.Namespace) -> int:
    if options.local and options.workers_per_trial > 1:
        raise Refused("--workers-per-trial needs Ray", "leave --local out")
    from oneshot.lease import Taken, holder

    if holding := holder(made.store, made.sweep.name):
        raise _taken(Taken(made.sweep.name, *holding))
    if not made.to_run:
        made.fold()
        print(looks.nothing_to_do(made, _command(options)), file=sys.stderr)
        return 1 if made.counts()["failed"] else 0
    print(looks.echo(made, options), file=sys.stderr, flush=True)
    from oneshot import runner
    from oneshot.critics.encoder import CriticError

    try:
        made.store.write(f"{made.sweep.name}/sweep.json", json.dumps(looks.manifest(made, options, runner.revision()), indent=1).encode())
        run_options = runner.Options(
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
        outcome = runner.run(made, run_options, _engine(options.local))
    except Taken as error:
        raise _taken(error) from error
    except (DataError, CriticError) as error:
        print(f"error: {error}", file=sys.stderr)
        _traceback_if_asked()
        return 2
    if outcome.trouble:
        print(looks.broken_off(made, outcome.trouble, _command(options)), file=sys.stderr)
        return 1
    if outcome.signal:
        print(looks.stopped(made, _command(options)), file=sys.stderr)
        return 143 if outcome.signal == 15 else 130
    print(looks.finished(made, outcome, _command(options)))
    return 1 if made.counts()["failed"] or outcome.left else 0


def _engine(local: bool) -> Any:
    """The engine's class; Ray takes over a second to import and is left alone where it is not used."""
    if local:
        from oneshot.runner import LocalEngine

        return LocalEngine
    from oneshot.ray_engine import RayEngine

    return RayEngine


def _taken(error: Any) -> Refused:
    return Refused(str(error), f"--status watches it; if it is dead, run this again in {error.wait:.0f} s (there is nothing to unlock)")
