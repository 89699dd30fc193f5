"""The plane, and the trajectory through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from figure_checks import error_bars, foot, overlaps
from matplotlib.collections import LineCollection, PathCollection
from synthetic_results import HUMAN, grid, write_results

from oneshot.report.analysis.plane import ranking
from oneshot.report.figures import plane, trajectory
from oneshot.report.results import Results, load

SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 3.0, 4.0], time_steps=[20, 90])


def test_plane_keeps_its_limits_marks_people_and_says_who_is_nearest(small: Results) -> None:
    plot = plane.draw(small)
    axes = plot.figure.axes[0]
    assert axes.get_xlim() == (0, 3.2) and axes.get_ylim() == (0, 102)
    assert {"people", "copies", "noise", "nearest", "chance 5 %"} <= {
        t.get_text() for t in axes.texts
    }
    radii = sorted(patch.width / 2 / (0.775 / 1.286 * HUMAN[0]) for patch in axes.patches)
    assert radii == pytest.approx([0.5, 1, 2, 3, 4]) and all(
        patch.center == pytest.approx(HUMAN) for patch in axes.patches
    )
    best = ranking(small).iloc[0]
    assert plot.title.startswith(
        f"Nearest to people: beta {best['beta']:g}, time_steps {best['time_steps']:g}, distance"
    )


def test_plane_has_the_errors_of_points_and_of_people(tmp_path: Path) -> None:
    results = load(write_results(tmp_path, SMALL))
    results.points["diversity_se"] = np.linspace(0.01, 0.2, len(results.points))
    plot = plane.draw(results)
    across, up = error_bars(plot)
    assert sorted(across) == pytest.approx(
        np.linspace(0.01, 0.2, len(results.points))
    ) and up == pytest.approx(0.31)
    assert len(across) == len(SMALL) + 3 and "bars: standard errors" in foot(plot)
    # also in the table beside the figure
    assert sorted(plot.numbers["diversity_se"]) == pytest.approx(sorted(across))


def test_plane_has_errors_over_seeds_where_there_are_several(small: Results) -> None:
    plot = plane.draw(small)
    across, _ = error_bars(plot)
    several = plot.numbers[plot.numbers["seeds"] > 1]
    pairs = small.models.groupby(["beta", "time_steps"])["diversity"]
    expected = (pairs.sem() * 1).dropna()
    assert sorted(several["diversity_se"]) == pytest.approx(sorted(expected)) and len(
        across
    ) == len(plot.numbers)
    assert "over seeds where there are several" in foot(plot)
    alone = plot.numbers[plot.numbers["seeds"] == 1]
    # a setting of which one seed failed: the point's own
    assert len(alone) == 1 and alone["diversity_se"].tolist() == [0.012]


def test_trajectory_has_errors_over_seeds_or_those_of_its_points(
    small: Results, tmp_path: Path
) -> None:
    path = trajectory.draw(small).numbers.set_index("beta")
    rows = small.models.query("beta == 1")
    assert path.loc[1.0, "diversity_se"] == pytest.approx(
        rows.groupby("seed")["diversity"].mean().sem()
    )
    one = trajectory.draw(load(write_results(tmp_path, SMALL)))
    # means of two points
    assert one.numbers["diversity_se"].tolist() == pytest.approx([0.012 / np.sqrt(2)] * 6)
    assert error_bars(one)[0].tolist() == pytest.approx([*one.numbers["diversity_se"], 0.012])


def test_results_without_errors_have_no_bars(tmp_path: Path) -> None:
    results = load(write_results(tmp_path, SMALL))
    for name in ("diversity_se", "recognizability_se"):
        del results.points[name]
    plot = plane.draw(results)
    assert "bars" not in foot(plot) and not [
        c for c in plot.figure.axes[0].collections if isinstance(c, LineCollection)
    ]


def test_plane_extends_for_points_outside_and_says_so(tmp_path: Path) -> None:
    results = load(write_results(tmp_path, SMALL, where_is=lambda beta, **_: (2.0 + beta, 60.0)))
    plot = plane.draw(results)
    assert plot.figure.axes[0].get_xlim()[1] > 6 and "diversity axis extended from 3.2" in foot(
        plot
    )


def test_plane_is_cut_where_all_lie_in_a_corner_and_says_so(tmp_path: Path) -> None:
    results = load(
        write_results(tmp_path, SMALL, where_is=lambda beta, **_: (0.2 + beta / 100, 60.0))
    )
    plot = plane.draw(results)
    assert plot.figure.axes[0].get_xlim()[1] in (
        0.8,
        1.6,
    ) and "diversity axis cut from 3.2" in foot(plot)


def test_plane_title_is_neutral_when_seeds_differ_more_than_settings(tmp_path: Path) -> None:
    results = load(
        write_results(tmp_path, SMALL, seeds=3, noise=5, where_is=lambda **_: (2.0, 60.0))
    )
    assert plane.draw(results).title == "No setting is nearer to people than seed noise allows"


def test_plane_without_people_or_models(tmp_path: Path) -> None:
    alone = load(write_results(tmp_path, [], name="alone"))
    assert "no distance" in plane.draw(alone).title
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0]), references=False, name="unmeasured")
    results = load(folder)
    results.points[["human_distance", "human_diversity", "human_recognizability"]] = np.nan
    plot = plane.draw(results)
    assert "no distance" in plot.title and not plot.figure.axes[0].patches


def test_families_differ_by_marker_and_name(small: Results) -> None:
    points = small.points.assign(
        model=np.where(small.points["time_steps"] == 90, "vae_ns", small.points["model"])
    )
    mixed = Results(points, small.classes, small.curves, small.axes, small.name, "", small.folder)
    axes = plane.draw(mixed, "model").figure.axes[0]
    assert {"vae_ns", "vae_stn"} <= {t.get_text() for t in axes.texts}
    clouds = [
        c for c in axes.collections if isinstance(c, PathCollection) and len(c.get_offsets()) > 3
    ]
    assert len(clouds) == len({c.get_paths()[0].vertices.tobytes() for c in clouds}) == 2
    assert overlaps(plane.draw(mixed)) == []


def test_trajectory_labels_ends_and_nearest(small: Results) -> None:
    plot = trajectory.draw(small)
    assert plot.title.startswith("beta 0 to 4: diversity falls from") and list(
        plot.numbers["beta"]
    ) == [0, 0.5, 1, 2, 3, 4]
    shown = {t.get_text() for t in plot.figure.axes[0].texts}
    assert {"beta 0", "beta 4", "people"} <= shown and any("(nearest)" in text for text in shown)
    assert trajectory.draw(small, "time_steps").numbers["time_steps"].tolist() == [20, 90]
