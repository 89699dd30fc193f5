"""Trainings in groups that train as one stacked model."""

from __future__ import annotations

from made_sweeps import ROOT, make

from oneshot.sweep import (
    grid,
    steps,
)
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.grouping import stacks


def test_full_grid_is_128_stacks_of_17() -> None:
    groups = stacks(
        [p for p in expand(load_sweep(ROOT / "sweeps" / "vae_stn.py")) if p.model == "vae_stn"]
    )
    assert [len(g) for g in groups] == [17] * 128
    assert sorted(
        len(g) for g in stacks(expand(make(grid(beta=steps(0, 4, 0.25)))), max_stack=8)
    ) == [5, 6, 6]
