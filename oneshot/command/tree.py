"""The subcommands of the command `oneshot`: their names, flags and help."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any

from oneshot import __version__
from oneshot.command import completion
from oneshot.console import arguments
from oneshot.report.arguments import parser as parser_of_analyze

COMMANDS = {
    "run": "run a sweep; run it again to continue",
    "check": "what a run would do and cost; `check family FILE` checks a family file",
    "status": "done, diverged, failed and missing points of a sweep",
    "list": "the sweeps, or the points of one",
    "settings": "the settings of a model or critic",
    "analyze": "table and figures of results",
    "report": "a page of results for a browser",
    "export": "write the parts of a few-shot split as files",
    "new": "write a working family file, and a sweep of it",
}
EXPORT = """Write the four parts of a few-shot split as npz files: base (all images of the base
classes), supports (K images of each novel class), pool (novel images to learn from without labels)
and test. Each has images, label, index (rows of the data set) and class_names; about.json says
where they come from."""
# the flags of run_sweep.py that a look has, and those of analyze.py that a page has
LOOKS = {
    "check": ("where", "limit", "set", "seeds", "retry_failed", "results", "max_stack", "json"),
    "status": ("where", "set", "seeds", "results", "watch", "serve", "json"),
    "list": ("where", "set", "seeds", "results", "json"),
    "report": ("where", "serve", "gallery", "figures"),
}


def command_tree(called: str) -> argparse.ArgumentParser:
    """The parser of the whole command.

    Args:
        called: the words by which it was called.
    """
    whole = arguments.Parser(
        prog=called, description="Sweeps of one-shot generative models.", allow_abbrev=False
    )
    whole.add_argument("--version", action="version", version=f"oneshot {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {
        name: commands.add_parser(name, help=help, description=help)
        for name, help in COMMANDS.items()
    }
    sweep: dict[str, Any] = dict(metavar="SWEEP", help="a file, or a name in sweeps/")
    run, analyze = _flags_of_run(), _flags_of_analyze()
    for name in ("run", "status", "list"):
        given = made[name].add_argument("sweep", nargs=None if name != "list" else "?", **sweep)
        given.completer = completion.sweeps  # type: ignore[attr-defined]
    _copy(made["run"], run, [a.dest for a in run])
    _copy(made["analyze"], analyze, [a.dest for a in analyze])
    for name, wanted in LOOKS.items():
        _copy(made[name], analyze if name == "report" else run, wanted)
    for name in ("analyze", "report"):
        made[name].add_argument("results", nargs="+", metavar="RESULTS", help="folder of a sweep")
    family = made["settings"].add_argument("family", metavar="FAMILY", help="a model or critic")
    family.completer = completion.families  # type: ignore[attr-defined]
    _add_check(made["check"], f"{called} check")
    _add_export(made["export"])
    _add_new(made["new"])
    return whole


def unknown_command(word: str) -> str:
    """What is said of a command that there is not, with the nearest one."""
    near = difflib.get_close_matches(word, COMMANDS, 1)
    guess = f"  help: did you mean {near[0]}?\n" if near else ""
    return f"error: there is no command {word!r}\n{guess}  help: one of {', '.join(COMMANDS)}"


def _flags_of_run() -> list[argparse.Action]:
    """The flags of run_sweep.py, with what completes their values."""
    actions = [a for a in arguments.parser()._actions if a.option_strings and a.dest != "help"]
    for action in actions:
        if action.dest == "set":
            action.completer = completion.settings  # type: ignore[attr-defined]
        if action.dest == "settings":
            action.completer = completion.families  # type: ignore[attr-defined]
    return actions


def _flags_of_analyze() -> list[argparse.Action]:
    """The flags of analyze.py."""
    return [a for a in parser_of_analyze()._actions if a.option_strings and a.dest != "help"]


def _copy(to: argparse.ArgumentParser, actions: Sequence[argparse.Action], dests: Any) -> None:
    """Give a parser those of the flags that have these names."""
    for action in actions:
        if action.dest in dests:
            to._add_action(action)


def _add_check(check: argparse.ArgumentParser, called: str) -> None:
    """The arguments of `check SWEEP` and `check family FILE`."""
    check.usage = f"{called} SWEEP [options]\n       {called} family FILE"
    what = check.add_argument(
        "what", metavar="SWEEP", help="a file, or a name in sweeps/; or family"
    )
    what.completer = completion.sweeps  # type: ignore[attr-defined]
    check.add_argument(
        "file", nargs="?", metavar="FILE", help="as in ./my_vae.py, or a family by name"
    )


def _add_new(new: argparse.ArgumentParser) -> None:
    """The arguments of `new family NAME`."""
    new.add_argument("what", choices=["family"], metavar="family", help="what is made")
    new.add_argument("name", metavar="NAME", help="of the family, as in my_vae")
    new.add_argument("--folder", default=".", metavar="FOLDER", help="where the files go [.]")


def _add_export(export: argparse.ArgumentParser) -> None:
    """The arguments of `export DATA SPLIT OUT`."""
    export.description = EXPORT
    export.add_argument("data", metavar="DATA", help="data set: emnist, omniglot_rgb, cifar100")
    export.add_argument("split", metavar="SPLIT", help="its split: classes_0 .. classes_4")
    export.add_argument("out", metavar="OUT", help="a new folder for the files")
    export.add_argument(
        "--shots", type=int, required=True, metavar="K", help="labelled images of each novel class"
    )
    export.add_argument(
        "--shot-seed",
        type=int,
        default=0,
        metavar="S",
        help="which images these are [0: the published ones]",
    )
    export.add_argument(
        "--pool",
        choices=("disjoint", "published"),
        default="disjoint",
        help="the pool without the supports [disjoint], or with them as published",
    )
    export.add_argument(
        "--image-size",
        type=int,
        default=32,
        metavar="PIXELS",
        help="height and width of the images [32]",
    )
