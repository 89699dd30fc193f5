"""The command `python -m oneshot`: what is done with data and own families apart from sweeps.

Sweeps are run by run_sweep.py and shown by analyze.py.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneshot import __version__
from oneshot.console.terminal import ReaderLeft, plain_warnings, tell, tell_error
from oneshot.paths import DataError, NoHomeError, user_path
from oneshot.sweep.settings import SettingError

EXPORT = """Write the four parts of a few-shot split as npz files: base (all images of the base
classes), supports (K images of each novel class), pool (novel images to learn from without labels)
and test. Each has images, label, index (rows of the data set) and class_names; about.json says
where they come from."""


def parser() -> argparse.ArgumentParser:
    """The parser of the command, with one subcommand for each thing to do."""
    whole = argparse.ArgumentParser(prog="python -m oneshot", description="Data and own families.")
    whole.add_argument("--version", action="version", version=f"oneshot {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    export = commands.add_parser(
        "export", help="write the parts of a few-shot split as files", description=EXPORT
    )
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
    export.set_defaults(run=_export)
    new = _with_family(commands, "new", "write a working family file, and a sweep of it")
    new.add_argument("name", metavar="NAME", help="of the family, as in my_vae")
    new.add_argument("--folder", default=".", metavar="FOLDER", help="where the files go [.]")
    new.set_defaults(run=_new_family)
    check = _with_family(commands, "check", "hold a family file to the rules, in words")
    check.add_argument("family", metavar="FILE", help="as in ./my_vae.py, or a family by name")
    check.set_defaults(run=_check_family)
    return whole


def _with_family(commands: Any, name: str, help: str) -> argparse.ArgumentParser:
    """The parser of `NAME family`, the one thing that can be made or checked so far."""
    outer = commands.add_parser(name, help=help).add_subparsers(
        dest="what", required=True, metavar="family"
    )
    inner: argparse.ArgumentParser = outer.add_parser("family", help=help, description=help)
    return inner


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    try:
        with plain_warnings():
            options = parser().parse_args(arguments)
            return options.run(options) or 0
    except (DataError, NoHomeError) as error:
        help = getattr(error, "help", "")
        tell_error(f"error: {error}" + (f"\n  help: {help}" if help else ""))
        return 2
    except SettingError as error:
        for message in error.problems:
            tell_error(f"error: {message}")
        return 2
    except ReaderLeft:
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        tell_error("Interrupted.")
        return 128 + signal.SIGINT


def _export(options: argparse.Namespace) -> None:
    """Write the parts of a split, and say what was written."""
    from oneshot.data.export import export  # not before the arguments are understood

    folder = Path(user_path(options.out))
    about: dict[str, Any] = export(
        options.data,
        options.split,
        folder,
        options.shots,
        options.shot_seed,
        options.pool,
        options.image_size,
    )
    sizes = ", ".join(f"{name} {count:,}" for name, count in about["images"].items())
    tell(f"{folder}: images of {options.data} {options.split}: {sizes}")


def _new_family(options: argparse.Namespace) -> None:
    """Write a family file and a sweep, and say what comes next."""
    from oneshot.sweep import new_family

    family, sweep = new_family.write(options.name, Path(user_path(options.folder)))
    tell(
        f"{family} and {sweep} are written. Next:\n"
        f"  python -m oneshot check family {family}\n"
        f"  python run_sweep.py {sweep} --check"
    )


def _check_family(options: argparse.Namespace) -> int:
    """Say which rules a family breaks; returns the exit status."""
    from oneshot.trial import check_family  # imports torch

    text, broken = check_family.report(user_path(options.family))
    tell(text)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
