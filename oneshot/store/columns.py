"""What a column and a table of results are, and the column that names a point."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: its name, its type (int, float, bool, str or time), and what it holds."""

    name: str
    type: str
    text: str


@dataclass(frozen=True)
class Table:
    """One table: its name, what a row of it is, and its columns."""

    name: str
    text: str
    columns: tuple[Column, ...]


POINT_ID = Column("point_id", "str", "id of the point: a hash of all that decides its result")
