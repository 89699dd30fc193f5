"""The plane, and the trajectory through it."""

from __future__ import annotations

import dataclasses
import re
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


def test_plane_has_the_intervals_of_settings_and_of_people(small: Results, tmp_path: Path) -> None:
    plot = plane.draw(small)
    across, up = error_bars(plot)
    table = plot.numbers
    for half, name in ((across, "diversity"), (up, "recognizability")):
        expected = (table[f"{name}_high"] - table[f"{name}_low"]) / 2
        assert sorted(half) == pytest.approx(sorted(expected)) and (expected > 0).sum() > 10
        assert (table[f"{name}_low"] <= table[name]).all()
    assert len(across) == len(table) == small.models.groupby(["beta", "time_steps"]).ngroups + 3
    assert "bars: 95 % intervals, bootstrap over classes and seeds" in foot(plot)
    one = plane.draw(load(write_results(tmp_path, SMALL)))
    assert "bars: 95 % intervals, bootstrap over classes;" in foot(one)


def test_plane_of_many_settings_has_no_bars_and_says_so(tmp_path: Path) -> None:
    results = load(write_results(tmp_path, grid(beta=np.arange(61) / 15)))
    plot = plane.draw(results)
    assert "not drawn, in the CSV: 95 % intervals" in foot(plot) and not any(
        isinstance(c, LineCollection) for c in plot.figure.axes[0].collections
    )
    assert plot.numbers["diversity_low"].notna().all()


def test_trajectory_has_intervals_of_its_means(small: Results) -> None:
    plot = trajectory.draw(small)
    path = plot.numbers.set_index("beta")
    rows = small.models.query("beta == 1")
    by_seed = rows.groupby("seed")["diversity"].mean()
    assert path.loc[1.0, "diversity_se"] == pytest.approx(by_seed.sem())
    assert (path["diversity_low"] < path["diversity"]).all()
    assert (path["diversity"] < path["diversity_high"]).all()
    people = error_bars(plot)[0][-1]
    assert error_bars(plot)[0].tolist() == pytest.approx(
        [*(path["diversity_high"] - path["diversity_low"]) / 2, people]
    )


def test_results_without_classes_and_seeds_have_no_bars(tmp_path: Path) -> None:
    folder = write_results(tmp_path, SMALL)
    (folder / "classes.parquet").unlink()
    plot = plane.draw(load(folder))
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
    assert plane.draw(results).title == (
        "Not distinguishable: the nearest to people of 12 settings is no nearer than luck allows"
    )


def near_noise(results: Results, distance: float) -> Results:
    """Results whose noise lies at some distance to people."""
    points = results.points.copy()
    points.loc[points["model"] == "noise", "human_distance"] = distance
    return dataclasses.replace(results, points=points)


def test_no_model_is_crowned_that_does_not_beat_noise(tmp_path: Path) -> None:
    results = load(
        write_results(tmp_path, SMALL, seeds=3, where_is=lambda beta, **_: (2.7 + beta, 97.6))
    )
    nearest = ranking(results)["human_distance"].iloc[0]
    assert nearest == pytest.approx(1.82, abs=0.03)
    assert plane.draw(near_noise(results, 1.78)).title == (
        f"No model beats noise: the nearest to people is at distance {nearest:.2f}, noise at 1.78"
    )
    crowned = plane.draw(near_noise(results, 9.0)).title
    assert crowned.startswith("Nearest to people: beta 0, time_steps ")
    assert crowned.endswith("1 of 11 others not distinguishable from it")


def test_where_none_is_clearly_farther_no_setting_is_crowned(tmp_path: Path) -> None:
    settings = grid(beta=[0.0, 0.5, 1.0, 2.0, 4.0])
    results = load(
        write_results(tmp_path, settings, seeds=3, noise=8, where_is=lambda **_: (2.0, 60.0))
    )
    assert plane.draw(results).title.startswith("Not distinguishable: ")
    path = trajectory.draw(results)
    assert "no effect on the distance to people beyond chance" in path.title
    assert not any("nearest" in text.get_text() for text in path.figure.axes[0].texts)


def test_plane_says_how_near_the_best_of_equal_models_would_come(small: Results) -> None:
    note = foot(plane.draw(small))
    assert "nearest of 11 at " in note and "by luck, in 1 of 20 cases below" in note
    assert "(noise of seeds): nearer than luck" in note


def test_trajectory_that_does_not_change_is_not_said_to_rise(tmp_path: Path) -> None:
    def flat(beta: float, **_: float) -> tuple[float, float]:
        return 0.18 + 0.0004 * beta, 40 + 10 * beta

    plot = trajectory.draw(load(write_results(tmp_path, SMALL, seeds=3, where_is=flat)))
    assert "diversity does not clearly change, from 0.1" in plot.title and "rises" not in plot.title
    first, last = re.search(r"from ([\d.]+) to ([\d.]+)", plot.title).groups()
    assert first != last


def test_trajectory_names_what_its_axis_was_never_varied_apart_from(tmp_path: Path) -> None:
    settings = [{"beta": b, "z": 10 + int(20 * b)} for b in (0.0, 1.0, 2.0, 4.0)]
    results = load(write_results(tmp_path, settings, seeds=2))
    assert "beta was never varied apart from z" in foot(trajectory.draw(results))


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
