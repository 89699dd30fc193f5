"""What the end of a worker means for the trials that it had: a lost machine is nobody's fault, a
worker that died alone may be.

Trials of a lost node run again at once, as often as it takes. A trial whose worker died on a living
node is left to the next round, which gives it more room; after a few rounds its points are
`failed`. Nothing here knows the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

SETTLE_SECONDS = 30.0  # a node without a sign of life is declared dead by Ray within about 15 s
NODE_LOST = ("node has died", "node was terminated", "preempt")
OUT_OF_MEMORY = (
    "out of memory (oom)",
    "memory monitor",
    "memory pressure",
    "low on memory",
    "oom-killed",
    "outofmemory",
)


@dataclass
class Loss:
    """A worker that ended before its turn did. how: in words, for rows and messages; lost: whether
    its node is, None while unknown.
    """

    turn: str
    how: str
    lost: bool | None
    node: str = ""
    since: float = field(default_factory=time.monotonic)


def judge(turn: str, error: str, unavailable: bool, node: str) -> Loss:
    """What an error's text says. unavailable: the worker does not answer, which says nothing about
    its node yet.
    """
    text = error.lower()
    if any(mark in text for mark in NODE_LOST):
        return Loss(turn, "its machine was lost", True, node)
    if any(mark in text for mark in OUT_OF_MEMORY):
        return Loss(turn, "Ray ended it, as the machine was running out of memory", False, node)
    if unavailable:
        return Loss(turn, "it stopped to answer", None, node)
    return Loss(turn, "it was killed (by the system if memory ran out) or crashed", False, node)


class Losses:
    """Losses that wait for their judgement. alive: asks for the nodes that are, by id."""

    def __init__(self, alive: Callable[[], Collection[str]]):
        self.alive = alive
        self.open: list[Loss] = []

    def settled(self) -> list[Loss]:
        """Those whose cause is known now, which are no longer open: the node is gone, or has had
        the time to be missed.
        """
        if not self.open:
            return []
        alive = self.alive() if any(loss.lost is None for loss in self.open) else ()
        for loss in self.open:
            if loss.lost is None and loss.node not in alive:
                loss.lost, loss.how = True, "its machine was lost"
            elif loss.lost is None and time.monotonic() - loss.since > SETTLE_SECONDS:
                loss.lost = False
        done = [loss for loss in self.open if loss.lost is not None]
        self.open = [loss for loss in self.open if loss.lost is None]
        return done
