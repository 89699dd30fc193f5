"""What a run shows while it goes on: four lines repainted on a terminal, complete greppable lines
anywhere else. Writes to stderr.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import warnings
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from oneshot.console.terminal import drop, nowhere, reader_left
from oneshot.types import Status

REPAINT_SECONDS = 0.25
LINE_SECONDS = 60.0
RATE_SECONDS = 600.0
SHOWN_FAILURES = 5
SHOWN_TRIALS = 3  # of those at work in a heartbeat
HEARTBEAT_COLUMNS = 90


@dataclass
class Running:
    """A trial at work: its points in words, and what it is at: done of total epochs, drawings or
    what else `doing` says.

    loss: of the last epoch on the training classes; NaN where none is told.
    """

    label: str
    points: int
    work: float
    doing: str = "epoch"
    done: int = 0
    total: int = 0
    loss: float = math.nan

    @property
    def trained(self) -> float:
        """The share of its training that is done."""
        if self.doing != "epoch":
            return 1.0
        return self.done / self.total if self.total else 0.0

    def text(self) -> str:
        """As in `epoch 3/10` or `drawing 40 %`."""
        return (
            f"epoch {self.done}/{self.total}"
            if self.doing == "epoch"
            else f"{self.doing} {self.done / max(self.total, 1):.0%}"
        )

    def line(self) -> str:
        """As in `beta=1.75 seed=44 epoch 37/100 loss 1.23`."""
        if not self.total:
            return f"{self.label} starts"
        loss = (
            f" loss {self.loss:.4g}" if self.doing == "epoch" and math.isfinite(self.loss) else ""
        )
        return f"{self.label} {self.text()}{loss}"


@dataclass
class State:
    """The counts of a run.

    before: of the points selected, those that had a result when it began and are not run again;
    `total` counts them and the points that are run.
    """

    name: str
    total: int
    before: int = 0
    work: float = 1.0
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((Status.DONE, Status.DIVERGED, Status.FAILED), 0)
    )
    running: dict[str, Running] = field(default_factory=dict)
    nearest: str = ""
    nearest_distance: float = float("inf")
    by_likelihood: bool = False
    folded_at: float = 0.0
    phase: str = ""
    work_done: float = 0.0
    trials_ended: int = 0
    started: float = field(default_factory=time.monotonic)
    # only ever appended to, so that any thread may read it
    ends: list[float] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """Points that have a record now."""
        return self.before + sum(self.counts.values())

    def end_point(self, status: str) -> None:
        self.counts[status] += 1
        self.ends.append(time.monotonic())

    def end_trial(self, trial: str, finished: bool = True) -> None:
        one = self.running.pop(trial, None)
        if one is not None and finished:
            self.work_done += one.work
            self.trials_ended += 1

    def best_text(self) -> str:
        """The best point so far in words."""
        name = "lowest NELBO" if self.by_likelihood else "nearest to people"
        return (
            f"{name} {self.nearest_distance:.2f}: {self.nearest}" if self.nearest else f"{name}: -"
        )

    def per_minute(self) -> float:
        """Points a minute over the last ten minutes."""
        now = time.monotonic()
        recent = len(self.ends) - bisect_right(self.ends, now - RATE_SECONDS)
        return 60 * recent / max(min(now - self.started, RATE_SECONDS), 1e-9)

    def left(self) -> str:
        """Time left, by work and not by points; "-" before three trials ended, and once all are
        trained, as drawing has no estimate.
        """
        partly = sum(r.work * r.trained for r in list(self.running.values()))
        share = (self.work_done + partly) / self.work
        # references end at once and say nothing
        if self.trials_ended < 3 or share < 0.005 or (self.running and share > 0.995):
            return "-"
        return duration((time.monotonic() - self.started) * max(1 - share, 0) / share)


def duration(seconds: float) -> str:
    """As people say it: `8 s`, `12 min`, `8 h 50 m`, `3 d 4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def bar(share: float, width: int) -> str:
    filled = int(width * min(max(share, 0.0), 1.0))
    return "[" + "#" * filled + "-" * (width - filled) + "]"


def lines(state: State, width: int = 80) -> list[str]:
    """The four lines of a terminal."""
    share = state.ended / max(state.total, 1)
    head = f"{state.name}  {state.ended:,}/{state.total:,}  {share:.0%}  "
    tail = f"  left {state.left()}"
    running = list(state.running.values())
    at = [r.text() for r in running if r.total]
    points = sum(r.points for r in running)
    detail = f" in {len(running)} trials" if len(running) != points else ""
    detail += f" ({', '.join(at[:2])}{', ...' if len(at) > 2 else ''})" if at else ""
    counts = state.counts
    ago = (
        f"   table written {duration(time.monotonic() - state.folded_at)} ago"
        if state.folded_at
        else ""
    )
    shown = [
        head + bar(share, max(width - len(head) - len(tail) - 3, 10)) + tail,
        (
            f"done {state.before + counts[Status.DONE]:,}   running {points}{detail}   failed"
            f" {counts[Status.FAILED]}   diverged {counts[Status.DIVERGED]}"
        ),
        (state.phase or f"{state.per_minute():.1f} points/min{ago}"),
        state.best_text(),
    ]
    return [line[: width - 1] for line in shown]


def summary(state: State) -> str:
    """The one line of a log."""
    name = "nelbo" if state.by_likelihood else "nearest"
    nearest = f" {name}={state.nearest_distance:.2f}" if state.nearest else ""
    running = sum(r.points for r in list(state.running.values()))
    share = f"{state.name} {state.ended}/{state.total} {state.ended / max(state.total, 1):.0%}"
    bad = f"failed={state.counts[Status.FAILED]} diverged={state.counts[Status.DIVERGED]}"
    counts = f"running={running} {bad}"
    return (
        f"{share} {counts} rate={state.per_minute():.1f}/min"
        f" left={state.left().replace(' ', '')}{nearest}"
    )


def heartbeat(state: State) -> list[str]:
    """The lines by which a log shows that a run goes on: the counts, what is prepared or waited
    for, and trials at work.
    """
    found = [summary(state)]
    if state.phase:
        found.append(f"{state.name} now: {state.phase}")
    running = sorted(list(state.running.values()), key=lambda r: not r.total)
    if running:
        parts = [r.line() for r in running[:SHOWN_TRIALS]]
        while len(parts) > 1 and len("; ".join(parts)) > HEARTBEAT_COLUMNS - 20 - len(state.name):
            parts.pop()
        more = f"; {len(running) - len(parts)} more" if len(running) > len(parts) else ""
        found.append(f"{state.name} at: {'; '.join(parts)}{more}")
    return found


class Progress:
    """Paints a State from a thread of its own; `say` prints a line that stays. Use as a context.

    Args:
        state: what is shown.
        stream: where to [stderr].
        tick: called before each look at the state.
        gone: called once when nobody reads what is written any more; from then on it is dropped.
    """

    def __init__(
        self,
        state: State,
        stream: TextIO | None = None,
        tick: Callable[[], None] = lambda: None,
        gone: Callable[[], object] = lambda: None,
    ):
        self.state, self.tick, self.gone = state, tick, gone
        self.stream = stream or sys.stderr or nowhere()
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.RLock()
        self._writer = 0  # the thread that writes at this moment
        self._said: deque[str] = deque()  # lines that wait to be written
        self._end = threading.Event()
        self._painted = 0
        self._torn = False
        self._left = self._told_left = False
        self._failures = 0
        self._last_line = time.monotonic()
        self._troubles: set[str] = set()
        self._show_warning: Any = None
        self._thread = threading.Thread(target=self._loop, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        if self.live:  # a warning in the middle of the live lines would stay there
            self._show_warning, warnings.showwarning = warnings.showwarning, self._warn
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()
        if self._show_warning is not None:
            warnings.showwarning = self._show_warning
        if self._failures > SHOWN_FAILURES:
            more = self._failures - SHOWN_FAILURES
            self._said.append(f"{more} more failed or diverged points: see --status")
        self._show()

    def say(self, text: str) -> None:
        """Print a line that stays above the live lines. Signal handlers may call it at any
        moment.
        """
        self._said.append(text)
        self._show()

    def event(self, text: str) -> None:
        """A line with the clock time."""
        self.say(f"{time.strftime('%H:%M:%S')} {text}")

    def failure(self, status: str, row: Mapping[str, Any], axes: Sequence[str]) -> None:
        """A failed or diverged point, at once; after the first few only the counts go on."""
        self._failures += 1
        if self._failures <= SHOWN_FAILURES:
            values = " ".join(f"{a}={row[a]}" for a in [*axes, "seed"] if row.get(a) is not None)
            what = f"{status} {row['point_id'][:8]} {row['model']} {values}"
            self.event(f"{what} {row.get('error_type')} log={row.get('log')}")

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self.say(warnings.formatwarning(message, category, filename, lineno).rstrip())

    def _loop(self) -> None:
        while not self._end.wait(
            REPAINT_SECONDS if self.live else max(min(LINE_SECONDS, 1.0), 0.05)
        ):
            try:
                self.tick()
                self._heartbeat_if_due()
                if self.live or self._said:
                    self._show()
            except Exception as error:  # a mistake here must not silence the rest of a run
                self._trouble(f"progress cannot be shown: {type(error).__name__}: {error}")

    def _trouble(self, text: str) -> None:
        """Say once what is wrong with the lines themselves."""
        if text not in self._troubles:
            self._troubles.add(text)
            self._said.append(text)

    def _heartbeat_if_due(self) -> None:
        """Where nothing is repainted, lines at least once a minute."""
        now = time.monotonic()
        if not self.live and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._said.extend(
                f"{time.strftime('%H:%M:%S')} {line}" for line in heartbeat(self.state)
            )

    def _show(self) -> None:
        """Write what was said, and the live lines below it.

        A signal handler that speaks interrupts this at any place, also in the middle of a write.
        What it says then waits for the call that it interrupted, so that frames stay whole.
        """
        if self._writer == threading.get_ident():
            return
        with self._lock:
            try:
                self._writer = threading.get_ident()
                self._frame()
                while self._said:
                    self._frame()
            finally:
                self._writer = 0
        if self._left and not self._told_left:
            self._told_left = True
            self.gone()

    def _frame(self) -> None:
        """One write: the old lines taken away, what was said, the new lines."""
        text = ""
        if self.live and (self._painted or self._torn):
            text = "\r\x1b[J" if self._torn else f"\x1b[{self._painted}A\x1b[J"
        while self._said:
            text += self._said.popleft() + "\n"
        shown = lines(self.state, self._width()) if self.live and not self._end.is_set() else []
        text += "".join(line + "\n" for line in shown)
        if text:
            self._torn = True  # until it is written: an interrupt may end it anywhere
            self._write(text)
        self._torn, self._painted = False, len(shown)

    def _width(self) -> int:
        try:
            known = os.get_terminal_size(self.stream.fileno()).columns
        except (OSError, ValueError):  # the terminal is gone
            known = 0
        return int(os.environ.get("COLUMNS") or 0) or known or 80

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError as error:
            # of a full disk below a log: what is said is lost, and the run is not
            if reader_left(error):
                drop(self.stream)
                self.stream, self.live, self._left = nowhere(), False, True
