"""Sweeps of FIGR from the command to the tables; its training continued, and beside others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import torch
from bars import SIZE, bars

from oneshot.models.figr import VARIANTS, Config, Figr
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import Stopped, fit

CPU = torch.device("cpu")


def sweep(name: str) -> list[Point]:
    points = expand(load_sweep(str(small.ROOT / "sweeps" / f"{name}.py")))
    return [p for p in points if p.model == "figr"]


def test_the_sweeps_share_trainings_between_numbers_of_supports() -> None:
    few, many = sweep("figr_small"), sweep("figr")
    assert len(few) == 8 and len({p.train_id for p in few}) == 4
    assert len(many) == 162 and len({p.train_id for p in many}) == 54
    assert len({p.sample_id for p in many}) == 162
    # the inner step sizes of a seed train as one stack
    assert len({p.stack_key for p in many}) == 3 * 2 * 3


def model(**changed: Any) -> Figr:
    torch.manual_seed(3)
    return Figr(Config(**{**VARIANTS["tiny_bce"], "epochs": 3, "epoch_steps": 3, **changed}), SIZE)


def train(models: list[Figr], folder: Path, stop_after: int = 0) -> list[Training]:
    seen: list[int] = []
    checkpoints = [Checkpoint(Store(folder), f"{k}.pt", 0.0) for k in range(len(models))]
    material = batches_for(models[0], bars(), np.zeros(16, int), CPU)
    stop = (lambda: len(seen) >= stop_after) if stop_after else (lambda: False)
    return fit(models, material, 5, checkpoints, lambda *_: seen.append(1), stop)  # type: ignore[return-value]


def test_a_resumed_training_is_an_unbroken_one(tmp_path: Path) -> None:
    (whole,) = train([model()], tmp_path / "whole")
    with pytest.raises(Stopped):
        train([model()], tmp_path / "broken", stop_after=1)
    (resumed,) = train([model()], tmp_path / "broken")
    assert whole.epochs_done == resumed.epochs_done == 3
    assert all(torch.equal(w, resumed.end[n]) for n, w in whole.end.items())
    started = model().state_dict()
    assert not torch.equal(
        whole.end["generator.start.0.weight"], started["generator.start.0.weight"]
    )
    assert {"train_distance", "train_generator", "validation_discriminator"} <= set(whole.curve)


def test_a_stack_over_inner_step_sizes_is_its_solo_trainings(tmp_path: Path) -> None:
    rates = (1e-3, 1e-2, 1e-1)
    short: dict[str, Any] = dict(epochs=1, epoch_steps=2)
    together = train([model(inner_rate=r, **short) for r in rates], tmp_path / "stack")
    for k, rate in enumerate(rates):
        (alone,) = train([model(inner_rate=rate, **short)], tmp_path / f"alone {k}")
        assert together[k].end["inner_rate"].item() == pytest.approx(rate)
        for name, column in alone.curve.items():
            assert together[k].curve[name] == pytest.approx(column, rel=1e-2, abs=1e-5), name


SHOTS = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What do supports and steps do?",
    model="figr",
    variant="tiny_bce",
    points=grid(shots=[1, 3], adapt_steps=[0, 2]),
    fixed=dict(
        dataset="folder", data_path="images.npz", split="fixed", image_size=16, epochs=1,
        epoch_steps=4, inner_rate=0.3,
        schedule_classes="validation", drawings_per_class=10, diversity_drawings=10,
    ),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=15, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=15, train_ways=20, train_queries=2),
    ),
)
"""


@pytest.mark.slow
def test_a_sweep_over_supports_and_steps_trains_once(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "shots.py").write_text(SHOTS)
    small.copy_prepared(finished, tmp_path)
    done = small.main("shots.py", "--local", "--results", "results", cwd=tmp_path)
    assert done.returncode == 0 and "to be trained" not in done.stderr, done.stderr
    store = tmp_path / "results" / "store"
    assert len(list((store / "trainings").iterdir())) == 1
    rows = pd.read_parquet(tmp_path / "results/shots/points.parquet").query("model == 'figr'")
    assert len(rows) == 4 and (rows.status == "done").all() and rows.train_id.nunique() == 1
    assert rows.diversity.gt(0).all() and rows.recognizability.between(0, 100).all()
    drawn = {
        (row.shots, row.adapt_steps): np.load(store / "drawings" / row.sample_id / "drawings.npz")
        for row in rows.itertuples()
    }
    bits = {key: file["packed"].tobytes() for key, file in drawn.items()}
    # without steps supports say nothing
    assert bits[1, 0] == bits[3, 0] and len(set(bits.values())) == 3
