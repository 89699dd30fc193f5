"""The grader of greys, by a network that says what stands in two pixels."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_labelled import CLASSES, SIDE, made
from torch import Tensor, nn
from torch.nn import functional as F

from oneshot.critics.classifier import FEATURES
from oneshot.metrics.removed import diversity_ratio, to_shots_ratio
from oneshot.scoring.classifier import Classifier
from oneshot.scoring.graders import removed as grader
from oneshot.scoring.work import Work
from oneshot.store.store import Store
from oneshot.store.tables import REMOVED, TABLES
from oneshot.training.shots import supports
from oneshot.types import DataSet, Drawings, Part

CPU = torch.device("cpu")


class Told(nn.Module):
    """Says of an image the class in its first pixel, with the confidence in its second, in 255."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(FEATURES, CLASSES)
        self.asked = 0

    def embed(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return F.pad(images[:, 0, 0] * 255, (0, FEATURES - SIDE))

    def of_features(self, features: Tensor) -> Tensor:
        told, confidence = features[:, 0].long(), features[:, 1:2].double() / 255
        one_hot = F.one_hot(told, CLASSES).double()
        rest = (1 - confidence) / (CLASSES - 1)
        return (one_hot * confidence + (1 - one_hot) * rest).log()


def real(without: int | None) -> DataSet:
    """The made greys; of each class one of six test images is taken for class 2, not surely."""
    data = made("greys", without)
    images = data.images.copy()
    images[:, 0, 0, 1] = 250
    wrong = np.flatnonzero(data.part == Part.TEST)[::6]
    images[wrong, 0, 0, :2] = 2, 150
    return dataclasses.replace(data, images=images)


def drawings(told: list[int], confidence: list[int], names: tuple[str, ...] = ("",)) -> Drawings:
    """Drawings of which the network says this; so many of each class, if there are names."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(told), SIDE, SIDE, 1)).astype(np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = told, confidence
    label = np.arange(len(names)).repeat(len(told) // len(names))
    return Drawings(images, label, np.zeros((len(names), SIDE, SIDE, 1), np.uint8), names)


def graded(
    data: DataSet, drawn: Drawings, folder: Path, **settings: Any
) -> tuple[dict[str, Any], dict[str, Any], Told]:
    """Columns and table of drawings, and the network that was asked."""
    network: Any = Told()
    point: Any = SimpleNamespace(settings=settings)
    work = Work(
        point=point,
        data=data,
        exemplars=np.zeros(0, np.int64),
        drawings=drawn,
        critics=None,
        human=None,
        people=None,
        family=None,
        load_weights=lambda: None,
        greys=lambda: None,
        store=Store(folder),
        device=CPU,
        classifier=Classifier(network, data, CPU),
    )
    columns, tables = grader.grade(work)
    assert set(columns) <= set(REMOVED) and set(tables) == {"predicted"}
    declared = [column.name for column in TABLES["predicted"].columns]
    assert ["point_id", *tables["predicted"]] == declared
    return columns, tables["predicted"], network


TOLD = [2] * 6 + [0] * 8 + [1] * 5 + [4] * 1
CONFIDENCE = [255, 240, 240, 200, 150, 100] + [250] * 13 + [90]


def test_hits_and_their_null(tmp_path: Path) -> None:
    row, table, network = graded(real(2), drawings(TOLD, CONFIDENCE), tmp_path)
    assert row["hits_missing"] == pytest.approx(5 / 20)
    assert row["hits_missing_90"] == pytest.approx(3 / 20)
    # of the 24 real test images of the other classes four are taken for class 2, at .59
    assert row["false_hits"] == pytest.approx(4 / 24) and row["false_hits_90"] == 0
    assert row["classes_covered"] == 2 and isinstance(row["classes_covered"], int)
    rest = [[(1 - c / 255) / 4] * 4 + [c / 255] for c in CONFIDENCE]
    entropy = -np.mean([sum(p * math.log(p) for p in line if p > 0) for line in rest])
    assert row["class_entropy"] == pytest.approx(entropy, rel=1e-5)
    assert "asked_accuracy" not in row and "removed_diversity" not in row
    assert table["class_name"] == [f"class {c}" for c in range(CLASSES)]
    assert table["left_out"] == [0, 0, 1, 0, 0] and table["real_images"] == [24] * 5
    assert table["share"] == pytest.approx([8 / 20, 5 / 20, 5 / 20, 0, 0])
    assert table["share_90"] == pytest.approx([8 / 20, 5 / 20, 3 / 20, 0, 0])
    assert table["real_share"] == pytest.approx([5 / 24, 5 / 24, 4 / 24, 5 / 24, 5 / 24])
    assert network.asked == 20 + 30  # each image once


def test_a_split_that_leaves_nothing_out_has_no_hits(tmp_path: Path) -> None:
    row, table, _ = graded(real(None), drawings(TOLD, CONFIDENCE), tmp_path)
    assert set(row) == {"class_entropy", "classes_covered"} and row["classes_covered"] == 3
    assert table["left_out"] == [0] * 5 and table["real_images"] == [30] * 5


def test_families_asked_by_a_class_draw_what_they_are_asked(tmp_path: Path) -> None:
    names = tuple(f"class {c}" for c in range(CLASSES))
    told = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 0, 4, 4, 4, 4]
    drawn = drawings(told, [250] * 12 + [200, 250, 250] + [250] * 5, names)
    row, table, _ = graded(real(3), drawn, tmp_path)
    # of kept classes: 3, 2, 2 and 4 of four each
    assert row["asked_accuracy"] == pytest.approx(11 / 16)
    # of the four that were asked for class 3, three are it; two more were asked for class 2
    assert row["hits_missing"] == 3 / 4 and row["hits_missing_90"] == 2 / 4
    assert table["share"][3] == pytest.approx(5 / 20)


def test_variety_of_what_is_drawn_of_the_class_left_out(tmp_path: Path) -> None:
    data = real(2)
    tests = data.rows_of_part(np.array([2]), Part.TEST)
    drawn = drawings([2] * 12 + [0] * 8, [250] * 20)
    row, _, network = graded(data, drawn, tmp_path, shots=3, shot_seed=1)
    chosen = supports(data, np.array([2]), 3, 1)[0]
    assert set(data.part[chosen]) == {Part.TRAIN}  # type: ignore[index]
    drawn_rows, real_rows, shots = (
        np.asarray(images, np.float64).reshape(-1, SIDE, SIDE)[:, 0]
        for images in (drawn.images[:12], data.images[tests], data.images[chosen])
    )
    assert row["removed_diversity"] == pytest.approx(diversity_ratio(drawn_rows, real_rows), 1e-4)
    expected = to_shots_ratio(drawn_rows, real_rows, shots)
    assert row["removed_to_shots"] == pytest.approx(expected, rel=1e-4) and expected > 0.5
    assert network.asked == 20 + 30 + 3
    # copies of the shots
    images = np.moveaxis(data.images[np.tile(chosen, 4)], 1, -1)
    copies = dataclasses.replace(drawn, images=images, label=np.zeros(12, np.int64))
    row, _, _ = graded(data, copies, tmp_path, shots=3, shot_seed=1)
    assert row["hits_missing"] == 1 and row["removed_to_shots"] == 0
    row, _, _ = graded(data, copies, tmp_path)
    assert "removed_to_shots" not in row and row["removed_diversity"] > 0
    few = drawings([2] * 9 + [0] * 11, [250] * 20)
    assert not set(graded(data, few, tmp_path, shots=3)[0]) & {
        "removed_to_shots",
        "removed_diversity",
    }
