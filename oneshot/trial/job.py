"""Job: what the driver of a run tells each of its trials."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from oneshot.store.store import Store, Unavailable


@dataclass(frozen=True)
class Job:
    """What all trials of a run have in common: where they read and write, and on what they run.

    Attributes:
        store: where everything that outlives a trial is read and written.
        sweep: the name of the sweep.
        run: the name of the run.
        checkpoint_seconds: after how long the next checkpoint of a training is due.
        drop_weights: delete a training once all its points of this trial are done.
        workers: processes that train one point together.
        device: a torch device, "cpu" or "cuda".
        threads: of torch on the processor; 0 leaves them as they are.
        provenance: columns of every row that say with what program the run was started.
        patient: points that run out of the device's memory get no record, as another round gives
            them more room.
        stop_poll_seconds: least time between two requests to the store whether to stop.
        report_seconds: least time between two reports of progress.
        failed: version of the record that this run read as failed, by point_id, of points that are
            tried again; no other record gives way to a failure.
        stop_requested_here: whether the driver asked to stop, if it runs in this process.
    """

    store: Store
    sweep: str
    run: str = ""
    checkpoint_seconds: float = 60.0
    drop_weights: bool = False
    workers: int = 1
    device: str = "cpu"
    threads: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    patient: bool = False
    stop_poll_seconds: float = 0.0
    report_seconds: float = 1.0
    failed: dict[str, str] = field(default_factory=dict)
    stop_requested_here: Callable[[], bool] | None = None
    _last_poll: dict[str, Any] = field(default_factory=dict, repr=False)

    def stop_key(self) -> str:
        """Key of the file whose presence in the store asks all trials of the run to stop."""
        return f"{self.sweep}/stop-{self.run}"

    def stop_requested(self) -> bool:
        """Whether the driver asked all trials to stop.

        The answer of the store is at most `stop_poll_seconds` old. A store that does not answer has
        requested nothing: the training goes on, and saves when it can.
        """
        if self.stop_requested_here is not None and self.stop_requested_here():
            return True
        now = time.monotonic()
        if now - self._last_poll.get("at", -math.inf) >= self.stop_poll_seconds:
            with contextlib.suppress(Unavailable):
                self._last_poll.update(requested=self.store.exists(self.stop_key()))
            self._last_poll.update(at=time.monotonic())
        return bool(self._last_poll.get("requested", False))
