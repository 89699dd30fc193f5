"""Exceptions of other processes, as text: many an exception cannot be pickled."""

from __future__ import annotations

import traceback
from collections.abc import Callable

# marks of an error that follows another one's: the connection to a peer is gone
LOST_PEER_MARKS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer")


class RemoteError(Exception):
    """What was raised in another process.

    Attributes:
        kind: the name of its type.
        text: what it says.
        trace: its traceback.
    """

    def __init__(self, kind: str, text: str, trace: str):
        super().__init__(kind, text, trace)
        self.kind, self.text, self.trace = kind, text, trace

    @property
    def is_consequence(self) -> bool:
        """Whether the end of another worker of its group was the cause."""
        return any(mark in self.text.lower() for mark in LOST_PEER_MARKS)

    def rebuild(self) -> Exception:
        """An exception with the name, text and traceback of the one that was raised."""
        error: Exception = type(self.kind, (Exception,), {"__module__": "builtins"})(self.text)
        error.add_note(self.trace)
        return error


def as_remote_error(error: BaseException) -> RemoteError:
    """An exception as text, also where its `__str__` raises or it holds what is no text."""
    return RemoteError(
        type(error).__name__,
        _text_of(lambda: str(error)),
        _text_of(lambda: "".join(traceback.format_exception(error))),
    )


def _text_of(describe: Callable[[], str]) -> str:
    """What this returns, as text that can be encoded; a note if it raises."""
    try:
        return describe().encode(errors="backslashreplace").decode()
    except Exception as another:
        return f"(it cannot be told: {type(another).__name__} when asked)"
