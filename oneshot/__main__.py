"""The command `python -m oneshot`: what is done with data apart from sweeps.

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

EXPORT = """Write the four parts of a few-shot split as npz files: base (all images of the base
classes), supports (K images of each novel class), pool (novel images to learn from without labels)
and test. Each has images, label, index (rows of the data set) and class_names; about.json says
where they come from."""


def parser() -> argparse.ArgumentParser:
    """The parser of the command, with one subcommand for each thing to do."""
    whole = argparse.ArgumentParser(prog="python -m oneshot", description="Data apart from sweeps.")
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
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    try:
        with plain_warnings():
            options = parser().parse_args(arguments)
            options.run(options)
            return 0
    except (DataError, NoHomeError) as error:
        help = getattr(error, "help", "")
        tell_error(f"error: {error}" + (f"\n  help: {help}" if help else ""))
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


if __name__ == "__main__":
    sys.exit(main())
