"""Requests of obstore run on the event loop of one thread a process, whoever asks.

So whoever waits for an answer hears a signal at once, and a request that is given up does not come
through later. A process that was forked from one with a loop has none, and is told so.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

END_SECONDS = 5.0  # how long the end of a process waits for requests that are given up
# until the threads of obstore have let go of their Python objects; one that comes back for them
# while the interpreter takes itself apart aborts the process
SETTLE_SECONDS = 0.5

T = TypeVar("T")
_lock = threading.RLock()
_loop: Loop | None = None
_forked = False


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.closed = False
        self._last = -SETTLE_SECONDS  # when a request ended
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="object-store", daemon=True
        )
        self._thread.start()

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The answer to a request, which is given up if the wait for it is interrupted."""

        async def request() -> T:
            return await work()

        with self._lock:
            future = None if self.closed else asyncio.run_coroutine_threadsafe(request(), self.loop)
        if future is None:
            _wait_for_the_end()
        try:
            return future.result()
        except BaseException:
            future.cancel()
            if self.closed:
                _wait_for_the_end()
            raise
        finally:
            self._last = time.monotonic()

    def close(self) -> None:
        """Take no requests any more, give up those that are under way, and end the thread."""
        with self._lock:
            self.closed = True
        if not self._thread.is_alive():
            return
        asked = asyncio.run_coroutine_threadsafe(self._cancel_all(), self.loop)
        with contextlib.suppress(concurrent.futures.TimeoutError):
            if asked.result(END_SECONDS):
                self._last = time.monotonic()
        time.sleep(max(self._last + SETTLE_SECONDS - time.monotonic(), 0.0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(END_SECONDS)

    async def _cancel_all(self) -> int:
        """Cancel every request; how many there were, once all have ended."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """The answer to a request, on the loop of this process.

    Raises:
        RuntimeError: this process was forked from one that has a loop.
    """
    global _loop
    refuse_fork()
    with _lock:
        if _loop is None:
            _loop = Loop()
            atexit.register(_end, _loop)
    return _loop.run(work)


def was_used() -> bool:
    """Whether this process has asked an object store for anything."""
    return _loop is not None


def refuse_fork() -> None:
    """Raise RuntimeError in a process that was forked from one that has a loop."""
    if _forked:
        raise RuntimeError(
            "an object store cannot be used in a process that was forked from one that used it: "
            "start the process by spawn, or as a program of its own"
        )


def _wait_for_the_end() -> NoReturn:
    """Hold up a thread that asks for something while its process ends: only daemons do."""
    if threading.current_thread() is threading.main_thread():
        raise RuntimeError("an object store cannot be used while its process ends")
    while True:
        time.sleep(3600)


def _end(loop: Loop) -> None:
    """Close the loop before the interpreter ends, which aborts where an answer comes meanwhile."""
    if not _forked:
        loop.close()


def _in_child() -> None:
    global _forked
    _forked = _forked or _loop is not None  # whose thread is not here


os.register_at_fork(after_in_child=_in_child)
