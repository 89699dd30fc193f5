"""Drawing: standardised on the device as elsewhere, the same at any batch size, and no drawing from
a model that has diverged.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oneshot.metrics.images import standardise
from oneshot.models.vae_stn import VARIANTS, Config, VaeStn
from oneshot.scoring import sample
from oneshot.training.loop import Diverged
from oneshot.types import DataSet

CPU = torch.device("cpu")
SIZE = 16


@pytest.fixture
def data() -> DataSet:
    rng = np.random.default_rng(0)
    images = (rng.random((12, SIZE, SIZE)) > 0.7).astype(np.uint8)
    return DataSet(
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


@pytest.fixture
def model() -> VaeStn:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VaeStn(Config(**VARIANTS["tiny"]), SIZE)


def test_standardising_on_the_device_equals_the_metric_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((300, SIZE, SIZE), dtype=np.float32) ** 3
    images[1], images[2], images[3] = 0.25, 0, images[3] > 0.5
    # many values exactly at one half
    images[4:100] = rng.integers(0, 5, (96, SIZE, SIZE)) / np.float32(4)
    bits, constant = standardise(images)
    ink, flat, finite = sample._standardised(torch.from_numpy(images))
    assert np.array_equal(ink.numpy(), bits) and ink.dtype == torch.uint8
    assert np.array_equal(flat.numpy(), constant) and constant.sum() == 2 and finite.all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_image_with_a_broken_pixel_is_found(value: float) -> None:
    images = torch.rand(4, SIZE, SIZE)
    images[2, 3, 4] = value
    assert sample._standardised(images)[2].tolist() == [True, True, False, True]


def test_pixels_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        sample._standardised(torch.full((1, SIZE, SIZE), 1.5))


def test_a_drawing_is_the_same_at_any_batch_size_and_comes_from_its_exemplar(
    data: DataSet, model: VaeStn
) -> None:
    exemplars = np.arange(6) * 2 + 1
    whole = sample.draw(model, data, exemplars, 5, 7, CPU)
    parts = sample.draw(model, data, exemplars, 5, 7, CPU, batch=4)
    assert (
        whole.images.shape == parts.images.shape
        and whole.images.dtype == np.uint8
        and whole.images.any()
    )
    # a pixel at one half may fall on the other side with another kernel
    assert np.mean(whole.images != parts.images) <= 1e-3
    assert whole.label.tolist() == [0] * 5 + [1] * 5 + [2] * 5 and whole.class_names == (
        "d",
        "e",
        "f",
    )
    assert np.array_equal(whole.exemplars, data.images[[7, 9, 11]])


def test_a_diverged_model_does_not_draw(data: DataSet, model: VaeStn) -> None:
    with torch.no_grad():
        model.imagette[-1].bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="15 of 15 drawings"):
        sample.draw(model, data, np.arange(6) * 2, 5, 7, CPU)
