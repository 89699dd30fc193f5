"""Bounds of held-out images by class: of the class that was removed, and of the others."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import CLASSES, SIDE, made
from torch import Tensor

from oneshot.contracts import Labelled, Losses
from oneshot.models.mlp_vae import VARIANTS, Config, MlpVae
from oneshot.scoring.class_bounds import class_bounds
from oneshot.scoring.graders import removed_likelihood
from oneshot.store.tables import TABLES
from oneshot.sweep import graders
from oneshot.types import Part

CPU = torch.device("cpu")


def model(seed: int = 0) -> MlpVae:
    torch.manual_seed(seed)
    return MlpVae(Config(**VARIANTS["tiny"]), SIDE).requires_grad_(False)


class Known:
    """A family whose terms are what is read off an image: its class and its number."""

    evaluation_batch = 4
    noise_shape = (2,)

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def to(self, device: torch.device) -> Known:
        return self

    def eval(self) -> Known:
        return self

    def elbo(self, items: Labelled, noise: Tensor) -> Losses:
        pixels = (items.images[:, 0, 0, :2] * 255).round()
        assert torch.equal(items.label.argmax(1), pixels[:, 0].long())
        self.seen.append(noise)
        return {"reconstruction": 100 * pixels[:, 0], "kl": pixels[:, 1]}


def test_bounds_are_means_over_the_held_out_images_of_each_class() -> None:
    data, family = made("greys", 2), Known()
    columns, table = class_bounds(family, data, CPU)  # type: ignore[arg-type]
    numbers = np.arange(24, 30)  # of the images of TEST in each class
    assert table["class_name"] == [f"class {c}" for c in range(CLASSES)]
    assert table["removed"] == [0, 0, 1, 0, 0] and table["images"] == [6] * 5
    assert table["nelbo"] == pytest.approx([100 * c + numbers.mean() for c in range(CLASSES)])
    assert table["nelbo_se"] == pytest.approx([numbers.std(ddof=1) / 6**0.5] * 5)
    assert table["reconstruction"] == pytest.approx([100 * c for c in range(CLASSES)])
    assert table["kl"] == pytest.approx([numbers.mean()] * 5)
    assert columns == pytest.approx({"removed_nelbo": 226.5, "kept_nelbo": 226.5})
    assert [len(noise) for noise in family.seen] == [4, 2] * 5
    assert [c.name for c in TABLES["class_nelbo"].columns] == ["point_id", *table]
    columns, table = class_bounds(family, made("greys"), CPU)  # type: ignore[arg-type]
    assert list(columns) == ["kept_nelbo"] and not any(table["removed"])


def test_bounds_are_those_of_the_family_at_fixed_noise_in_any_batches() -> None:
    data, family = made("greys", 4), model()
    columns, table = class_bounds(family, data, CPU)
    again, other = class_bounds(family, data, CPU, batch=2)
    assert again == pytest.approx(columns, rel=1e-5)
    assert other["nelbo"] == pytest.approx(table["nelbo"], rel=1e-5)
    assert not family.training
    # close to the bound by other noise of many draws, and not at that of another model
    rows = data.rows_of_part(np.array([4]), Part.TEST)
    images = torch.from_numpy(data.images[rows]).float() / 255
    items = Labelled(images.repeat(200, 1, 1, 1), torch.zeros(1200, 5))
    noise = torch.randn(1200, 3, generator=torch.Generator().manual_seed(9))
    terms = family.elbo(items, noise)
    mean = float((terms["reconstruction"] + terms["kl"]).mean())
    assert columns["removed_nelbo"] == table["nelbo"][4] == pytest.approx(mean, rel=5e-3)
    assert class_bounds(model(1), data, CPU)[0] != columns


def test_classes_without_parts_are_refused() -> None:
    data = dataclasses.replace(made("greys", 2), part=None)
    with pytest.raises(ValueError, match="not cut into parts"):
        class_bounds(model(), data, CPU)


def test_the_grader_loads_the_weights_and_applies_where_it_is_asked_for() -> None:
    loaded: list[bool] = []
    work: Any = SimpleNamespace(
        load_weights=lambda: loaded.append(True),
        family=model(),
        data=made("greys", 2),
        device=CPU,
        tick=lambda what, done, total: None,
    )
    columns, tables = removed_likelihood.grade(work)
    assert loaded and set(columns) == {"removed_nelbo", "kept_nelbo"}
    assert list(tables) == ["class_nelbo"] and len(tables["class_nelbo"]["nelbo"]) == CLASSES
    (spec,) = [g for g in graders.all_graders() if g.name == "removed_likelihood"]
    assert spec.applies({"class_likelihood": True}, ()) and not spec.from_drawings
    assert not spec.applies({"class_likelihood": False}, ()) and not spec.applies({}, ())
