"""What the end of a worker means for the trials that it had.

If its machine was lost, its trials run again at once, as often as that happens. If it died on a
living machine, its trial may be the cause and is left to the next round, which gives it more room;
after a few rounds its points are `failed`. Nothing here knows the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

# after a worker fell silent; Ray declares a node without a sign of life dead within about 15 s
SETTLE_SECONDS = 30.0
MACHINE_LOST = "its machine was lost"
NODE_LOST_MARKS = ("node has died", "node was terminated", "preempt")
OUT_OF_MEMORY_MARKS = (
    "out of memory (oom)",
    "memory monitor",
    "memory pressure",
    "low on memory",
    "oom-killed",
    "outofmemory",
)


@dataclass
class LostWorker:
    """A worker that ended before its batch did.

    Attributes:
        batch: the batch of trials that it had.
        cause: why, in words, for rows and messages.
        machine_lost: whether its machine is lost, None while that is unknown.
        node: the id of its node.
        since: the monotonic time when it was noticed.
    """

    batch: str
    cause: str
    machine_lost: bool | None
    node: str = ""
    since: float = field(default_factory=time.monotonic)


def classify(batch: str, error: str, unavailable: bool, node: str) -> LostWorker:
    """Why a worker ended, from the text of the error that Ray has for it.

    Args:
        batch: the batch of trials that it had.
        error: the text.
        unavailable: whether the worker only does not answer, which says nothing of its node yet.
        node: the id of its node.

    Returns:
        The lost worker.
    """
    text = error.lower()
    if any(mark in text for mark in NODE_LOST_MARKS):
        return LostWorker(batch, MACHINE_LOST, True, node)
    if any(mark in text for mark in OUT_OF_MEMORY_MARKS):
        cause = "Ray ended it, as the machine was running out of memory"
        return LostWorker(batch, cause, False, node)
    if unavailable:
        return LostWorker(batch, "it stopped to answer", None, node)
    cause = "it was killed (by the system if memory ran out) or crashed"
    return LostWorker(batch, cause, False, node)


class LostWorkers:
    """Lost workers of which nothing has been done yet; of some the cause is not known at once.

    Attributes:
        alive_nodes: returns the ids of the nodes that are alive.
        open: the lost workers.
    """

    def __init__(self, alive_nodes: Callable[[], Collection[str]]):
        self.alive_nodes = alive_nodes
        self.open: list[LostWorker] = []

    def add(self, lost: LostWorker) -> None:
        """Add a lost worker."""
        self.open.append(lost)

    def pop_settled(self) -> list[LostWorker]:
        """Take out those whose cause is known now.

        A worker that fell silent has lost its machine if its node is gone. If the node is still
        there after a while, the worker died alone.
        """
        if any(lost.machine_lost is None for lost in self.open):
            alive = self.alive_nodes()
            for lost in (one for one in self.open if one.machine_lost is None):
                if lost.node not in alive:
                    lost.machine_lost, lost.cause = True, MACHINE_LOST
                elif time.monotonic() - lost.since > SETTLE_SECONDS:
                    lost.machine_lost = False
        settled = [lost for lost in self.open if lost.machine_lost is not None]
        self.open = [lost for lost in self.open if lost.machine_lost is None]
        return settled
