"""How a run is stopped: signals, and the request that reaches every trial through the store.

The first signal asks all trials to save a checkpoint and end. The second one ends the command at
once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from oneshot.trial.job import Job

GRACE_SECONDS = 30.0  # for running trials to save a checkpoint
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopHandler:
    """Turns signals into one request to stop; a context during which it handles them.

    Attributes:
        signal: the number of the signal that stopped the run, 0 for none.
        preparing: whether inputs are prepared, where no trial runs that could save.
        requested_at: the monotonic time of the request, 0 before it.
    """

    def __init__(self, job: Job, say: Callable[[str], None]):
        self.job, self.say = job, say
        self.signal = 0
        self.requested_at = 0.0
        self.preparing = False
        self._previous: dict[int, Any] = {}
        self._writer: threading.Thread | None = None

    def __enter__(self) -> StopHandler:
        self.install()
        return self

    def install(self) -> None:
        """Handle signals here, also after a library has put its own handlers in place of ours."""
        if threading.current_thread() is not threading.main_thread():
            return
        handled = [
            number
            for number in STOP_SIGNALS
            # `nohup` ignores SIGHUP, and so it stays
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
        ]
        previous: dict[int, Any] = {
            number: signal.signal(number, self._handle) for number in handled
        }
        self._previous = self._previous or previous

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._writer is not None:
            self._writer.join()
            with contextlib.suppress(OSError):
                self.job.store.delete(self.job.stop_key())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        _cancel_abort()
        if self.signal:
            raise KeyboardInterrupt
        if self.preparing:
            self.signal = number
            self.say("Stopping: no trial has begun; what is prepared by now stays.")
            raise KeyboardInterrupt
        self.say("Stopping: no new trials; running ones save a checkpoint (at most 30 s).")
        self.say("   Ctrl-C again stops at once; finished points are safe either way.")
        self.request_stop(number)

    def request_stop(self, number: int = 0) -> None:
        """Ask the trials to stop, wherever they run; `number` is the signal that caused it.

        A thread of its own writes the request, so that a slow store delays nothing here.
        """
        self.signal, self.requested_at = number or self.signal, time.monotonic()
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_request, name="stop", daemon=True)
            self._writer.start()

    def request_immediate_stop(self) -> None:
        """End without waiting for the trials, which are not asked to stop."""
        self.requested_at = time.monotonic() - GRACE_SECONDS - 1

    def _write_request(self) -> None:
        # where nothing can be written, the trials find that out themselves
        with contextlib.suppress(Exception):
            self.job.store.write(self.job.stop_key(), b"stop")

    def requested(self) -> bool:
        """Whether the run is to stop."""
        return self.requested_at > 0

    def overdue(self) -> bool:
        """Whether trials have had their time to save."""
        return self.requested() and time.monotonic() - self.requested_at > GRACE_SECONDS


def _cancel_abort() -> None:
    """Take back the end of the process that Ray's library sets three seconds after a SIGTERM.

    It does so while it starts, until `StopHandler.install` has put our handler back.
    """
    if signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:  # else a Python program's own alarm
        signal.alarm(0)
