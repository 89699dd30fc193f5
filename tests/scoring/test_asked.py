"""Drawings of families that are asked by a class or by nothing, of greys and of points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import CLASSES, SIDE, made
from torch import Tensor, nn

from oneshot.contracts import TrainedFamily
from oneshot.scoring.sample import draw, from_bytes, to_bytes
from oneshot.training.loop import Diverged

CPU = torch.device("cpu")


class Made(TrainedFamily):
    """Draws noise, and in its first pixel (or number) the class that it was asked for."""

    def __init__(self, asks: str, shape: tuple[int, ...]):
        nn.Module.__init__(self)
        self.asks, self.shape = asks, shape  # type: ignore[misc]
        self.given: list[Tensor] = []

    def players(self) -> Any: ...
    def hyper(self, epoch: int) -> Any: ...

    @property
    def noise_shape(self) -> tuple[int, ...]:
        return self.shape

    def sample(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        self.given.append(exemplars)
        drawn = noise.sigmoid()
        if self.asks == "class":
            drawn.flatten(1)[:, 0] = (exemplars * torch.arange(CLASSES)).sum(1) / 255
        return drawn


@pytest.mark.parametrize("kind", ["greys", "points"])
def test_a_family_asked_by_a_class_draws_every_class(kind: str) -> None:
    data = made(kind, without=2)
    shape = (1, SIDE, SIDE) if kind == "greys" else (2,)
    first = np.searchsorted(data.label, np.arange(CLASSES))
    drawn = draw(Made("class", shape), data, first, 4, 1, CPU)
    assert drawn.class_names == data.class_names and drawn.label.tolist() == [
        c for c in range(CLASSES) for _ in range(4)
    ]
    if kind == "greys":
        assert drawn.images.shape == (20, SIDE, SIDE, 1) and drawn.images.dtype == np.uint8
        assert np.array_equal(drawn.images[:, 0, 0, 0], drawn.label)
        assert np.array_equal(drawn.exemplars[..., 0], data.images[first, 0])
    else:
        assert drawn.images.shape == (20, 2) and drawn.images.dtype == np.float32
        np.testing.assert_allclose(drawn.images[:, 0] * 255, drawn.label, rtol=1e-6)
    by_one = draw(Made("class", shape), data, first, 4, 1, CPU, batch=3)
    assert np.array_equal(drawn.images, by_one.images)


@pytest.mark.parametrize("kind", ["greys", "points"])
def test_a_family_asked_by_nothing_draws_as_many_of_no_class(kind: str) -> None:
    data = made(kind, without=2)
    model = Made("nothing", (1, SIDE, SIDE) if kind == "greys" else (2,))
    drawn = draw(model, data, np.zeros(CLASSES, np.int64), 4, 1, CPU)
    assert drawn.class_names == ("",) and len(drawn.images) == 4 * CLASSES
    assert not drawn.label.any() and not drawn.exemplars.any() and len(drawn.exemplars) == 1
    assert all(given.shape[1:] == (0,) for given in model.given)
    assert len(np.unique(drawn.images.reshape(20, -1), axis=0)) == 20
    again = from_bytes(to_bytes(drawn))
    assert np.array_equal(again.images, drawn.images) and again.images.dtype == drawn.images.dtype
    assert again.class_names == ("",) and np.array_equal(again.label, drawn.label)


def test_points_that_are_not_finite_are_a_divergence() -> None:
    model = Made("nothing", (2,))
    model.sample = lambda given, noise: noise / 0  # type: ignore[method-assign]
    with pytest.raises(Diverged, match="20 of 20 drawings hold non-finite points"):
        draw(model, made("points"), np.zeros(CLASSES, np.int64), 4, 1, CPU)
