"""Importance maps: numbers in closed form, maps of an analytic model, their file, and what analysis
and figure say of them.
"""

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
from oneshot.metrics.importance import sparsity, spearman
from oneshot.scoring import importance_maps as maps
from oneshot.scoring.importance import explain
from oneshot.scoring.importance_maps import Maps
from oneshot.store.store import Store
from oneshot.training.loop import Diverged, Stopped, unwatched, watch
from oneshot.trial import trial
from oneshot.trial.inputs import Inputs
from oneshot.types import DataSet

CPU = torch.device("cpu")


# ---- numbers


def test_sparsity_in_closed_form() -> None:
    single = np.zeros((4, 5))
    single[2, 3] = 7
    # half of 40 is 6 2/3 pixels of 3
    halves = np.concatenate([np.full(10, 3.0), np.full(10, 1.0)]).reshape(4, 5)
    found = sparsity(np.stack([np.full((4, 5), 0.3), single, halves, np.zeros((4, 5))]))
    assert found[:3] == pytest.approx([0.5, 0.5 / 20, 20 / 3 / 20]) and math.isnan(found[3])
    assert sparsity(np.full((1, 6, 6), 2.0), 0.9) == pytest.approx([0.9])
    # 100 + 99 + .. + 72 is 2494, and 31 / 71 of the next make it half of 5050
    ramp = np.arange(1, 101.0).reshape(1, 10, 10)
    assert sparsity(ramp) == pytest.approx([0.29 + 31 / 7100]) and sparsity(
        1e-9 * ramp
    ) == pytest.approx([0.29 + 31 / 7100])


def test_sparsity_does_not_ask_where_the_pixels_are() -> None:
    rng = np.random.default_rng(0)
    maps = rng.gamma(0.3, size=(5, 8, 9))
    shuffled = rng.permutation(maps.reshape(5, -1), axis=1).reshape(5, 9, 8)
    assert sparsity(maps) == pytest.approx(sparsity(shuffled))
    for one, share in zip(maps, sparsity(maps)):  # whole pixels alone, counted one by one
        ordered = sorted(one.ravel().tolist(), reverse=True)
        whole = next(n for n in range(1, 73) if sum(ordered[:n]) >= one.sum() / 2)
        assert whole - 1 < share * 72 <= whole


def ranks(values: list[float]) -> list[float]:
    """Ranks by counting: those below, and half of the others that are equal."""
    return [sum(v < w for v in values) + (sum(v == w for v in values) - 1) / 2 for w in values]


def test_spearman_agrees_with_ranks_by_counting() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 6, (4, 7, 5)).astype(float), rng.random((4, 7, 5))
    b[0] += a[0]
    b[1] = b[1].round(1)
    for x, y, found in zip(a, b, spearman(a, b)):
        p, q = np.array(ranks(x.ravel().tolist())), np.array(ranks(y.ravel().tolist()))
        p, q = p - p.mean(), q - q.mean()
        assert found == pytest.approx((p @ q) / math.sqrt((p @ p) * (q @ q)))


def test_spearman_in_closed_form() -> None:
    ramp = np.arange(12.0).reshape(1, 3, 4)
    assert spearman(ramp, np.exp(ramp)) == pytest.approx([1]) and spearman(
        ramp, 20 - ramp
    ) == pytest.approx([-1])
    assert (
        np.isnan(spearman(ramp, np.ones((1, 3, 4)))).all()
        and np.isnan(spearman(np.zeros((1, 3, 4)), ramp)).all()
    )
    assert spearman(np.array([[[0.0, 1, 2]]]), np.array([[[0.0, 0, 1]]])) == pytest.approx(
        [math.sqrt(3) / 2]
    )
    assert (
        spearman(np.empty((0, 3, 4)), np.empty((0, 3, 4))).shape
        == (0,)
        == sparsity(np.empty((0, 3, 4))).shape
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full((2, 3, 3), -1.0), "but 2 of 2 are not"),
        (np.array([[[1.0, np.nan]], [[1.0, 1.0]]]), "but 1 of 2 are not"),
        (np.array([[[1.0, np.inf]]]), "but 1 of 1 are not"),
        (np.ones((3, 3)), r"given shape \(3, 3\)"),
        (np.ones((1, 0, 3)), "with a pixel at least"),
    ],
)
def test_numbers_refuse_what_is_no_map(wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sparsity(wrong)
    with pytest.raises(ValueError, match=message):
        spearman(wrong, wrong)


def test_numbers_refuse_other_shapes_and_shares() -> None:
    with pytest.raises(ValueError, match="one shape"):
        spearman(np.ones((1, 2, 3)), np.ones((1, 3, 2)))
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            sparsity(np.ones((1, 2, 2)), share)


# ---- maps of a model


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
    training: Any = SimpleNamespace(best={}, last={})
    point: Any = SimpleNamespace(
        point_id="abcd", settings={"importance_seeds": 3, "weights": "best"}, config=dict
    )
    job = trial.Job(Store(tmp_path), "made")
    trained = trial.Trained(family, training)
    table = trial._importance(point, Inputs(data, exemplars, None, None), trained, job, unwatched)
    kept = maps.from_bytes((tmp_path / "store" / "importance" / "abcd.npz").read_bytes())
    assert table["class_name"] == ["d", "e", "f"] and table["sparsity"] == pytest.approx(
        sparsity(kept.maps).tolist(), abs=1e-3
    )
    with pytest.raises(Stopped):
        trial._importance(
            point, Inputs(data, exemplars, None, None), trained, job, watch(unwatched, lambda: True)
        )


# ---- the file


def some_maps() -> Maps:
    rng = np.random.default_rng(2)
    drawn = rng.gamma(0.2, 1e-3, (3, 11, 9)).astype(np.float32)
    drawn[1] = 0
    drawn[2] = 0
    drawn[2, 4, 4] = 1e-9
    return Maps(drawn, (rng.random((3, 11, 9)) > 0.5).astype(np.uint8), ("a/1", "b", "ü"))


def test_the_file_holds_maps_in_units_of_their_mean() -> None:
    given = some_maps()
    kept = maps.from_bytes(maps.to_bytes(given))
    assert (
        kept.class_names == given.class_names
        and np.array_equal(kept.exemplars, given.exemplars)
        and kept.maps.dtype == np.float32
    )
    assert kept.maps[0] == pytest.approx(given.maps[0] / given.maps[0].mean(), rel=1e-3, abs=1e-7)
    assert not kept.maps[1].any() and kept.maps[2, 4, 4] == 99 and kept.maps[2].sum() == 99
    assert sparsity(kept.maps)[[0, 2]] == pytest.approx(sparsity(given.maps)[[0, 2]], rel=1e-3)
    whole = maps.from_bytes(
        maps.to_bytes(
            Maps(
                np.eye(255, dtype=np.float32)[None] * np.eye(255)[0],
                np.zeros((1, 255, 255), np.uint8),
                ("x",),
            )
        )
    )
    # one pixel of the largest images: still within float16
    assert whole.maps.max() == pytest.approx(255**2, rel=1e-3)


def test_a_damaged_file_is_told_from_a_whole_one() -> None:
    data = maps.to_bytes(some_maps())
    for broken in (
        b"",
        b"nonsense",
        data[: len(data) // 2],
        data[:-80],
        data.replace(b"maps.npy", b"mops.npy"),
    ):
        with pytest.raises(ValueError, match="not a whole file of importance maps"):
            maps.from_bytes(broken)
    # flipped bits: an error of this kind or, in names of zip members, none
    for place in range(0, len(data), max(len(data) // 60, 1)):
        flipped = bytearray(data)
        flipped[place] ^= 0xFF
        try:
            maps.from_bytes(bytes(flipped))
        except ValueError as error:
            assert "not a whole file" in str(error)


def test_columns_of_the_table() -> None:
    columns = maps.columns(some_maps())
    assert columns["class_name"] == ["a/1", "b", "ü"] and columns["sparsity"][2] == pytest.approx(
        0.5 / 99
    )
    assert maps.mean_sparsity(columns) == pytest.approx(
        (columns["sparsity"][0] + columns["sparsity"][2]) / 2
    )
    assert math.isnan(maps.mean_sparsity({"sparsity": [math.nan]}))
