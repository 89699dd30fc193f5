"""Tuning: what moves, in which batches, how many steps; alone, stacked, resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import made_novel
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oneshot.contracts import Hyper, Labelled, Losses, Player, TunedFamily
from oneshot.data.few_shot import few_shot_parts
from oneshot.store.store import Store
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.loop import Diverged, Stopped, fit
from oneshot.training.owners import check_owners
from oneshot.training.stack import Stack
from oneshot.training.tuning_batches import TuningBatches

CPU = torch.device("cpu")
DATA = made_novel.made()


@dataclass(frozen=True)
class Config:
    rate: float = 1e-2
    shots: int = 4
    shot_seed: int = 0
    pool: str = "disjoint"
    semi: bool = False
    tune_steps: int = 120
    tune_batch: int = 5
    epochs: int = 2
    batch_size: int = 8
    plateau: int = 0
    schedule_classes: str = "validation"


class Mean(TunedFamily):
    """Draws the mean of a class: a table of classes and a map, of which tuning moves the table."""

    asks = "class"

    def __init__(self, config: Config, image_size: int = made_novel.SIDE):
        super().__init__()
        self.config, self.image_size = config, image_size
        self.table = nn.Parameter(torch.randn(made_novel.CLASSES, 6))
        self.map = nn.Linear(6, image_size**2)
        self.register_buffer("passes", torch.zeros(()))

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (1,)

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"weight": 2.0 if self.tuning else 1.0}

    def players(self) -> list[Player]:
        return [Player("all", lambda: list(self.parameters()), self._loss, 1e-2)]

    def tuners(self) -> list[Player]:
        return [Player("table", lambda: [self.table], self._loss, self.config.rate)]

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        side = self.image_size
        return self.map(exemplars @ self.table).sigmoid().view(-1, 1, side, side)

    def _loss(self, items: Labelled, noise: Tensor, hyper: Hyper) -> Losses:
        if self.training:
            self.passes += 1
        drawn = self.sample(items.label, noise)
        loss = (drawn - items.images).square().mean((1, 2, 3))
        if items.unlabelled is not None:
            loss = loss + 0 * items.unlabelled.mean((1, 2, 3))
        return {"loss": hyper["weight"] * loss}


def model(tuning: bool = True, seed: int = 0, **changed: object) -> Mean:
    torch.manual_seed(seed)
    family = Mean(Config(**changed))  # type: ignore[arg-type]
    family.tuning = tuning
    return family


def tune(families: list[Mean], folder: Path, stop_after: int = 0) -> list[Training | Diverged]:
    seen: list[int] = []
    checkpoints = [Checkpoint(Store(folder), f"{k}.pt", 0.0) for k in range(len(families))]
    stop = (lambda: len(seen) >= stop_after) if stop_after else (lambda: False)
    material = batches_for(families[0], DATA, np.zeros(0, int), CPU)
    return fit(families, material, 5, checkpoints, lambda *_: seen.append(1), stop)


def test_a_tuning_moves_its_tuners_and_stores_nothing_else(tmp_path: Path) -> None:
    family = model()
    before = {n: v.clone() for n, v in family.state_dict().items()}
    (tuned,) = tune([family], tmp_path)
    assert isinstance(tuned, Training) and set(tuned.end) == {"table", "passes"}
    assert tuned.end["passes"] == 120  # a step each, and no more
    novel = DATA.test
    moved = (tuned.end["table"] != before["table"]).any(1)
    assert moved[novel].all() and not moved[DATA.train].any()
    assert tuned.epochs_done == 3 and tuned.curve["train_loss"][-1] < tuned.curve["train_loss"][0]


def test_a_stack_of_tunings_is_its_solo_tunings(tmp_path: Path) -> None:
    rates = (1e-3, 1e-2, 1e-1)
    together = tune([model(rate=r) for r in rates], tmp_path / "stack")
    for k, rate in enumerate(rates):
        (alone,) = tune([model(rate=rate)], tmp_path / f"alone {k}")
        one = together[k]
        assert isinstance(alone, Training) and isinstance(one, Training)
        torch.testing.assert_close(one.end["table"], alone.end["table"], rtol=1e-4, atol=1e-5)
        assert one.curve["train_loss"] == pytest.approx(alone.curve["train_loss"], rel=1e-4)


def test_a_resumed_tuning_is_an_unbroken_one(tmp_path: Path) -> None:
    (whole,) = tune([model()], tmp_path / "whole")
    with pytest.raises(Stopped):
        tune([model()], tmp_path / "broken", stop_after=1)
    (resumed,) = tune([model()], tmp_path / "broken")
    assert isinstance(whole, Training) and isinstance(resumed, Training)
    assert all(torch.equal(w, resumed.end[n]) for n, w in whole.end.items())


def test_a_stack_has_one_copy_of_what_is_frozen_and_refuses_another() -> None:
    stack = Stack([model(), model(rate=0.1)], CPU)
    assert [one.names for one in stack.players] == [["table"]]
    assert not stack.template.map.weight.requires_grad and stack.template.table.requires_grad
    with pytest.raises(ValueError, match=r"map\.weight, which tuning leaves alone, differs"):
        Stack([model(), model(seed=1)], CPU)
    check_owners(model())  # the map belongs to nobody, which is what a tuning means by frozen
    with pytest.raises(ValueError, match="belongs to no player"):
        left_alone = model(tuning=False)
        left_alone.players = left_alone.tuners  # type: ignore[method-assign]
        check_owners(left_alone)


def test_pre_training_sees_base_classes_alone_and_all_of_their_images() -> None:
    batches = batches_for(model(tuning=False), DATA, np.zeros(0, int), CPU)
    assert type(batches) is LabelledBatches
    assert np.array_equal(batches.train, DATA.rows(DATA.train))
    assert set(DATA.label[batches.schedule]) <= set(DATA.train)


@pytest.mark.parametrize("semi", [False, True])
def test_batches_are_of_shots_each_as_often_and_of_the_pool(semi: bool) -> None:
    batches = batches_for(model(semi=semi, tune_steps=130), DATA, np.zeros(0, int), CPU)
    assert isinstance(batches, TuningBatches)
    parts = few_shot_parts(DATA, 4, 0, "disjoint")
    specs = [list(batches.epoch(5, epoch, 5)) for epoch in range(3)]
    assert sum(map(len, specs)) == 130
    for epoch in specs:
        index = torch.cat([spec["index"] for spec in epoch]).numpy()
        rows, counts = np.unique(index, return_counts=True)
        assert np.array_equal(rows, np.sort(parts.supports.reshape(-1)))
        assert counts.max() - counts.min() <= 1
    without = batches_for(model(tune_steps=130), DATA, np.zeros(0, int), CPU)
    first = next(iter(without.epoch(5, 0, 5)))
    assert torch.equal(first["index"], specs[0][0]["index"])
    items = batches.batch(specs[0][0])
    assert isinstance(items, Labelled) and (items.unlabelled is not None) == semi
    if semi:
        chosen = np.concatenate([spec["unlabelled"].numpy() for spec in specs[0]])
        assert set(chosen) <= set(parts.pool) and len(set(chosen)) > 50


def test_more_shots_than_there_are_is_told() -> None:
    with pytest.raises(ValueError, match="shots = 25"):
        batches_for(model(shots=25), DATA, np.zeros(0, int), CPU)
