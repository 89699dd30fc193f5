"""What a trial asks of a cluster, held against machines, and how waiting for them is shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from oneshot.console.progress import State
from oneshot.engine import demand
from oneshot.engine.demand import WaitDisplay

CPU2, CPU3, GPU = {"CPU": 2.0}, {"CPU": 3.0}, {"CPU": 4.0, "GPU": 1.0}


def test_trials_side_by_side_are_counted_by_node() -> None:
    """Two nodes of three processors hold two trials of two, not three."""
    assert demand.slots([CPU3, CPU3], [], CPU2) == 2
    assert demand.slots([CPU3, CPU3], [(4, CPU2)], CPU2) == 4
    assert (
        demand.slots([CPU3, CPU3], [], {"CPU": 1.0}, workers=2) == 3
        and demand.slots([], [], CPU2) == 1
    )
    assert demand.slots([{}, GPU], [], {"CPU": 1.0, "GPU": 0.25}) == 4


@pytest.mark.parametrize(
    ("there", "to_come", "share", "workers", "what", "help"),
    [
        (
            [CPU2],
            [],
            {"CPU": 99.0, "GPU": 0.0},
            1,
            "no machine of this cluster has 99 processors; the largest has 2",
            "--cpus-per-trial 2",
        ),
        (
            [CPU2],
            [],
            {"CPU": 1.0, "GPU": 1.0},
            1,
            "no machine of this cluster has 1 GPU; none has any",
            "--gpus-per-trial 0",
        ),
        (
            [CPU2, CPU3],
            [],
            {"CPU": 4.0},
            1,
            "no machine of this cluster has 4 processors; the largest has 3",
            "--cpus-per-trial 3",
        ),
        (
            [{"CPU": 8.0}, GPU],
            [],
            {"CPU": 6.0, "GPU": 0.5},
            1,
            "has 6 processors and 0.5 GPUs together",
            "--gpus-per-trial 0",
        ),
        (
            [CPU2],
            [(3, GPU)],
            {"CPU": 1.0, "GPU": 2.0},
            1,
            "no machine that this cluster has or may start has 2 GPUs",
            "--gpus-per-trial 1",
        ),
        (
            [CPU3, CPU3],
            [],
            {"CPU": 2.0},
            3,
            "room for 2 workers with 2 processors; a trial asks for 3",
            "--workers-per-trial 2",
        ),
        (
            [],
            [],
            {"CPU": 1.0},
            1,
            "no machine of this cluster has 1 processor; none has any",
            "machines with processors",
        ),
    ],
)
def test_what_can_never_run_is_refused(
    there: Any, to_come: Any, share: Any, workers: int, what: str, help: str
) -> None:
    refused = demand.refusal(there, to_come, share, workers)
    assert refused is not None and what in str(refused) and help in refused.help, (
        str(refused),
        refused and refused.help,
    )


@pytest.mark.parametrize(
    ("there", "to_come", "share", "workers"),
    [
        ([CPU2], [], {"CPU": 2.0, "GPU": 0.0}, 1),
        ([], [(1, GPU)], {"CPU": 1.0, "GPU": 1.0}, 1),
        ([], [(2, {})], {"CPU": 1.0, "GPU": 8.0}, 1),  # what the type has is not known
        ([CPU3], [(2, CPU2)], {"CPU": 2.0}, 2),
    ],
)
def test_what_may_run_one_day_is_not_refused(
    there: Any, to_come: Any, share: Any, workers: int
) -> None:
    assert demand.refusal(there, to_come, share, workers) is None


def test_what_a_run_waits_for_is_shown_and_said_every_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(
        demand, "time", SimpleNamespace(monotonic=lambda: now[0], strftime=lambda _: "12:03")
    )
    state, said = State("s", 1, phase="preparing critics"), list[str]()
    display = WaitDisplay(state, said.append)
    assert demand.lacks([CPU2], {"CPU": 1.0, "GPU": 1.0}) == "a machine with 1 processor and 1 GPU"
    assert demand.lacks(
        [CPU2], {"CPU": 1.0}, 3
    ) == "machines for 3 workers with 1 processor each" and not demand.lacks([CPU2], CPU2)
    for now[0] in (0.0, 30.0, 59.0, 61.0, 100.0, 130.0):
        display.show("a machine with 1 GPU")
        assert state.phase == "waiting for a machine with 1 GPU since 12:03"
    assert said == ["waiting for a machine with 1 GPU since 12:03"] * 3
    display.show("")
    assert (
        state.phase == "preparing critics"
        and said[-1] == "no longer waiting for a machine with 1 GPU"
    )
