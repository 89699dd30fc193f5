"""The arguments of run_sweep.py: the parser, and a command written out again to be pasted."""

from __future__ import annotations

import argparse
import ast
import difflib
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from oneshot.console import program
from oneshot.console.flag_values import amount, more_than_none, positive, sampler, seconds, shard
from oneshot.console.terminal import tell, tell_error

VIEWS = "look, and run nothing"  # the group of flags that are no part of a run's command
TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
EPILOG = """\
examples:
  python run_sweep.py quickstart
  python run_sweep.py vae_stn --check
  python run_sweep.py vae_stn_lines --set epochs=20 --limit 2
  python run_sweep.py vae_stn --where "beta <= 1 and z == 85" --seeds 3
  python run_sweep.py vae_stn --status

Running a sweep again computes only what has no result yet: that is the resume.
exit status: 0 all selected points have a result, 1 some failed, 2 refused;
stopped and saved: 3 budget spent, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP,
141 output unread.
"""


class Refused(ValueError):
    """Bad usage: the message, and what would help."""

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help


class Parser(argparse.ArgumentParser):
    """argparse with near names for misspelt flags, and errors in our form."""

    def error(self, message: str) -> NoReturn:
        """Tell a mistake, with the near name of a misspelt flag, and end the process."""
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
        """Write the help to a stream, stdout unless another is given."""
        tell(self.format_help().rstrip("\n"), file)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help whose left column holds the longest flag, so that each takes one line."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26)


def parser() -> argparse.ArgumentParser:
    """The arguments of run_sweep.py."""
    p = Parser(
        prog=program.name("run"),
        usage=f"{program.name('run')} SWEEP [options]",
        description="Train, draw and score every point of a sweep; leave one row a point.",
        epilog=program.named(EPILOG),
        allow_abbrev=False,
        formatter_class=_HelpFormatter,
    )
    p.add_argument("sweep", nargs="?", metavar="SWEEP", help="a file, or a name in sweeps/")
    _add_selection(p.add_argument_group("what to run"))
    how = p.add_argument_group("how to run")
    _add_execution(how)
    _add_budget(how)
    _add_outputs(how)
    _add_views(p.add_argument_group(VIEWS))
    return p


def _add_selection(what: argparse._ArgumentGroup) -> None:
    """The flags that say which points are run."""
    what.add_argument(
        "--where", metavar="EXPR", default="", help="only points for which this holds"
    )
    what.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="at most N points of the model, in the sweep's order",
    )
    what.add_argument(
        "--refine",
        type=positive,
        metavar="N",
        help="N points between rows that differ most, for a map",
    )
    what.add_argument(
        "--suggest",
        type=sampler,
        metavar="optuna[:N]",
        help="N points that a sampler asks for [8]",
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a fixed setting; critic.name=value of a critic",
    )
    what.add_argument(
        "--seeds", type=positive, metavar="N", help="N seeds for every point [the sweep's]"
    )
    what.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="the I-th of N parts; other processes run the others",
    )
    what.add_argument("--retry-failed", action="store_true", help="run failed points again")
    what.add_argument(
        "--stop-on-failure", action="store_true", help="stop at the first failed point [go on]"
    )


def _add_execution(how: argparse._ArgumentGroup) -> None:
    """The flags that say where and how they are run."""
    how.add_argument(
        "--local", action="store_true", help="in this process, without Ray, one trial at a time"
    )
    how.add_argument(
        "--address", metavar="ADDR", help="the Ray cluster to join [RAY_ADDRESS, else here]"
    )
    how.add_argument(
        "--cpus-per-trial",
        type=more_than_none,
        default=1.0,
        metavar="X",
        help="processors of a trial [1]",
    )
    how.add_argument(
        "--gpus-per-trial",
        type=amount,
        metavar="X",
        help="share of a GPU for a trial, as .25 [1 if any]",
    )
    how.add_argument(
        "--workers-per-trial",
        type=positive,
        default=1,
        metavar="K",
        help="train a point on K workers, data-parallel [1]",
    )
    how.add_argument(
        "--fresh-workers", action="store_true", help="a new process for every trial [warm workers]"
    )
    how.add_argument(
        "--results",
        metavar="PATH",
        help="folder or URI [ONESHOT_RESULTS, else results]",
    )
    how.add_argument(
        "--max-stack",
        type=positive,
        metavar="K",
        help="trainings of one stack at most [GPU: 64, else 8]",
    )
    how.add_argument(
        "--checkpoint-seconds",
        type=amount,
        default=60.0,
        metavar="S",
        help="most seconds between two checkpoints [60]",
    )


def _add_outputs(how: argparse._ArgumentGroup) -> None:
    """The flags that say what else a run makes of its results, and what it deletes."""
    how.add_argument(
        "--report",
        action="store_true",
        help="keep RESULTS/SWEEP/report.html current",
    )
    how.add_argument(
        "--log",
        action="append",
        default=[],
        choices=TRACKERS,
        metavar="NAME",
        help="mirror to tensorboard, mlflow, wandb or trackio, too",
    )
    how.add_argument(
        "--on-end",
        metavar="CMD",
        default="",
        help="a shell command that is run when the run has ended",
    )
    how.add_argument(
        "--drop-weights",
        action="store_true",
        help="delete the weights of points that are done [keep]",
    )


def _add_budget(how: argparse._ArgumentGroup) -> None:
    """The flags that end a run before it is done."""
    how.add_argument(
        "--max-hours",
        type=more_than_none,
        metavar="H",
        help="end after H hours, trainings saved; exit status 3",
    )
    how.add_argument(
        "--max-cost",
        type=more_than_none,
        metavar="C",
        help="the same at a cost of C, of each run anew",
    )
    how.add_argument(
        "--price-per-gpu-hour",
        type=more_than_none,
        metavar="P",
        help="of a GPU, or of a trial slot without GPUs",
    )


def _add_views(view: argparse._ArgumentGroup) -> None:
    """The flags that show something and run nothing."""
    view.add_argument(
        "--check",
        "-n",
        "--dry-run",
        action="store_true",
        help="validate, count, estimate; writes nothing",
    )
    view.add_argument(
        "--status", action="store_true", help="done, diverged, failed and missing points, by axis"
    )
    view.add_argument(
        "--watch",
        nargs="?",
        type=seconds,
        const=10.0,
        metavar="SECONDS",
        help="with --status: again and again [10]",
    )
    view.add_argument(
        "--serve",
        action="store_true",
        help="with --watch: show that page on 127.0.0.1",
    )
    view.add_argument(
        "--list",
        action="store_true",
        help="points with their status; without SWEEP all sweeps",
    )
    view.add_argument(
        "--check-cluster",
        metavar="FILE",
        help="what is wrong in a file for clusters; contacts none",
    )
    view.add_argument(
        "--settings",
        metavar="FAMILY",
        help="stage, type, range and default of each setting",
    )
    view.add_argument(
        "--json", action="store_true", help="print --check, --status and --list as JSON"
    )


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """The texts of `--set` as values: one literal each; a bare word is a text.

    Raises:
        Refused: a text is no assignment, or gives several values.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, sign, right = (part.strip() for part in text.partition("="))
        if not sign or not name:
            raise Refused(f"--set {text!r} is not NAME=VALUE", "for example --set epochs=20")
        try:
            value = ast.literal_eval(right)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            # all that it says of what is no literal
            value = right
        unread_list = value == right and ("," in value or value.startswith(("[", "(")))
        if isinstance(value, (list, tuple, set, dict)) or unread_list:
            raise Refused(
                f"--set {text!r} gives several values",
                f"write an axis into the sweep file: grid({name}=[...])",
            )
        values[name] = value
    return values


def command_line(options: argparse.Namespace, **changes: Any) -> str:
    """The command of a run, to be pasted into a shell.

    It is made from the parser's own flags, so that none is forgotten. Those that only look are left
    out.

    Args:
        options: of the run.
        changes: options that differ.

    Returns:
        The command, quoted for a shell.

    Raises:
        TypeError: the parser has a kind of flag that is not known here.
    """
    p, values = parser(), {**vars(options), **changes}
    views = next(group for group in p._action_groups if group.title == VIEWS)
    words = program.words("run")
    last: list[str] = []
    for action in p._actions:
        value = values.get(action.dest, action.default)
        if action in views._group_actions or action.dest == "help" or value == action.default:
            continue
        if not action.option_strings:
            (last if str(value).startswith("-") else words).append(str(value))
            continue
        flag = action.option_strings[0]
        if isinstance(action, argparse._StoreTrueAction):
            words.append(flag)
        elif isinstance(action, argparse._AppendAction):
            words += [word for one in value for word in _flag_words(flag, one)]
        elif isinstance(action, argparse._StoreAction):
            words += _flag_words(flag, value)
        else:
            raise TypeError(f"{flag} is a kind of flag that cannot be written down")
    return shlex.join([*words, *(["--", *last] if last else [])])


def _flag_words(flag: str, value: Any) -> list[str]:
    """A flag with its value as words; in one word where the value could be taken for a flag."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]
