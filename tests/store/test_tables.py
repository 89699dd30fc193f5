"""Every column that is written in a table is declared in `tables`, with a text."""

from __future__ import annotations

import dataclasses
import importlib
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from exact_sets import ExactSets
from tiny_families import batch, build

from oneshot.scoring import importance_maps, likelihood
from oneshot.store import parquet, tables
from oneshot.store.records import Record
from oneshot.store.tables import TABLES
from oneshot.sweep import families
from oneshot.sweep.settings import COMMON
from oneshot.types import DataSet

TRAINED = [
    name
    for name in families.names("models")
    if importlib.import_module(f"oneshot.models.{name}").FAMILY.trained
]


def declared(table: str) -> set[str]:
    return {column.name for column in TABLES[table].columns}


def test_each_column_has_a_type_and_a_line() -> None:
    for table in TABLES.values():
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names)) and table.text
        for column in table.columns:
            assert column.type in ("int", "float", "bool", "str", "time"), column
            assert 5 < len(column.text) <= 100 and "\n" not in column.text, column
            assert not column.text.endswith("."), column


def test_records_have_the_detail_tables() -> None:
    fields = [field.name for field in dataclasses.fields(Record)]
    assert tuple(name for name in fields if name in TABLES) == tables.DETAILS
    assert tables.column_type("attention", "level") == "str"
    assert tables.column_type("layers", "level") == "int"
    assert tables.column_type("classes", "of another version") == "float"


@pytest.mark.parametrize("model", families.names("models"))
def test_columns_of_points_are_declared_here_or_are_settings(model: str) -> None:
    written = {field.name for field in parquet.point_fields([model], [])}
    assert written - declared("points") <= {*COMMON, *families.declaration("models", model).fields}


@pytest.mark.parametrize("model", TRAINED)
def test_losses_of_every_family_are_columns_of_curves(model: str) -> None:
    family = build(f"{model}:tiny")
    items, noise = batch(family, 3)
    for i, player in enumerate(family.players()):
        prefix = f"{player.name}_" if i else ""
        for name in player.loss(items, noise, family.hyper(0)):
            assert {f"train_{prefix}{name}", f"validation_{prefix}{name}"} <= declared("curves")


def test_what_likelihoods_and_maps_leave_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    def digits(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(count)
        return rng.integers(0, 256, (300, size, size), np.uint8), np.repeat(np.arange(10), 30)

    monkeypatch.setattr(likelihood.digits, "load", digits)
    images = np.random.default_rng(0).integers(0, 2, (120, 2, 2), np.uint8)
    classes = (np.arange(2), np.array([2]), np.array([3, 4, 5]))
    data = DataSet("made", "", "", images, np.arange(120) // 20, tuple("abcdef"), *classes)
    asked = dict(likelihood="nll", nll_samples=2, nll_sets=0, nll_size=0, test_sets=0)
    asked |= dict(transfer="mnist", classify=True, set_size=5, binarisation="threshold")
    row, found = likelihood.grade_likelihood(
        ExactSets(), SimpleNamespace(**asked), data, None, torch.device("cpu"), lambda *_: None
    )
    assert row.keys() <= declared("points")
    maps = importance_maps.Maps(np.ones((2, 3, 3)), np.ones((2, 3, 3), np.uint8), ("a", "b"))
    found["importance"] = importance_maps.columns(maps)
    assert found.keys() == {"likelihood", "layers", "attention", "confusion", "importance"}
    for table, columns in found.items():
        assert columns.keys() == declared(table) - {"point_id"}
        for name, values in columns.items():
            kinds = {"int": int, "float": float, "str": str}
            kind = kinds[tables.column_type(table, name)]
            assert all(isinstance(v, kind) for v in values if v is not math.nan), (table, name)


def test_the_tables_of_a_run_hold_what_is_declared(finished: Path) -> None:
    folder = finished / "results/small"
    names = sorted(path.stem for path in folder.glob("*.parquet"))
    assert names == ["classes", "critics", "curves", "generalization", "points"]
    models = pq.read_table(folder / "points.parquet")["model"].unique().to_pylist()
    known = {*COMMON}.union(*(families.declaration("models", model).fields for model in models))
    for name in names:
        columns = set(pq.read_schema(folder / f"{name}.parquet").names)
        assert columns - declared(name) <= (known if name == "points" else set()), name
    critics = set(pq.read_schema(folder / "critics.parquet").names)
    of_greys = {"test_accuracy", "test_images", "chance_accuracy", "calibration_error"}
    assert critics == declared("critics") - of_greys - {"worst_class", "worst_accuracy"}
