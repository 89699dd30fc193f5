"""What completes a command line in a shell, by argcomplete where that is installed.

A mistake here must not disturb somebody who types, so whatever goes wrong completes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


def complete_if_asked(parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Answer a shell that asks how a command line may go on, and end the process; else nothing."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        sys.exit(1)
    argcomplete.autocomplete(parser(), exit_method=sys.exit)


def sweeps(prefix: str, **_: Any) -> list[str]:
    """Names of sweeps, and files of Python.

    Args:
        prefix: the beginning of the word.
        _: what else argcomplete tells.

    Returns:
        The words that there may be.
    """
    from argcomplete.completers import FilesCompleter

    from oneshot.sweep.files import known_sweeps

    files = FilesCompleter(("py",))(prefix)
    return [*known_sweeps(), *files]


def families(**_: Any) -> list[str]:
    """Names of models and critics."""
    from oneshot.sweep import families

    return [*families.names("models"), *families.names("critics")]


def settings(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The settings of the sweep's model and of its critics, as `--set` takes them.

    Args:
        parsed_args: the words before, which name the sweep.
        _: what else argcomplete tells.

    Returns:
        The beginnings of assignments; nothing where the sweep is not known.
    """
    try:
        return list(_settings_of(getattr(parsed_args, "sweep", "") or parsed_args.what))
    except Exception:
        return []


def _settings_of(name: str) -> Iterator[str]:
    """The settings that a sweep may be given, each with the sign of equality."""
    from oneshot.sweep import families
    from oneshot.sweep.files import load_sweep
    from oneshot.sweep.settings import COMMON

    sweep = load_sweep(name)
    for setting in (*COMMON, *families.declaration("models", sweep.model).fields):
        if setting not in sweep.axes:
            yield f"{setting}="
    for critic in families.names("critics"):
        for setting in families.declaration("critics", critic).fields:
            yield f"{critic}.{setting}="
