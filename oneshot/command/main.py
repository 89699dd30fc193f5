"""main: what the command `oneshot` does, which is also `python -m oneshot`.

`run`, `check`, `status`, `list` and `settings` are run_sweep.py, `analyze` and `report` are
analyze.py, under names of their own. What is done apart from sweeps has its home here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from oneshot.command import completion
from oneshot.command.tree import COMMANDS, command_tree, unknown_command
from oneshot.console import program
from oneshot.console.terminal import ReaderLeft, plain_warnings, tell, tell_error
from oneshot.paths import DataError, NoHomeError, user_path
from oneshot.sweep.settings import SettingError

# of a command that is a part of run_sweep.py or analyze.py: which, and the flag that it stands for
PARTS = {
    "run": ("run", ""),
    "check": ("run", "--check"),
    "status": ("run", "--status"),
    "list": ("run", "--list"),
    "settings": ("run", "--settings"),
    "analyze": ("analyze", ""),
    "report": ("analyze", "--report"),
}


def parser() -> argparse.ArgumentParser:
    """The parser of the command, with one subcommand for each thing to do."""
    return command_tree(" ".join(_called()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with program.called_as(*_called()):
        completion.complete_if_asked(parser)
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            tell_error(unknown_command(words[0]))
            return 2
        if words and words[0] in PARTS and words[:2] != ["check", "family"]:
            return _part(*words)
        return _own(words)


def script() -> NoReturn:
    """Run the command as the program that it is, and end the process."""
    status = main()
    requests = sys.modules.get("oneshot.store.request_loop")
    # its library's threads may abort an interpreter that takes itself apart
    if requests is not None and requests.was_used():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


def _called() -> tuple[str, ...]:
    """The words by which this command was called."""
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
    return ("oneshot",) if name in ("oneshot", "oneshot.exe") else ("python", "-m", "oneshot")


def _part(command: str, *words: str) -> int:
    """Run a command that is a part of run_sweep.py or analyze.py; returns the exit status."""
    script, flag = PARTS[command]
    asks_help = {"-h", "--help"} & set(words)
    if flag and asks_help:
        parser().parse_args([command, "--help"])
    given = [flag, *words] if flag == "--settings" else [*words, *([flag] if flag else [])]
    if script == "analyze":
        from oneshot.report import command as analyze

        return analyze.main(given)
    from oneshot import cli

    return cli.main(given)


def _own(words: Sequence[str]) -> int:
    """Run a command that is at home here; returns the exit status."""
    try:
        with plain_warnings():
            options = parser().parse_args(words)
            return OWN[options.command](options) or 0
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
    called = " ".join(_called())
    tell(
        f"{family} and {sweep} are written. Next:\n"
        f"  {called} check family {family}\n"
        f"  {called} check {sweep}"
    )


def _check_family(options: argparse.Namespace) -> int:
    """Say which rules a family breaks; returns the exit status."""
    from oneshot.trial import check_family  # imports torch

    if not options.file:
        called = " ".join(_called())
        tell_error(f"error: which family?\n  help: {called} check family ./my_vae.py")
        return 2
    text, broken = check_family.report(user_path(options.file))
    tell(text)
    return 1 if broken else 0


OWN: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "export": _export,
    "new": _new_family,
    "check": _check_family,
}
