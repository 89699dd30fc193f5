"""A watched sweep on a terminal: at most 24 lines of 80 columns, painted over themselves."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, TextIO

from oneshot.console import snapshot
from oneshot.console.painter import Painter, window_size
from oneshot.console.running import trial_lines
from oneshot.console.snapshot import LABEL_COLUMNS, Snapshot, count_row, differing_axes
from oneshot.console.terminal import write_whole
from oneshot.console.text import (
    LABEL,
    bar,
    duration,
    one_line,
    short_text,
    table,
    wrap_labelled,
)
from oneshot.console.watch_view import View, ended_text, error_text, point_text
from oneshot.types import Status

MOST_LINES, MOST_COLUMNS = 24, 80
MOST_LABEL_COLUMNS = 28  # of the table of counts
SHOWN_FAILURES = 2


class Screen:
    """The screen of a terminal; see `watch_view.Display`.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream
        self._painter = Painter(stream, lambda text: write_whole(stream, text), whole_screen=True)
        self._shown: list[str] = []  # what the last read made

    def begin(self, name: str) -> None:
        """Say that the results are being read for the first time."""
        self._paint([f"{name}: reading the results ..."])

    def show(self, view: View) -> None:
        """Paint a view."""
        self.refresh(view)

    def refresh(self, view: View) -> None:
        """Paint a view, with the ages of this moment."""
        columns, rows = self._window()
        self._paint(screen_lines(view, columns, rows - 1))

    def wait(self, seconds: float) -> None:
        """Say below the head of what was painted last that a read has lasted so long already."""
        _, rows = self._window()
        text = f"  reading     for {duration(seconds)}, the results have not answered yet"
        self._painter.paint([*self._shown[:1], text, *self._shown[1:]][: rows - 1])

    def end(self, view: View) -> None:
        """Say that all is done, below what was painted last."""
        if view.known:
            write_whole(self.stream, ended_text(view.known) + "\n")

    def close(self) -> None:
        """After Ctrl-C: what was painted last stays, and the prompt stands below it."""
        write_whole(self.stream, "\r\x1b[K")

    def _paint(self, lines: list[str]) -> None:
        self._shown = lines
        self._painter.paint(lines)

    def _window(self) -> tuple[int, int]:
        columns, rows = window_size(self.stream)
        return min(columns, MOST_COLUMNS), min(rows, MOST_LINES)


def screen_lines(view: View, columns: int = MOST_COLUMNS, most: int = MOST_LINES - 1) -> list[str]:
    """The lines of a terminal: how far, who runs it, how fast, where, counts, failures.

    Args:
        view: what is shown.
        columns: of the terminal.
        most: lines.

    Returns:
        At most so many lines of at most columns - 1.
    """
    known, width = view.known, columns - 1
    label = "waiting" if view.trouble.startswith("waiting") else "trouble"
    trouble = wrap_labelled(label, view.trouble.removeprefix("waiting "), width)
    if known is None or label == "waiting":
        head = f"{view.name}  {len(known.tally.points):,} points" if known else view.name
        return [line[:width] for line in [head, *trouble][:most]]
    lines = [_progress_line(view.name, known, width), *trouble]
    speed = f"{snapshot.speed_text(known)}, {snapshot.last_row_text(known)}"
    machines = snapshot.machines_text(known, 2 * (width - 14) - 20)
    lines += wrap_labelled("driver", snapshot.driver_text(known), width)
    lines += wrap_labelled("now", known.phase, width)[:2]
    lines += _trial_lines(known, width)
    lines += wrap_labelled("speed", speed, width)
    lines += wrap_labelled("machines", machines, width)[:2]
    if view.damaged:
        text = f"{view.damaged:,} records cannot be read; their points count as missing"
        lines += wrap_labelled("damaged", text, width)
    lines = lines[: most - 2]
    # the table has at least two lines; failures have half of the rest, two lines each
    failures = _failure_lines(known, width)[: max((most - len(lines) - 2) // 4 * 2, 0)]
    counts = _count_lines(known, most - len(lines) - len(failures))
    return [line[:width] for line in [*lines, *counts, *failures]]


def _progress_line(name: str, known: Snapshot, width: int) -> str:
    """How many points have a result, with a bar and the time left."""
    total = len(known.tally.points)
    ended = total - known.tally.counts[Status.MISSING]
    share = ended / max(total, 1)
    head, tail = f"{name}  {ended:,}/{total:,}  {share:.0%}  ", f"  left {known.left}"
    return head + bar(share, max(width - len(head) - len(tail) - 2, 10)) + tail


def _trial_lines(known: Snapshot, width: int) -> list[str]:
    """The first trials at work, a line each, behind one label."""
    if not known.at_work:
        return []
    trials = trial_lines(known.at_work, known.trials, max(width - LABEL - 2, 20))
    return [f"  {'' if i else 'at work':<{LABEL}}{line}" for i, line in enumerate(trials)]


def _count_lines(known: Snapshot, most: int) -> list[str]:
    """Counts in total and by axis value; values without a line of their own count together.

    At most so many lines: axes at the end have none where there is no room for two values.
    """
    axes = differing_axes(known)
    while axes and most < 2 + sum(min(len(values), 2) for _, values in axes):
        axes.pop()
    rows = [count_row(known, "all", known.tally.counts, known.running or 0)]
    shares = _shares([len(values) for _, values in axes], most - 2)
    for (axis, values), share in zip(axes, shares):
        shown = _shown_values(known, axis, values, share)
        for value in shown:
            label, running = f"{axis} {one_line(short_text(value))}", known.running_at(axis, value)
            rows.append(count_row(known, label, values[value], running))
        if others := [value for value in values if value not in shown]:
            counts = sum((values[value] for value in others), Counter[str]())
            running = sum(known.running_at(axis, value) for value in others)
            rows.append(count_row(known, f"  {len(others)} other values", counts, running))
    longest = max(len(label) for label, *_ in rows)
    width = min(max(LABEL_COLUMNS, longest + 1), MOST_LABEL_COLUMNS)
    cut: list[Sequence[str] | str] = [[label[: width - 1], *cells] for label, *cells in rows]
    return table(snapshot.count_columns(known, width), cut)


def _shares(wanted: Sequence[int], room: int) -> list[int]:
    """How many lines each axis has; what short ones leave goes to long ones."""
    shares = [0] * len(wanted)
    shortest_first = sorted(range(len(wanted)), key=lambda place: wanted[place])
    for served, place in enumerate(shortest_first):
        shares[place] = min(wanted[place], room // (len(wanted) - served))
        room -= shares[place]
    return shares


def _shown_values(
    known: Snapshot, axis: str, values: dict[Any, Counter[str]], room: int
) -> list[Any]:
    """The values of an axis that have a line of their own, in the axis's order.

    All if there is room; else those at work, with failures, or least done.
    """
    if len(values) <= room:
        return list(values)

    def urgency(value: Any) -> tuple[int, int, float]:
        counts = values[value]
        done = counts[Status.DONE] / max(sum(counts.values()), 1)
        return -known.running_at(axis, value), -counts[Status.FAILED], done

    chosen = set(sorted(values, key=urgency)[: max(room - 1, 0)])
    return [value for value in values if value in chosen]


def _failure_lines(known: Snapshot, width: int) -> list[str]:
    """The latest failures, two lines each: the point with its error, and its log."""
    lines = []
    for row in known.tally.failures(SHOWN_FAILURES):
        lines.append(f"{point_text(known, row)}: {error_text(row)}"[:width])
        lines.append(f"  {_shortened(one_line(row.get('log') or 'no log'), width - 2)}")
    return lines


def _shortened(path: str, room: int) -> str:
    """A path that fits, from the folder of the command if that is shorter; at worst its end."""
    if len(path) > room and path.startswith(os.sep):
        path = min(path, os.path.relpath(path), key=len)
    return path if len(path) <= room else "..." + path[3 - room :]
