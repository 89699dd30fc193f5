"""Rows of earlier versions: what they lack stands as what it meant."""

from __future__ import annotations

from pathlib import Path

from small import write_sweep

from oneshot.store.plan import signature
from oneshot.store.row_check import check_row
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep


def test_a_row_without_a_classifier_has_an_empty_one(tmp_path: Path) -> None:
    point = expand(load_sweep(write_sweep(tmp_path)))[-1]
    row = {**point.row(), "status": "done"}
    assert row["classifier_id"] == ""
    old = {name: value for name, value in row.items() if name != "classifier_id"}
    checked, problems = check_row(old, point.point_id)
    assert checked["classifier_id"] == "" and not problems
    assert signature(old, ["beta"]) == signature(row, ["beta"]) == signature(checked, ["beta"])
    other = {**row, "classifier_id": "1234"}
    assert check_row(other, point.point_id)[0]["classifier_id"] == "1234"
    assert signature(other, ["beta"]) != signature(row, ["beta"])
