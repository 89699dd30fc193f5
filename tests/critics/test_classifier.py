"""The classifier of greys: its network, its shifts, what it learns, and its quality."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import CLASSES, IMAGES, SIDE, made
from torch import Tensor, nn
from torch.nn import functional as F

from oneshot import data as datasets
from oneshot.critics import classifier
from oneshot.critics.classifier import Classifier, Config, predict, quality, sizes_of, train
from oneshot.critics.encoder import CriticError
from oneshot.metrics.calibration import calibration_error
from oneshot.types import DataSet, Part

CPU = "cpu"
SHORT = Config(epochs=4, batch_size=10, dropout=0.0)


def silent(*_: object) -> None:
    """A report that nobody reads."""


def bars() -> DataSet:
    """The made greys, with a bright bar in the row of the class."""
    data = made("greys", without=1)
    images = (data.images // 8).copy()
    for c in range(CLASSES):
        images[data.label == c, 0, 3 * c + 1] = 255
    return dataclasses.replace(data, images=images)


class Told(nn.Module):
    """Says of an image the class in its first pixel, with the confidence in its second, in 255."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(classifier.FEATURES, CLASSES)

    def embed(self, images: Tensor) -> Tensor:
        return F.pad(images[:, 0, 0, :2] * 255, (0, classifier.FEATURES - 2))

    def of_features(self, features: Tensor) -> Tensor:
        told, confidence = features[:, 0].long(), features[:, 1:2].double() / 255
        rest = (1 - confidence) / (CLASSES - 1)
        one_hot = F.one_hot(told, CLASSES).double()
        return (one_hot * confidence + (1 - one_hot) * rest).log()


def test_the_network_is_as_large_as_it_says_and_sees_any_size() -> None:
    assert sum(p.numel() for p in Classifier(28).parameters()) == 113_650
    for size in (16, 28, 41, 105):
        network = Classifier(size, 7).eval()
        images = torch.rand(3, 1, size, size)
        features, logits = network.embed(images), network.logits(images)
        assert features.shape == (3, 128) and logits.shape == (3, 7)
        torch.testing.assert_close(network.of_features(features), logits)
        assert sizes_of(network.state_dict()) == {"classes": 7}
    small = torch.rand(2, 1, 28, 28)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    network = Classifier(56).eval()
    torch.testing.assert_close(network.logits(large), network.logits(small))


def test_shifted_images_move_by_whole_pixels() -> None:
    images = torch.arange(1.0, 1 + 40 * 25).view(40, 1, 5, 5)
    moved = classifier._shifted(images, 2, torch.Generator().manual_seed(0))
    seen = set()
    for before, after in zip(images[:, 0], moved[:, 0]):
        padded = F.pad(before, (2, 2, 2, 2))
        fits = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(after, padded[y : y + 5, x : x + 5])
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 12
    assert torch.equal(classifier._shifted(images, 0, torch.Generator()), images)


def test_it_learns_and_its_quality_is_that_of_unseen_images() -> None:
    data, told = bars(), []
    module, found, curve = train(SHORT, data, None, 0, CPU, lambda *epoch: told.append(epoch))
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4] == [entry["epoch"] for entry in curve]
    assert not module.training and found["test_accuracy"] == 100 and found["test_images"] == 30
    assert found["chance_accuracy"] == 20 and found["class_accuracy"] == [100] * CLASSES
    assert found["confusion"] == (6 * np.eye(CLASSES, dtype=int)).tolist()
    losses = [entry["validation_loss"] for entry in curve]
    assert found["best_validation_loss"] == min(losses)
    assert found["best_epoch"] == 1 + int(np.argmin(losses)) and min(losses) < losses[0] / 2
    rows = np.flatnonzero(data.part == Part.SELECTION)
    said = predict(module, data.images[rows], CPU)
    by_torch = F.cross_entropy(
        module.logits(torch.from_numpy(data.images[rows]).float() / 255),
        torch.from_numpy(data.label[rows]),
    )
    assert found["best_validation_loss"] == pytest.approx(
        float(by_torch.detach()), rel=1e-3, abs=1e-6
    )
    assert said.label.tolist() == data.label[rows].tolist()
    again = {k: v for k, v in found.items() if not k.startswith("best")}
    assert quality(module, data, None, 0, CPU) == again


def test_the_seed_decides_the_weights() -> None:
    config = dataclasses.replace(SHORT, epochs=1, dropout=0.2)
    state = torch.get_rng_state()
    one, other, same = (
        train(config, bars(), None, seed, CPU, silent)[0].state_dict() for seed in (0, 1, 0)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["last.weight"], other["last.weight"])


def test_only_images_for_training_are_learned_from() -> None:
    data = bars()
    images = data.images.copy()
    images[data.part == Part.TEST] = 0
    other = dataclasses.replace(data, images=images)
    config = dataclasses.replace(SHORT, epochs=1)
    one, same = (train(config, d, None, 0, CPU, silent)[0].state_dict() for d in (data, other))
    assert all(torch.equal(one[name], same[name]) for name in one)


def test_quality_in_numbers() -> None:
    data = made("greys")
    images = data.images.copy()
    rows = np.flatnonzero(data.part == Part.TEST)
    rng = np.random.default_rng(0)
    told, confidence = rng.integers(0, CLASSES, len(rows)), rng.integers(100, 255, len(rows))
    told[data.label[rows] == 2] = 2
    images[rows, 0, 0, 0], images[rows, 0, 0, 1] = told, confidence
    changed = dataclasses.replace(data, images=images)
    network: Any = Told()
    found, right = quality(network, changed, None, 0, CPU), told == data.label[rows]
    assert found["test_accuracy"] == pytest.approx(100 * right.mean())
    error = calibration_error(confidence / 255, right)
    assert found["calibration_error"] == pytest.approx(error, abs=1e-6)
    of_class = [100 * right[data.label[rows] == c].mean() for c in range(CLASSES)]
    assert found["class_accuracy"] == pytest.approx(of_class) and of_class[2] == 100
    assert found["worst_accuracy"] == pytest.approx(min(of_class))
    assert found["worst_class"] == f"class {int(np.argmin(of_class))}"
    for c in range(CLASSES):
        for p in range(CLASSES):
            count = ((data.label[rows] == c) & (told == p)).sum()
            assert found["confusion"][c][p] == count
    said = predict(network, changed.images[rows], CPU)
    np.testing.assert_allclose(said.confidence, confidence / 255, rtol=1e-6)
    assert said.probability.sum(1) == pytest.approx(1) and said.features.shape == (30, 128)


def test_no_images_have_no_predictions() -> None:
    said = predict(Classifier(SIDE, CLASSES), np.empty((0, 1, SIDE, SIDE), np.uint8), CPU)
    assert said.features.shape == (0, 128) and said.probability.shape == (0, CLASSES)
    assert said.label.shape == (0,)


def test_what_it_cannot_learn_from_is_named() -> None:
    data = made("greys")
    bits = dataclasses.replace(data, images=data.images[:, 0] // 128)
    for wrong, words in (
        (bits, "needs grey images .* made has bits"),
        (dataclasses.replace(data, part=None), "made has greys without parts"),
        (
            dataclasses.replace(data, part=np.full(CLASSES * IMAGES, Part.TRAIN, np.uint8)),
            "fewer than 2 images of the part SELECTION",
        ),
    ):
        with pytest.raises(CriticError, match=words):
            train(SHORT, wrong, None, 0, CPU, silent)
    network = Classifier(SIDE, CLASSES)
    torch.nn.init.constant_(network.last.bias, float("nan"))
    with pytest.raises(CriticError, match="not finite"):
        predict(network, data.images, CPU)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("mnist", 97.0), ("fashion_mnist", 87.0)])
def test_it_knows_real_images(
    name: str, least: float, shared_data: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(shared_data))
    if datasets.missing(name, {"image_size": 28}):
        pytest.skip(f"needs {name}, not in {shared_data}")
    found = train(Config(), datasets.load(name, "all", 28), None, 0, CPU, silent)[1]
    assert found["test_accuracy"] > least and found["calibration_error"] < 0.05
