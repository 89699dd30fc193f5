"""The figure of sheets, and the sheets as the store keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from figure_checks import foot, overlaps
from synthetic_results import grid, write_results

from oneshot.report.analysis.sheets import has_sheets, read_sheets
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, sheets
from oneshot.report.results import Results, load
from oneshot.scoring import sheet_files


def write_sheets(root: Path, results: Results, **shapes: tuple[int, int]) -> None:
    """Write sheets of so many rows and columns for every point; the pixels tell which."""
    for i, sample in enumerate(results.requested["sample_id"]):
        for name, (rows, columns) in shapes.items():
            images = np.zeros((rows, columns, 4, 4, 1), np.uint8)
            images[..., 0, 0, 0], images[..., 1, 0, 0] = i, np.arange(columns)
            images[..., 2, 0, 0] = np.arange(rows)[:, None]
            file = root / sheet_files.key(sample, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(sheet_files.to_bytes(images))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return load(write_results(tmp_path, grid(z=[2, 3, 5, 8, 20])))


def test_the_figure_shows_settings_that_are_evenly_spaced(results: Results, tmp_path: Path) -> None:
    write_sheets(tmp_path, results, latent_grid=(3, 5), reconstructions=(2, 4))
    plot = sheets.draw(results)
    assert plot.title == "Latent grid and reconstructions of 3 settings"
    shown = plot.numbers[["z", "sheet", "rows", "columns"]].to_numpy().tolist()
    assert shown == [
        row for z in (2, 5, 20) for row in ([z, "latent_grid", 3, 5], [z, "reconstructions", 2, 4])
    ]
    pictures = [np.asarray(axes.images[0].get_array()) for axes in plot.figure.axes]
    assert [p.shape for p in pictures] == [(14, 24), (9, 19)] * 3
    for i, picture in zip((0, 2, 4), pictures[::2]):
        np.testing.assert_allclose(picture[::5, ::5] * 255, i)
        np.testing.assert_allclose(picture[1::5, ::5] * 255, np.arange(5)[None].repeat(3, 0))
        np.testing.assert_allclose(picture[2::5, ::5] * 255, np.arange(3)[:, None].repeat(5, 1))
        assert (picture[4::5] == 1).all() and (picture[:, 4::5] == 1).all(), "white between"
    titles = [axes.get_title(loc="left") for axes in plot.figure.axes]
    assert titles[0].startswith("z 2\n") and titles[4].startswith("z 20\n")
    assert all("latent grid" in t for t in titles[::2])
    assert not overlaps(plot) and "evenly spaced" in foot(plot)


def test_a_damaged_sheet_is_left_out(results: Results, tmp_path: Path) -> None:
    write_sheets(tmp_path, results, categories=(3, 5), codes=(2, 4))
    sample = str(results.requested["sample_id"].iloc[0])
    (tmp_path / sheet_files.key(sample, "codes")).write_bytes(b"cut off")
    assert list(read_sheets(results, sample)) == ["categories"]
    plot = sheets.draw(results)
    assert plot.title == "Categories and codes of 3 settings" and len(plot.numbers) == 5


def test_the_figure_is_drawn_where_sheets_are_kept(results: Results, tmp_path: Path) -> None:
    assert not has_sheets(results) and "sheets" not in all_figures.figures_of(results)
    with pytest.raises(AnalysisError, match=r"no sheets are kept in .*store/sheets"):
        sheets.draw(results)
    write_sheets(tmp_path, results, codes=(2, 4))
    assert has_sheets(results) and "sheets" in all_figures.figures_of(results)
    assert sheets.draw(results).title == "Codes of 3 settings"
