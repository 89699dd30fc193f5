"""Which trials a worker takes in one turn: a long training alone, short trials several together,
since handing out a turn costs more.

How short a trial is, is learnt from those that ended. Nothing here knows the engine.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence

TURN_SECONDS = 5.0  # a turn is filled up to this at least
# more than one driver hands out with ease: with more slots, turns are longer
TURNS_A_SECOND = 100.0
# after so many times that, a worker begins no more trials of its turn and gives them back
LONGEST = 4
LEARNT_FROM = 4  # trials that must have ended before two are put into one turn
REMEMBERED = 8


class Turns:
    """Trials 0 .. len(work) - 1, handed out once each; what a turn gives back is handed out again.

    work: multiply-adds of each trial. slots: workers side by side. most: largest number of trials
    in a turn.
    """

    def __init__(self, work: Sequence[float], slots: int = 1, most: int = 1):
        self.work, self.slots, self.most = work, slots, most
        self.queue = deque(range(len(work)))
        # of each turn that was handed out, the trials that have not ended
        self.out: dict[str, list[int]] = {}
        # (seconds, work) of trials that ended
        self.lately: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)

    @property
    def seconds(self) -> float:
        """What a turn is filled up to."""
        return max(TURN_SECONDS, self.slots / TURNS_A_SECOND)

    @property
    def longest(self) -> float:
        """Seconds after which a worker begins no more trials of its turn, and gives them back."""
        return LONGEST * self.seconds

    def take(self, turn: str) -> list[int]:
        """The trials of a new turn; empty if none are left to hand out."""
        if not self.queue:
            return []
        self.out[turn] = [self.queue.popleft() for _ in range(self._size())]
        return list(self.out[turn])

    def ended(self, turn: str, index: int, seconds: float) -> bool:
        """Note that a trial ended; False if that was known, as when a turn is run again after its
        worker died.
        """
        if index not in self.out.get(turn, ()):
            return False
        self.out[turn].remove(index)
        self.lately.append((seconds, self.work[index]))
        return True

    def close(self, turn: str, give_back: bool = True, but_first: bool = False) -> list[int]:
        """End a turn; its trials that did not end are returned, and handed out again if given back;
        but_first: all but the first one.
        """
        left = self.out.pop(turn, [])
        if give_back:
            self.queue.extendleft(reversed(left[1:] if but_first else left))
        return left

    def _size(self) -> int:
        """How many trials the next turn holds: a few seconds' worth, and a fair part of what is
        left.
        """
        most = min(self.most, math.ceil(len(self.queue) / (3 * self.slots)))
        seconds, size = 0.0, 0
        for index in itertools.islice(self.queue, most):
            seconds += self._expected(index)
            if seconds > self.seconds:
                break
            size += 1
        return max(size, 1)

    def _expected(self, index: int) -> float:
        """Seconds of a trial as the slowest of the last ones has it, scaled up by work; endless
        before a few have ended.
        """
        if len(self.lately) < LEARNT_FROM:
            return math.inf
        return max(
            seconds * max(self.work[index] / max(work, 1.0), 1.0) for seconds, work in self.lately
        )
