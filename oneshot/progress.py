"""What a run shows while it goes on: four lines repainted on a terminal, complete greppable lines anywhere else. Writes to stderr."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

REPAINT_SECONDS = 0.25
LINE_SECONDS = 60.0
RATE_SECONDS = 600.0
SHOWN_FAILURES = 5


@dataclass
class Running:
    """A trial at work: its points in words, and what it is at: done of total epochs, drawings or what else `doing` says."""

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
        return f"epoch {self.done}/{self.total}" if self.doing == "epoch" else f"{self.doing} {self.done / max(self.total, 1):.0%}"


@dataclass
class State:
    """The counts of a run. `before` points had a record when it began; `total` counts them too."""

    name: str
    total: int
    before: int = 0
    work: float = 1.0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("done", "diverged", "failed"), 0))
    running: dict[str, Running] = field(default_factory=dict)
    nearest: str = ""
    nearest_distance: float = float("inf")
    by_likelihood: bool = False
    folded_at: float = 0.0
    phase: str = ""
    work_done: float = 0.0
    trials_ended: int = 0
    started: float = field(default_factory=time.monotonic)
    ends: deque[float] = field(default_factory=deque)

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
        return f"{name} {self.nearest_distance:.2f}: {self.nearest}" if self.nearest else f"{name}: -"

    def per_minute(self) -> float:
        """Points a minute over the last ten minutes."""
        now = time.monotonic()
        while self.ends and now - self.ends[0] > RATE_SECONDS:
            self.ends.popleft()
        return 60 * len(self.ends) / max(min(now - self.started, RATE_SECONDS), 1e-9)

    def left(self) -> str:
        """Time left, by work and not by points; "-" before three trials ended, and once all are trained, as drawing has no estimate."""
        partly = sum(r.work * r.trained for r in list(self.running.values()))
        share = (self.work_done + partly) / self.work
        if self.trials_ended < 3 or share < 0.005 or (self.running and share > 0.995):  # references end at once and say nothing
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
    ago = f"   table written {duration(time.monotonic() - state.folded_at)} ago" if state.folded_at else ""
    shown = [
        head + bar(share, max(width - len(head) - len(tail) - 3, 10)) + tail,
        f"done {state.before + counts['done']:,}   running {points}{detail}   failed {counts['failed']}   diverged {counts['diverged']}",
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
    counts = f"running={running} failed={state.counts['failed']} diverged={state.counts['diverged']}"
    return f"{share} {counts} rate={state.per_minute():.1f}/min left={state.left().replace(' ', '')}{nearest}"


class Progress:
    """Paints a State from a thread of its own. Use as a context; `say` prints a line that stays."""

    def __init__(self, state: State, stream: TextIO | None = None, tick: Callable[[], None] = lambda: None):
        self.state, self.stream, self.tick = state, stream or sys.stderr, tick
        self.gone: Callable[[], None] = lambda: None
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.RLock()
        self._end = threading.Event()
        self._painted = 0
        self._failures = 0
        self._last_line, self._last_share = time.monotonic(), 0.0
        self._thread = threading.Thread(target=self._loop, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()
        with self._lock:
            self._clear()
            if self._failures > SHOWN_FAILURES:
                self._write(f"{self._failures - SHOWN_FAILURES} more failed or diverged points: see --status\n")

    def say(self, text: str) -> None:
        """Print a line that stays above the live lines."""
        with self._lock:
            self._clear()
            self._write(text + "\n")
            self._paint()

    def event(self, text: str) -> None:
        """A line with the clock time."""
        self.say(f"{time.strftime('%H:%M:%S')} {text}")

    def failure(self, status: str, row: Mapping[str, Any], axes: Sequence[str]) -> None:
        """A failed or diverged point, at once; after the first few only the counts go on."""
        self._failures += 1
        if self._failures <= SHOWN_FAILURES:
            values = " ".join(f"{a}={row[a]}" for a in [*axes, "seed"] if row.get(a) is not None)
            self.event(f"{status} {row['point_id'][:8]} {row['model']} {values} {row.get('error_type')} log={row.get('log')}")

    def _loop(self) -> None:
        while not self._end.wait(REPAINT_SECONDS if self.live else 1.0):
            self.tick()
            with self._lock:
                if self.live:
                    self._clear()
                    self._paint()
                else:
                    self._line_if_due()

    def _line_if_due(self) -> None:
        """A summary line a minute or per 5 %, whichever is rarer."""
        share, now = self.state.ended / max(self.state.total, 1), time.monotonic()
        if now - self._last_line >= LINE_SECONDS and share - self._last_share >= 0.05:
            self._last_line, self._last_share = now, share
            self._write(f"{time.strftime('%H:%M:%S')} {summary(self.state)}\n")

    def _clear(self) -> None:
        if self.live and self._painted:
            self._write(f"\x1b[{self._painted}A\x1b[J")
            self._painted = 0

    def _paint(self) -> None:
        if self.live and not self._end.is_set():
            width = int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(self.stream.fileno()).columns or 80
            shown = lines(self.state, width)
            self._write("\n".join(shown) + "\n")
            self._painted = len(shown)

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
