"""What holds for every figure: the same bytes, no text over another, else a reason."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from figure_checks import font_sizes, foot, overlaps
from synthetic_results import FULL, grid, lines, write_results

from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, heatmap, plane
from oneshot.report.figures.style import save
from oneshot.report.results import Results, load


@pytest.mark.parametrize("name", ["plane", "effects"])
def test_files_are_the_same_bytes_on_every_run(small: Results, tmp_path: Path, name: str) -> None:
    for folder in ("first", "second"):
        plot = all_figures.FIGURES[name](small)
        save(plot.figure, plot.numbers, tmp_path / folder, name)
    for kind in ("svg", "png", "csv"):
        assert (tmp_path / "first" / f"{name}.{kind}").read_bytes() == (
            tmp_path / "second" / f"{name}.{kind}"
        ).read_bytes()


def test_figures_leave_the_global_settings_alone(small: Results) -> None:
    with matplotlib.rc_context({"font.size": 31.0}):
        plot = plane.draw(small)
        assert matplotlib.rcParams["font.size"] == 31.0
    assert plot.figure.axes[0].xaxis.label.get_size() == 9
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize("name", list(all_figures.FIGURES))
def test_no_text_is_tiny_and_none_covers_another(small: Results, name: str) -> None:
    plot = all_figures.FIGURES[name](small)
    sizes = font_sizes(plot)
    assert min(set(sizes) - {6.0}) >= 7 and sizes.count(6) == 1  # 6 pt: the foot line only
    assert overlaps(plot) == []


@pytest.mark.parametrize("count", [1, 9, 41])
def test_few_points_are_drawn_or_the_reason_is_given(tmp_path: Path, count: int) -> None:
    base = {"beta": 2.0, "time_steps": 60, "z": 85}
    settings = {1: grid(beta=[1.0]), 9: grid(beta=np.arange(9) / 2), 41: lines(base, **FULL)}[count]
    results = load(write_results(tmp_path, settings))
    for name, draw in all_figures.FIGURES.items():
        try:
            assert overlaps(draw(results)) == [], name
        except AnalysisError as error:
            assert name == "sheet" or (name, count) in {
                ("trajectory", 1),
                ("effects", 1),
                ("heatmap", 1),
                ("heatmap", 9),
                ("heatmap", 41),
            }
            assert str(error)


@pytest.mark.slow
def test_the_full_grid_is_drawn(tmp_path: Path) -> None:
    results = load(write_results(tmp_path, grid(**FULL), failed=5, diverged=9))
    plot = plane.draw(results)
    assert (
        len(plot.numbers) == 2176 - 14 + 3
        and "2,162 points" in foot(plot)
        and "5 failed, 9 diverged" in foot(plot)
    )
    assert overlaps(plot) == [] and heatmap.draw(results).numbers.shape == (8, 18)
