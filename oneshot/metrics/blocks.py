"""Parts of a table of all pairs, so that the whole table is never in memory."""

from __future__ import annotations

from collections.abc import Iterator

NUMBERS = 2_000_000  # of a part: 16 MB as float64


def blocks(rows: int, columns: int, numbers: int = NUMBERS) -> Iterator[slice]:
    """Consecutive rows of a table, so many that a part holds few numbers.

    >>> list(blocks(5, 100, numbers=250))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]

    Args:
        rows: of the table.
        columns: of the table.
        numbers: how many a part may hold; it has one row at least.

    Yields:
        The parts, which cover all rows in order.
    """
    step = max(1, numbers // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
