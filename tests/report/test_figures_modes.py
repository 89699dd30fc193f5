"""Figures and texts of points of the plane: what they say of known answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import foot, overlaps
from synthetic_results import write_table

from oneshot.data.points import modes_of
from oneshot.report.analysis.drawings import read_drawings
from oneshot.report.analysis.modes import (
    across_axis,
    cell_table,
    line_axes,
    null_hits,
    other_axes,
    panel_points,
)
from oneshot.report.averages import over_seeds, ranking_metric
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, missing, modes
from oneshot.report.results import Results, load
from oneshot.report.select import select
from oneshot.report.table import points_table
from oneshot.store.records import FORMAT

MODES = modes_of("gaussians")
NULL_HITS = {"ring": 0.0239, "chords": 0.0, "kept": 0.0}


def write_points(
    root: Path, hits: float = 0.0, removed: tuple[int, ...] = (0, 3), drawings: bool = True
) -> Path:
    """Tables of a sweep over lambda_g and the removed mode, two seeds, with references.

    Args:
        root: The folder of results.
        hits: Share of the drawings at lambda_g 0.5 that hit the removed mode.
        removed: The modes that are left out; () for the split "all".
        drawings: Whether drawings are kept.
    """
    asked: list[dict[str, Any]] = []
    splits = [f"without_{mode}" for mode in removed] or ["all"]
    for split in splits:
        asked += [dict(model=name, split=split, seed=44) for name in NULL_HITS]
    for value in (0.0, 0.2, 0.5):
        for split in splits:
            for seed in (44, 45):
                asked.append(dict(model="toy_gan", split=split, lambda_g=value, seed=seed))
    rows, details = [], []
    for i, setting in enumerate(asked):
        gone = int(setting["split"].removeprefix("without_")) if removed else -1
        share = NULL_HITS.get(setting["model"], hits * (setting.get("lambda_g") == 0.5))
        row: dict[str, Any] = {
            "point_id": f"{i:08x}",
            "status": "done",
            "lambda_g": None,
            **setting,
        }
        row |= dict.fromkeys(("diversity", "recognizability", "human_distance"))
        row |= dict(
            hits_missing=share if removed else None,
            modes_covered=7 - int(4 * setting.get("lambda_g", 0)),
            mode_distance=0.03 + setting.get("lambda_g", 0),
            off_modes=0.02 + setting.get("lambda_g", 0),
            radius_error=0.01,
            nearest_ratio=1.1,
            sample_id=f"s{i:07x}",
        )
        rows.append(row)
        for mode, name in enumerate(MODES.names):
            details.append(
                dict(
                    point_id=row["point_id"],
                    mode=name,
                    removed=int(mode == gone),
                    x=MODES.centres[mode, 0],
                    y=MODES.centres[mode, 1],
                    sigma=MODES.sigma,
                    drawings=160,
                    hits=share if mode == gone else 0.13,
                    hits_4=0.0,
                    share=0.125,
                    least_distance=0.5,
                )
            )
        if drawings:
            _write_drawings(root, row["sample_id"], gone, i)
    folder = root / "toy"
    folder.mkdir(parents=True)
    about = {"format": FORMAT, "sweep": "toy", "question": "?", "axes": ["lambda_g", "split"]}
    write_table(pd.DataFrame(rows), folder / "points.parquet", about)
    write_table(pd.DataFrame(details), folder / "modes.parquet", about)
    return folder


def _write_drawings(root: Path, sample_id: str, gone: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = [mode for mode in range(8) if mode != gone]
    points = MODES.centres[rng.choice(kept, 200)] + MODES.sigma * rng.normal(size=(200, 2))
    folder = root / "store" / "drawings" / sample_id
    folder.mkdir(parents=True)
    np.savez_compressed(
        folder / "drawings.npz",
        images=points.astype(np.float32),
        label=np.zeros(200, np.int64),
        exemplars=np.zeros((1, 2), np.float32),
        class_names=np.array([""]),
    )


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load(write_points(tmp_path_factory.mktemp("results")))


def test_results_of_points_have_their_own_figures_and_no_plane(sweep: Results) -> None:
    assert list(all_figures.figures_of(sweep)) == ["modes", "missing", "curves"]
    assert len(sweep.requested) == len(sweep.evaluated) == 12 and len(sweep.nulls) == 6
    assert sweep.models.empty and not sweep.warnings
    for draw in all_figures.FIGURES.values():
        with pytest.raises(AnalysisError):
            draw(sweep)


def test_points_are_listed_by_their_distance_to_the_modes(sweep: Results) -> None:
    assert ranking_metric(sweep.points) == "mode_distance"
    listed = points_table(sweep)
    assert list(listed["mode_distance"]) == sorted(listed["mode_distance"])
    assert list(listed)[:5] == ["model", "lambda_g", "split", "seed", "hits_missing"]
    means = over_seeds(sweep)
    assert len(means) == 12 and {"hits_missing_se", "modes_covered"} <= set(means)
    assert len(select(sweep, "lambda_g == 0.5").nulls) == 6, "references stay"
    assert len(select(sweep, "split == 'without_3'").nulls) == 3


def test_panels_are_an_axis_down_and_the_removed_mode_across_then_references(
    sweep: Results,
) -> None:
    assert line_axes(sweep, 5) == ["lambda_g"] and across_axis(sweep) == "split"
    cells = panel_points(sweep, 5, 8)
    assert [cell.row for cell in cells[::2]] == [
        "lambda_g 0",
        "lambda_g 0.2",
        "lambda_g 0.5",
        "ring",
        "chords",
        "kept",
    ]
    assert [cell.column for cell in cells[:2]] == ["without top", "without lower right"]
    assert all(cell.point["seed"] == 44 for cell in cells)
    plot = modes.draw(sweep)
    shown = [panel for panel in plot.figure.axes if panel.axison]
    assert len(shown) == 12 == len(plot.numbers) and not overlaps(plot)
    offsets = np.concatenate([c.get_offsets() for c in shown[0].collections])
    assert len(offsets) == 200
    assert "one seed each" in foot(plot)


@pytest.mark.slow
def test_panels_are_as_wide_as_there_is_room_also_of_eight_modes(tmp_path: Path) -> None:
    plot = modes.draw(load(write_points(tmp_path, removed=tuple(range(8)))))
    shown = [panel for panel in plot.figure.axes if panel.axison]
    assert len(shown) == 48 and not overlaps(plot)
    widths = [panel.get_window_extent().width / plot.figure.bbox.width for panel in shown]
    assert min(widths) > 0.08, "of an eighth of what the names of the lines leave"


def test_several_axes_are_lines_together_unless_there_are_too_many(sweep: Results) -> None:
    points = sweep.points.assign(creativity=np.where(sweep.points["lambda_g"] > 0, "mce", "none"))
    points.loc[points["model"] != "toy_gan", "creativity"] = None
    several = dataclasses.replace(sweep, points=points, axes=["creativity", *sweep.axes])
    assert line_axes(several, 3) == ["creativity", "lambda_g"] and other_axes(several, 3) == []
    lines = [cell.row for cell in panel_points(several, 3, 8)]
    assert lines[0] == "creativity mce\nlambda_g 0.2" and len(set(lines)) == 6
    assert list(cell_table(several, "off_modes").index)[2] == "creativity none\nlambda_g 0"
    # of too many the longest axis, where it is longest: lambda_g at mce
    assert line_axes(several, 2) == ["lambda_g"] and other_axes(several, 2) == ["creativity"]
    cells = panel_points(several, 2, 8)
    assert [cell.row for cell in cells[:4:2]] == ["lambda_g 0.2", "lambda_g 0.5"]


def test_cells_are_means_over_seeds_and_references_stand_below(sweep: Results) -> None:
    table = cell_table(sweep, "modes_covered")
    assert list(table.columns) == ["top", "lower right"]
    lines = ["lambda_g 0", "lambda_g 0.2", "lambda_g 0.5", "ring", "chords", "kept"]
    assert list(table.index) == lines
    assert table.loc["lambda_g 0.5"].tolist() == [5, 5] and table.loc["ring"].tolist() == [7, 7]
    plot = missing.draw(sweep)
    assert not overlaps(plot) and len(plot.numbers) == 12
    texts = [text.get_text() for text in plot.figure.axes[0].texts]
    assert texts.count("2.39") == 2 and texts.count("0.00") == 10


@pytest.mark.parametrize(
    ("hits", "title"),
    [
        (
            0.0,
            "No drawing of 12 models hits the removed mode (ring 2.4 %, chords 0.0 %, kept 0.0 %)",
        ),
        (
            0.01,
            "At most 1.0 % of the drawings of 12 models hit the removed mode, no more than of a"
            " ring (ring 2.4 %, chords 0.0 %, kept 0.0 %)",
        ),
        (
            0.05,
            "Up to 5.0 % of the drawings of 4 of 12 models hit the removed mode, more than of a"
            " ring (ring 2.4 %, chords 0.0 %, kept 0.0 %)",
        ),
    ],
)
def test_titles_say_whether_the_removed_mode_is_hit_oftener_than_by_a_ring(
    hits: float, title: str, tmp_path: Path
) -> None:
    results = load(write_points(tmp_path, hits, drawings=False))
    assert modes.finding(results) == title
    assert null_hits(results) == pytest.approx(NULL_HITS)
    with pytest.raises(AnalysisError, match="no drawings are kept"):
        modes.draw(results)
    assert missing.draw(results).title == title


def test_without_a_removed_mode_there_are_drawings_and_no_heat_map(tmp_path: Path) -> None:
    results = load(write_points(tmp_path, removed=()))
    plot = modes.draw(results)
    assert plot.title.startswith("No mode was left out: 25.3 % of the drawings lie off all modes")
    with pytest.raises(AnalysisError, match="no mode was left out"):
        missing.draw(results)


@pytest.mark.slow
def test_figures_are_the_same_bytes_again(sweep: Results, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        assert [n for n, _, reason in all_figures.write_all(sweep, tmp_path / name) if not reason]
        made.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert made[0] == made[1] and {"modes.png", "missing.svg", "modes.csv"} <= set(made[0])


def test_drawings_that_are_points_are_read_as_they_are(sweep: Results) -> None:
    drawings = read_drawings(sweep, "s0000000")
    assert drawings is not None and drawings.images.shape == (200, 2)
    assert drawings.images.dtype == np.float32 and drawings.class_names == [""]
