"""Batches of labelled images and points, and the shots of classes that are left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import CLASSES, made

from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.shots import replicated, supports
from oneshot.types import Part

CPU = torch.device("cpu")


def batches(kind: str = "greys", without: int | None = 2, **settings: Any) -> LabelledBatches:
    return LabelledBatches.of(made(kind, without), SimpleNamespace(**settings), CPU)


def indices(specs: Any) -> np.ndarray:
    return np.concatenate([spec["index"].numpy() for spec in specs])


def test_an_epoch_has_each_training_image_of_the_kept_classes_once() -> None:
    source, data = batches(), made("greys", 2)
    seen = indices(source.epoch(7, 0, 16))
    assert len(seen) == 80 and len(set(seen)) == 80
    assert set(data.label[seen]) == {0, 1, 3, 4} and set(data.part[seen]) == {Part.TRAIN}
    assert not np.array_equal(seen, indices(source.epoch(7, 1, 16)))
    assert np.array_equal(seen, indices(source.epoch(7, 0, 16)))
    held_out = indices(source.validation())
    assert set(data.part[held_out]) == {Part.SELECTION} and len(held_out) == 16


def test_batches_are_whole_and_hold_values_from_0_to_1_with_their_classes() -> None:
    source, data = batches(), made("greys", 2)
    specs = list(source.epoch(7, 0, 30))
    assert [len(spec["index"]) for spec in specs] == [30, 30], "80 images: 20 are left over"
    items = source.batch(specs[0])
    assert items.images.shape == (30, 1, 16, 16) and items.label.shape == (30, CLASSES)
    rows = specs[0]["index"].numpy()
    assert np.array_equal(items.label.argmax(1).numpy(), data.label[rows])
    assert torch.equal(items.label.sum(1), torch.ones(30))
    np.testing.assert_array_equal((items.images * 255).round().numpy(), data.images[rows])
    assert [len(s["index"]) for s in source.epoch(7, 0, 500)] == [80]


def test_points_stay_as_they_are_and_an_epoch_may_be_a_number_of_fresh_batches() -> None:
    source, data = batches("points", epoch_steps=7), made("points", 2)
    specs = list(source.epoch(3, 0, 32))
    assert [len(spec["index"]) for spec in specs] == [32] * 7
    items = source.batch(specs[0])
    assert torch.equal(items.images, torch.from_numpy(data.images)[specs[0]["index"]])
    counts = np.bincount(indices(specs), minlength=len(data.label))
    assert counts.max() > 1 and not counts[(data.label == 2) | (data.part != Part.TRAIN)].any()


def test_shots_of_the_class_that_is_left_out_balance_it() -> None:
    data = made("greys", 2)
    seen = indices(batches(shots=4, shot_seed=1).epoch(7, 0, 10))
    mine, times = np.unique(seen[data.label[seen] == 2], return_counts=True)
    assert len(mine) == 4 and set(times) == {5}, "4 images, each 5 times: as many as a kept class"
    assert np.array_equal(mine, np.sort(supports(data, np.array([2]), 4, 1)[0]))
    assert not (data.label[indices(batches(shots=0).epoch(7, 0, 10))] == 2).any()
    few = indices(batches(shots=4, images_per_class=6).epoch(7, 0, 1))
    assert np.bincount(data.label[few]).tolist() == [6, 6, 8, 6, 6], "4 images, twice"
    assert len(indices(batches(without=None, shots=4).epoch(7, 0, 10))) == 100, "none is left out"


def test_supports_are_nested_in_k_and_of_the_training_part() -> None:
    data, classes = made("greys"), np.arange(CLASSES)
    five, two = supports(data, classes, 5, 0), supports(data, classes, 2, 0)
    assert np.array_equal(five[:, :2], two) and five.shape == (CLASSES, 5)
    assert (data.part[five] == Part.TRAIN).all()
    assert np.array_equal(data.label[five], classes[:, None].repeat(5, 1))
    assert all(len(set(row)) == 5 for row in five.tolist())
    assert np.array_equal(supports(data, np.array([3]), 5, 0)[0], five[3])
    assert not np.array_equal(supports(data, classes, 5, 1), five)
    first = np.searchsorted(data.label, classes) + 7
    led = supports(data, classes, 3, 0, first)
    assert np.array_equal(led[:, 0], first) and all(len(set(row)) == 3 for row in led.tolist())
    with pytest.raises(ValueError, match="21 shots: class class 0 of made has 20 images"):
        supports(data, classes, 21, 0)
    assert len(replicated(data, classes, 0, 0, 20)) == 0
    assert np.bincount(replicated(data, classes[:1], 3, 0, 20)).max() == 7
