"""Importance maps in analysis, figure and command: what is read, compared, drawn and refused."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import synthetic_maps
from figure_checks import overlaps
from matplotlib.text import Text
from synthetic_maps import CLASSES, GAMMAS, SIZE, people, write_maps, write_people
from synthetic_results import grid, write_results

from oneshot.metrics.importance import sparsity, spearman
from oneshot.report.analysis import importance as analysis_importance
from oneshot.report.analysis.importance import read_maps
from oneshot.report.analysis.people_maps import read_people_maps, resized
from oneshot.report.averages import over_seeds
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import all_figures, sheet
from oneshot.report.figures import importance as figure_importance
from oneshot.report.figures.style import Plot, save
from oneshot.report.results import Results, load
from oneshot.report.select import select
from oneshot.report.table import points_table
from oneshot.scoring import importance_maps as maps

# ---- analysis


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load(write_maps(tmp_path_factory.mktemp("maps")))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people") / "people.npz")


def test_settings_are_means_over_classes_and_seeds_fewest_pixels_first(sweep: Results) -> None:
    table = analysis_importance.importance_by_setting(
        sweep, analysis_importance.importance_by_class(sweep)
    )
    assert (
        list(table["gamma"]) == sorted(GAMMAS, reverse=True)
        and set(table["seeds"]) == {2}
        and set(table["classes"]) == {14}
    )
    own = [
        np.mean(sparsity(np.stack([synthetic_maps.importance(c, 1.0, seed=s) for c in range(14)])))
        for s in (44, 45)
    ]
    row = table[table["gamma"] == 1].iloc[0]
    assert row["sparsity"] == pytest.approx(np.mean(own), rel=1e-6)
    assert row["sparsity_se"] == pytest.approx(abs(own[0] - own[1]) / 2, rel=1e-3)
    means = over_seeds(sweep).query("gamma == 1").iloc[0]
    assert means["importance_sparsity"] == pytest.approx(
        row["sparsity"]
    ) and "importance_sparsity" in points_table(sweep)


def test_settings_are_compared_with_people_on_the_shared_classes(
    sweep: Results, tmp_path: Path
) -> None:
    names = np.array([*CLASSES[2:8], "elsewhere"])
    given = read_people_maps(
        write_people(tmp_path / "few.npz", maps=1e-6 * people()[2:9], class_names=names)
    )
    by_class = analysis_importance.importance_by_class(sweep, given)
    table = analysis_importance.importance_by_setting(sweep, by_class, given)
    assert list(table["spearman"][:-1]) == sorted(table["spearman"][:-1], reverse=True) and set(
        table["classes"]
    ) == {6}
    row, last = table[table["gamma"] == 0.5].iloc[0], table.iloc[-1]
    larger = np.stack([resized(one, (SIZE, SIZE)) for one in people()[2:8]])
    own = [
        spearman(np.stack([synthetic_maps.importance(c, 0.5, seed=s) for c in range(2, 8)]), larger)
        for s in (44, 45)
    ]
    assert row["spearman"] == pytest.approx(np.mean(own), abs=1e-3)
    assert row["spearman_se"] == pytest.approx(
        np.mean(own, axis=0).std(ddof=1) / math.sqrt(6), abs=1e-3
    )
    assert (
        last["model"] == "human"
        and last["sparsity"] == pytest.approx(sparsity(larger).mean())
        and pd.isna(last["spearman"])
    )
    best = table[table["gamma"] == 4].iloc[0]
    means = by_class.groupby(["gamma", "class_name"])["spearman"].mean()
    error = (means[4.0] - means[0.5]).std() / math.sqrt(6)
    assert analysis_importance.difference_error(
        sweep, by_class, best, row, "spearman"
    ) == pytest.approx(error)


def test_the_maps_of_a_setting_are_means_over_its_seeds(sweep: Results) -> None:
    row = analysis_importance.importance_by_setting(
        sweep, analysis_importance.importance_by_class(sweep)
    ).iloc[0]
    found = analysis_importance.mean_maps(sweep, row)
    assert found is not None
    for c in (0, 9):
        own = [synthetic_maps.importance(c, 4.0, seed=s) for s in (44, 45)]
        assert found.maps[c] == pytest.approx(
            np.mean([one / one.mean() for one in own], axis=0), rel=2e-3, abs=1e-3
        )


def test_maps_of_another_size_keep_their_mass_and_place() -> None:
    spot = np.zeros((60, 40))
    spot[45, 10] = 24
    small_one = resized(spot, (20, 20))
    assert small_one.shape == (20, 20) and small_one.mean() == pytest.approx(spot.mean(), rel=0.02)
    assert np.unravel_index(small_one.argmax(), (20, 20)) == (15, 5)
    assert (
        resized(np.full((7, 9), 3.0), (20, 5)) == pytest.approx(3.0)
        and resized(spot, (60, 40)) is spot
    )
    ramp = np.tile(np.arange(8.0), (8, 1))
    assert resized(ramp, (16, 16))[4, 2:14] == pytest.approx(np.arange(2, 14) / 2 - 0.25)


def test_points_whose_maps_are_lost_are_left_out(tmp_path: Path, theirs: Path) -> None:
    folder = write_maps(tmp_path, gammas=(0.0, 4.0))
    loaded, given = load(folder), read_people_maps(theirs)
    points = loaded.models.set_index("gamma")["point_id"]
    gone, cut = (tmp_path / maps.key(name) for name in points[0.0])
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:1000])
    assert read_maps(loaded, points[0.0].iloc[1]) is None
    table = analysis_importance.importance_by_setting(
        loaded, analysis_importance.importance_by_class(loaded, given), given
    )
    assert list(table["gamma"].dropna()) == [4.0]
    assert "no maps kept of 1 of them" in texts(figure_importance.draw(loaded))


# ---- the figure


def texts(plot: Plot) -> str:
    plot.figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in plot.figure.findobj(Text)).replace("\n", " ")


def test_the_figure_shows_exemplars_settings_and_people(
    sweep: Results, theirs: Path, tmp_path: Path
) -> None:
    plot = figure_importance.draw(sweep)
    few, many = (100 * plot.numbers["sparsity"]).agg(["min", "max"])
    assert (
        plot.title
        == f"Half of the importance lies on {few:.1f} % of the pixels at gamma 4, on {many:.1f} %"
        " at gamma 0"
    )
    assert [panel.get_ylabel().split("\n")[0] for panel in plot.figure.axes] == [
        "exemplar",
        "gamma 0",
        "gamma 0.5",
        "gamma 2",
        "gamma 4",
    ]
    assert (
        plot.numbers["shown"].sum() == 4
        and len(plot.numbers["classes_shown"][0].split()) == 10
        and overlaps(plot) == []
    )
    shown = np.asarray(plot.figure.axes[4].images[0].get_array())
    own = np.mean(
        [o / o.mean() for o in (synthetic_maps.importance(13, 4.0, seed=s) for s in (44, 45))],
        axis=0,
    )
    assert shown[:, -SIZE:] == pytest.approx(own / np.percentile(own, 99), abs=0.01)
    with_people = figure_importance.draw(sweep, read_people_maps(theirs))
    assert [panel.get_ylabel().split("\n")[0] for panel in with_people.figure.axes][
        -1
    ] == "people" and overlaps(with_people) == []
    best = with_people.numbers.iloc[0]
    assert with_people.title.startswith(
        f"Nearest to people's maps: gamma 4, rank correlation {best['spearman']:.2f}; "
    )
    for name in ("one", "two"):
        save(figure_importance.draw(sweep).figure, plot.numbers, tmp_path, name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_titles_are_neutral_where_nothing_differs(
    tmp_path: Path, sweep: Results, theirs: Path
) -> None:
    alone = select(sweep, "gamma == 1")
    assert re.fullmatch(
        r"Half of the importance lies on \d+\.\d % of the pixels",
        figure_importance.draw(alone).title,
    )
    assert figure_importance.draw(alone, read_people_maps(theirs)).title.startswith(
        "Rank correlation of the maps with people's: 0."
    )
    swapped = sweep.points.assign(gamma=np.where(sweep.points["seed"] == 45, 1.0, 2.0))[
        sweep.points["gamma"] == 1
    ]
    same = dataclasses.replace(sweep, points=swapped)  # one setting under two names: its seeds
    assert figure_importance.draw(same).title.endswith("% of the pixels, whatever the setting")
    assert figure_importance.draw(same, read_people_maps(theirs)).title.startswith(
        "No setting is clearly nearer to people's maps"
    )


def test_the_figure_is_drawn_where_there_are_maps_only(
    tmp_path: Path, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_figures, "FIGURES", {"sheet": sheet.draw})
    without = load(write_results(tmp_path / "without", grid(beta=[1.0])))
    assert [name for name, _, _ in all_figures.write_all(without, tmp_path / "figures")] == [
        "sheet"
    ]
    with pytest.raises(AnalysisError, match="no importance maps in"):
        figure_importance.draw(without)
    lost = load(write_maps(tmp_path / "lost", gammas=(1.0,), seeds=1, keep=False))
    written = {
        name: reason
        for name, _, reason in all_figures.write_all(
            lost, tmp_path / "figures", people=read_people_maps(theirs)
        )
    }
    assert (
        list(written) == ["sheet", "importance"]
        and "no importance maps are kept in" in written["importance"]
    )


# ---- the command


def analyze(*arguments: object) -> Any:
    return small.main(*arguments, "--no-figures", script="analyze.py")


def test_command_prints_both_tables(sweep: Results, theirs: Path, tmp_path: Path) -> None:
    done = analyze(sweep.folder, "--importance")
    lines = done.stdout.splitlines()
    assert (
        done.returncode == 0
        and lines[0].split() == ["gamma", "seeds", "classes", "sparsity", "sparsity_se"]
        and len(lines) == 6
    )
    done = analyze(
        sweep.folder,
        "--importance",
        theirs,
        "--json",
        "--where",
        "gamma >= 1",
        "--csv",
        tmp_path / "maps.csv",
    )
    rows = json.loads(done.stdout)
    assert [row["gamma"] for row in rows] == [4.0, 2.0, 1.0, None] and rows[0]["spearman"] > rows[
        2
    ]["spearman"] > 0.5
    assert (
        pd.read_csv(tmp_path / "maps.csv")["spearman"][0] == pytest.approx(rows[0]["spearman"])
        and rows[3]["model"] == "human"
    )


@pytest.mark.slow
def test_command_draws_people_in_the_figure(theirs: Path, tmp_path: Path) -> None:
    folder = write_maps(tmp_path, gammas=(4.0,), seeds=1)
    done = small.main(folder, "--importance", theirs, "--figures", tmp_path, script="analyze.py")
    assert (
        done.returncode == 0
        and "importance.png  Rank correlation of the maps with people's: 0.69" in done.stderr
    )
    assert list(pd.read_csv(tmp_path / "importance.csv")["model"])[-1] == "human"


def test_command_refuses_what_does_not_fit(sweep: Results, tmp_path: Path) -> None:
    done = analyze(sweep.folder, "--importance", "--sort", "sparsity", "--over-seeds")
    assert (
        done.returncode == 2
        and "--importance has its own columns" in done.stderr
        and "leave out --sort, --over-seeds" in done.stderr
    )
    done = analyze(sweep.folder, "--importance", "--likelihood")
    assert done.returncode == 2 and "one at a time" in done.stderr
    done = analyze(write_results(tmp_path, grid(beta=[1.0])), "--importance")
    assert (
        done.returncode == 2
        and "no importance maps in" in done.stderr
        and "importance_seeds=25" in done.stderr
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"maps": people(3)}, "has 3 maps and 14 class names"),
        ({"maps": people()[0]}, r"given shape \(64, 64\)"),
        ({"maps": -people()}, "14 of 14 are not"),
        ({"maps": np.full((14, 2, 2), "x")}, "could not convert"),
        ({"class_names": np.array(["a"] * 14)}, "names a class twice: a"),
        ({"class_names": np.array(CLASSES, dtype=object)}, "cannot read"),
    ],
)
def test_files_of_people_that_hold_something_else(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnalysisError, match=message) as caught:
        read_people_maps(write_people(tmp_path / "people.npz", **arrays))
    assert "people.npz" in str(caught.value)


def test_files_of_people_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="there is no file"):
        read_people_maps(tmp_path / "nowhere.npz")
    np.save(tmp_path / "alone.npy", people())
    (tmp_path / "text.npz").write_text("maps")
    write_people(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:5000])
    for name in ("alone.npy", "text.npz", "cut.npz", "."):
        with pytest.raises(AnalysisError, match="cannot read") as caught:
            read_people_maps(tmp_path / name)
        assert "`class_names`" in caught.value.help
    np.savez(tmp_path / "other.npz", heatmaps=people())
    with pytest.raises(AnalysisError, match="holds heatmaps, and no maps and no class_names"):
        read_people_maps(tmp_path / "other.npz")


def test_people_of_other_classes_are_told_near_names(sweep: Results, tmp_path: Path) -> None:
    given = read_people_maps(
        write_people(
            tmp_path / "people.npz", class_names=np.array([name.upper() for name in CLASSES])
        )
    )
    with pytest.raises(AnalysisError, match="has none of the 14 classes") as caught:
        analysis_importance.importance_by_class(sweep, given)
    assert caught.value.help.startswith("'CLASS00' there is like 'class00' here")
    given = dataclasses.replace(given, class_names=[f"{c}" for c in range(14)])
    with pytest.raises(AnalysisError, match="has none of the 14 classes") as caught:
        analysis_importance.importance_by_class(sweep, given)
    assert "Classes there: 0, 1, 2, 3 .." in caught.value.help
