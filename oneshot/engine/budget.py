"""The budget of a run: hours, and the price of what it holds. Where it is spent, the run ends as by
a stop, so that every training is saved.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from oneshot.engine.options import Options

LOOK_SECONDS = 1.0  # between two looks at the clock


class Budget:
    """What a run may take, and what it has taken.

    Attributes:
        gpu_hours: hours of each GPU held, or of each trial slot where there is no GPU.
    """

    def __init__(self, options: Options, clock: Callable[[], float] = time.monotonic):
        self.options, self._clock = options, clock
        self._began = self._counted = clock()
        self.gpu_hours = 0.0

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.options.max_hours is not None or self.options.max_cost is not None

    def count(self, held: float) -> str:
        """Add the time since the last count.

        Args:
            held: the GPUs, or trial slots, that were held in it.

        Returns:
            Why the budget is spent, in words; "" while it is not.
        """
        now = self._clock()
        self.gpu_hours += held * (now - self._counted) / 3600.0
        self._counted, options = now, self.options
        if options.max_hours is not None and now - self._began >= 3600.0 * options.max_hours:
            return f"the budget of {options.max_hours:g} hours is spent"
        cost = self.gpu_hours * options.price_per_gpu_hour
        if options.max_cost is not None and cost >= options.max_cost:
            return f"the budget of {options.max_cost:g} is spent ({self.gpu_hours:.3g} GPU hours)"
        return ""


@contextlib.contextmanager
def kept(
    budget: Budget, held: Callable[[], float], on_spent: Callable[[str], None]
) -> Iterator[None]:
    """Look at a budget again and again while the context lasts.

    Args:
        budget: whose clock runs.
        held: says how many GPUs, or trial slots, are held.
        on_spent: called once with the reason when the budget is spent.

    Returns:
        A context.
    """
    end, known = threading.Event(), 1.0

    def look() -> None:
        nonlocal known
        while not end.wait(LOOK_SECONDS):
            # a cluster that does not answer still costs what it did
            with contextlib.suppress(Exception):
                known = held()
            if reason := budget.count(known):
                on_spent(reason)
                return

    thread = threading.Thread(target=look, name="budget", daemon=True)
    if budget.limited:
        thread.start()
    try:
        yield
    finally:
        end.set()
        if budget.limited:
            thread.join()
