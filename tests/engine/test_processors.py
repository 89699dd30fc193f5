"""A job of a batch system uses the processors that it was given, not all of the machine."""

from __future__ import annotations

import os

import pytest

from oneshot.engine.processors import usable_processors


@pytest.mark.parametrize(
    ("machine", "bound", "slurm", "expected"),
    [(64, 64, "", 64), (64, 4, "", 4), (64, 64, "8", 8), (64, 2, "8", 2), (4, 4, "0", 4)],
)
def test_the_fewest_count(
    machine: int, bound: int, slurm: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(bound)))
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", slurm)
    assert usable_processors() == expected
