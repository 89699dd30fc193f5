"""The panel: a set beside itself, copies, noise, and copies of training drawings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from glyphs import SIZE, glyphs

from oneshot.critics.encoder import embed_all
from oneshot.critics.simclr import SimCLR
from oneshot.scoring.graders import panel as grader
from oneshot.scoring.plane import Critics
from oneshot.scoring.work import People, Work
from oneshot.store.store import Store
from oneshot.store.tables import PANEL
from oneshot.types import DataSet, Drawings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def simclr() -> SimCLR:
    torch.manual_seed(0)
    return SimCLR(SIZE).eval()


@pytest.fixture(scope="module")
def data() -> DataSet:
    return glyphs(classes=66, per_class=20)


def people_of(data: DataSet, simclr: SimCLR) -> People:
    rows, train = data.rows(data.test), data.rows(data.train)
    label = np.searchsorted(data.test, data.label[rows])
    parts = (embed_all(simclr, data.images[part], CPU) for part in (rows, train))
    of_people, of_train = parts
    return People(of_people, label, of_train)


def graded(
    images: np.ndarray, data: DataSet, simclr: SimCLR, folder: Path, most: int = 20
) -> dict[str, Any]:
    """The panel of as many images of each test class, in its order."""
    label = np.arange(len(data.test)).repeat(len(images) // len(data.test))
    exemplars = data.images[data.rows(data.test)[::20]]
    names = tuple(data.class_names[c] for c in data.test)
    point: Any = SimpleNamespace(settings={"diversity_drawings": most})
    critics = Critics(simclr, simclr, CPU)
    columns, tables = grader.grade(
        Work(
            point=point,
            data=data,
            exemplars=np.zeros(0, np.int64),
            drawings=Drawings(images, label, exemplars, names),
            critics=critics,
            human=None,
            people=people_of(data, simclr),
            family=None,
            load_weights=lambda: None,
            greys=lambda: None,
            store=Store(folder),
            device=CPU,
        )
    )
    assert not tables
    return columns


def test_people_beside_people(data: DataSet, simclr: SimCLR, tmp_path: Path) -> None:
    row = graded(data.images[data.rows(data.test)], data, simclr, tmp_path)
    assert set(row) == set(PANEL)
    assert row["fid"] < 1e-8 and row["nearest_train"] == pytest.approx(1)
    assert [row[n] for n in ("sample_precision", "sample_recall", "coverage")] == [1, 1, 1]
    assert row["density"] == pytest.approx(1, abs=0.01)


def test_copies_recall_nothing_and_are_one_drawing_a_class(
    data: DataSet, simclr: SimCLR, tmp_path: Path
) -> None:
    exemplars = data.images[data.rows(data.test)[::20]]
    row = graded(exemplars.repeat(20, axis=0), data, simclr, tmp_path)
    assert row["sample_recall"] == 0 and row["sample_precision"] == 1
    assert row["vendi_classes"] == pytest.approx(1) and row["vendi"] > 1
    assert row["fid"] > 0


def test_copies_of_training_drawings_show(data: DataSet, simclr: SimCLR, tmp_path: Path) -> None:
    row = graded(data.images[data.rows(data.train)], data, simclr, tmp_path)
    assert row["nearest_train"] == pytest.approx(0, abs=1e-4) and row["fid"] > 0


def test_noise_lies_among_nobodys_drawings(data: DataSet, simclr: SimCLR, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((22 * 20, SIZE, SIZE)) < 0.3
    people = graded(data.images[data.rows(data.test)], data, simclr, tmp_path)
    row = graded(noise.astype(np.uint8), data, simclr, tmp_path)
    assert row["sample_precision"] < 0.05 and row["coverage"] < 0.1
    assert row["fid"] > 100 * people["fid"] and row["kid"] > people["kid"]
    assert row["nearest_train"] > 1


def test_what_needs_more_drawings_is_missing(data: DataSet, simclr: SimCLR, tmp_path: Path) -> None:
    """256 features need more than 256 drawings for a covariance."""
    rows = data.rows(data.test).reshape(22, 20)[:, :11]
    row = graded(data.images[rows.flatten()], data, simclr, tmp_path)
    assert set(PANEL) - set(row) == {"fid"} and len(rows.flatten()) == 242
    few = graded(data.images[data.rows(data.test)], data, simclr, tmp_path, most=11)
    assert "fid" not in few


def test_only_as_many_drawings_of_a_class_count_as_for_diversity(
    data: DataSet, simclr: SimCLR, tmp_path: Path
) -> None:
    images = data.images[data.rows(data.test)]
    spoiled = images.copy().reshape(22, 20, SIZE, SIZE)
    spoiled[:, 14:] = 1 - spoiled[:, 14:]
    one, other = (
        graded(i.reshape(-1, SIZE, SIZE), data, simclr, tmp_path, most=14)
        for i in (images, spoiled)
    )
    assert one == pytest.approx(other, rel=1e-4, abs=1e-9)
