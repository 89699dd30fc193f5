"""How a run ended, as the engine returns it and the last words of a command tell it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcome:
    """The end of a run.

    Attributes:
        counts: points of each status that ended in this run.
        missing: points that were to run and have no record.
        seconds: how long the run took.
        signal: the number of the signal that stopped it, 0 for none.
        abort_reason: why it ended before its time, in words; "" if it did not.
        new_rows: the rows that ended in this run.
        spent: which budget ended it, in words; "" if none did.
    """

    counts: dict[str, int]
    missing: int
    seconds: float
    signal: int = 0
    abort_reason: str = ""
    new_rows: list[dict[str, Any]] = field(default_factory=list)
    spent: str = ""
