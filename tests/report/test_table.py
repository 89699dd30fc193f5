"""Averages over seeds, and the table as it is printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from figure_checks import analyze
from synthetic_results import grid, write_results

from oneshot.report.averages import over_seeds
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures
from oneshot.report.results import Results, load
from oneshot.report.select import select
from oneshot.report.table import points_table
from oneshot.report.text import fit_terminal


def test_over_seeds_is_mean_and_standard_error(loaded: Results) -> None:
    means = over_seeds(loaded)
    row = means.query("beta == 0.5 and time_steps == 60 and z == 85").iloc[0]
    values = loaded.points.query("beta == 0.5 and time_steps == 60 and z == 85")[
        "diversity"
    ].to_numpy()
    assert row["seeds"] == 3 and row["diversity"] == pytest.approx(values.mean())
    assert row["diversity_se"] == pytest.approx(values.std(ddof=1) / np.sqrt(3))
    assert means.query("model == 'human'")["diversity_se"].isna().all()


def test_tables_of_the_third_format_are_read_averaged_and_printed(tmp_path: Path) -> None:
    loaded = load(write_results(tmp_path, grid(beta=[1.0, 2.0]), seeds=2, version=3))
    assert loaded.generalization.empty and "generalization_area" not in loaded.points
    means = over_seeds(loaded)
    assert len(means) == 2 + 3 and not any(
        "generalization" in name for name in [*means, *points_table(loaded)]
    )
    assert len(select(loaded, "beta == 1").points) == 2 + 3


def test_generalization_is_averaged_over_seeds_and_comes_after_originality(
    loaded: Results,
) -> None:
    names = list(points_table(loaded))
    assert names[names.index("originality") + 1 :][:2] == [
        "generalization_area",
        "generalization_coverage",
    ]
    row = over_seeds(loaded).query("beta == 0.5 and time_steps == 60 and z == 85").iloc[0]
    areas = loaded.points.query("beta == 0.5 and time_steps == 60 and z == 85")[
        "generalization_area"
    ]
    assert row["generalization_area"] == pytest.approx(areas.mean()) and row[
        "generalization_area_se"
    ] == pytest.approx(areas.sem())
    text = fit_terminal(
        pd.DataFrame(
            {"generalization_area": [1.237, np.nan], "generalization_coverage": [0.786, 0.0]}
        ),
        None,
    )[0]
    assert [line.split() for line in text.splitlines()[1:]] == [["1.24", "0.79"], ["-", "0.00"]]
    assert max(map(len, fit_terminal(points_table(loaded), 80)[0].splitlines())) <= 80


def test_table_sorts_nearest_first_and_puts_empty_cells_last(loaded: Results) -> None:
    table = points_table(loaded)
    assert list(table)[:7] == [
        "status",
        "model",
        "beta",
        "time_steps",
        "z",
        "seed",
        "human_distance",
    ]
    assert (
        table["human_distance"].dropna().is_monotonic_increasing
        and table["human_distance"].tail(3).isna().all()
    )
    largest = points_table(loaded, ["z"], "diversity", 3, descending=True)
    assert list(largest) == ["z"] and len(largest) == 3
    assert largest.index[0] == loaded.points["diversity"].idxmax()


@pytest.mark.parametrize("asked", [dict(columns=["divresity"]), dict(sort="divresity")])
def test_table_names_near_columns(loaded: Results, asked: dict) -> None:
    with pytest.raises(AnalysisError, match="no column 'divresity'") as caught:
        points_table(loaded, **asked)
    assert "diversity" in caught.value.help


def typed_sweep(root: Path) -> Path:
    """A sweep over whole numbers and truth values, which people have none of."""
    return write_results(
        root,
        grid(z=[10, 60], annealed=[True, False]),
        seeds=2,
        failed=1,
        where_is=lambda **_: (1.0, 80.0),
    )


@pytest.mark.parametrize("flags", [[], ["--over-seeds"], ["--columns", "z,annealed,seed,z"]])
def test_whole_numbers_and_truth_values_stay_what_they_are_beside_empty_cells(
    tmp_path: Path, flags: list[str]
) -> None:
    folder, csv, parquet = typed_sweep(tmp_path), tmp_path / "t.csv", tmp_path / "t.parquet"
    done = analyze(folder, "--no-figures", "--json", "--csv", csv, "--parquet", parquet, *flags)
    assert done.returncode == 0, done.stderr
    cells = pd.read_csv(csv, dtype=str, keep_default_na=False)
    assert set(cells["z"]) == {"10", "60", ""} and set(cells["annealed"]) == {"True", "False", ""}
    rows = json.loads(done.stdout)
    assert {json.dumps(row["z"]) for row in rows} == {"10", "60", "null"}
    assert {json.dumps(row["annealed"]) for row in rows} == {"true", "false", "null"}
    schema = pyarrow.parquet.read_schema(parquet)
    assert str(schema.field("z").type) == "int64" and str(schema.field("annealed").type) == "bool"


@pytest.mark.slow
def test_whole_numbers_stay_whole_in_the_numbers_of_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        all_figures, "FIGURES", {name: all_figures.FIGURES[name] for name in ("plane", "effects")}
    )
    done = analyze(typed_sweep(tmp_path), "--figures", tmp_path / "f")
    assert done.returncode == 0, done.stderr
    plane = pd.read_csv(tmp_path / "f" / "plane.csv", dtype=str)
    assert set(plane["z"].dropna()) == {"10", "60"} and set(plane["seeds"].dropna()) <= {"1", "2"}
    effects = pd.read_csv(tmp_path / "f" / "effects.csv", dtype=str)
    assert set(effects.query("axis == 'z'")["value"]) == {"10", "60"}
