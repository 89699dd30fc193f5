"""What all commands share: writing for people, and warnings as lines."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

PACKAGE = str(Path(__file__).parents[1])
# What a write to a closed pipe says, and one to a terminal that is gone.
LEFT = {errno.EPIPE, errno.EIO}


class ReaderLeft(Exception):
    """Nobody reads what a command writes: its pipe was closed, or its terminal is gone."""


def reader_left(error: OSError) -> bool:
    """Whether a write failed because nobody reads any more."""
    return isinstance(error, BrokenPipeError) or error.errno in LEFT


def tell(text: str, stream: TextIO | None = None) -> None:
    """Write a text and the end of its line, at once.

    Args:
        text: what is written.
        stream: where to [stdout].

    Raises:
        ReaderLeft: nobody reads it. From then on all that is written there is dropped.
    """
    stream = sys.stdout if stream is None else stream
    if stream is None:  # closed before the command began, as by `>&-`
        return
    try:
        stream.write(text + "\n")
        stream.flush()
    except OSError as error:
        if not reader_left(error):
            raise
        drop(stream)
        raise ReaderLeft from error


def tell_note(text: str) -> None:
    """Write a line of what is done or found beside the results to stderr, at once.

    Raises:
        ReaderLeft: nobody reads it.
    """
    if sys.stderr is not None:
        tell(f"oneshot: {text}", sys.stderr)


def tell_error(text: str) -> None:
    """Write to stderr what ends a command anyhow, whether or not somebody reads it."""
    if sys.stderr is not None:
        with contextlib.suppress(ReaderLeft):
            tell(text, sys.stderr)


def write_whole(stream: TextIO, text: str) -> None:
    """Write a text whole: Ctrl-C waits until it stands there, a second one does not.

    Args:
        stream: where to.
        text: what is written; letters that the stream has not are replaced.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
    pressed = 0

    def on_interrupt(number: int, frame: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt

    old = signal.getsignal(signal.SIGINT)
    waits = callable(old) and threading.current_thread() is threading.main_thread()
    if waits:
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        stream.write(text)
        stream.flush()
    finally:
        if waits:
            signal.signal(signal.SIGINT, old)
    if pressed:
        signal.raise_signal(signal.SIGINT)


def check_reader(stream: TextIO) -> None:
    """Find out whether a pipe still has its reader, which else shows at the next write.

    Raises:
        BrokenPipeError: the reader has left.
    """
    with contextlib.suppress(io.UnsupportedOperation, ValueError):
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
            raise BrokenPipeError


def drop(stream: TextIO) -> None:
    """Drop what is written to a stream from now on, also by libraries and as the process ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream that is no file of the system
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def nowhere() -> TextIO:
    """A stream that drops what is written."""
    return open(os.devnull, "w")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Show warnings of this project as `warning: ...`, without the line of code that gave them."""
    before = warnings.formatwarning

    def plain(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        ours = filename.startswith(PACKAGE) or os.path.dirname(filename) == os.path.dirname(PACKAGE)
        return (
            f"warning: {message}\n" if ours else before(message, category, filename, lineno, line)
        )

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = before
