"""Training: resumed equals unbroken, damage is survived, divergence is a result."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oneshot.contracts import Player
from oneshot.models.vae_stn import VARIANTS, Config, VaeStn
from oneshot.store.store import Store
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import Diverged, Stopped, fit
from oneshot.training.pair_batches import PairBatches

SIZE = 20


def material() -> PairBatches:
    rng = np.random.default_rng(0)
    images = torch.from_numpy((rng.random((60, SIZE, SIZE)) > 0.8).astype(np.uint8))
    return PairBatches(images, torch.arange(60) // 6 * 6, np.arange(48), np.arange(48, 60))


def model(**changed: Any) -> VaeStn:
    torch.manual_seed(0)
    return VaeStn(Config(**{**VARIANTS["tiny"], "epochs": 5, **changed}), SIZE)


def train(
    family: VaeStn,
    store: Store,
    key: str = "c.pt",
    every: float = 0.0,
    stop_after: int | None = None,
    seed: int = 3,
) -> Training:
    seen: list[int] = []
    stop = (lambda: len(seen) >= stop_after) if stop_after is not None else (lambda: False)
    ended = fit(
        [family],
        material(),
        seed,
        [Checkpoint(store, key, every)],
        lambda epoch, epochs, row: seen.append(epoch),
        stop,
    )[0]
    if isinstance(ended, Diverged):
        raise ended
    return ended


def same(a: Training, b: Training) -> bool:
    weights = all(
        torch.equal(a.end[k], b.end[k]) and torch.equal(a.best[k], b.best[k]) for k in a.end
    )
    return (
        weights
        and a.curve == b.curve
        and (a.best_epoch, a.epochs_done) == (b.best_epoch, b.epochs_done)
    )


def test_a_resumed_training_equals_an_unbroken_one_to_the_bit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = train(model(), store, "whole.pt", every=1e9)
    for stop_after in (1, 2, 4):
        key = f"{stop_after}.pt"
        with pytest.raises(Stopped, match=f"after epoch {stop_after} of 5"):
            train(model(), store, key, every=1e9, stop_after=stop_after)
        resumed = train(model(), store, key, every=1e9)
        assert same(resumed, whole), stop_after


@pytest.mark.parametrize("floor", ["below all", "in between", "above all"])
def test_no_epoch_below_the_least_value_of_its_monitor_is_the_best(
    floor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = train(model(), Store(str(tmp_path / "free")), "c.pt")
    losses = free.curve["validation_loss"]
    falling = sorted(losses, reverse=True)
    least = {"below all": falling[-1] - 1, "in between": falling[-2], "above all": falling[0] + 1}
    players = VaeStn.players

    def with_floor(self: VaeStn) -> list[Player]:
        return [dataclasses.replace(player, least=least[floor]) for player in players(self)]

    monkeypatch.setattr(VaeStn, "players", with_floor)
    held = train(model(), Store(str(tmp_path / "held")), "c.pt")
    assert held.curve["validation_loss"] == losses  # it trains as ever
    expected = {
        "below all": free.best_epoch,
        "in between": losses.index(falling[-2]),
        "above all": -1,
    }
    assert held.best_epoch == expected[floor]
    if floor == "above all":
        assert all(torch.equal(held.best[name], held.end[name]) for name in held.end)


def test_the_schedule_and_the_best_epoch_survive_a_resume(tmp_path: Path) -> None:
    store = Store(tmp_path)
    settings = dict(epochs=12, plateau=1, learning_rate=0.2)
    whole = train(model(**settings), store, "whole.pt", every=1e9)
    assert len(set(whole.curve["learning_rate"])) > 1, (
        "the schedule must have moved for this test to mean anything"
    )
    with pytest.raises(Stopped):
        train(model(**settings), store, every=1e9, stop_after=9)
    assert same(train(model(**settings), store), whole)


def test_training_learns_and_its_curve_is_whole(tmp_path: Path) -> None:
    done = train(model(epochs=20, learning_rate=0.01), Store(tmp_path))
    assert (
        done.curve["epoch"] == list(range(20))
        and done.curve["train_loss"][-1] < 0.95 * done.curve["train_loss"][0]
    )
    assert (
        done.best_loss
        == min(done.curve["validation_loss"])
        == done.curve["validation_loss"][done.best_epoch]
    )


def test_the_seed_makes_the_training(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two, other = (
        train(model(), store, "a"),
        train(model(), store, "b"),
        train(model(), store, "c", seed=4),
    )
    assert same(one, two) and one.curve["train_loss"] != other.curve["train_loss"]


def test_a_damaged_checkpoint_is_set_aside_and_training_starts_afresh(tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = train(model(), store, "whole.pt", every=1e9)
    with pytest.raises(Stopped):
        train(model(), store, stop_after=3)
    (tmp_path / "c.pt").write_bytes((tmp_path / "c.pt").read_bytes()[:5000])
    with pytest.warns(UserWarning, match=r"c\.pt is damaged.*starts from its beginning"):
        again = train(model(), store)
    assert same(again, whole) and list(tmp_path.glob("c.pt.damaged-*"))


class Poisoned(VaeStn):
    """Its loss is NaN from the third epoch on."""

    def hyper(self, epoch: int) -> dict[str, float]:
        return {"beta": float("nan") if epoch >= 2 else 1.0}


def test_a_loss_that_is_not_finite_ends_as_diverged_with_what_went_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with pytest.raises(Diverged, match="in epoch 2") as caught:
        train(Poisoned(Config(**{**VARIANTS["tiny"], "epochs": 5}), SIZE), Store(tmp_path))
    assert caught.value.training is not None and caught.value.training.epochs_done == 2


def test_published_schedule_uses_the_test_classes_and_holds_none_out() -> None:
    from oneshot.types import DataSet

    names = tuple("abcdef")
    images = np.zeros((12, SIZE, SIZE), np.uint8)
    data = DataSet(
        "made",
        "fixed",
        "0",
        images,
        np.arange(6).repeat(2),
        names,
        np.array([0, 1]),
        np.array([2, 3]),
        np.array([4, 5]),
    )
    held, published = (
        PairBatches.of(data, np.arange(0, 12, 2), kind, torch.device("cpu"))
        for kind in ("validation", "test")
    )
    assert held.train.tolist() == [0, 1, 2, 3] and held.schedule.tolist() == [4, 5, 6, 7]
    assert published.train.tolist() == list(range(8)) and published.schedule.tolist() == [
        8,
        9,
        10,
        11,
    ]
    pairs = held.batch({"index": torch.tensor([1, 3])})
    assert pairs.target.shape == (2, 1, SIZE, SIZE) and held.exemplar[[1, 3]].tolist() == [0, 2]
