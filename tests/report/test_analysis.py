"""Reading and summarising results: loading, filters on tables, averages over seeds, effects of
axes, the printed table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import small
from synthetic_results import HUMAN, SCALE, grid, lines, place, write_results
from synthetic_sets import write_sets

from oneshot.report import results
from oneshot.report.analysis import plane as analysis
from oneshot.report.figures import catalog
from oneshot.report.results import AnalysisError
from oneshot.sweep.filter import FilterError

SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 4.0], time_steps=[20, 60, 90], z=[10, 85])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("results"), SMALL, seeds=3, failed=2, diverged=1)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> results.Results:
    return analysis.load(folder)


# ---- loading


def test_load_knows_what_was_swept(loaded: results.Results, folder: Path) -> None:
    assert (loaded.name, loaded.axes, loaded.folder, loaded.revision) == (
        "vae_stn",
        ["beta", "time_steps", "z"],
        folder,
        "e41c2d7",
    )
    assert len(loaded.points) == 3 + 90 and len(loaded.models) == 87 and len(loaded.references) == 3
    assert set(loaded.curves["point_id"]) <= set(loaded.points["point_id"])


def test_load_takes_the_only_sweep_of_a_results_folder_and_the_file_itself(folder: Path) -> None:
    assert (
        analysis.load(folder.parent).name
        == analysis.load(folder / "points.parquet").name
        == "vae_stn"
    )


def test_load_lists_the_sweeps_when_there_are_several(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_results(tmp_path, grid(beta=[1.0]), name=name)
    with pytest.raises(AnalysisError, match="holds 2 sweeps") as caught:
        analysis.load(tmp_path)
    assert str(tmp_path / "one") in caught.value.help and str(tmp_path / "two") in caught.value.help


def test_load_names_near_folders(folder: Path) -> None:
    with pytest.raises(AnalysisError, match="no folder") as caught:
        analysis.load(folder.parent / "vae_snt")
    assert str(folder) in caught.value.help


def test_load_says_when_there_is_no_table_yet(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="holds no results"):
        analysis.load(tmp_path)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "ab.json").write_text("{}")
    with pytest.raises(AnalysisError, match="has records but no points"):
        analysis.load(tmp_path)


def test_load_refuses_foreign_newer_and_broken_tables(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0]))
    file = folder / "points.parquet"
    table = pyarrow.parquet.read_table(file)
    newer = {
        b"oneshot": json.dumps({"format": 9, "sweep": "x", "question": "", "axes": []}).encode()
    }
    pyarrow.parquet.write_table(table.replace_schema_metadata(newer), file)
    with pytest.raises(AnalysisError, match=r"has table format 9; this oneshot reads 1 \.\. 4"):
        analysis.load(folder)
    pyarrow.parquet.write_table(table.replace_schema_metadata(None), file)
    with pytest.raises(AnalysisError, match="was not written by"):
        analysis.load(folder)
    file.write_bytes(b"PAR1 nonsense")
    with pytest.raises(AnalysisError, match="cannot read"):
        analysis.load(folder)


def test_tables_of_the_third_format_are_read_averaged_and_printed(tmp_path: Path) -> None:
    loaded = analysis.load(write_results(tmp_path, grid(beta=[1.0, 2.0]), seeds=2, version=3))
    assert loaded.generalization.empty and "generalization_area" not in loaded.points
    means = results.over_seeds(loaded)
    assert len(means) == 2 + 3 and not any(
        "generalization" in name for name in [*means, *analysis.table(loaded)]
    )
    assert len(analysis.select(loaded, "beta == 1").points) == 2 + 3


def test_generalization_is_averaged_over_seeds_and_comes_after_originality(
    loaded: results.Results,
) -> None:
    names = list(analysis.table(loaded))
    assert names[names.index("originality") + 1 :][:2] == [
        "generalization_area",
        "generalization_coverage",
    ]
    row = results.over_seeds(loaded).query("beta == 0.5 and time_steps == 60 and z == 85").iloc[0]
    areas = loaded.points.query("beta == 0.5 and time_steps == 60 and z == 85")[
        "generalization_area"
    ]
    assert row["generalization_area"] == pytest.approx(areas.mean()) and row[
        "generalization_area_se"
    ] == pytest.approx(areas.sem())
    text = results.fit_terminal(
        pd.DataFrame(
            {"generalization_area": [1.237, np.nan], "generalization_coverage": [0.786, 0.0]}
        ),
        None,
    )[0]
    assert [line.split() for line in text.splitlines()[1:]] == [["1.24", "0.79"], ["-", "0.00"]]
    assert max(map(len, results.fit_terminal(analysis.table(loaded), 80)[0].splitlines())) <= 80


def test_load_does_without_curves_and_classes(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0]))
    (folder / "curves.parquet").unlink()
    (folder / "classes.parquet").unlink()
    assert analysis.select(analysis.load(folder), "beta == 1").curves.empty


# ---- filters


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("beta <= 1 and z in (10, 35)", "beta <= 1 and z == 10"),
        ("not status == 'done'", "status != 'done'"),
        ("0 < beta < 2 or model == 'human'", "(0 < beta < 2) or model == 'human'"),
        ("human_distance >= 2", "human_distance >= 2"),
        ("True", "index >= 0"),
    ],
)
def test_mask_agrees_with_pandas(loaded: results.Results, text: str, query: str) -> None:
    chosen = loaded.points[results.mask(loaded.points, text)]
    assert (
        len(chosen) > 0
        and chosen["point_id"].tolist() == loaded.points.query(query)["point_id"].tolist()
    )


def test_mask_names_near_columns(loaded: results.Results) -> None:
    with pytest.raises(FilterError, match="Did you mean time_steps"):
        results.mask(loaded.points, "time_step == 20")


@pytest.mark.parametrize(
    ("text", "references", "models"),
    [
        # references have no beta, and their one seed stands for all
        ("beta == 2 and seed == 45", 3, 6),
        ("not (beta < 2 or z == 10)", 3, 18),
        ("beta >= 1 and status == 'done'", 3, 51),
        ("beta == 4 and status == 'failed'", 0, 2),  # they have a status
        ("beta >= 1 and model == 'vae_stn'", 0, 54),
        ("beta == 4 or model == 'human'", 3, 18),
        ("beta == None", 3, 0),
        ("beta != None", 0, 90),
        ("diversity < 0.1 or beta == 4", 3, 18),
        ("diversity < 0.1", 1, 0),
        ("nelbo_is_no_column == 1", -1, -1),
        ("beta > 100", 0, 0),  # nothing fulfils it, so there is nothing to compare with people
    ],
)
def test_references_stay_unless_a_filter_refuses_them_by_what_they_have(
    loaded: results.Results, text: str, references: int, models: int
) -> None:
    if references < 0:
        with pytest.raises(FilterError):
            analysis.select(loaded, text)
        return
    chosen = analysis.select(loaded, text)
    kept = chosen.points["model"].isin(["human", "copy", "noise"])
    assert (kept.sum(), (~kept).sum()) == (references, models)
    assert set(chosen.curves["point_id"]) <= set(chosen.points["point_id"])
    assert len(analysis.select(loaded, text, keep_references=True).references) == 3


def test_people_stay_beside_each_of_several_sweeps(tmp_path: Path) -> None:
    one, two = (
        analysis.load(write_results(tmp_path, grid(beta=[1.0]), name=name))
        for name in ("one", "two")
    )
    two.points.loc[3:, "point_id"] = "other"
    together = results.join([one, two])
    assert len(together.references) == 3 and len(together.models) == 2
    chosen = results.select(together, "sweep == 'two'")
    assert len(chosen.references) == 3 and list(chosen.models["sweep"]) == ["two"]


def test_varying_axes_follow_the_filter(loaded: results.Results) -> None:
    assert results.varying(loaded) == ["beta", "time_steps", "z"]
    assert results.varying(analysis.select(loaded, "beta == 2 and z == 10")) == ["time_steps"]


# ---- averages and extremes


def test_over_seeds_is_mean_and_standard_error(loaded: results.Results) -> None:
    means = results.over_seeds(loaded)
    row = means.query("beta == 0.5 and time_steps == 60 and z == 85").iloc[0]
    values = loaded.points.query("beta == 0.5 and time_steps == 60 and z == 85")[
        "diversity"
    ].to_numpy()
    assert row["seeds"] == 3 and row["diversity"] == pytest.approx(values.mean())
    assert row["diversity_se"] == pytest.approx(values.std(ddof=1) / np.sqrt(3))
    assert means.query("model == 'human'")["diversity_se"].isna().all()


def test_extremes_are_ranked_by_the_mean_over_seeds(loaded: results.Results) -> None:
    means = loaded.models.groupby(["beta", "time_steps", "z"])["human_distance"].mean()
    found = analysis.extremes(loaded)
    assert list(found) == ["nearest", "median", "farthest"]
    assert tuple(found["nearest"][["beta", "time_steps", "z"]]) == means.idxmin()
    assert tuple(found["farthest"][["beta", "time_steps", "z"]]) == means.idxmax()
    seeds = loaded.models.set_index(["beta", "time_steps", "z"]).loc[[means.idxmin()]][
        "human_distance"
    ]
    assert found["nearest"]["human_distance"] == seeds.iloc[(seeds - seeds.mean()).abs().argmin()]


def test_extremes_of_one_and_two_settings_do_not_repeat(tmp_path: Path) -> None:
    assert list(
        analysis.extremes(analysis.load(write_results(tmp_path, grid(beta=[1.0]), name="a")))
    ) == ["nearest"]
    assert list(
        analysis.extremes(analysis.load(write_results(tmp_path, grid(beta=[1.0, 4.0]), name="b")))
    ) == ["nearest", "farthest"]


def test_human_point_is_known_even_without_human_rows(tmp_path: Path) -> None:
    assert analysis.human_point(
        analysis.load(write_results(tmp_path, grid(beta=[1.0]), references=False))
    ) == pytest.approx(HUMAN)


def test_seed_noise_is_pooled_over_settings(tmp_path: Path) -> None:
    one = analysis.load(write_results(tmp_path, SMALL, name="one"))
    assert np.isnan(analysis.seed_noise(one))
    many = analysis.load(write_results(tmp_path, SMALL, seeds=8, name="many"))
    wild = analysis.load(write_results(tmp_path, SMALL, seeds=8, name="wild", noise=4.0))
    assert 0 < analysis.seed_noise(many) < 0.05 and analysis.seed_noise(
        wild
    ) > 2 * analysis.seed_noise(many)


# ---- effects


def exact(root: Path, settings: list, **kwargs) -> results.Results:
    return analysis.load(write_results(root, settings, noise=0.0, **kwargs))


def test_effects_on_a_grid_are_means_over_the_rest(tmp_path: Path) -> None:
    found = analysis.effect(exact(tmp_path, SMALL), "beta", "diversity")
    expected = [
        np.mean([place(b, t, z)[0] for t in (20, 60, 90) for z in (10, 85)]) for b in found["beta"]
    ]
    assert found["diversity"].tolist() == pytest.approx(expected) and found["n"].tolist() == [6] * 5


def test_effects_of_one_axis_at_a_time_use_that_axis_line_only(tmp_path: Path) -> None:
    base = {"beta": 2.0, "time_steps": 60, "z": 85}
    sweep = exact(
        tmp_path, lines(base, beta=[0.0, 1.0, 2.0, 4.0], time_steps=[20, 60, 90], z=[10, 85, 385])
    )
    found = analysis.effect(sweep, "beta", "diversity")
    assert found["n"].tolist() == [1] * 4  # not the points of the other lines at beta 2
    assert found["diversity"].tolist() == pytest.approx([place(b, 60, 85)[0] for b in (0, 1, 2, 4)])
    assert analysis.strongest_pair(sweep) is None


def test_shares_of_variance_are_those_of_an_additive_model(tmp_path: Path) -> None:
    def additive(a: float, b: float, c: float) -> tuple[float, float]:
        return HUMAN[0] + SCALE[0] * (3 * a + b), HUMAN[1]  # human_distance = 3 a + b

    sweep = exact(tmp_path, grid(a=[0.0, 1.0], b=[0.0, 1.0], c=[0.0, 1.0]), where_is=additive)
    effects = analysis.main_effects(sweep).set_index("axis")
    assert effects["share"].to_dict() == pytest.approx({"a": 0.9, "b": 0.1, "c": 0.0}, abs=1e-9)
    assert effects["range"].to_dict() == pytest.approx({"a": 3.0, "b": 1.0, "c": 0.0}, abs=1e-9)
    assert analysis.strongest_pair(sweep) == ("a", "b", pytest.approx(0.0, abs=1e-9))


def test_an_interaction_shows_as_the_share_beyond_the_two_axes(tmp_path: Path) -> None:
    def crossed(a: float, b: float, c: float) -> tuple[float, float]:
        return HUMAN[0] + SCALE[0] * (1 + float(a == b)), HUMAN[1]

    sweep = exact(tmp_path, grid(a=[0.0, 1.0], b=[0.0, 1.0], c=[0.0, 1.0]), where_is=crossed)
    assert analysis.strongest_pair(sweep) == ("a", "b", pytest.approx(1.0))


def test_a_grid_with_a_missing_cell_is_crossed(tmp_path: Path) -> None:
    full = grid(a=[0.0, 1.0, 2.0], b=[10, 20])

    def crossed(settings: list, **kwargs) -> tuple[str, str, float] | None:
        name = f"{len(settings)}{kwargs}"
        return analysis.strongest_pair(
            analysis.load(write_results(tmp_path, settings, where_is=bent, name=name, **kwargs))
        )

    def bent(a: float, b: float) -> tuple[float, float]:
        return 1.0 + 0.1 * a + 0.01 * b, 80.0

    assert crossed(full) is not None and crossed(full[:-1]) is not None
    assert crossed(grid(a=[0.0, 1.0], b=[10, 20])[:-1]) is not None  # one of four is lacking
    assert crossed(grid(a=[0.0, 1.0], b=[10, 20]), failed=1) is not None  # or failed
    assert crossed(lines({"a": 0.0, "b": 10}, a=[0.0, 1.0, 2.0], b=[10, 20, 30])) is None
    assert crossed(grid(a=[0.0, 1.0], b=[10, 20]), failed=2) is None  # one value of an axis is left

    half = analysis.load(
        write_results(
            tmp_path, grid(a=[0.0, 1.0, 2.0], b=[10, 20]), failed=3, where_is=bent, name="half"
        )
    )
    cells = analysis.cells(half, "a", "b")
    # also where all of a value failed
    assert (
        cells.shape == (2, 3)
        and cells.isna().sum(axis=None) == 3
        and cells.loc[:, 2.0].isna().all()
    )


def test_trajectory_is_ordered_and_the_fit_passes_near_it(loaded: results.Results) -> None:
    path = analysis.trajectory(loaded, analysis.first_axis(loaded) or "")
    assert path["beta"].tolist() == [0.0, 0.5, 1.0, 2.0, 4.0]
    curve = analysis.fit(path, "beta", degree=3)
    assert curve is not None and len(curve) == 200
    for _, point in path.iterrows():
        gap = (
            (
                curve[["beta", "diversity", "recognizability"]]
                - point[["beta", "diversity", "recognizability"]]
            )
            .pow(2)
            .sum(axis=1)
        )
        assert gap.min() < 9  # squared, recognizability in percent
    assert analysis.fit(path.head(4), "beta", degree=3) is None


def test_trajectory_refuses_what_is_not_an_axis_of_numbers(loaded: results.Results) -> None:
    with pytest.raises(AnalysisError, match="'status' is not an axis"):
        analysis.trajectory(loaded, "status")


# ---- the table


def test_table_sorts_nearest_first_and_puts_empty_cells_last(loaded: results.Results) -> None:
    table = analysis.table(loaded)
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
    largest = analysis.table(loaded, ["z"], "diversity", 3, descending=True)
    assert list(largest) == ["z"] and len(largest) == 3
    assert largest.index[0] == loaded.points["diversity"].idxmax()


@pytest.mark.parametrize("asked", [dict(columns=["divresity"]), dict(sort="divresity")])
def test_table_names_near_columns(loaded: results.Results, asked: dict) -> None:
    with pytest.raises(AnalysisError, match="no column 'divresity'") as caught:
        analysis.table(loaded, **asked)
    assert "diversity" in caught.value.help


def test_fit_terminal_drops_whole_columns_from_the_right_and_says_which(
    loaded: results.Results,
) -> None:
    table = analysis.table(loaded)
    whole, none = analysis.fit_terminal(table, None)
    assert none == [] and whole.splitlines()[0].split() == list(table)
    for width in (10, 40, 80, 120):
        text, dropped = analysis.fit_terminal(table, width)
        shown = text.splitlines()[0].split()
        assert shown + dropped == list(table) and len(shown) >= 1
        assert max(map(len, text.splitlines())) <= width
        longer = analysis.fit_terminal(table[[*shown, *dropped[:1]]], None)[0]
        # no column left out that had room
        assert not dropped or max(map(len, longer.splitlines())) > width - 2


def test_cells_are_written_as_people_write_them() -> None:
    frame = pd.DataFrame(
        {
            "z": [10.0, np.nan],
            "on": [True, False],
            "error": ["a\nb", None],
            "recognizability": [91.26, np.nan],
        }
    )
    assert results.fit_terminal(frame, None)[0].splitlines() == [
        " z  on     error  recognizability",
        "10  True   a                 91.3",
        " -  False  -                    -",
    ]


def test_whole_numbers_are_written_whole_and_large_ones_in_full() -> None:
    words = [
        results.value_text(value)
        for value in (
            2_350_519,
            2_350_519.0,
            10.0,
            0.25,
            1e-3,
            np.int64(7),
            True,
            None,
            pd.NA,
            np.inf,
        )
    ]
    assert words == ["2350519", "2350519", "10", "0.25", "0.001", "7", "True", "-", "-", "inf"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.34, 0.0047, "0.3400 ± 0.0047"),
        (0.34, 0.12, "0.34 ± 0.12"),
        (2.0, 3.0, "2.00 ± 3.00"),
        (1.5, np.nan, "1.50"),
        (1.5, 0.0, "1.50 ± 0.00"),
    ],
)
def test_an_error_has_two_digits_of_its_own(value: float, error: float, text: str) -> None:
    assert results.plus_minus(value, error) == text


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
    done = small.main(
        folder,
        "--no-figures",
        "--json",
        "--csv",
        csv,
        "--parquet",
        parquet,
        *flags,
        script="analyze.py",
    )
    assert done.returncode == 0, done.stderr
    cells = pd.read_csv(csv, dtype=str, keep_default_na=False)
    assert set(cells["z"]) == {"10", "60", ""} and set(cells["annealed"]) == {"True", "False", ""}
    rows = json.loads(done.stdout)
    assert {json.dumps(row["z"]) for row in rows} == {"10", "60", "null"}
    assert {json.dumps(row["annealed"]) for row in rows} == {"true", "false", "null"}
    schema = pyarrow.parquet.read_schema(parquet)
    assert str(schema.field("z").type) == "int64" and str(schema.field("annealed").type) == "bool"


def test_whole_numbers_stay_whole_in_the_numbers_of_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        catalog, "FIGURES", {name: catalog.FIGURES[name] for name in ("plane", "effects")}
    )
    done = small.main(typed_sweep(tmp_path), "--figures", tmp_path / "f", script="analyze.py")
    assert done.returncode == 0, done.stderr
    plane = pd.read_csv(tmp_path / "f" / "plane.csv", dtype=str)
    assert set(plane["z"].dropna()) == {"10", "60"} and set(plane["seeds"].dropna()) <= {"1", "2"}
    effects = pd.read_csv(tmp_path / "f" / "effects.csv", dtype=str)
    assert set(effects.query("axis == 'z'")["value"]) == {"10", "60"}


# ---- damaged tables, and tables of another make


def rewritten(file: Path, change: Callable[[pyarrow.Table], pyarrow.Table]) -> None:
    """Replace a table by a changed one."""
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(file)), file)


def with_column(
    name: str, values: Callable[[int], pyarrow.Array | list]
) -> Callable[[pyarrow.Table], pyarrow.Table]:
    """A change: this column has other values."""

    def change(table: pyarrow.Table) -> pyarrow.Table:
        made = values(len(table))
        made = made if isinstance(made, pyarrow.Array) else pyarrow.array(made)
        return table.set_column(table.schema.get_field_index(name), name, made)

    return change


def with_note(**about: object) -> Callable[[pyarrow.Table], pyarrow.Table]:
    """A change: the note on the sweep says something else; None drops a word of it."""

    def change(table: pyarrow.Table) -> pyarrow.Table:
        known = json.loads(table.schema.metadata[b"oneshot"]) | about
        return table.replace_schema_metadata(
            {b"oneshot": json.dumps({k: v for k, v in known.items() if v is not None})}
        )

    return change


ERRORS: dict[str, tuple[Callable[[pyarrow.Table], pyarrow.Table], str]] = {
    "no id": (lambda t: t.drop_columns(["point_id"]), "points.parquet lacks the column point_id"),
    "no places": (
        lambda t: t.drop_columns(["diversity", "recognizability"]),
        "lacks the columns diversity, recognizability",
    ),
    "texts for numbers": (
        with_column("diversity", lambda n: ["high"] * n),
        "something else than it should in the column diversity",
    ),
    "numbers for texts": (
        with_column("model", lambda n: list(range(n))),
        "something else than it should in the column model",
    ),
    "note of a list": (
        lambda t: t.replace_schema_metadata({b"oneshot": b"[]"}),
        "its note on the sweep is damaged",
    ),
    "note cut": (
        lambda t: t.replace_schema_metadata({b"oneshot": b'{"format": 4'}),
        "its note on the sweep is damaged",
    ),
    "note not of text": (
        lambda t: t.replace_schema_metadata({b"oneshot": b"\xff\xfe"}),
        "its note on the sweep is damaged",
    ),
    "no axes": (with_note(axes=None), "its note on the sweep is damaged"),
    "axes of numbers": (with_note(axes=[1, 2]), "its note on the sweep is damaged"),
    "format of text": (with_note(format="4"), "its note on the sweep is damaged"),
    "newer": (with_note(format=99), "has table format 99"),
}
WARNINGS: dict[str, tuple[Callable[[pyarrow.Table], pyarrow.Table], str]] = {
    "an axis less": (lambda t: t.drop_columns(["z"]), "has no column of the axis z"),
    "rows of nobody": (
        with_column("point_id", lambda n: [None, *(f"p{i}" for i in range(n - 1))]),
        "1 row passed over",
    ),
    "the same point twice": (
        with_column("point_id", lambda n: ["p0", *(f"p{i}" for i in range(n - 1))]),
        "1 row passed over, as the same",
    ),
    "infinite": (
        with_column("recognizability", lambda n: [np.inf] * 4 + [80.0] * (n - 4)),
        "recognizability of 4 rows is not finite",
    ),
    "beyond all bounds": (
        with_column("recognizability", lambda n: [1e300] * 4 + [80.0] * (n - 4)),
        "recognizability of 4 rows cannot be",
    ),
    "below zero": (
        with_column("diversity", lambda n: [-1.0] * 4 + [2.0] * (n - 4)),
        "diversity of 4 rows cannot be (-1)",
    ),
    "lists": (
        with_column("learning_rate", lambda n: [[1.0]] * n),
        "a column learning_rate of another make",
    ),
    "bytes": (
        with_column("error", lambda n: pyarrow.array([b"\xff"] * n, pyarrow.binary())),
        "a column error of another make",
    ),
    "texts in a metric": (
        with_column("originality", lambda n: ["high"] * n),
        "originality holds something else than numbers",
    ),
}
UNKNOWN: dict[str, Callable[[pyarrow.Table], pyarrow.Table]] = {
    "an unknown family": with_column("model", lambda n: ["human"] + ["my_old_family"] * (n - 1)),
    "an unknown status": with_column("status", lambda n: ["sleeping"] * n),
    "no row at all": lambda t: t.slice(0, 0),
    "people alone": lambda t: t.slice(0, 1),
    "an older format": with_note(format=1),
    "no drawings": lambda t: t.drop_columns(["sample_id"]),
    "no sweep": lambda t: t.drop_columns(["sweep"]),
    "columns of a later day": lambda t: t.append_column("charm", pyarrow.array(["x"] * len(t))),
}


def looked_at(folder: Path, *flags: object) -> small.Done:
    """The table of a folder as the command prints it: never a traceback, and nothing on stderr that
    is not told by its kind.
    """
    done = small.main(folder, "--json", *(flags or ["--no-figures"]), script="analyze.py")
    told = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith(("warning: ", "error: ", "  help: ", "no row", "the table has no"))
    ]
    assert flags or not told, told
    assert "Traceback" not in done.stderr and done.returncode == (
        2 if "error: " in done.stderr else 0
    ), done.stderr
    return done


@pytest.mark.parametrize("case", ERRORS)
def test_a_points_table_that_cannot_be_used_is_one_error(tmp_path: Path, case: str) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0], z=[10, 20]))
    change, told = ERRORS[case]
    rewritten(folder / "points.parquet", change)
    done = looked_at(folder)
    assert (
        done.returncode == 2
        and told in done.stderr
        and len(done.stderr.splitlines()) <= 2
        and done.stdout == ""
    )


@pytest.mark.parametrize("case", WARNINGS)
def test_what_can_be_done_without_is_named_in_a_warning(tmp_path: Path, case: str) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0], z=[10, 20]))
    change, told = WARNINGS[case]
    rewritten(folder / "points.parquet", change)
    done = looked_at(folder)
    assert done.returncode == 0 and done.stderr.startswith("warning: ") and told in done.stderr
    assert len(json.loads(done.stdout)) in (6, 7)  # of seven rows one at most is lost


@pytest.mark.parametrize("case", UNKNOWN)
def test_tables_of_another_day_are_read_without_a_word(tmp_path: Path, case: str) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0], z=[10, 20]))
    before = len(analysis.load(folder).points)
    rewritten(folder / "points.parquet", UNKNOWN[case])
    done = looked_at(folder)
    rows = {"no row at all": 0, "people alone": 1}.get(case, before)
    assert (
        done.returncode == 0
        and "warning" not in done.stderr
        and len(json.loads(done.stdout)) == rows
    )


@pytest.mark.parametrize("kind", sorted(results.HELD))
def test_a_damaged_table_beside_the_points_is_done_without(tmp_path: Path, kind: str) -> None:
    folder = write_sets(tmp_path, models=2, datasets=1)
    texts, numbers = results.HELD[kind]
    file = folder / f"{kind}.parquet"
    if not file.exists():  # of families that explain themselves alone
        pyarrow.parquet.write_table(
            pyarrow.table({"point_id": ["a"], "class_name": ["c"], "sparsity": [0.1]}), file
        )
    whole = file.read_bytes()
    assert analysis.load(folder).warnings == () and len(getattr(analysis.load(folder), kind)) > 0
    damages: list[Callable[[], object]] = [
        lambda: file.write_bytes(b""),
        lambda: file.write_bytes(whole[: len(whole) // 2]),
        lambda: file.write_bytes(whole[:-10]),
        lambda: rewritten(file, lambda t: t.drop_columns(["point_id"])),
        *(lambda n=n: rewritten(file, lambda t: t.drop_columns([n])) for n in (*texts, *numbers)),
        *(
            lambda n=n: rewritten(file, with_column(n, lambda count: ["x"] * count))
            for n in numbers
        ),
        *(lambda n=n: rewritten(file, with_column(n, lambda count: [1] * count)) for n in texts),
    ]
    for damage in damages:
        file.write_bytes(whole)
        damage()
        loaded = analysis.load(folder)
        assert (
            len(loaded.warnings) == 1
            and str(file) in loaded.warnings[0]
            and getattr(loaded, kind).empty
        )
        assert len(loaded.points) == 5


def test_an_empty_cut_or_missing_points_table_is_one_error(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0]))
    file = folder / "points.parquet"
    whole = file.read_bytes()
    for length in (0, 4, 11, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert "cannot read" in looked_at(folder).stderr
    file.unlink()
    assert "holds no results" in looked_at(folder).stderr
    file.mkdir()
    assert "holds no results" in looked_at(folder).stderr


@pytest.fixture(scope="module")
def flippable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("flipped"), grid(beta=[1.0, 2.0], z=[10, 20]))


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(
    name=hypothesis.strategies.sampled_from(
        ["points.parquet", "curves.parquet", "generalization.parquet"]
    ),
    place=hypothesis.strategies.floats(0, 1, exclude_max=True),
    bit=hypothesis.strategies.integers(0, 7) | hypothesis.strategies.none(),
)
def test_no_flipped_bit_or_cut_of_a_table_ends_in_a_traceback(
    flippable: Path, name: str, place: float, bit: int | None
) -> None:
    """Read, refused with an error of one line, or done without with a warning. bit: which is
    flipped; None cuts the file there.
    """
    file = flippable / name
    good = file.read_bytes()
    at = int(place * len(good))
    file.write_bytes(
        good[:at] if bit is None else good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    )
    try:
        loaded = analysis.load(flippable)
        results.exact(loaded, analysis.table(loaded)).to_csv()
        analysis.table(loaded, seeds_averaged=True)
    except AnalysisError as error:
        assert name == "points.parquet" and "\n" not in str(error)
    finally:
        file.write_bytes(good)


# ---- pandas on the tables, as the README shows


def test_plain_pandas_queries_answer_questions(folder: Path) -> None:
    p = pd.read_parquet(folder / "points.parquet").query("status == 'done'")
    nearest = p.nsmallest(10, "human_distance")[
        ["beta", "time_steps", "z", "diversity", "recognizability"]
    ]
    by_beta = p.groupby("beta")[["diversity", "recognizability"]].agg(["mean", "std", "count"])
    seeds = p.groupby(["beta", "time_steps", "z"]).human_distance.agg(["mean", "sem"])
    hours = p.assign(gpu_h=p.train_seconds / 3600).groupby("time_steps").gpu_h.sum()
    hardest = (
        pd.read_parquet(folder / "classes.parquet")
        .groupby("class_name")
        .recognizability.mean()
        .nsmallest(10)
    )
    assert (
        len(nearest) == 10
        and by_beta[("diversity", "mean")].is_monotonic_decreasing
        and len(seeds) == 29
    )
    assert hours.loc[20] == pytest.approx(30 * 80 / 3600) and hardest.index[0] == "class02"


def test_analysis_needs_neither_torch_nor_matplotlib_nor_ray() -> None:
    code = (
        "import sys, oneshot.report.analysis.plane; sys.exit(any(m in sys.modules for m in"
        " ('torch', 'matplotlib', 'ray')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def other_sweep(folder: Path, name: str, critic: str) -> Path:
    """A copy of a sweep under another name, its models other points, people the same."""
    target = folder.parent / name
    for file in folder.glob("*.parquet"):
        table = pyarrow.parquet.read_table(file)
        frame = table.to_pandas()
        if "model" in frame:
            frame["sweep"], frame["simclr_id"] = name, critic
            frame["point_id"] = [
                p if m in ("human", "copy", "noise") else f"x{p}"
                for p, m in zip(frame.point_id, frame.model)
            ]
        else:
            frame["point_id"] = "x" + frame["point_id"]
        about = json.loads(table.schema.metadata[b"oneshot"]) | {"sweep": name}
        made = pyarrow.Table.from_pandas(frame, preserve_index=False)
        target.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(
            made.replace_schema_metadata({b"oneshot": json.dumps(about)}), target / file.name
        )
    return target


def test_sweeps_of_the_same_critics_lie_on_one_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_results(tmp_path, grid(beta=[0.5, 1.0], z=[10, 20]), name="first")
    first, second = other_sweep(folder, "a", "c1"), other_sweep(folder, "b", "c1")
    together = results.join([analysis.load(first), analysis.load(second)])
    # the same points in both
    assert (
        together.axes[0] == "sweep"
        and len(together.models) == 8 - 4
        and len(together.references) == 3
    )
    renamed = analysis.load(second)
    renamed.points["point_id"] = [
        p if m in ("human", "copy", "noise") else f"y{p}"
        for p, m in zip(renamed.points.point_id, renamed.points.model)
    ]
    together = results.join([analysis.load(first), renamed])
    assert len(together.models) == 8 and len(together.references) == 3 and together.name == "a + b"
    assert together.generalization.groupby("point_id").size().unique().tolist() == [10]
    old = write_results(tmp_path, grid(beta=[0.5, 1.0], z=[10, 20]), name="old", version=3)
    mixed = results.join([analysis.load(first), analysis.load(other_sweep(old, "d", "c1"))])
    assert (
        len(mixed.generalization) == 70
        and mixed.generalization["bin"].tolist() == [*range(1, 11)] * 7
    )
    third = other_sweep(folder, "c", "c2")
    with pytest.raises(AnalysisError, match="different critics"):
        results.join([analysis.load(first), analysis.load(third)])
    monkeypatch.setattr(catalog, "FIGURES", {"plane": catalog.plane})
    done = small.main(first, second, "--figures", tmp_path / "figures", script="analyze.py")
    assert done.returncode == 0 and (tmp_path / "figures" / "plane.png").exists(), done.stderr
    refused = small.main(first, second, script="analyze.py")
    assert refused.returncode == 2 and "--figures DIR" in refused.stderr
