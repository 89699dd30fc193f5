"""Lines below a cell of a notebook that are written over themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from oneshot.console.painter import Painter, is_terminal
from oneshot.console.terminal import nowhere


def is_here() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class CellPainter:
    """Paints lines over those painted before, as `painter.Painter` does on a terminal.

    Make it in the thread of the cell, as what is shown first belongs to the cell of the thread.

    Args:
        write: writes text that stays to the output of the cell.
    """

    def __init__(self, write: Callable[[str], None]):
        from IPython.display import display

        self._write, self._shown = write, ""
        self._place: Any = display(_bundle(""), raw=True, display_id=True)

    def paint(self, lines: Sequence[str], above: Sequence[str] = ()) -> None:
        """Paint these lines over the ones before.

        Args:
            lines: what is painted over the next time.
            above: what stays in the output of the cell.
        """
        if above:
            self._write("".join(f"{line}\n" for line in above))
        if (text := "\n".join(lines)) != self._shown:
            self._shown = text
            self._place.update(_bundle(text), raw=True)


def painter_for(
    given: TextIO | None, write: Callable[[str], None]
) -> tuple[CellPainter | Painter, bool]:
    """What paints the live lines, and whether there are any.

    Args:
        given: the stream that they are to go to; None for stderr, and for the cell in a notebook.
        write: writes a text there.

    Returns:
        The painter; False if lines there cannot be painted over.
    """
    if given is None and is_here():
        return CellPainter(write), True
    stream = given or sys.stderr or nowhere()
    return Painter(stream, write), is_terminal(stream)


def _bundle(text: str) -> dict[str, str]:
    """A text as notebooks take what is displayed."""
    return {"text/plain": text}
