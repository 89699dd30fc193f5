"""A training of every family that stops after an epoch and goes on is the unbroken one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_families import TRAINED, build, data_for, first_exemplars

from oneshot.store.store import Store
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import Stopped, fit

CPU = torch.device("cpu")
STEPS = 2  # of an epoch, at most


def train(family: str, folder: Path, stop_after: int = 0) -> Training:
    """Train a tiny model for two epochs, or until it is stopped."""
    name = family.partition(":")[0]
    fields = {f.name for f in dataclasses.fields(build(family).config)}
    short = {"epoch_steps": STEPS} if "epoch_steps" in fields else {}
    model = build(family, epochs=2, **short)
    data, seen = data_for(model), list[int]()
    stochastic = getattr(model.config, "binarisation", "") == "stochastic"
    batches = batches_for(
        model, data, first_exemplars(data), CPU, data.images * 255 if stochastic else None
    )
    (trained,) = fit(
        [model],
        batches,
        5,
        [Checkpoint(Store(folder), f"{name}.pt", 0.0)],
        lambda *_: seen.append(1),
        lambda: 0 < stop_after <= len(seen),
    )
    assert isinstance(trained, Training)
    return trained


@pytest.mark.parametrize("family", TRAINED)
def test_a_resumed_training_is_the_unbroken_one(family: str, tmp_path: Path) -> None:
    whole = train(family, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(family, tmp_path / "broken", stop_after=1)
    resumed = train(family, tmp_path / "broken")
    assert whole.epochs_done == resumed.epochs_done == 2 and resumed.curve == whole.curve
    assert all(torch.equal(value, resumed.end[name]) for name, value in whole.end.items())
