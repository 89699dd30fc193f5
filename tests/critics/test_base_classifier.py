"""The classifier of base classes: its network, what it learns from, and its quality."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from made_few_shot import CLASSES, NOVEL, SIDE, clusters
from torch import Tensor, nn
from torch.nn import functional as F

from oneshot.critics import base_classifier
from oneshot.critics.base_classifier import Config, ResNet, quality, sizes_of, train
from oneshot.critics.encoder import CriticError
from oneshot.critics.predictions import Predictions, predict
from oneshot.types import DataSet, Part

CPU = "cpu"
SHORT = Config(epochs=4, batch_size=32, width=4, learning_rate=2e-3)


def silent(*_: object) -> None:
    """A report that nobody reads."""


@pytest.mark.parametrize(
    ("classes", "total"), [(47, 11_192_943), (100, 11_220_132), (1623, 12_001_431)]
)
def test_it_has_the_published_number_of_parameters(classes: int, total: int) -> None:
    with torch.device("meta"):
        network = ResNet(32, classes=classes)
    counts = {name: p.numel() for name, p in network.named_parameters()}
    assert sum(counts.values()) == total
    assert sum(n for name, n in counts.items() if not name.startswith("last.")) == 11_168_832
    assert sizes_of(network.state_dict()) == {"classes": classes, "width": 64}


def by_hand(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Logits of a ResNet-18 in evaluation mode, layer by layer, of images with three channels."""

    def layer(x: Tensor, convolution: str, normalisation: str, stride: int) -> Tensor:
        kernel = state[f"{convolution}.weight"]
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        mean, variance, weight, bias = (
            state[f"{normalisation}.{name}"][:, None, None]
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    x = layer((images - 0.5) / 0.5, "stem.0", "stem.1", 1).relu()
    for stage in range(4):
        for block in range(2):
            name = f"stages.{stage}.{block}"
            stride = 2 if stage and not block else 1
            inner = layer(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
            inner = layer(inner, f"{name}.conv2", f"{name}.bn2", 1)
            through = f"{name}.skip.0.weight" in state
            assert through == (stage > 0 and block == 0)
            skip = layer(x, f"{name}.skip.0", f"{name}.skip.1", stride) if through else x
            x = (inner + skip).relu()
    return x.flatten(2).mean(2) @ state["last.weight"].T + state["last.bias"]


@pytest.mark.parametrize("size", [16, 28, 33])
def test_it_computes_what_a_residual_network_does(size: int) -> None:
    torch.manual_seed(0)
    network = ResNet(size, classes=7, width=4)
    colour = torch.rand(6, 3, size, size)
    network.logits(colour)  # moves the statistics of batch normalisation
    network.eval()
    torch.testing.assert_close(network.logits(colour), by_hand(network.state_dict(), colour))
    grey = colour[:, :1]
    torch.testing.assert_close(network.logits(grey), network.logits(grey.repeat(1, 3, 1, 1)))
    assert network.embed(grey).shape == (6, 32)
    assert network.maps(grey).shape == (6, 16, -(-size // 4), -(-size // 4))


def test_it_learns_base_classes_and_keeps_the_best_epoch() -> None:
    data, told = clusters(), []
    module, found, curve = train(SHORT, data, None, 0, CPU, lambda *epoch: told.append(epoch))
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4] == [entry["epoch"] for entry in curve]
    assert not module.training and found["chance_accuracy"] == 20
    rows = data.rows_of_part(data.train, Part.SELECTION)
    said = predict(module, data.images[rows], CPU)
    right = said.label == data.label[rows]
    assert found["test_images"] == len(rows) == 30
    assert found["test_accuracy"] == pytest.approx(100 * right.mean()) and right.mean() > 0.5
    known = [entry["validation_accuracy"] for entry in curve]
    assert found["test_accuracy"] == pytest.approx(max(known))
    assert found["best_epoch"] == max(
        e["epoch"] for e in curve if e["validation_accuracy"] == max(known)
    )
    again = {k: v for k, v in found.items() if not k.startswith("best")}
    assert quality(module, data, None, 0, CPU) == again
    # of images of novel classes none is taken for one
    novel = predict(module, data.images[data.rows(NOVEL)], CPU)
    assert not np.isin(novel.label, NOVEL).any()


def test_of_equally_good_epochs_the_last_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clusters()
    label = data.label[data.rows_of_part(data.train, Part.SELECTION)]
    right = iter([10, 20, 20, 15, 20])  # of 30; the fifth is the quality

    def say(*_: Any) -> Predictions:
        told = np.where(np.arange(len(label)) < next(right), label, label % 5 + 100)
        probability = np.full((len(label), 200), 0.001)
        probability[np.arange(len(label)), told] = 0.801
        return Predictions(np.zeros((len(label), 32), np.float32), probability)

    monkeypatch.setattr(base_classifier, "predict", say)
    _, found, curve = train(SHORT, data, None, 0, CPU, silent)
    assert found["best_epoch"] == 3 and found["test_accuracy"] == pytest.approx(100 * 20 / 30)
    assert [e["validation_accuracy"] for e in curve] == pytest.approx(
        [100 / 3, 200 / 3, 200 / 3, 50]
    )


def weights(config: Config, data: DataSet, seed: int = 0) -> dict[str, Tensor]:
    return train(config, data, None, seed, CPU, silent)[0].state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_only_base_images_for_training_are_learned_from() -> None:
    data, config = clusters(), dataclasses.replace(SHORT, epochs=1)
    before = weights(config, data)
    novel = np.isin(data.label, NOVEL)
    for rows, moves in (
        (novel, False),
        (~novel & (data.part == Part.SELECTION), False),
        (~novel & (data.part == Part.TRAIN), True),
    ):
        assert rows.sum() > 20
        images = data.images.copy()
        images[rows] = 255 - images[rows]
        assert same(before, weights(config, dataclasses.replace(data, images=images))) != moves


def test_seed_and_settings_decide_the_weights() -> None:
    data, config = clusters(), dataclasses.replace(SHORT, epochs=1)
    state = torch.get_rng_state()
    before = weights(config, data)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(before, weights(config, data))
    assert not same(before, weights(config, data, seed=1))
    for changed in (dict(rotation=10.0), dict(min_scale=0.5), dict(images_per_class=20)):
        assert not same(before, weights(dataclasses.replace(config, **changed), data)), changed
    assert same(before, weights(dataclasses.replace(config, images_per_class=60), data))


def test_few_images_of_a_class_are_its_first() -> None:
    data = clusters()
    rows = data.rows_of_part(data.train, Part.TRAIN)
    few = base_classifier._first_of_each(data, rows, 3)
    assert len(few) == 15
    for c in data.train:
        assert few[data.label[few] == c].tolist() == rows[data.label[rows] == c][:3].tolist()


def test_views_of_training_images_are_crops_and_turns() -> None:
    images = torch.rand(40, 1, SIDE, SIDE)
    random = torch.Generator().manual_seed(0)
    assert base_classifier._seen(images, Config(), random) is images
    flat = torch.full((40, 3, SIDE, SIDE), 0.25)
    cropped = base_classifier._seen(flat, Config(min_scale=0.3), random)
    torch.testing.assert_close(cropped, flat)  # a crop adds no border
    turned = base_classifier._seen(flat, Config(rotation=45.0), random)
    assert set(turned.unique().tolist()) == {0.0, 0.25} and (turned == 0.25).float().mean() > 0.8
    ramp = torch.linspace(0, 1, SIDE).expand(40, 1, SIDE, SIDE)
    part = base_classifier._seen(ramp, Config(min_scale=0.3), random)
    width = (part[..., -1] - part[..., 0]).amax((1, 2))
    assert 0.3 < width.min() < 0.7 and width.max() <= 1 + 1e-6


class Told(nn.Module):
    """Says of an image the class in its first pixel, surely."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(1, CLASSES)

    def embed(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :1] * 255

    def of_features(self, features: Tensor) -> Tensor:
        return 50 * F.one_hot(features[:, 0].round().long(), CLASSES).double()


def test_quality_in_numbers() -> None:
    data, network = clusters(), Told()
    images, rows = data.images.copy(), data.rows_of_part(data.train, Part.SELECTION)
    told = np.random.default_rng(0).choice(data.train, len(rows))
    told[data.label[rows] == 2] = 2
    images[rows, 0, 0, 0] = told
    found = quality(network, dataclasses.replace(data, images=images), None, 0, CPU)  # type: ignore[arg-type]
    right = told == data.label[rows]
    assert found["test_accuracy"] == pytest.approx(100 * right.mean())
    of_class = [100 * right[data.label[rows] == c].mean() for c in data.train]
    assert found["class_accuracy"] == pytest.approx(of_class) and 100 in of_class
    assert found["worst_accuracy"] == pytest.approx(min(of_class))
    assert found["worst_class"] == f"class {data.train[int(np.argmin(of_class))]}"
    assert found["calibration_error"] == pytest.approx(1 - right.mean(), abs=1e-6)


def test_what_it_cannot_learn_from_is_named() -> None:
    data = clusters()
    bits = dataclasses.replace(data, images=data.images[:, 0] // 128)
    whole = np.full(len(data.label), Part.TRAIN, np.uint8)
    for wrong, words in (
        (bits, "needs grey or colour images .* made has bits"),
        (dataclasses.replace(data, part=None), "made has greys without parts"),
        (dataclasses.replace(data, part=whole), "fewer than 2 images of the part SELECTION"),
    ):
        with pytest.raises(CriticError, match=words):
            train(SHORT, wrong, None, 0, CPU, silent)


def test_colour_is_learned_too() -> None:
    module, found, _ = train(SHORT, clusters(3), None, 0, CPU, silent)
    assert found["test_accuracy"] > 40 and module.last.in_features == 32
