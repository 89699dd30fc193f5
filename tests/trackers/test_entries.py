"""What is logged of a point, and its sheet."""

from __future__ import annotations

import math
from pathlib import Path

import logged_runs
import made_runs
import numpy as np
import pytest

from oneshot.scoring import sheet_files
from oneshot.store.records import Record
from oneshot.store.store import Store
from oneshot.trackers import entries
from oneshot.trackers.pictures import sheet, sheets_of


def test_settings_results_and_words_are_told_apart(tmp_path: Path) -> None:
    plan = made_runs.planned(tmp_path)
    point = plan.points[1]
    record = made_runs.record(
        point, fid=math.nan, kid=None, epochs_done=2, train_seconds=4.0, host="node7"
    )
    curves = {"epoch": [0, 1], "train_loss": [2.0, math.inf], "learning_rate": [0.1, 0.05]}
    entry = entries.make(Record(record.row, {}, curves), plan.store, ["beta"], "vae_stn")
    assert entry.name == f"beta=1 seed=44 {point.point_id[:8]}" and entry.axes == {"beta": 1.0}
    assert entry.results == {"diversity": 0.5, "recognizability": 50.0, "human_distance": 1.0}
    assert entry.usage == {"epochs_done": 2.0, "train_seconds": 4.0}
    assert entry.settings["seed"] == 44 and entry.settings["dataset"] == "quickdraw"
    assert entry.texts["host"] == "node7" and "family_version" in entry.texts
    assert entry.curves == {
        "train/loss": [(0, 2.0)],
        "train/learning_rate": [(0, 0.1), (1, 0.05)],
    }
    assert entry.by_epoch() == {
        0: {"train/loss": 2.0, "train/learning_rate": 0.1},
        1: {"train/learning_rate": 0.05},
    }
    assert entry.epoch_time(1) == entry.ended_at and entry.epoch_time(-1) == entry.ended_at - 4.0


def test_a_record_of_a_family_that_is_gone_is_logged_all_the_same(tmp_path: Path) -> None:
    plan = made_runs.planned(tmp_path)
    row = made_runs.record(plan.points[0]).row | dict(model="gone", zeal=3)
    entry = entries.make(Record(row), plan.store, ["beta"], "vae_stn")
    assert entry.axes == {} and entry.name.startswith("gone seed=44 ")
    assert entry.results["zeal"] == 3.0


@pytest.mark.parametrize(
    ("images", "light"),
    [
        (np.zeros((6, 8, 8), np.uint8), 255),
        (np.full((6, 8, 8, 1), 99, np.uint8), 99),
        (np.full((6, 8, 8, 3), 99, np.uint8), 99),
    ],
)
def test_a_sheet_has_a_line_a_class_with_its_exemplar_apart(images: np.ndarray, light: int) -> None:
    drawn = sheet(logged_runs.drawings(images))
    assert drawn.dtype == np.uint8 and drawn.shape == (2 * 50 + 2, 11 * 50 + 2 + 8, 3)
    assert (drawn[2:50, 2:50] == light).all() and (drawn[2:50, 50:60] == 200).all()
    assert (drawn[2:50, 60:108] == light).all() and (drawn[2:50, 210:] == 200).all()


def test_drawings_for_no_class_fill_the_lines_and_points_become_dots() -> None:
    bits = np.zeros((13, 48, 48), np.uint8)
    of_none = logged_runs.Drawings(bits, np.zeros(13, np.int64), bits[:1], ("",))
    assert sheet(of_none).shape == (102, 502, 3)
    points = np.array([[0.0, 0.0], [1.0, 1.0], [math.nan, 0.0]], np.float32)
    dots = sheet(logged_runs.Drawings(points, np.zeros(3, np.int64), points[:1], ("",)))
    assert dots.shape == (256, 256, 3) and (dots == 0).all(-1).sum() == 2


def test_sheets_are_read_from_the_store_and_damaged_ones_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert sheets_of(store, "s") == {}
    store.write("store/drawings/s/drawings.npz", b"no drawings")
    images = np.zeros((2, 3, 8, 8, 1), np.uint8)
    store.write(sheet_files.key("s", "classes"), sheet_files.to_bytes(images))
    assert {k: v.shape for k, v in sheets_of(store, "s").items()} == {"classes": (102, 152, 3)}
