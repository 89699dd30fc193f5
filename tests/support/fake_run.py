"""What the Ray engine asks of a run, without a store, a lease or a terminal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from oneshot.console.progress import State
from oneshot.engine.options import Options
from oneshot.sweep.point import Point
from oneshot.trial.job import Job


class FakeRun(SimpleNamespace):
    """Stands for `SweepRun`; what it would print or react to is in `said`."""

    def __init__(self, points: list[Point], job: Job, **options: Any):
        said: list[str] = []
        self.stop_requested = False
        super().__init__(
            plan=SimpleNamespace(to_run=points, sweep=SimpleNamespace(axes=["beta"])),
            options=Options(**options),
            job=job,
            state=State("small", 3),
            stop=SimpleNamespace(
                install=lambda: None,
                requested=lambda: self.stop_requested,
                overdue=lambda: False,
            ),
            said=said,
            progress=SimpleNamespace(event=said.append),
            hosts={},
            running_points={},
            abort_reason="",
            on_unreachable_store=lambda *a: said.append(str(a)),
            on_lost_worker=lambda *a: said.append(str(a)),
            on_lost_machine=lambda *a: said.append(str(a)),
            fetch_records=lambda *a, **k: True,
            all_recorded=lambda points: False,
            abort=said.append,
        )
