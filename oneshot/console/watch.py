"""Watching a sweep from any machine that reads its results: repainted on a terminal, complete lines
anywhere else. No torch, no Ray.

Only the results are read: new records and the driver's note. Neither the cluster nor the driver
notices.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import math
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from oneshot.console import messages, status
from oneshot.console.progress import bar, duration
from oneshot.console.status import Facts, Tally
from oneshot.store import lease
from oneshot.store import records as rows
from oneshot.store.plan import Plan
from oneshot.types import Status

REPAINT_SECONDS = 1.0  # from memory, so that ages go on between two looks at the store
PATIENCE_SECONDS = 10.0  # a look that takes longer is shown
QUIET_SECONDS = 60.0  # a line at least this often
AXES_SECONDS = 3600.0  # counts by axis value in a log
MOST_LINES, MOST_COLUMNS = 24, 80
SHOWN_FAILURES = 5


@dataclass
class View:
    """What is known after a look. known: None before the first successful one; trouble: why nothing
    new is known.
    """

    name: str
    known: Facts | None = None
    trouble: str = ""
    damaged: int = 0
    over: bool = False

    def exit_status(self) -> int:
        return 1 if self.known and self.known.tally.counts[Status.FAILED] else 0


class Watcher:
    """Looks at a sweep's results; each look reads what is new."""

    def __init__(self, make: Callable[[], Plan], name: str):
        self.make, self.name = make, name
        self.made: Plan | None = None
        self.tally: Tally | None = None
        self._damaged: set[str] = set()
        self._held: tuple[dict[str, Any], float] | None = None
        self._looked = time.monotonic()
        self._answered = time.monotonic()

    def look(self) -> View:
        """Read what is new. A store that does not answer is trouble, never the end."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # damaged records are counted in the view
                trouble = self._read()
            self._answered = time.monotonic()
        except OSError as error:
            reason = status.line(
                error.strerror or str(error).splitlines()[0] if str(error) else type(error).__name__
            )
            trouble = (
                f"no answer from the results for {duration(time.monotonic() - self._answered)}:"
                f" {reason}"
            )
        return self.again(View(self.name, trouble=trouble, damaged=len(self._damaged)))

    def again(self, view: View) -> View:
        """The same view with the ages of this moment; reads nothing."""
        if self.tally is None or self.made is None:
            return view
        held = self._held and (self._held[0], self._held[1] + time.monotonic() - self._looked)
        view.known = status.gather(self.tally, held, time.time())
        view.over = not view.trouble and held is None and not self.tally.counts[Status.MISSING]
        return view

    def _read(self) -> str:
        """The new records and the note; returns what is to be waited for, if anything."""
        if self.made is None or self.tally is None:
            self.made = self.make()
            self.tally, self.name = Tally(self.made), self.made.sweep.name
            self._note = lease.Observer(self.made.store, self.name)
        new, log = self.made.log.update(), self.made.log
        self.tally.take(new)
        self._damaged |= set(log.damaged)
        self._damaged -= {self.made.store.path(rows.key(self.name, r.row["point_id"])) for r in new}
        log.damaged.clear()
        self._held, self._looked = self._note.holder(), time.monotonic()
        if not self._held and not self.made.log.records and not self.made.store.exists(self.name):
            return (
                f"waiting for {status.line(self.made.store.path(self.name))}, which is not"
                " there yet"
            )
        return ""


def run(
    make: Callable[[], Plan], name: str, seconds: float, as_json: bool, stream: TextIO | None = None
) -> int:
    """Watch until every point has a result and nobody runs the sweep; returns the exit status.

    make: the plan to look at, made with rows_only; what it raises but OSError is the caller's.
    seconds: between two looks. 130 after Ctrl-C, and 141 where the reader of a pipe has left, as of
    a program that SIGPIPE ends.
    """
    stream = stream or sys.stdout
    watcher = Watcher(make, name)
    show: Screen | Lines = (
        Screen(stream) if not as_json and _is_terminal(stream) else Lines(stream, as_json)
    )
    try:
        return _follow(watcher, show, seconds)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError, KeyboardInterrupt):
            show.close()
        return 130
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # nothing is written to it at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 141


def _write(stream: TextIO, text: str) -> None:
    """Write a text whole: Ctrl-C waits until it stands there, a second one does not."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)  # a name that cannot be shown there
    heard: list[int] = []

    def hear(number: int, frame: object) -> None:
        heard.append(number)
        if len(heard) > 1:
            raise KeyboardInterrupt

    old = signal.getsignal(signal.SIGINT)
    waits = callable(old) and threading.current_thread() is threading.main_thread()
    if waits:
        signal.signal(signal.SIGINT, hear)
    try:
        stream.write(text)
        stream.flush()
    finally:
        if waits:
            signal.signal(signal.SIGINT, old)
    if heard:
        signal.raise_signal(signal.SIGINT)


def _stay_with(stream: TextIO) -> None:
    """Raise BrokenPipeError if the reader of a pipe has left, which else shows at the next
    write.
    """
    with contextlib.suppress(io.UnsupportedOperation, ValueError):
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if any(found & (select.POLLERR | select.POLLHUP) for _, found in poll.poll(0)):
            raise BrokenPipeError


def _follow(watcher: Watcher, show: Screen | Lines, seconds: float) -> int:
    show.begin(watcher.name)
    while True:
        began = time.monotonic()
        view = _patiently(watcher.look, show)
        show.show(view, watcher.made)
        if view.over:
            show.end(view)
            return view.exit_status()
        # a slow store is not asked all the time
        due = began + max(seconds, 2 * (time.monotonic() - began))
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(left, REPAINT_SECONDS))
            _stay_with(show.stream)
            show.refresh(watcher.again(view))


def _patiently(look: Callable[[], View], show: Screen | Lines) -> View:
    """A look in a thread of its own: the client library of a store holds Ctrl-C back while it waits
    for an answer.
    """
    found: list[View] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(look())
        except BaseException as error:
            failed.append(error)

    thread, began = threading.Thread(target=work, name="look", daemon=True), time.monotonic()
    thread.start()
    while thread.is_alive():
        thread.join(REPAINT_SECONDS)
        if time.monotonic() - began > PATIENCE_SECONDS:
            show.wait(time.monotonic() - began)
    if failed:
        raise failed[0]
    return found[0]


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Screen:
    """At most 24 lines of 80 columns, painted over themselves."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self._known: list[str] = []
        self._painted = 0
        self._size = (0, 0)

    def begin(self, name: str) -> None:
        self._known = [f"{name}: reading the results ..."]
        self._paint(self._known)

    def show(self, view: View, made: Plan | None) -> None:
        self.refresh(view)

    def refresh(self, view: View) -> None:
        columns, rows = self._window()
        self._known = screen(view, columns, rows - 1)
        self._paint(self._known)

    def wait(self, seconds: float) -> None:
        """A look has lasted so long already: said below the head of what was painted last."""
        _, rows = self._window()
        text = f"  reading     for {duration(seconds)}, the results have not answered yet"
        self._paint([*self._known[:1], text, *self._known[1:]][: rows - 1])

    def end(self, view: View) -> None:
        if view.known:
            _write(self.stream, ended(view.known) + "\n")

    def close(self) -> None:
        """After Ctrl-C: what was painted last stays, and the prompt stands below it."""
        _write(self.stream, "\r\x1b[K")

    def _window(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self.stream.fileno())
        except OSError:
            size = os.terminal_size((0, 0))
        columns = int(os.environ.get("COLUMNS") or 0) or size.columns or MOST_COLUMNS
        return min(columns, MOST_COLUMNS), min(size.lines or MOST_LINES, MOST_LINES)

    def _paint(self, lines: list[str]) -> None:
        """In one write, each line over the old one, so that nothing is empty for a moment."""
        columns, _ = size = self._window()
        up = f"\x1b[{self._painted}A" if self._painted else ""
        # a resized terminal has broken the old lines: begin on a clean screen
        if self._painted and size != self._size:
            up = "\x1b[H\x1b[2J"
        self._size, self._painted = size, len(lines)
        painted = "".join(f"\r{line[: columns - 1]}\x1b[K\n" for line in lines)
        _write(self.stream, f"{up}{painted}\x1b[J")


def screen(view: View, columns: int = MOST_COLUMNS, most: int = MOST_LINES - 1) -> list[str]:
    """The lines of a terminal: how far, who runs it, how fast, where, then counts by axis value and
    the latest failures.
    """
    known, wide = view.known, columns - 1
    trouble = messages.wrapped(
        "waiting" if view.trouble.startswith("waiting") else "trouble",
        view.trouble.removeprefix("waiting "),
        wide,
    )
    if known is None or view.trouble.startswith("waiting"):
        head = f"{view.name}  {len(known.tally.points):,} points" if known else view.name
        return [line[:wide] for line in [head, *trouble][:most]]
    counts, total = known.tally.counts, len(known.tally.points)
    ended = total - counts[Status.MISSING]
    head, tail = (
        f"{view.name}  {ended:,}/{total:,}  {ended / max(total, 1):.0%}  ",
        f"  left {known.left}",
    )
    lines = [head + bar(ended / max(total, 1), max(wide - len(head) - len(tail) - 2, 10)) + tail]
    lines += trouble if view.trouble else []
    lines += messages.wrapped("driver", status.driver_text(known), wide)
    lines += messages.wrapped("now", known.phase, wide)[:2] if known.phase else []
    lines += messages.wrapped(
        "speed", f"{status.speed_text(known)}, {status.last_row_text(known)}", wide
    )
    lines += messages.wrapped("machines", status.machines_text(known, 2 * (wide - 14) - 20), wide)[
        :2
    ]
    if view.damaged:
        lines += messages.wrapped(
            "damaged",
            f"{view.damaged:,} records cannot be read; their points count as missing",
            wide,
        )
    failures = _failures(known, wide)
    lines = lines[: most - 2]
    failures = failures[: max((most - len(lines) - 2) // 2 // 2 * 2, 0)]
    return [
        line[:wide]
        for line in [*lines, *_table(known, most - len(lines) - len(failures)), *failures]
    ]


def _table(known: Facts, most: int) -> list[str]:
    """Counts in total and by axis value in at most so many lines; what has no line of its own is
    counted in that of the others.
    """
    axes = messages.telling_axes(known)
    while axes and most < 2 + sum(min(len(values), 2) for _, values in axes):
        axes.pop()
    shares, left = {}, most - 2
    # what short axes leave goes to long ones
    for place, (axis, values) in enumerate(sorted(axes, key=lambda item: len(item[1]))):
        shares[axis] = min(len(values), left // (len(axes) - place))
        left -= shares[axis]
    rows: list[tuple[str, Counter[str], int]] = []
    for axis, values in axes:
        chosen = _most_telling(known, axis, values, shares[axis])
        rows += [
            (f"{axis} {status.line(status.short(v))}", values[v], known.running_at(axis, v))
            for v in chosen
        ]
        if others := [v for v in values if v not in chosen]:
            together = sum((values[v] for v in others), Counter())
            rows.append(
                (
                    f"  {len(others)} other values",
                    together,
                    sum(known.running_at(axis, v) for v in others),
                )
            )
    wide = min(max([22, *(len(label) + 1 for label, _, _ in rows)]), 28)
    head = [
        messages.table_head(known, wide),
        messages.table_row(known, "all", known.tally.counts, known.running, wide),
    ]
    return head + [
        messages.table_row(known, label[: wide - 1], counts, running, wide)
        for label, counts, running in rows
    ]


def _most_telling(known: Facts, axis: str, values: dict[Any, Counter[str]], room: int) -> list[Any]:
    """The values of an axis that have a line: all, or those at work, with failures, or least done;
    in the axis's order.
    """
    if len(values) <= room:
        return list(values)

    def weight(value: Any) -> tuple[int, int, float]:
        c = values[value]
        return (
            -known.running_at(axis, value),
            -c[Status.FAILED],
            c[Status.DONE] / max(sum(c.values()), 1),
        )

    chosen = set(sorted(values, key=weight)[: max(room - 1, 0)])
    return [v for v in values if v in chosen]


def _failures(known: Facts, wide: int) -> list[str]:
    """The latest failures, two lines each: the point with its error, and its log."""
    lines = []
    for row in known.tally.failures(2):
        lines.append(
            f"{row['status']} {status.line(row['point_id'])[:8]} {_label(known, row)}: {_error(row)}"[
                :wide
            ]
        )
        lines.append(f"  {_shortened(status.line(row.get('log') or 'no log'), wide - 2)}")
    return lines


def _label(known: Facts, row: dict[str, Any]) -> str:
    names = [*known.tally.sweep.axes, "seed"]
    values = [f"{n}={status.line(status.short(row[n]))}" for n in names if row.get(n) is not None]
    return (
        " ".join(values)
        if row.get("model") == known.tally.sweep.model
        else status.line(row.get("model"))
    )


def _error(row: dict[str, Any]) -> str:
    first = (str(row.get("error") or "").splitlines() or [""])[0]
    return status.line(f"{row.get('error_type')}: {first}" if first else row.get("error_type"))


def _shortened(path: str, room: int) -> str:
    """A path that fits, from the folder of the command if that is shorter; at worst its end."""
    if len(path) > room and path.startswith(os.sep):
        path = min(path, os.path.relpath(path), key=len)
    return path if len(path) <= room else "..." + path[3 - room :]


def ended(known: Facts) -> str:
    """The last line."""
    counts = known.tally.counts
    return (
        f"All {len(known.tally.points):,} points have a result: {counts[Status.DONE]:,} done,"
        f" {counts[Status.DIVERGED]:,} diverged, {counts[Status.FAILED]:,} failed."
    )


class Lines:
    """Complete lines for logs and pipes: with the clock time, or JSON objects."""

    def __init__(self, stream: TextIO, as_json: bool):
        self.stream, self.as_json = stream, as_json
        self._last: Any = None
        self._written = self._axes = -1e9
        self._failed: set[tuple[str, Any]] = set()

    def begin(self, name: str) -> None:
        if not self.as_json:
            self._line(f"{name} reading the results ...")

    def refresh(self, view: View) -> None:
        """Nothing is repainted here."""

    def wait(self, seconds: float) -> None:
        """Said once the look has ended."""

    def show(self, view: View, made: Plan | None) -> None:
        now, signature = time.monotonic(), self._signature(view)
        if signature == self._last and now - self._written < QUIET_SECONDS and not view.over:
            return
        self._last, self._written = signature, now
        if self.as_json:
            _write(self.stream, json.dumps(_plain(_object(view, made))) + "\n")
            return
        if view.known:
            self._new_failures(view.known)
        self._line(summary(view))
        if view.known and now - self._axes > AXES_SECONDS and not view.trouble:
            self._axes = now
            for label in axes_lines(view.known):
                self._line(f"{view.name} {label}")

    def end(self, view: View) -> None:
        if not self.as_json and view.known:
            self._line(f"{view.name} {ended(view.known)}")

    def close(self) -> None:
        """A log ends with its last whole line."""

    def _signature(self, view: View) -> Any:
        known = view.known
        trouble = view.trouble.partition(" for ")[0]
        if known is None:
            return trouble
        note = known.note or {}
        working = [
            note.get("running"),
            known.running,
            known.machines if known.told else None,
            known.phase,
        ]
        return (
            trouble,
            view.damaged,
            dict(known.tally.counts),
            working,
            note.get("token"),
            note.get("pid"),
            len(known.tally.ends),
        )

    def _new_failures(self, known: Facts) -> None:
        """Points that failed since the last line, the latest few in full."""
        bad = known.tally.bad.items()
        new = {(point_id, str(row.get("finished_at"))) for point_id, row in bad} - self._failed
        self._failed |= new
        rows = [known.tally.bad[point_id] for point_id, _ in new]
        rows.sort(key=lambda row: (row["status"] == Status.FAILED, status.when(row) or 0.0))
        if len(rows) > SHOWN_FAILURES:
            self._line(
                f"{known.tally.sweep.name} {len(rows) - SHOWN_FAILURES} more failed or diverged"
                " points"
            )
        for row in rows[-SHOWN_FAILURES:]:
            what = f"{row['status']} {status.line(row['point_id'])[:8]} {_label(known, row)} {status.line(row.get('error_type'))}"
            self._line(f"{what} log={status.line(row.get('log'))}")

    def _line(self, text: str) -> None:
        _write(self.stream, f"{time.strftime('%H:%M:%S')} {text}\n")


def summary(view: View) -> str:
    """The one line of a log."""
    known = view.known
    if known is None or view.trouble:
        return f"{view.name} {view.trouble}"
    counts, total = known.tally.counts, len(known.tally.points)
    done = total - counts[Status.MISSING]
    parts = [f"{view.name} {done}/{total} {done / max(total, 1):.0%} done={counts[Status.DONE]}"]
    parts += [f"running={known.running}"] if known.running is not None else []
    parts += [
        f"failed={counts[Status.FAILED]} diverged={counts[Status.DIVERGED]} missing={counts[Status.MISSING]}"
    ]
    parts += [f"damaged={view.damaged}"] if view.damaged else []
    parts += [
        f"rate={known.per_hour:.4g}/h overall={known.per_hour_overall:.4g}/h"
        f" left={known.left.replace(' ', '')}"
    ]
    parts += (
        ["machines=" + ",".join(f"{m}:{n}" for m, n in list(known.machines.items())[:20])]
        if known.machines
        else []
    )
    parts += [
        (
            f"driver={known.note['pid']}@{status.line(known.note['host'])} sign={known.sign:.0f}s"
            if known.note
            else "driver=none"
        )
    ]
    parts += [f"now={known.phase!r}"] if known.phase else []
    return " ".join(parts)


def axes_lines(known: Facts) -> list[str]:
    """A line for each value of the axes by which counts differ."""
    lines = []
    for axis, values in messages.telling_axes(known):
        for value, c in values.items():
            running = (
                f" running={known.running_at(axis, value)}" if known.running is not None else ""
            )
            numbers = f"done={c[Status.DONE]}{running} failed={c[Status.FAILED]} diverged={c[Status.DIVERGED]} missing={c[Status.MISSING]}"
            lines.append(
                f"{axis}={status.line(status.number(value))} {sum(c.values()) - c[Status.MISSING]}/{sum(c.values())} {numbers}"
            )
    return lines


def _object(view: View, made: Plan | None) -> dict[str, Any]:
    """One JSON object: that of --status, with the time, trouble, the latest failures and whether
    this is the last.
    """
    found: dict[str, Any] = dict(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), sweep=view.name
    )
    if view.known and made:
        names = (
            "point_id",
            "model",
            "seed",
            *made.sweep.axes,
            "status",
            "error_type",
            "error",
            "log",
            "finished_at",
            "host",
        )
        failures = [
            {n: row.get(n) for n in names} for row in view.known.tally.failures(SHOWN_FAILURES)
        ]
        found |= messages.facts_json(view.known, made) | dict(latest_failures=failures)
    return found | dict(trouble=view.trouble or None, damaged=view.damaged, over=view.over)


def _plain(value: Any) -> Any:
    """A value as JSON knows it: a number that is none becomes null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
