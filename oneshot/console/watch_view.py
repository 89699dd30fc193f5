"""What is shown of a watched sweep: the view, what shows it, and points and errors in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from oneshot.console.snapshot import Snapshot
from oneshot.console.text import one_line, short_text
from oneshot.types import Status


@dataclass
class View:
    """What is known after a read of the store.

    Args:
        name: of the sweep.
        known: None before the first successful read.
        trouble: why nothing new is known, in words.
        damaged: records that cannot be read.
        over: whether every point has a result and nobody runs the sweep.
    """

    name: str
    known: Snapshot | None = None
    trouble: str = ""
    damaged: int = 0
    over: bool = False

    def exit_status(self) -> int:
        """1 if a point failed, as the run itself would say."""
        return 1 if self.known and self.known.tally.counts[Status.FAILED] else 0


class Display(Protocol):
    """Where a view is shown: `watch_screen.Screen` on a terminal, `watch_log.Log` elsewhere."""

    stream: TextIO

    def begin(self, name: str) -> None:
        """Say that the results are being read for the first time."""

    def show(self, view: View) -> None:
        """Show what a read has found."""

    def refresh(self, view: View) -> None:
        """Show the same view with the ages of this moment."""

    def wait(self, seconds: float) -> None:
        """Show that a read has lasted so long already."""

    def end(self, view: View) -> None:
        """Say that all is done."""

    def close(self) -> None:
        """Leave whole lines behind after Ctrl-C."""


def ended_text(known: Snapshot) -> str:
    """The last line, once every point has a result."""
    counts = known.tally.counts
    return (
        f"All {len(known.tally.points):,} points have a result: {counts['done']:,} done,"
        f" {counts['diverged']:,} diverged, {counts['failed']:,} failed."
    )


def point_text(known: Snapshot, row: dict[str, Any]) -> str:
    """A failed or diverged point, as in `failed 1a2b3c4d beta=2.5 seed=44`.

    Args:
        known: the sweep.
        row: of the point.

    Returns:
        One line.
    """
    text = one_line(row.get("model"))
    if row.get("model") == known.tally.sweep.model:
        names = [n for n in (*known.tally.sweep.axes, "seed") if row.get(n) is not None]
        text = " ".join(f"{name}={one_line(short_text(row[name]))}" for name in names)
    return f"{row['status']} {one_line(row['point_id'])[:8]} {text}"


def error_text(row: dict[str, Any]) -> str:
    """The error of a point: its type and its first line."""
    first = (str(row.get("error") or "").splitlines() or [""])[0]
    return one_line(f"{row.get('error_type')}: {first}" if first else row.get("error_type"))
