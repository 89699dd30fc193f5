"""Lines of a terminal that are painted over themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TextIO

UP, CLEAR_RIGHT, CLEAR_BELOW = "\x1b[{}A", "\x1b[K", "\x1b[J"
WIPE = "\x1b[H\x1b[2J"  # the whole screen


def is_terminal(stream: TextIO) -> bool:
    """Whether lines of a stream can be painted over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def window_size(stream: TextIO) -> tuple[int, int]:
    """The columns and rows of a terminal; 80 and 24 where nobody knows, as when it is gone."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return int(os.environ.get("COLUMNS") or 0) or size.columns or 80, size.lines or 24


class Painter:
    """Paints lines over those painted before, in one write, so that nothing is empty for a moment.

    Args:
        stream: the terminal.
        write: writes a text to it at once.
        whole_screen: whether nothing but these lines is on the screen, so that it may be wiped
            where a resized terminal has broken them.
    """

    def __init__(self, stream: TextIO, write: Callable[[str], None], whole_screen: bool = False):
        self.stream, self._write, self._whole_screen = stream, write, whole_screen
        self._painted = 0  # lines
        self._size = (0, 0)
        self._torn = False  # whether a write was interrupted

    def paint(self, lines: Sequence[str], above: Sequence[str] = ()) -> None:
        """Paint these lines over the ones before.

        Args:
            lines: what is painted over the next time; each is cut to the width of the terminal.
            above: what stays above them from now on, as long as it may be.
        """
        if not (lines or above or self._painted or self._torn):
            return
        size = window_size(self.stream)
        shown = [*above, *(line[: size[0] - 1] for line in lines)]
        text = "".join(f"\r{line}{CLEAR_RIGHT}\n" for line in shown)
        text = self._start(size) + text + CLEAR_BELOW
        self._torn = True  # until it is written: an interrupt may end it anywhere
        self._write(text)
        self._torn, self._painted, self._size = False, len(lines), size

    def _start(self, size: tuple[int, int]) -> str:
        """What brings the cursor to the first of the painted lines."""
        if self._torn:
            return f"\r{CLEAR_BELOW}"
        if self._whole_screen and self._painted and size != self._size:
            return WIPE
        return UP.format(self._painted) if self._painted else ""
