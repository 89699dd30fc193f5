"""Drawings of a family that adapts to supports: of each class by itself, whatever its group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oneshot import rng
from oneshot.models.figr import VARIANTS, Config, Figr
from oneshot.scoring import adapt
from oneshot.scoring.sample import draw
from oneshot.training import shots
from oneshot.types import DataSet

CPU = torch.device("cpu")
SIZE, CLASSES, IMAGES = 16, 9, 6


@pytest.fixture
def data() -> DataSet:
    """Nine classes of six images, of which the last six are test classes."""
    images = np.random.default_rng(0).random((CLASSES * IMAGES, SIZE, SIZE)) > 0.7
    names = tuple("abcdefghi")
    label = np.arange(CLASSES).repeat(IMAGES)
    train, validation, test = np.split(np.arange(CLASSES), [2, 3])
    parts = (train, validation, test)
    return DataSet("made", "fixed", "0", images.astype(np.uint8), label, names, *parts)


def model(**changed: Any) -> Figr:
    torch.manual_seed(0)
    settings = {**VARIANTS["tiny_bce"], "inner_rate": 0.3, "adapt_steps": 4, "shots": 3}
    return Figr(Config(**{**settings, **changed}), SIZE)


EXEMPLARS = np.arange(CLASSES) * IMAGES + 4


def pixels(family: Figr, data: DataSet, n: int = 5, size: int = 1000) -> Tensor:
    parts = list(adapt.drawn(family.eval(), data, EXEMPLARS, n, 7, CPU, size))
    rows = np.concatenate([rows for rows, _ in parts])
    assert np.array_equal(rows, np.arange(len(data.test) * n))
    return torch.cat([output for _, output in parts]).detach()


@pytest.mark.parametrize("size", [1, 3, 5, 11, 1000])
def test_what_is_drawn_of_a_class_does_not_depend_on_its_group(data: DataSet, size: int) -> None:
    whole = pixels(model(), data)
    torch.testing.assert_close(pixels(model(), data, size=size), whole, rtol=1e-4, atol=1e-4)


def test_groups_are_as_large_as_their_weights_allow(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = model()
    of_class = sum(p.numel() * 4 for p in family.parameters())
    whole = pixels(family, data)
    monkeypatch.setattr(adapt, "GROUP_BYTES", 2 * of_class)
    assert adapt.classes_at_a_time(family) == 2
    groups: list[int] = []
    one = adapt._adapted

    def noted(*given: Any) -> Any:
        groups.append(len(given[1]))
        return one(*given)

    monkeypatch.setattr(adapt, "_adapted", noted)
    torch.testing.assert_close(pixels(family, data), whole, rtol=1e-4, atol=1e-4)
    assert groups == [2, 2, 2]
    monkeypatch.setattr(adapt, "GROUP_BYTES", 1)
    assert adapt.classes_at_a_time(family) == 1


def test_drawings_are_those_of_weights_adapted_to_the_exemplar_and_more(data: DataSet) -> None:
    """By hand, class after class: the supports begin with the exemplar, and are nested."""
    family, n = model().eval(), 2
    expected = []
    for c in data.test.tolist():
        chosen = shots.supports(data, np.array([c]), 3, 0, EXEMPLARS)[0]
        assert chosen[0] == EXEMPLARS[c] and len(set(chosen.tolist())) == 3
        few = shots.supports(data, np.array([c]), 2, 0, EXEMPLARS)[0]
        assert np.array_equal(few, chosen[:2])
        images = torch.from_numpy(data.images[chosen]).float()[:, None]
        shape = family.adapting_noise_shape
        noise = rng.normal_per_drawing(7, np.array([c]), np.zeros(1, int), shape, "adapt")[0]
        weights = family.adapted(images, torch.from_numpy(noise))
        z = rng.normal_per_drawing(7, np.full(n, c), np.arange(n), family.drawing_noise_shape)
        own = model().eval()
        own.load_state_dict(weights, strict=False)
        with torch.no_grad():
            expected.append(own.sample(images[:1].expand(n, -1, -1, -1), torch.from_numpy(z)))
    torch.testing.assert_close(pixels(family, data, n), torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_one_support_is_the_exemplar_alone(data: DataSet) -> None:
    images = data.images.copy()
    others = np.setdiff1d(np.arange(len(images)), EXEMPLARS)
    images[others] = 1 - images[others]
    changed = DataSet(**{**vars(data), "images": images})
    one = model(shots=1)
    assert torch.equal(pixels(one, data), pixels(one, changed))
    assert not torch.allclose(pixels(model(), data), pixels(model(), changed), atol=1e-3)
    assert not torch.allclose(pixels(one, data), pixels(model(shots=1, adapt_steps=0), data))


def test_another_shot_seed_gives_other_supports(data: DataSet) -> None:
    one, other = (pixels(model(shot_seed=seed), data) for seed in (0, 1))
    assert not torch.allclose(one, other, atol=1e-4)


def test_adapting_noise_is_of_a_purpose_of_its_own() -> None:
    one, zero = np.array([3]), np.zeros(1, int)
    draws = [rng.normal_per_drawing(7, one, zero, (4,), p) for p in ("draw", "adapt")]
    assert np.array_equal(draws[0], rng.normal_per_drawing(7, one, zero, (4,)))
    assert not np.allclose(*draws)


def test_draw_takes_the_adapted_weights_and_follows_its_progress(data: DataSet) -> None:
    seen: list[tuple[int, int]] = []
    drawings = draw(
        model(),
        data,
        EXEMPLARS,
        5,
        7,
        CPU,
        10,
        lambda what, done, total: seen.append((done, total)),
    )
    assert seen == [(0, 30), (10, 30), (20, 30)]
    expected = pixels(model(), data).squeeze(1)
    middle = (expected.amax((1, 2)) + expected.amin((1, 2)))[:, None, None] / 2
    ink = (expected > middle).numpy()
    assert np.mean(ink != drawings.images) <= 1e-3 and drawings.label.tolist() == [
        i for i in range(6) for _ in range(5)
    ]
    assert np.array_equal(drawings.exemplars, data.images[EXEMPLARS[3:]])


def test_too_many_supports_are_refused(data: DataSet) -> None:
    with pytest.raises(ValueError, match="7 shots: class d of made has 6 images"):
        pixels(model(shots=7), data)
