"""A trial at work: what it is at, in words, from the driver itself or from its heartbeat."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from oneshot.console.tally import as_number
from oneshot.console.text import one_line

SHOWN_TRIALS = 3  # on a terminal, and in a log
PUBLISHED_TRIALS = 8  # in a heartbeat
STAGE_COLUMNS, LOSS_COLUMNS = 20, 13
SHORTEST_STAGE = 14
HEARTBEAT_COLUMNS = 90  # of a line of a log


@dataclass
class Running:
    """A trial at work.

    Args:
        label: its points, in words.
        points: their number.
        work: of its trainings, in multiply-adds.
        doing: what it is at: "epoch", "drawing" or another word.
        done: epochs, drawings or what else `doing` says.
        total: of these; 0 before it has begun.
        loss: of the last epoch on the training classes; NaN where none is known.
    """

    label: str
    points: int
    work: float
    doing: str = "epoch"
    done: int = 0
    total: int = 0
    loss: float = math.nan

    @property
    def trained(self) -> float:
        """The share of its training that is done."""
        if self.doing != "epoch":
            return 1.0
        return self.done / self.total if self.total else 0.0

    def text(self) -> str:
        """As in `epoch 3/10` or `drawing 40%`; `starts` before it has begun."""
        if not self.total:
            return "starts"
        if self.doing in ("epoch", "tuning"):
            return f"{self.doing} {self.done}/{self.total}"
        return f"{self.doing} {self.done / self.total:.0%}"

    def loss_text(self) -> str:
        """As in `loss 1.235`; "" where it learns nothing now, or the loss is not known."""
        learns = self.total and self.doing in ("epoch", "tuning") and math.isfinite(self.loss)
        return f"loss {self.loss:.4g}" if learns else ""

    def line(self) -> str:
        """As in `beta=1.75 seed=44 epoch 37/100 loss 1.23`."""
        return f"{self.label} {self.text()} {self.loss_text()}".rstrip()

    def published(self) -> dict[str, Any]:
        """What a heartbeat says of it."""
        known = dict(label=self.label, doing=self.doing, done=self.done, total=self.total)
        return known | dict(loss=self.loss if math.isfinite(self.loss) else None)


def from_heartbeat(said: Any) -> list[Running]:
    """The trials at work that a heartbeat names; what has no form that is known is left out."""
    listed = [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    return [_published(one) for one in listed[:PUBLISHED_TRIALS]]


def _published(said: dict[str, Any]) -> Running:
    """A trial as a heartbeat names it."""
    done, total, loss = (as_number(said.get(name)) for name in ("done", "total", "loss"))
    return Running(
        one_line(said.get("label") or "-"),
        1,
        0.0,
        one_line(said.get("doing") or "epoch"),
        int(done or 0),
        int(total or 0),
        math.nan if loss is None else loss,
    )


def begun_first(running: Iterable[Running]) -> list[Running]:
    """Those that have begun before those that start."""
    return sorted(running, key=lambda trial: not trial.total)


def trial_lines(running: Sequence[Running], trials: int, width: int) -> list[str]:
    """A line for each of the first trials: stage, loss, and which trial it is.

    Args:
        running: trials at work.
        trials: how many there are in all, those that are not known here included.
        width: of a line, in columns.

    Returns:
        At most SHOWN_TRIALS lines, and one that counts the others.
    """
    shown = begun_first(running)[:SHOWN_TRIALS]
    if trials == len(shown) + 1 == len(running):
        shown = begun_first(running)  # a line that says "1 more" takes the place of that one
    stage = max([SHORTEST_STAGE, *(len(trial.text()) for trial in shown)])
    stage = min(stage, STAGE_COLUMNS)
    loss = LOSS_COLUMNS if any(trial.loss_text() for trial in shown) else 0
    lines = [
        f"{_cut(trial.text(), stage):<{stage}}  {trial.loss_text():<{loss}}{trial.label}"
        for trial in shown
    ]
    if (more := trials - len(shown)) > 0:
        lines.append(f"{more} more")
    return [_cut(line, width) for line in lines]


def log_text(running: Iterable[Running], trials: int, room: int) -> str:
    """Trials at work in one line of a log.

    Args:
        running: trials at work.
        trials: how many there are in all.
        room: columns; the first trial is named however long it is.

    Returns:
        As in `beta=0 epoch 3/10 loss 1.2; beta=1 drawing 25%; 2 more`.
    """
    parts = [trial.line() for trial in begun_first(running)[:SHOWN_TRIALS]]
    while len(parts) > 1 and len("; ".join(parts)) > room:
        parts.pop()
    more = f"; {trials - len(parts)} more" if trials > len(parts) else ""
    return "; ".join(parts) + more


def _cut(text: str, width: int) -> str:
    """A text that fits, with dots where its end is missing."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."
