"""Training models of sets: a stack over beta and step size is its solo trainings, a resumed
training an unbroken one; the schedule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bars import SIZE, bars

from oneshot.models.set_vae import VARIANTS, Config, SetVae
from oneshot.store.store import Store
from oneshot.training.batches import batches_for
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import Stopped, fit
from oneshot.training.optimizer import Plateau
from oneshot.training.set_batches import SetBatches

CPU = torch.device("cpu")


def model(variant: str = "tiny_ns", **changed: Any) -> SetVae:
    torch.manual_seed(3)
    return SetVae(
        Config(
            **{
                **VARIANTS[variant],
                **dict(epochs=4, batch_size=8, set_size=3, weight_decay=1e-3),
                **changed,
            }
        ),
        SIZE,
    )


def train(models: list[SetVae], folder: Path, stop_after: int | None = None) -> list[Training]:
    seen: list[int] = []
    checkpoints = [Checkpoint(Store(folder), f"{k}.pt", 0.0) for k in range(len(models))]
    material = batches_for(models[0], bars(), np.zeros(16, int), CPU)
    stop = (lambda: len(seen) >= stop_after) if stop_after else (lambda: False)
    return fit(models, material, 5, checkpoints, lambda *_: seen.append(1), stop)  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["tiny_ns", "tiny_cthfsgm", "tiny_chfsgm_multiscale"])
def test_a_stack_over_beta_and_step_size_is_its_solo_trainings(
    variant: str, tmp_path: Path
) -> None:
    settings = [
        dict(beta=0.5),
        dict(beta=4.0),
        dict(beta=1.0, learning_rate=3e-3),
        dict(alpha=0.0, clamp=0.01),
    ]
    together = train([model(variant, **s) for s in settings], tmp_path / "stack")
    for k, own in enumerate(settings):
        (alone,) = train([model(variant, **own)], tmp_path / str(k))
        for name in ("train_loss", "validation_loss", "validation_kl"):
            one, other = together[k].curve[name], alone.curve[name]
            np.testing.assert_allclose(one[0], other[0], rtol=5e-3, err_msg=f"{name} of {own}")
            # Adam follows the sign of rounding errors
            np.testing.assert_allclose(one, other, rtol=5e-2, err_msg=f"{name} of {own}")
    assert (
        together[0].curve["train_loss"] != together[1].curve["train_loss"]
        and together[0].how == "stack of 4, eager"
    )


def test_a_resumed_training_is_the_unbroken_one(tmp_path: Path) -> None:
    (whole,) = train([model()], tmp_path / "whole")
    with pytest.raises(Stopped):
        train([model()], tmp_path / "broken", stop_after=2)
    (resumed,) = train([model()], tmp_path / "broken")
    assert resumed.curve == whole.curve
    # running statistics among them
    assert all(torch.equal(resumed.end[n], w) for n, w in whole.end.items())


def test_training_learns_and_evaluation_is_unweighted(tmp_path: Path) -> None:
    (trained,) = train([model(epochs=30, learning_rate=3e-3)], tmp_path)
    nelbo = np.add(trained.curve["validation_reconstruction"], trained.curve["validation_kl"])
    np.testing.assert_allclose(trained.curve["validation_loss"], nelbo, rtol=1e-5)
    assert nelbo[-1] < 0.8 * nelbo[0]
    weight = 1 + 2.0 * 0.98**29
    weighted = (
        weight * trained.curve["train_reconstruction"][-1] + trained.curve["train_kl"][-1] / weight
    )
    assert trained.curve["train_loss"][-1] == pytest.approx(weighted, rel=1e-4)


def test_the_step_size_falls_when_the_bound_slowly_gets_worse() -> None:
    """A threshold relative to a negative bound that is maximised, as published, takes these epochs
    for progress and never halves.
    """
    flat = torch.zeros(1, 1)
    plateau, rate = Plateau.start([10], flat), torch.ones(1, 1, dtype=torch.float64)
    for epoch in range(60):
        plateau.end_epoch(torch.tensor([100 + 0.005 * epoch]), rate)
    assert float(rate) == 0.5**5


def test_greys_reach_the_model_as_bits_drawn_anew() -> None:
    greys = np.full((96, SIZE, SIZE), 128, np.uint8)
    material = batches_for(model(), bars(), np.zeros(16, int), CPU, greys)
    assert isinstance(material, SetBatches)
    (one, *_), (two, *_) = (
        [material.batch(item).images for item in material.epoch(5, epoch, 8)] for epoch in (0, 1)
    )
    assert (
        set(one.unique().tolist()) == {0.0, 1.0}
        and float(one.mean()) == pytest.approx(128 / 255, abs=0.04)
        and not torch.equal(one, two)
    )
