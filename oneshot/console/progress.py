"""What a run shows while it goes on: lines repainted on a terminal, else complete lines."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from oneshot.console.notebook import painter_for
from oneshot.console.painter import window_size
from oneshot.console.running import (
    HEARTBEAT_COLUMNS,
    PUBLISHED_TRIALS,
    Running,
    begun_first,
    log_text,
    trial_lines,
)
from oneshot.console.terminal import drop, nowhere, reader_left
from oneshot.console.text import bar, duration
from oneshot.store.tables import LARGEST_FIRST
from oneshot.types import Status

REPAINT_SECONDS = 0.25
LINE_SECONDS = 60.0
RATE_SECONDS = 600.0
SHOWN_FAILURES = 5


# What the best point is called, by what points are compared by: in a terminal, in a log; and the
# digits of its value.
BEST_BY = {
    "human_distance": ("nearest to people", "nearest", 2),
    "mode_distance": ("nearest to the data's modes", "mode_distance", 4),
    "nelbo": ("lowest NELBO", "nelbo", 2),
    "hits_missing": ("most hits of what was left out", "hits_missing", 4),
    "classified_gain": ("largest gain of a classifier", "classified_gain", 2),
}


@dataclass
class State:
    """The counts of a run.

    Args:
        name: of the sweep.
        total: points that had a result when it began, and points that are run.
        before: the former alone: they are not run again.
        work: of all trainings that are run, in multiply-adds.
        counts: points that ended, by status.
        running: trials at work, by their names.
        nearest: the best point so far, in words.
        nearest_distance: its distance to people, or what else points are compared by.
        measure: what that is, as of `Plan.measure`.
        folded_at: when the tables were written last, by the monotonic clock; 0 for never.
        phase: what is prepared or waited for, in words.
        work_done: of trials that ended, in multiply-adds.
        trials_ended: their number.
        started: by the monotonic clock.
        ends: when each point ended, by the monotonic clock; only ever appended to, so that any
            thread may read it.
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
    measure: str = "human_distance"
    folded_at: float = 0.0
    phase: str = ""
    work_done: float = 0.0
    trials_ended: int = 0
    started: float = field(default_factory=time.monotonic)
    ends: list[float] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """Points that have a record now."""
        return self.before + sum(self.counts.values())

    def published_trials(self) -> list[dict[str, Any]]:
        """What a heartbeat says of trials at work, of the first few."""
        running = begun_first(list(self.running.values()))
        return [trial.published() for trial in running[:PUBLISHED_TRIALS]]

    def end_point(self, status: str) -> None:
        """Count a point that ended now."""
        self.counts[status] += 1
        self.ends.append(time.monotonic())

    def end_trial(self, trial: str, finished: bool = True) -> None:
        """Take a trial from those at work.

        Args:
            trial: its name.
            finished: whether its work counts as done.
        """
        running = self.running.pop(trial, None)
        if running is not None and finished:
            self.work_done += running.work
            self.trials_ended += 1

    def improve(self, value: float, text: str) -> None:
        """Take a point as the best one, if it is.

        Args:
            value: what points are compared by.
            text: its settings in words; "" for no point.
        """
        sign = -1 if self.measure in LARGEST_FIRST else 1
        if text and (not self.nearest or sign * value < sign * self.nearest_distance):
            self.nearest_distance, self.nearest = value, text

    def best_text(self) -> str:
        """The best point so far in words."""
        name, _, digits = BEST_BY[self.measure]
        value = f"{self.nearest_distance:.{digits}f}"
        return f"{name} {value}: {self.nearest}" if self.nearest else f"{name}: -"

    def per_minute(self) -> float:
        """Points a minute over the last ten minutes."""
        now = time.monotonic()
        recent = len(self.ends) - bisect_right(self.ends, now - RATE_SECONDS)
        return 60 * recent / max(min(now - self.started, RATE_SECONDS), 1e-9)

    def left(self) -> str:
        """Time left in words, by work and not by points.

        "-" before three trials ended, and once all are trained, as drawing has no estimate.
        """
        partly = sum(r.work * r.trained for r in list(self.running.values()))
        share = (self.work_done + partly) / self.work
        # references end at once and say nothing
        if self.trials_ended < 3 or share < 0.005 or (self.running and share > 0.995):
            return "-"
        return duration((time.monotonic() - self.started) * max(1 - share, 0) / share)


def lines(state: State, width: int = 80) -> list[str]:
    """The lines of a terminal: four of the run, and some of the trials at work.

    Args:
        state: what is shown.
        width: of the terminal, in columns.

    Returns:
        Lines of at most width - 1 columns.
    """
    share, counts = state.ended / max(state.total, 1), state.counts
    head = f"{state.name}  {state.ended:,}/{state.total:,}  {share:.0%}  "
    tail = f"  left {state.left()}"
    running = list(state.running.values())
    points = sum(trial.points for trial in running)
    at_work = f"{points} in {len(running)} trials" if len(running) != points else f"{points}"
    speed = f"{state.per_minute():.1f} points/min"
    if state.folded_at:
        speed += f"   table written {duration(time.monotonic() - state.folded_at)} ago"
    shown = [
        head + bar(share, max(width - len(head) - len(tail) - 3, 10)) + tail,
        f"done {state.before + counts['done']:,}   running {at_work}"
        f"   failed {counts['failed']}   diverged {counts['diverged']}",
        state.phase or speed,
        state.best_text(),
        *(f"  {line}" for line in trial_lines(running, len(running), width - 3)),
    ]
    return [line[: width - 1] for line in shown]


def summary(state: State) -> str:
    """The one line of a log."""
    _, name, digits = BEST_BY[state.measure]
    nearest = f" {name}={state.nearest_distance:.{digits}f}" if state.nearest else ""
    running = sum(trial.points for trial in list(state.running.values()))
    return (
        f"{state.name} {state.ended}/{state.total} {state.ended / max(state.total, 1):.0%}"
        f" running={running} failed={state.counts['failed']} diverged={state.counts['diverged']}"
        f" rate={state.per_minute():.1f}/min left={state.left().replace(' ', '')}{nearest}"
    )


def heartbeat(state: State) -> list[str]:
    """The lines by which a log shows that a run goes on.

    The counts, what is prepared or waited for, and trials at work.
    """
    shown = [summary(state)]
    if state.phase:
        shown.append(f"{state.name} now: {state.phase}")
    if running := list(state.running.values()):
        room = HEARTBEAT_COLUMNS - 20 - len(state.name)
        shown.append(f"{state.name} at: {log_text(running, len(running), room)}")
    return shown


class Progress:
    """Shows a State from a thread of its own; `say` prints a line that stays. Use as a context.

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
        self._painter, self.live = painter_for(stream, self._write)
        self._lock = threading.RLock()
        self._writer = 0  # the thread that writes at this moment
        self._said: deque[str] = deque()  # lines that wait to be written
        self._end = threading.Event()
        self._reader_left = self._told_gone = False
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
        """Print a line that stays; signal handlers may call this at any moment."""
        self._said.append(text)
        self._show()

    def event(self, text: str) -> None:
        """A line with the clock time."""
        self.say(f"{time.strftime('%H:%M:%S')} {text}")

    def failure(self, status: str, row: Mapping[str, Any], axes: Sequence[str]) -> None:
        """Print a failed or diverged point at once; after the first few only the counts go on.

        Args:
            status: "failed" or "diverged".
            row: of the point.
            axes: the swept settings.
        """
        self._failures += 1
        if self._failures <= SHOWN_FAILURES:
            names = [name for name in (*axes, "seed") if row.get(name) is not None]
            values = " ".join(f"{name}={row[name]}" for name in names)
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
        pause = REPAINT_SECONDS if self.live else max(min(LINE_SECONDS, 1.0), 0.05)
        while not self._end.wait(pause):
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
            clock = time.strftime("%H:%M:%S")
            self._said.extend(f"{clock} {line}" for line in heartbeat(self.state))

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
        if self._reader_left and not self._told_gone:
            self._told_gone = True
            self.gone()

    def _frame(self) -> None:
        """One write: what was said, and below it the live lines, painted over the old ones."""
        said = []
        while self._said:
            said += self._said.popleft().split("\n")
        if self.live:
            width, _ = window_size(self.stream)
            live = [] if self._end.is_set() else lines(self.state, width)
            self._painter.paint(live, above=said)
        elif said:
            self._write("".join(f"{line}\n" for line in said))

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError as error:
            # of a full disk below a log: what is said is lost, and the run is not
            if reader_left(error):
                drop(self.stream)
                self.stream, self.live, self._reader_left = nowhere(), False, True
