"""Watching a sweep from any machine that reads its results. No torch, no Ray.

Only the results are read: new records and the driver's heartbeat. Neither the cluster nor the
driver notices.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, TextIO

from oneshot.console.painter import is_terminal
from oneshot.console.shards import DriverLook, ShardView
from oneshot.console.snapshot import take_snapshot
from oneshot.console.tally import Tally
from oneshot.console.terminal import check_reader
from oneshot.console.text import duration, one_line
from oneshot.console.watch_log import Log
from oneshot.console.watch_screen import Screen
from oneshot.console.watch_view import Display, View
from oneshot.store import records as rows
from oneshot.store.plan import Plan
from oneshot.types import Status

REPAINT_SECONDS = 1.0  # from memory, so that ages go on between two reads of the store
PATIENCE_SECONDS = 10.0  # a read that takes longer is shown


class Watcher:
    """Reads what is new of a sweep's results, again and again.

    Args:
        make_plan: the plan to watch, made with rows_only; called until it succeeds.
        name: of the sweep, before the plan is made.
    """

    def __init__(self, make_plan: Callable[[], Plan], name: str):
        self.make_plan, self.name = make_plan, name
        self.plan: Plan | None = None
        self.tally: Tally | None = None
        self._damaged: set[str] = set()
        self._holder: tuple[dict[str, Any], float] | None = None
        self._shards: list[ShardView] = []
        self._read_at = time.monotonic()
        self._answered_at = time.monotonic()

    def poll(self) -> View:
        """Read what is new. A store that does not answer is trouble, never the end."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # damaged records are counted in the view
                trouble = self._read()
            self._answered_at = time.monotonic()
        except OSError as error:
            silent = duration(time.monotonic() - self._answered_at)
            reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
            trouble = f"no answer from the results for {silent}: {one_line(reason)}"
        return self.refreshed(View(self.name, trouble=trouble, damaged=len(self._damaged)))

    def refreshed(self, view: View) -> View:
        """The same view with the ages of this moment; reads nothing."""
        if self.tally is None:
            return view
        holder = self._holder
        if holder is not None:
            heartbeat, age = holder
            holder = heartbeat, age + time.monotonic() - self._read_at
        view.known = take_snapshot(self.tally, holder, time.time(), self._shards)
        view.over = not view.trouble and holder is None and not self.tally.counts[Status.MISSING]
        return view

    def _read(self) -> str:
        """The new records and the heartbeat; returns what is to be waited for, if anything."""
        if self.plan is None or self.tally is None:
            self.plan = self.make_plan()
            self.tally, self.name = Tally(self.plan), self.plan.sweep.name
            self._driver = DriverLook(self.plan)
        store, log = self.plan.store, self.plan.log
        new = log.update()
        self.tally.add(new)
        self._damaged |= set(log.damaged)
        self._damaged -= {store.path(rows.key(self.name, r.row["point_id"])) for r in new}
        log.damaged.clear()
        self._holder, self._shards = self._driver.look(self.tally)
        self._read_at = time.monotonic()
        if not self._holder and not log.records and not store.exists(self.name):
            return f"waiting for {one_line(store.path(self.name))}, which is not there yet"
        return ""


def run(
    make_plan: Callable[[], Plan],
    name: str,
    seconds: float,
    as_json: bool,
    stream: TextIO | None = None,
) -> int:
    """Watch until every point has a result and nobody runs the sweep.

    Args:
        make_plan: the plan to watch, made with rows_only; what it raises but OSError is the
            caller's.
        name: of the sweep.
        seconds: between two reads of the store.
        as_json: whether JSON objects are written, one a line.
        stream: where to [stdout].

    Returns:
        The exit status: 1 if a point failed; 130 after Ctrl-C; 141 where the reader of a pipe has
        left, as of a program that SIGPIPE ends.
    """
    stream = stream or sys.stdout
    on_screen = not as_json and is_terminal(stream)
    display: Display = Screen(stream) if on_screen else Log(stream, as_json)
    try:
        return _follow(Watcher(make_plan, name), display, seconds)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError, KeyboardInterrupt):
            display.close()
        return 130
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # nothing is written to it at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 141


def _follow(watcher: Watcher, display: Display, seconds: float) -> int:
    """Read and show until all is over; returns the exit status."""
    display.begin(watcher.name)
    while True:
        began = time.monotonic()
        view = _poll_patiently(watcher.poll, display)
        display.show(view)
        if view.over:
            display.end(view)
            return view.exit_status()
        # a slow store is not asked all the time
        due = began + max(seconds, 2 * (time.monotonic() - began))
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(left, REPAINT_SECONDS))
            check_reader(display.stream)
            display.refresh(watcher.refreshed(view))


def _poll_patiently(poll: Callable[[], View], display: Display) -> View:
    """Read in a thread of its own, and show how long it lasts.

    The client library of a store holds Ctrl-C back while it waits for an answer.
    """
    views: list[View] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            views.append(poll())
        except BaseException as error:
            errors.append(error)

    thread, began = threading.Thread(target=work, name="poll", daemon=True), time.monotonic()
    thread.start()
    while thread.is_alive():
        thread.join(REPAINT_SECONDS)
        if time.monotonic() - began > PATIENCE_SECONDS:
            display.wait(time.monotonic() - began)
    if errors:
        raise errors[0]
    return views[0]
