"""The command that is run once when a run has ended, as `--on-end` asks for it."""

from __future__ import annotations

import os
import subprocess

from oneshot.console.terminal import tell_error
from oneshot.store.plan import Plan


def run(command: str, plan: Plan, exit_status: int) -> None:
    """Run a command of the shell that knows how the run ended.

    A failure of it is told in one line, and changes nothing else.

    Args:
        command: for the shell; nothing is done where it is empty.
        plan: of the run, with the records that are known at its end.
        exit_status: of the run.
    """
    if not command:
        return
    try:
        ended = subprocess.run(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | variables(plan, exit_status),
        )
        failure = f"exit status {ended.returncode}" if ended.returncode else ""
    except OSError as error:
        failure = error.strerror or str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    if failure:
        tell_error(f"warning: the command of --on-end failed ({failure}): {command}")


def variables(plan: Plan, exit_status: int) -> dict[str, str]:
    """What the command finds in its environment.

    Args:
        plan: of the run.
        exit_status: of the run.

    Returns:
        By name; counts are of the selected points of the sweep.
    """
    counts = plan.counts()
    return {
        "ONESHOT_SWEEP": plan.sweep.name,
        "ONESHOT_RESULTS": plan.store.path("").rstrip("/"),
        "ONESHOT_SWEEP_RESULTS": plan.store.path(plan.sweep.name),
        "ONESHOT_EXIT_STATUS": str(exit_status),
        "ONESHOT_POINTS": str(len(plan.points)),
        **{f"ONESHOT_{s.upper()}": str(counts[s]) for s in ("done", "diverged", "failed")},
        "ONESHOT_MISSING": str(counts["missing"]),
    }
