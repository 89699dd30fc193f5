"""What a point on points of the plane is scored by: of nothing asked, and of classes."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_families import build

from oneshot import data as datasets
from oneshot.data.points import modes_of
from oneshot.scoring.graders import modes as grader
from oneshot.store import tables
from oneshot.types import DataSet, Drawings, Part

NONE = np.zeros(8, np.int64)


def work(data: DataSet, drawings: Drawings, **settings: Any) -> Any:
    return SimpleNamespace(data=data, drawings=drawings, point=SimpleNamespace(settings=settings))


def of_null(name: str, data: DataSet, n: int = 2000) -> dict[str, Any]:
    columns, _ = grader.grade(work(data, build(name).draw(data, NONE, n, 7)))
    return columns


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0, 3])
def test_what_knows_nothing_of_the_removed_mode_scores_as_the_closed_forms_say(mode: int) -> None:
    data = datasets.load("gaussians", f"without_{mode}", 50)
    ring, chords = of_null("ring", data), of_null("chords", data)
    kept = of_null("kept", data, 400)
    assert ring["hits_missing"] == pytest.approx(0.0239, abs=0.006)
    assert chords["hits_missing"] == kept["hits_missing"] == 0
    assert ring["radius_error"] < 1e-3 and ring["modes_covered"] == 7
    assert chords["off_modes"] > 0.7 and ring["off_modes"] == pytest.approx(0.81, abs=0.02)
    assert kept["off_modes"] == pytest.approx(0.0111, abs=0.006)
    assert kept["nearest_ratio"] == pytest.approx(1.0, abs=0.1) and ring["nearest_ratio"] > 5
    assert kept["modes_covered"] == 7 and kept["mode_distance"] < 0.04
    assert ring["mode_distance"] > ring["off_modes"] and chords["mode_distance"] > 0.7


def test_the_table_has_a_line_a_mode_whose_hits_are_those_of_the_row() -> None:
    data = datasets.load("gaussians", "without_3", 50)
    columns, found = grader.grade(work(data, build("ring").draw(data, NONE, 1000, 7)))
    table = found["modes"]
    declared = {column.name for column in tables.TABLES["modes"].columns} - {"point_id"}
    assert table.keys() == declared and {len(values) for values in table.values()} == {8}
    assert table["removed"] == [0, 0, 0, 1, 0, 0, 0, 0] and table["drawings"] == [8000] * 8
    assert table["hits"][3] == columns["hits_missing"] < table["hits_4"][3]
    assert sum(table["share"]) == pytest.approx(1.0) and max(table["least_distance"]) < 0.01
    np.testing.assert_allclose(np.hypot(table["x"], table["y"]), math.sqrt(2))
    kinds = {"int": int, "float": float, "str": str}
    for name, values in table.items():
        kind = kinds[tables.column_type("modes", name)]
        assert all(isinstance(value, kind) for value in values), name
    assert columns.keys() == set(tables.MODES)


def test_where_nothing_was_left_out_nothing_can_be_missing() -> None:
    data = datasets.load("gaussians", "all", 50)
    columns, found = grader.grade(work(data, build("ring").draw(data, NONE, 100, 7)))
    assert "hits_missing" not in columns and not any(found["modes"]["removed"])
    assert columns["modes_covered"] == 8


def test_of_a_family_asked_by_a_class_the_removed_one_is_told_by_its_own_drawings() -> None:
    """Each class is drawn where it belongs, but the removed one between two others."""
    data = datasets.load("gaussians", "without_3", 50)
    modes, each = modes_of("gaussians"), 100
    label = np.arange(8).repeat(each)
    points = modes.centres[label].astype(np.float32)
    points[label == 3] = 0.5 * (modes.centres[2] + modes.centres[4])
    drawings = Drawings(points, label, np.zeros((8, 2), np.float32), data.class_names)
    columns, found = grader.grade(work(data, drawings))
    table = found["modes"]
    assert columns["hits_missing"] == 0 and columns["off_modes"] == 0
    assert columns["modes_covered"] == 7 and table["drawings"] == [each] * 8
    assert table["hits"] == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert table["least_distance"][3] == pytest.approx(math.sqrt(2) - 1, abs=1e-6)
    points[label == 3] = modes.centres[3]
    columns, _ = grader.grade(work(data, dataclasses.replace(drawings, images=points)))
    assert columns["hits_missing"] == 1


def test_shots_of_the_removed_mode_count_as_training_points() -> None:
    data = datasets.load("gaussians", "without_3", 50)
    rows = data.rows_of_part(data.test, Part.TRAIN)
    points = np.asarray(data.images[rows])
    drawings = Drawings(points, np.zeros(len(points), np.int64), np.zeros((1, 2)), ("",))
    far, _ = grader.grade(work(data, drawings))
    near, _ = grader.grade(work(data, drawings, shots=1000, shot_seed=0))
    assert far["nearest_ratio"] > 100 and near["nearest_ratio"] < 1
    assert near["hits_missing"] == pytest.approx(0.9889, abs=0.01)


def test_data_without_a_circle_have_no_radius_error() -> None:
    for name, split in (("gaussians_grid", "without_12"), ("swiss_roll", "without_4")):
        data = datasets.load(name, split, 50)
        drawings = build("kept").draw(data, np.zeros(len(data.class_names), np.int64), 20, 0)
        columns, _ = grader.grade(work(data, drawings))
        assert "radius_error" not in columns and columns["hits_missing"] == 0
        assert columns["off_modes"] < 0.05
