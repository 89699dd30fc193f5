"""The work queue: which trials a worker gets at once, a batch of trials.

A long training is a batch of its own. Short trials share a batch, since handing one out costs the
driver more than they take. How short a trial is, is learnt from those that ended. Nothing here
knows the engine.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence

BATCH_SECONDS = 5.0  # a batch is filled up to this at least
# more than one driver hands out with ease: with more slots, batches are longer
BATCHES_PER_SECOND = 100.0
# after so many times the length of a batch, a worker starts no more trials of it
MAX_OVERRUN = 4
MIN_MEASURED = 4  # trials that must have ended before two share a batch
MAX_MEASURED = 8  # of the last trials, which the expectation goes by


class WorkQueue:
    """Trials 0 .. len(work) - 1, each handed out once; what a batch gives back comes again.

    Attributes:
        work: multiply-adds of each trial.
        slots: workers side by side.
        max_batch: most trials in a batch.
        pending: the trials that no batch has, in the order in which they are handed out.
        running: of each batch that was handed out, the trials that have not ended.
        measured: (seconds, work) of the last trials that ended.
    """

    def __init__(self, work: Sequence[float], slots: int = 1, max_batch: int = 1):
        self.work, self.slots, self.max_batch = work, slots, max_batch
        self.pending = deque(range(len(work)))
        self.running: dict[str, list[int]] = {}
        self.measured: deque[tuple[float, float]] = deque(maxlen=MAX_MEASURED)

    @property
    def batch_seconds(self) -> float:
        """What a batch is filled up to."""
        return max(BATCH_SECONDS, self.slots / BATCHES_PER_SECOND)

    @property
    def max_seconds(self) -> float:
        """After how long a worker starts no more trials of its batch, and gives them back."""
        return MAX_OVERRUN * self.batch_seconds

    def next_batch(self, batch: str) -> list[int]:
        """Hand out the trials of a new batch of this name; empty if none are left."""
        if not self.pending:
            return []
        self.running[batch] = [self.pending.popleft() for _ in range(self._batch_size())]
        return list(self.running[batch])

    def end_trial(self, batch: str, index: int, seconds: float) -> bool:
        """Note that a trial ended.

        Args:
            batch: the batch that has it.
            index: the trial.
            seconds: how long it took.

        Returns:
            False if that was known, as when a batch runs again after its worker died.
        """
        if index not in self.running.get(batch, ()):
            return False
        self.running[batch].remove(index)
        self.measured.append((seconds, self.work[index]))
        return True

    def close_batch(self, batch: str, requeue_first: bool = True) -> list[int]:
        """End a batch; its trials that have not ended are handed out again.

        Args:
            batch: its name.
            requeue_first: whether the first of them is handed out again, too. It is the one that
                the worker was at.

        Returns:
            The trials that have not ended.
        """
        unfinished = self.running.pop(batch, [])
        self.pending.extendleft(reversed(unfinished if requeue_first else unfinished[1:]))
        return unfinished

    def _batch_size(self) -> int:
        """How many trials the next batch has: a few seconds' worth, and a fair part of the rest."""
        largest = min(self.max_batch, math.ceil(len(self.pending) / (3 * self.slots)))
        seconds, size = 0.0, 0
        for index in itertools.islice(self.pending, largest):
            seconds += self._expected_seconds(index)
            if seconds > self.batch_seconds:
                break
            size += 1
        return max(size, 1)

    def _expected_seconds(self, index: int) -> float:
        """Seconds of a trial by the slowest of the last ones, scaled up by work; at first infinite.

        Less work is not expected to take less time.
        """
        if len(self.measured) < MIN_MEASURED:
            return math.inf
        return max(
            seconds * max(self.work[index] / max(work, 1.0), 1.0) for seconds, work in self.measured
        )
