"""Importance maps of an analytic model: means over noise, at any batch size."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_maps import SIZE
from torch import Tensor

from oneshot.contracts import ExplainedFamily, Player
from oneshot.metrics.importance import sparsity
from oneshot.scoring import importance_maps as maps
from oneshot.scoring import sample
from oneshot.scoring.importance import explain
from oneshot.store.store import Store
from oneshot.training.loop import Diverged, Stopped, unwatched, watch
from oneshot.trial.grade import grade
from oneshot.trial.inputs import Inputs
from oneshot.trial.job import Job
from oneshot.trial.train import Trained
from oneshot.types import DataSet

CPU = torch.device("cpu")


class Scaled(ExplainedFamily):
    """importance = |exemplar * noise|, whose mean over noise is sqrt(2 / pi) on ink and 0
    elsewhere. Keeps what it was asked.
    """

    drawing_batch = cached_batch = 7
    image_size = SIZE

    def __init__(self, side: int):
        super().__init__()
        self.side, self.asked = side, []  # type: ignore[var-annotated]

    def players(self) -> list[Player]:
        return []

    def hyper(self, epoch: int) -> dict[str, float]:
        return {}

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return (1,)

    @property
    def importance_noise_shape(self) -> tuple[int, ...]:
        return (1, self.side, self.side)

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        return exemplars

    def importance(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        assert (
            not self.training
            and exemplars.dtype == torch.float32
            and exemplars.shape == noise.shape
        )
        self.asked.append(noise)
        return (exemplars * noise).abs().squeeze(1)


def made(side: int = 8) -> tuple[DataSet, np.ndarray]:
    """Six classes of two images, of which 3 .. 5 are tested; the exemplar of a class is its second
    image.
    """
    images = (np.random.default_rng(0).random((12, side, side)) > 0.6).astype(np.uint8)
    data = DataSet(
        "made",
        "fixed",
        "0",
        images,
        np.arange(6).repeat(2),
        tuple("abcdef"),
        np.arange(2),
        np.arange(2, 3),
        np.arange(3, 6),
    )
    return data, np.arange(6) * 2 + 1


def test_maps_are_means_over_noise() -> None:
    data, exemplars = made()
    found = explain(Scaled(8), data, exemplars, 400, CPU, unwatched)
    assert found.class_names == ("d", "e", "f") and np.array_equal(
        found.exemplars, data.images[[7, 9, 11]]
    )
    assert found.maps.dtype == np.float32 and found.exemplars.dtype == np.uint8
    ink = found.maps[found.exemplars == 1]
    assert not found.maps[found.exemplars == 0].any() and np.ptp(ink) > 0
    assert ink.mean() == pytest.approx(
        math.sqrt(2 / math.pi), abs=4 * math.sqrt((1 - 2 / math.pi) / (400 * len(ink)))
    )


def test_each_map_is_the_mean_of_its_own_draws_at_any_batch_size() -> None:
    data, exemplars = made()
    family = Scaled(8)
    found = explain(family, data, exemplars, 5, CPU, unwatched)
    assert [len(noise) for noise in family.asked] == [7, 7, 1]  # the family's own limit
    noise = torch.cat(family.asked).numpy().reshape(3, 5, 8, 8)
    assert found.maps == pytest.approx(np.abs(noise * found.exemplars[:, None]).mean(1))
    assert len({draw.tobytes() for draw in noise.reshape(15, -1)}) == 15
    for batch in (1, 4, 100):
        assert explain(Scaled(8), data, exemplars, 5, CPU, unwatched, batch).maps == pytest.approx(
            found.maps
        )


def test_noise_depends_on_class_and_number_alone() -> None:
    data, exemplars = made()
    first, more, fewer = Scaled(8), Scaled(8), Scaled(8)
    explain(first, data, exemplars, 2, CPU, unwatched)
    explain(more, data, exemplars, 3, CPU, unwatched)
    explain(fewer, dataclasses.replace(data, test=np.array([5])), exemplars, 2, CPU, unwatched)
    own, theirs = torch.cat(first.asked).view(3, 2, -1), torch.cat(more.asked).view(3, 3, -1)
    assert torch.equal(own, theirs[:, :2]) and torch.equal(
        own[2], torch.cat(fewer.asked).view(2, -1)
    )


def test_a_stop_is_asked_for_before_each_batch() -> None:
    data, exemplars = made()
    family, told = Scaled(8), []

    def tick(*what: object) -> None:
        told.append(what)
        if len(told) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        explain(family, data, exemplars, 5, CPU, tick, batch=4)
    assert len(family.asked) == 2 and told == [("importance maps", done, 15) for done in (0, 4, 8)]


def test_maps_that_are_no_numbers_are_a_divergence() -> None:
    data, exemplars = made()
    family = Scaled(8)
    family.importance = lambda exemplars, noise: torch.where(
        exemplars[:, 0, 0] > 2, 1.0, torch.nan
    )[:, None].expand(-1, 8, 8)  # type: ignore
    with pytest.raises(Diverged, match="3 of 3 importance maps"):
        explain(family, data, exemplars, 1, CPU, unwatched)
    with pytest.raises(ValueError, match="given 0 seeds"):
        explain(family, data, exemplars, 0, CPU, unwatched)


def test_a_trial_stores_maps_and_keeps_their_table(tmp_path: Path) -> None:
    data, exemplars = made()
    family = Scaled(8)
    family.config = SimpleNamespace()
    training: Any = SimpleNamespace(best={}, end={"weights": 0})
    family.load_state_dict = lambda state: None  # type: ignore
    point: Any = SimpleNamespace(
        point_id="abcd",
        settings={"importance_seeds": 3, "weights": "best"},
        config=dict,
        graders={"importance": 1},
        metrics=(),
    )
    job = Job(Store(tmp_path), "made")
    trained = Trained(family, training)
    given, drawings = Inputs(data, exemplars, None, None), sample.none(data)
    columns, tables = grade(point, given, trained, drawings, job, unwatched)
    table = tables["importance"]
    assert columns["importance_sparsity"] == pytest.approx(np.mean(table["sparsity"]))
    kept = maps.from_bytes((tmp_path / "store" / "importance" / "abcd.npz").read_bytes())
    assert table["class_name"] == ["d", "e", "f"] and table["sparsity"] == pytest.approx(
        sparsity(kept.maps).tolist(), abs=1e-3
    )
    with pytest.raises(Stopped):
        grade(point, given, trained, drawings, job, watch(unwatched, lambda: True))
