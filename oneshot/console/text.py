"""Text for terminals of 80 columns: numbers, durations, labelled lines, and tables."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 79  # of a line: the last column of a terminal stays free
LABEL = 12  # columns of the label of a line
SHORT = 20  # columns of a value in a table


def value_text(value: Any) -> str:
    """A value without needless digits: 0.5, 1e-05, medoid."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def short_text(value: Any) -> str:
    """A value for a narrow column: of a long text, a path say, its end."""
    text = value_text(value)
    return text if len(text) <= SHORT else "..." + text[3 - SHORT :]


def rate(value: float) -> str:
    """A speed, as in `572` or `4.0`."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def one_line(text: Any) -> str:
    """A text from elsewhere as one line without control codes."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def duration(seconds: float) -> str:
    """As people say it: `8 s`, `12 min`, `8 h 50 m`, `3 d 4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def measured(value: Any, error: Any, digits: int) -> str:
    """A value with its standard error, as in `0.3412 +- 0.0047`.

    Args:
        value: what was measured; anything that is no finite number is shown as `-`.
        error: its standard error, left out where it is no finite number.
        digits: after the point, at least; more where two digits of the error need them.

    Returns:
        The text.
    """
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "-"
    if not isinstance(error, (int, float)) or not math.isfinite(error):
        return f"{value:.{digits}f}"
    if error > 0:
        digits = max(digits, min(1 - math.floor(math.log10(error)), 4))
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def bar(share: float, width: int) -> str:
    """A bar filled to a share of its width.

    Args:
        share: from 0 to 1; what lies outside is cut.
        width: columns between the brackets.

    Returns:
        As in `[###-----]`.
    """
    filled = int(width * min(max(share, 0.0), 1.0))
    return "[" + "#" * filled + "-" * (width - filled) + "]"


def wrap_labelled(label: str, text: str, width: int) -> list[str]:
    """The lines of a text with a label in front of the first.

    Args:
        label: at most 11 characters.
        text: what is wrapped.
        width: of a line, in columns.

    Returns:
        No line where the text is empty.
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=f"  {label:<{LABEL}}",
        subsequent_indent=" " * (LABEL + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def labelled(label: str, text: str) -> str:
    """A text with a label in front, wrapped at 80 columns.

    Args:
        label: at most 11 characters; "" to go on below the line before.
        text: what is wrapped.

    Returns:
        One or more lines.
    """
    return "\n".join(wrap_labelled(label, text, WIDTH))


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: its heading.
        width: at least; it grows with its cells.
        right: whether cells stand at its right, as numbers do.
        gap: spaces before it, except before the first column.
    """

    name: str = ""
    width: int = 0
    right: bool = False
    gap: int = 2


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str] | str], heading: bool = True
) -> list[str]:
    """The lines of a table.

    Args:
        columns: from left to right.
        rows: the cells of each; a text stands as a line of its own.
        heading: whether the names of the columns come first.

    Returns:
        The lines, without spaces at their ends.
    """
    cells: list[Sequence[str] | str] = [[column.name for column in columns]] if heading else []
    cells += rows
    widths = [column.width for column in columns]
    for row in cells:
        if not isinstance(row, str):
            widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]
    lines = []
    for row in cells:
        if isinstance(row, str):
            lines.append(row)
            continue
        line = ""
        for place, (column, width, cell) in enumerate(zip(columns, widths, row, strict=True)):
            line += " " * (column.gap if place else 0)
            line += cell.rjust(width) if column.right else cell.ljust(width)
        lines.append(line.rstrip())
    return lines
