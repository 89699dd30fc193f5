"""The git revision of this package, for the provenance of rows."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path


def git_revision() -> str:
    """The revision of this package's checkout, "+changes" if files differ; "" outside of one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        changed = _git("status", "--porcelain", "-uno")
        return _git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    return ""


def _git(*arguments: str) -> str:
    """What a git command prints in the folder of this package."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
