"""The figures of axes: effects, heat map and training curves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from figure_checks import foot, overlaps
from synthetic_results import grid, write_results

from oneshot.report.errors import AnalysisError
from oneshot.report.figures import curves, effects, heatmap
from oneshot.report.figures.style import Plot
from oneshot.report.results import Results, load

SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 3.0, 4.0], time_steps=[20, 90])


def test_effects_have_a_panel_per_axis_and_metric(small: Results) -> None:
    plot = effects.draw(small)
    assert len(plot.figure.axes) == 6 and plot.title.startswith("beta explains")
    row = plot.numbers.query("axis == 'beta' and metric == 'human_distance' and value == 1").iloc[0]
    assert (
        row["mean"] == pytest.approx(small.models.query("beta == 1")["human_distance"].mean())
        and row["n"] == 4
    )


def test_effects_of_words_are_not_joined(tmp_path: Path) -> None:
    settings = grid(protocol=["episodes", "expected"], beta=[0.0, 1.0])
    results = load(write_results(tmp_path, settings))
    panel = effects.draw(results).figure.axes[-2]
    assert [t.get_text() for t in panel.get_xticklabels()] == ["episodes", "expected"]
    assert panel.lines[0].get_linestyle() == "None"


def test_heatmap_cells_are_means_over_the_rest(small: Results) -> None:
    cells = heatmap.draw(small).numbers.set_index("time_steps")
    assert cells.loc[20, "beta 0.5"] == pytest.approx(
        small.models.query("beta == .5 and time_steps == 20")["human_distance"].mean()
    )


def hatched(plot: Plot) -> int:
    return sum(bool(patch.get_hatch()) for patch in plot.figure.axes[0].patches)


def test_heatmap_of_a_grid_with_a_missing_cell_has_an_empty_cell(tmp_path: Path) -> None:
    full = load(write_results(tmp_path, SMALL, name="full"))
    assert hatched(heatmap.draw(full)) == 0 and "empty" not in foot(heatmap.draw(full))
    for name, settings, failed in (("missing", SMALL[:-1], 0), ("failed", SMALL, 1)):
        plot = heatmap.draw(load(write_results(tmp_path, settings, failed=failed, name=name)))
        assert plot.numbers.set_index("time_steps").isna().sum(axis=None) == hatched(plot) == 1
        assert "1 of 12 cells is empty" in foot(plot) and "interact (" in plot.title
    tiny = load(write_results(tmp_path, grid(beta=[0.0, 1.0], z=[10, 60])[:-1], name="tiny"))
    plot = heatmap.draw(tiny)
    assert "1 of 4 cells is empty" in foot(plot) and plot.title.startswith(
        "beta and z: too few cells to say whether they interact"
    )
    assert overlaps(plot) == []


def test_heatmap_without_distances_gives_the_reason(small: Results) -> None:
    nowhere = dataclasses.replace(small, points=small.points.assign(human_distance=np.nan))
    with pytest.raises(AnalysisError, match="no two axes were crossed"):
        heatmap.draw(nowhere)
    with pytest.raises(AnalysisError, match="no cell of beta and time_steps has a distance"):
        heatmap.draw(nowhere, ("beta", "time_steps"))


def test_curves_show_at_most_sixteen_panels_and_dash_what_diverged(tmp_path: Path) -> None:
    results = load(write_results(tmp_path, grid(beta=np.arange(17) / 4), diverged=1))
    plot = curves.draw(results)
    shown = [panel for panel in plot.figure.axes if panel.axison]
    assert (
        len(shown) == 16
        and shown[-1].get_title("left") == "beta 4"
        and "16 of 17 values" in foot(plot)
    )
    assert "1 diverged" in plot.title and all(
        line.is_dashed() for line in shown[-1].lines if len(line.get_xdata()) > 1
    )
    # the last finite epoch is 6 in the table, which counts from 0: the seventh
    assert max(max(line.get_xdata()) for line in shown[-1].lines) == 7


@pytest.mark.parametrize("epochs", [1, 2, 4, 40])
def test_curves_are_inside_their_panels_from_the_first_epoch_on(
    epochs: int, small: Results
) -> None:
    table = small.curves.drop_duplicates("point_id").drop(columns="epoch")
    many = table.merge(pd.DataFrame({"epoch": range(epochs)}), how="cross")
    plot = curves.draw(dataclasses.replace(small, curves=many))
    panel = plot.figure.axes[0]
    left, right = panel.get_xlim()
    for line in panel.lines:
        assert left <= min(line.get_xdata()) == 1 and max(line.get_xdata()) == epochs <= right
    assert plot.numbers["epoch"].min() == 0, "the table's own count"


def test_curves_of_unknown_points_are_no_curves(small: Results) -> None:
    strange = dataclasses.replace(small, curves=small.curves.assign(point_id="nobody"))
    with pytest.raises(AnalysisError, match="no training curve is of a point in the table"):
        curves.draw(strange)


def test_a_loss_falls_or_rises_by_its_slope_over_the_last_third_of_epochs() -> None:
    rng, fall = np.random.default_rng(0), np.linspace(200, 100, 90)
    assert curves.trend_at_end(fall) == -1 and curves.trend_at_end(fall[::-1]) == 1
    settled = np.r_[np.linspace(200, 100, 60), 100 + rng.normal(size=30)]
    assert curves.trend_at_end(settled) == 0
    # half a per cent in 30 epochs is little, and still beyond its error
    slowly = np.r_[np.linspace(200, 100, 60), np.linspace(100, 99.5, 30)]
    assert curves.trend_at_end(slowly + 0.05 * rng.normal(size=90)) == -1
    assert curves.trend_at_end(np.full(30, 7.0)) == 0
    assert curves.trend_at_end(fall[:9]) is None, "three epochs are too few"


def test_of_few_epochs_no_trend_is_claimed(small: Results) -> None:
    short = dataclasses.replace(small, curves=small.curves[small.curves["epoch"] < 9])
    assert curves.draw(short).title == (
        "Too few epochs to tell whether validation loss still fell at the end (21 points);"
        " 2 diverged"
    )


def test_the_title_counts_every_loss_that_still_fell(small: Results) -> None:
    rng, epoch = np.random.default_rng(0), np.arange(60)
    points = small.models.drop_duplicates(["beta", "time_steps"]).head(6)
    parts = []
    for i, point in enumerate(points["point_id"]):
        slope = 0.0 if i == 5 else -0.02  # a fifth of a per cent an epoch is still a fall
        loss = 10 + slope * epoch + 0.01 * rng.normal(size=60)
        parts.append(pd.DataFrame({"point_id": point, "epoch": epoch, "validation_loss": loss}))
    kept = dataclasses.replace(small, points=points, curves=pd.concat(parts))
    assert curves.draw(kept).title == "Validation loss still fell at the end in 5 of 6 points"
