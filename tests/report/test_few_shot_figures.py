"""Figures and analysis of few-shot drawings: what they say of known answers."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import foot, overlaps
from scipy import stats
from synthetic_results import write_table

from oneshot.report.analysis.few_shot import (
    across,
    best_mode,
    gain_table,
    is_alike,
    mode_axes,
    quality_table,
    spread,
)
from oneshot.report.averages import over_seeds, ranking_metric
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, few_shot
from oneshot.report.results import Results, load
from oneshot.report.table import points_table
from oneshot.store.records import FORMAT

SHOTS = (5, 25)
SPLITS = ("classes_0", "classes_1", "classes_2")
MODES = ("embed", "linear", "all")


def written(
    root: Path,
    gain: float = 4.0,
    splits: tuple[str, ...] = SPLITS,
    seeds: tuple[int, ...] = (44, 45),
    modes: tuple[str, ...] = MODES,
    better: float = 3.0,
    **constant: Any,
) -> Results:
    """Results of a sweep over split, shots and the generator's mode.

    Args:
        root: The folder of results.
        gain: Mean gain of the drawings; it differs by split.
        splits: The class splits.
        seeds: Points a setting.
        modes: Modes of the generator.
        better: By how much the FID of the mode `linear` lies below that of others.
        constant: Columns with one value.
    """
    rng, rows = np.random.default_rng(1), []
    for i, (split, k, mode, seed) in enumerate(itertools.product(splits, SHOTS, modes, seeds)):
        alone = 50.0 + 8 * splits.index(split) + k
        added = gain + splits.index(split) - (len(splits) - 1) / 2 + rng.normal(0, 0.1)
        row: dict[str, Any] = dict(
            point_id=f"{i:08x}",
            status="done",
            model="class_gan",
            seed=seed,
            dataset="emnist",
            split=split,
            shots=k,
            g_mode=mode,
            generated_per_class=100,
            fid=20 - 0.2 * k - better * (mode == "linear") + rng.normal(0, 0.05),
            sample_recall=0.2 + 0.01 * k,
            classified_supports=alone,
            classified_augmented=alone + added,
            classified_gain=added,
            generated_images=1000,
            sample_id=f"s{i:07x}",
        )
        row |= dict.fromkeys(("diversity", "recognizability", "human_distance"))
        rows.append(row | constant)
    folder = root / "few"
    folder.mkdir(parents=True)
    about = {"format": FORMAT, "sweep": "few", "question": "?", "revision": "e41c2d7"}
    about["axes"] = ["split", "shots", "g_mode"]
    write_table(pd.DataFrame(rows), folder / "points.parquet", about)
    return load(folder)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return written(tmp_path_factory.mktemp("results"))


def test_results_with_a_taught_classifier_have_these_figures(sweep: Results) -> None:
    assert {"few_shot", "gain"} <= set(all_figures.figures_of(sweep))
    assert len(sweep.evaluated) == 36 and sweep.models.empty and not sweep.warnings
    assert ranking_metric(sweep.points) == "classified_gain"
    listed = points_table(sweep)
    gains = list(listed["classified_gain"])
    assert gains == sorted(gains, reverse=True) and {"fid", "sample_recall"} <= set(listed)
    assert {"classified_gain_se", "fid_se"} <= set(over_seeds(sweep))


def test_means_and_intervals_are_over_splits_where_there_are_several(sweep: Results) -> None:
    rows = sweep.evaluated
    by_split = rows.groupby("split")["classified_gain"].mean()
    found = spread(rows, "classified_gain")
    low, high = stats.t.interval(0.95, 2, by_split.mean(), stats.sem(by_split))
    assert found.units == found.splits == 3
    assert found[:3] == pytest.approx((by_split.mean(), low, high), rel=1e-6)
    one = rows[rows["split"] == "classes_1"]["classified_gain"]
    found = spread(rows[rows["split"] == "classes_1"], "classified_gain")
    low, high = stats.t.interval(0.95, 11, one.mean(), stats.sem(one))
    assert found.units == 12 and found.splits == 1
    assert found[:3] == pytest.approx((one.mean(), low, high), rel=1e-6)
    assert np.isnan(spread(rows.head(1), "classified_gain").low)


def test_tables_have_a_row_a_mode_and_a_row_a_split(sweep: Results) -> None:
    assert mode_axes(sweep, 9) == ["g_mode"] and across(sweep) == "shots"
    table = quality_table(sweep, 9)
    assert len(table) == 2 * 3 * 2 and set(table["metric"]) == {"fid", "sample_recall"}
    rows = sweep.evaluated
    chosen = rows[(rows["g_mode"] == "all") & (rows["shots"] == 25)]
    cell = table[(table["mode"] == "g_mode all") & (table["shots"] == 25)].iloc[0]
    assert cell["mean"] == pytest.approx(chosen["fid"].mean()) and cell["splits"] == 3
    gains = gain_table(sweep)
    assert len(gains) == 4 * 2 and (gains["split"] == "").sum() == 2
    chosen = rows[(rows["split"] == "classes_2") & (rows["shots"] == 5)]
    cell = gains[(gains["split"] == "classes_2") & (gains["shots"] == 5)].iloc[0]
    assert cell["mean"] == pytest.approx(chosen["classified_gain"].mean()) and cell["units"] == 6


def test_the_best_mode_is_tested_on_the_same_split_and_shots(sweep: Results) -> None:
    table = best_mode(sweep, 9)
    assert table["mode"].iloc[0] == "g_mode linear" and (table["blocks"] == 6).all()
    cells = sweep.evaluated.pivot_table(index=["split", "shots"], columns="g_mode", values="fid")
    for row in table.iloc[1:].to_dict("records"):
        mode = row["mode"].removeprefix("g_mode ")
        p = stats.ttest_rel(cells[mode], cells["linear"]).pvalue
        assert row["p"] == pytest.approx(p, rel=1e-6)
        assert row["p"] < row["p_holm"] <= 3 * row["p"], "of three pairs"
        assert row["difference"] == pytest.approx((cells[mode] - cells["linear"]).mean())
    assert not is_alike(table).any()


@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({}, r"Lowest FID: g_mode linear \(1\d\.?\d*\); 0 of 2 others not distinguishable"),
        ({"better": 0.0}, "No mode is distinguishable by FID from the lowest: g_mode .*"),
        ({"modes": ("all",)}, r"Drawings of class_gan: FID 1\d\.?\d*, mean over splits and shots"),
        ({"fid": None}, "Drawings are too few for FID: recall by shots"),
    ],
)
def test_titles_of_modes_rest_on_a_test(
    changed: dict[str, Any], title: str, tmp_path: Path
) -> None:
    plot = few_shot.draw(written(tmp_path, **changed))
    assert pd.Series([plot.title]).str.fullmatch(title).all(), plot.title
    assert not overlaps(plot)


@pytest.mark.parametrize(
    ("gain", "changed", "title"),
    [
        (
            4.0,
            {},
            r"Drawings help a classifier: 4\.\d+ \[.*\] points of accuracy \(mean of 3 splits\)",
        ),
        (-4.0, {}, r"Drawings harm a classifier: -[34]\.\d+ \[.*\] points of accuracy .*"),
        (
            0.5,
            {},
            r"Drawings help no classifier beyond chance: 0\.\d+ \[-.*\] points of accuracy .*",
        ),
        (4.0, {"splits": ("classes_0",)}, r"Drawings help .* \(mean of 12 points of one split\)"),
        (
            4.0,
            {"splits": ("classes_0",), "seeds": (44,), "modes": ("all",), "shots": 5},
            r"Drawings help .* \(mean of 2 points of one split\)",
        ),
        (4.0, {"model": "real"}, "Real images help a classifier: .*"),
    ],
)
def test_titles_of_gains_rest_on_an_interval(
    gain: float, changed: dict[str, Any], title: str, tmp_path: Path
) -> None:
    plot = few_shot.draw_gain(written(tmp_path, gain, **changed))
    assert pd.Series([plot.title]).str.fullmatch(title).all(), plot.title
    assert not overlaps(plot)


def test_a_line_is_a_split_and_the_black_one_their_mean(sweep: Results) -> None:
    plot = few_shot.draw_gain(sweep)
    (panel,) = (axes for axes in plot.figure.axes if axes.axison)
    lines = [c for c in panel.containers]
    assert len(lines) == 4 and not overlaps(plot)
    for split, container in zip(SPLITS, lines):
        rows = sweep.evaluated[sweep.evaluated["split"] == split]
        wanted = rows.groupby("shots")["classified_gain"].mean().to_numpy(float)
        np.testing.assert_allclose(container.lines[0].get_ydata().astype(float), wanted)
    assert lines[3].lines[0].get_color() == "#000000"
    assert "accuracy from shots alone: 65.0 to 81.0 % by split" in foot(plot)
    assert "means over g_mode, seed" in foot(plot)


def test_points_without_drawings_count_for_no_gain(sweep: Results, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no classifier was taught"):
        gain_table(written(tmp_path, generated_images=0))
    points = sweep.points.drop(columns="classified_supports")
    other = dataclasses.replace(sweep, points=points)
    assert not {"few_shot", "gain"} & set(all_figures.figures_of(other))
    with pytest.raises(AnalysisError, match="no classifier was taught"):
        few_shot.draw(other)


@pytest.mark.slow
def test_figures_are_the_same_bytes_again(sweep: Results, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        told = {n: reason for n, _, reason in all_figures.write_all(sweep, tmp_path / name)}
        assert told["few_shot"] == told["gain"] == ""
        assert not any(reason.startswith(all_figures.BROKEN) for reason in told.values())
        made.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert made[0] == made[1] and {"gain.png", "few_shot.svg", "gain.csv"} <= set(made[0])
