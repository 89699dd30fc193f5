"""The figures and the command: what is drawn and written for small and large results, and what a user's mistakes answer."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.text import Text
from synthetic_results import FULL, HUMAN, grid, lines, squiggles, write_results

from oneshot import analysis, figure_sheet, figures
from oneshot.figure_axes import still_falling
from oneshot.results import AnalysisError, Results

ROOT = Path(__file__).parent.parent
SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 3.0, 4.0], time_steps=[20, 90])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Results:
    root = tmp_path_factory.mktemp("results")
    return analysis.load(write_results(root, SMALL, seeds=2, failed=1, diverged=2, drawings=squiggles))


def overlaps(plot: figures.Plot) -> list[tuple[str, str]]:
    """The pairs of labels and titles that cover each other (tick labels aside: matplotlib keeps those of hidden ticks)."""
    figure = plot.figure
    figure.draw_without_rendering()
    numbers = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels(which="both")}
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in numbers]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    pairs = itertools.combinations(boxes, 2)
    return [(a, b) for (a, box), (b, other) in pairs if box.shrunk(0.9, 0.9).overlaps(other.shrunk(0.9, 0.9))]


# ---- every figure


@pytest.mark.parametrize("name", ["plane", "effects"])
def test_files_are_the_same_bytes_on_every_run(small: Results, tmp_path: Path, name: str) -> None:
    for folder in ("first", "second"):
        plot = figures.FIGURES[name](small)
        figures.save(plot.figure, plot.numbers, tmp_path / folder, name)
    for kind in ("svg", "png", "csv"):
        assert (tmp_path / "first" / f"{name}.{kind}").read_bytes() == (tmp_path / "second" / f"{name}.{kind}").read_bytes()


def test_figures_leave_the_global_settings_alone(small: Results) -> None:
    with matplotlib.rc_context({"font.size": 31.0}):
        plot = figures.plane(small)
        assert matplotlib.rcParams["font.size"] == 31.0
    assert plot.figure.axes[0].xaxis.label.get_size() == 9
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("name", list(figures.FIGURES))
def test_no_text_is_tiny_and_none_covers_another(small: Results, name: str) -> None:
    plot = figures.FIGURES[name](small)
    sizes = {text.get_fontsize() for text in plot.figure.findobj(Text) if text.get_text().strip()}
    assert min(sizes - {6.0}) >= 7  # 6 pt: the foot line only
    assert sum(text.get_fontsize() == 6 for text in plot.figure.findobj(Text) if text.get_text().strip()) == 1
    assert overlaps(plot) == []


@pytest.mark.parametrize("count", [1, 9, 41])
def test_few_points_are_drawn_or_the_reason_is_given(tmp_path: Path, count: int) -> None:
    base = {"beta": 2.0, "time_steps": 60, "z": 85}
    settings = {1: grid(beta=[1.0]), 9: grid(beta=np.arange(9) / 2), 41: lines(base, **FULL)}[count]
    results = analysis.load(write_results(tmp_path, settings))
    for name, draw in figures.FIGURES.items():
        try:
            assert overlaps(draw(results)) == [], name
        except AnalysisError as error:
            assert name == "sheet" or (name, count) in {("trajectory", 1), ("effects", 1), ("heatmap", 1), ("heatmap", 9), ("heatmap", 41)}
            assert str(error)


def test_the_full_grid_is_drawn(tmp_path: Path) -> None:
    results = analysis.load(write_results(tmp_path, grid(**FULL), failed=5, diverged=9))
    plot = figures.plane(results)
    assert len(plot.numbers) == 2176 - 14 + 3 and "2,162 points" in foot(plot) and "5 failed, 9 diverged" in foot(plot)
    assert overlaps(plot) == [] and figures.heatmap(results).numbers.shape == (8, 18)


def foot(plot: figures.Plot) -> str:
    return next(t.get_text() for t in plot.figure.findobj(Text) if t.get_fontsize() == 6 and t.get_text()).replace("\n", " ")


# ---- the plane and the trajectory


def test_plane_keeps_its_limits_marks_people_and_says_who_is_nearest(small: Results) -> None:
    plot = figures.plane(small)
    axes = plot.figure.axes[0]
    assert axes.get_xlim() == (0, 3.2) and axes.get_ylim() == (0, 102)
    assert {"people", "copies", "noise", "nearest", "chance 5 %"} <= {t.get_text() for t in axes.texts}
    radii = sorted(patch.width / 2 / 0.775 for patch in axes.patches)
    assert radii == pytest.approx([0.5, 1, 2, 3, 4]) and all(patch.center == pytest.approx(HUMAN) for patch in axes.patches)
    best = analysis.ranking(small).iloc[0]
    assert plot.title.startswith(f"Nearest to people: beta {best['beta']:g}, time_steps {best['time_steps']:g}, distance")


def test_plane_extends_for_points_outside_and_says_so(tmp_path: Path) -> None:
    results = analysis.load(write_results(tmp_path, SMALL, where_is=lambda beta, **_: (2.0 + beta, 60.0)))
    plot = figures.plane(results)
    assert plot.figure.axes[0].get_xlim()[1] > 6 and "diversity axis extended from 3.2" in foot(plot)


def test_plane_is_cut_where_all_lie_in_a_corner_and_says_so(tmp_path: Path) -> None:
    results = analysis.load(write_results(tmp_path, SMALL, where_is=lambda beta, **_: (0.2 + beta / 100, 60.0)))
    plot = figures.plane(results)
    assert plot.figure.axes[0].get_xlim()[1] in (0.8, 1.6) and "diversity axis cut from 3.2" in foot(plot)


def test_plane_title_is_neutral_when_seeds_differ_more_than_settings(tmp_path: Path) -> None:
    results = analysis.load(write_results(tmp_path, SMALL, seeds=3, noise=5, where_is=lambda **_: (2.0, 60.0)))
    assert figures.plane(results).title == "No setting is nearer to people than seed noise allows"


def test_plane_without_people_or_models(tmp_path: Path) -> None:
    alone = analysis.load(write_results(tmp_path, [], name="alone"))
    assert "no distance" in figures.plane(alone).title
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0]), references=False, name="unmeasured")
    results = analysis.load(folder)
    results.points[["human_distance", "human_diversity", "human_recognizability"]] = np.nan
    plot = figures.plane(results)
    assert "no distance" in plot.title and not plot.figure.axes[0].patches


def test_families_differ_by_marker_and_name(small: Results) -> None:
    points = small.points.assign(model=np.where(small.points["time_steps"] == 90, "vae_ns", small.points["model"]))
    mixed = Results(points, small.classes, small.curves, small.axes, small.name, "", small.folder)
    axes = figures.plane(mixed, "model").figure.axes[0]
    assert {"vae_ns", "vae_stn"} <= {t.get_text() for t in axes.texts}
    clouds = [c for c in axes.collections if isinstance(c, PathCollection) and len(c.get_offsets()) > 3]
    assert len(clouds) == len({c.get_paths()[0].vertices.tobytes() for c in clouds}) == 2
    assert overlaps(figures.plane(mixed)) == []


def test_trajectory_labels_ends_and_nearest(small: Results) -> None:
    plot = figures.trajectory(small)
    assert plot.title.startswith("beta 0 to 4: diversity falls from") and list(plot.numbers["beta"]) == [0, 0.5, 1, 2, 3, 4]
    shown = {t.get_text() for t in plot.figure.axes[0].texts}
    assert {"beta 0", "beta 4", "people"} <= shown and any("(nearest)" in text for text in shown)
    assert figures.trajectory(small, "time_steps").numbers["time_steps"].tolist() == [20, 90]


# ---- effects, heat map, curves


def test_effects_have_a_panel_per_axis_and_metric(small: Results) -> None:
    plot = figures.effects(small)
    assert len(plot.figure.axes) == 6 and plot.title.startswith("beta explains")
    row = plot.numbers.query("axis == 'beta' and metric == 'human_distance' and value == 1").iloc[0]
    assert row["mean"] == pytest.approx(small.models.query("beta == 1")["human_distance"].mean()) and row["n"] == 4


def test_effects_of_words_are_not_joined(tmp_path: Path) -> None:
    settings = grid(protocol=["episodes", "expected"], beta=[0.0, 1.0])
    results = analysis.load(write_results(tmp_path, settings))
    panel = figures.effects(results).figure.axes[-2]
    assert [t.get_text() for t in panel.get_xticklabels()] == ["episodes", "expected"]
    assert panel.lines[0].get_linestyle() == "None"


def test_heatmap_cells_are_means_over_the_rest(small: Results) -> None:
    cells = figures.heatmap(small).numbers.set_index("time_steps")
    assert cells.loc[20, "beta 0.5"] == pytest.approx(small.models.query("beta == .5 and time_steps == 20")["human_distance"].mean())


def test_curves_show_at_most_sixteen_panels_and_dash_what_diverged(tmp_path: Path) -> None:
    results = analysis.load(write_results(tmp_path, grid(beta=np.arange(17) / 4), diverged=1))
    plot = figures.curves(results)
    shown = [panel for panel in plot.figure.axes if panel.axison]
    assert len(shown) == 16 and shown[-1].get_title("left") == "beta 4" and "16 of 17 values" in foot(plot)
    assert "1 diverged" in plot.title and all(line.is_dashed() for line in shown[-1].lines if len(line.get_xdata()) > 1)
    assert max(max(line.get_xdata()) for line in shown[-1].lines) == 6  # the last finite epoch


def test_a_loss_is_still_falling_if_its_last_tenth_lies_lower() -> None:
    assert still_falling(np.linspace(200, 100, 100)) and not still_falling(np.r_[np.linspace(200, 100, 80), np.full(20, 100.0)])


# ---- the sheet


def test_sheet_shows_what_the_store_holds(small: Results) -> None:
    plot = figures.sheet(small)
    assert plot.numbers["block"].tolist() == ["nearest", "median", "farthest", "people"]
    kept = figure_sheet.read_drawings(small, plot.numbers["sample_id"][0])
    assert kept is not None
    np.testing.assert_array_equal(kept.images[kept.label == 3], squiggles(plot.numbers["sample_id"][0], 3))
    picture = np.asarray(plot.figure.axes[0].images[0].get_array())
    first = plot.numbers["classes"][0].split()[0]
    drawing = squiggles(plot.numbers["sample_id"][0], int(first[-2:]))[0]
    start = 16 + 16 // 3
    np.testing.assert_array_equal(picture[:16, start : start + 16] == 0, drawing == 1)


def test_sheet_names_what_is_missing(tmp_path: Path) -> None:
    folder = write_results(tmp_path, SMALL, drawings=squiggles)
    results = analysis.load(folder)
    nearest = analysis.extremes(results)["nearest"]["sample_id"]
    (tmp_path / "store" / "drawings" / nearest / "drawings.npz").write_bytes(b"cut off")
    assert "no drawings kept of: nearest" in foot(figures.sheet(results))


def test_classes_of_the_sheet_are_the_same_for_all_and_spread() -> None:
    def drawn(names: list[str]) -> figure_sheet.Drawn:
        return figure_sheet.Drawn(np.empty((0, 1, 1)), np.empty(0), np.empty((0, 1, 1)), names)

    many = [f"c{i:03d}" for i in range(150)]
    chosen = figure_sheet.shared_classes([drawn(many), drawn(many[10:])])
    assert len(chosen) == 12 and chosen[0] == "c010" and chosen[-1] == "c149"
    with pytest.raises(AnalysisError, match="different classes"):
        figure_sheet.shared_classes([drawn(["a"]), drawn(["b"])])


# ---- the command


def analyze(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "analyze.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment})


def test_help_is_short_and_needs_no_heavy_import() -> None:
    done = analyze("--help")
    text = done.stdout.splitlines()
    assert done.returncode == 0 and len(text) <= 60 and max(map(len, text)) <= 80 and "examples:" in text
    code = "import sys, analyze\ntry: analyze.main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(any(m in sys.modules for m in ('pandas', 'numpy', 'matplotlib', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0


def test_command_prints_the_table_and_writes_files(small: Results, tmp_path: Path) -> None:
    files = ["--csv", tmp_path / "t.csv", "--parquet", tmp_path / "t.parquet", "--figures", tmp_path / "f"]
    done = analyze(small.folder, "--where", "beta <= 1", *files)
    assert done.returncode == 0, done.stderr
    lines_ = done.stdout.splitlines()
    assert len(lines_) == 1 + 12 and "human_distance" in lines_[0] and "point_id" in lines_[0]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 12 and list(pd.read_parquet(tmp_path / "t.parquet")) == list(small.points)
    for name in figures.FIGURES:
        assert f"{name}.png  " in done.stderr  # and the finding
        assert (tmp_path / "f" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert ElementTree.parse(tmp_path / "f" / f"{name}.svg").getroot().tag.endswith("svg")
        assert len(pd.read_csv(tmp_path / "f" / f"{name}.csv")) > 0


def test_command_says_which_figures_cannot_be_drawn(tmp_path: Path) -> None:
    done = analyze(write_results(tmp_path, grid(beta=[1.0])))
    assert done.returncode == 0 and "no heatmap: no two axes were crossed" in done.stderr
    assert (tmp_path / "vae_stn" / "figures" / "plane.svg").is_file()


def test_command_prints_json_and_means_over_seeds(small: Results) -> None:
    done = analyze(small.folder, "--no-figures", "--json", "--over-seeds", "--where", "model == 'vae_stn'", "--top", 2)
    rows = json.loads(done.stdout)
    assert [row["seeds"] for row in rows] == [2, 2] and rows[0]["human_distance"] <= rows[1]["human_distance"] and done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{}", "--whre", "x"], "did you mean --where?"),
        (["{}", "--col", "x"], "there is no flag --col"),  # no abbreviations
        (["{}", "--top", "-1"], "argument --top"),
        (["{}", "--where", "bata < 1"], "Did you mean beta?"),
        (["{}", "--where", "open('x')"], "functions cannot be called"),
        (["{}", "--sort", "divresity"], "Did you mean diversity"),
        (["{}", "--color-by", "bata"], "Did you mean beta"),
        (["{}", "--no-figures", "--csv", "/nonexistent/t.csv"], "nonexistent"),
        (["{}x"], "there is no folder"),
        ([], "RESULTS"),
    ],
)
def test_mistakes_are_answered_without_traceback(small: Results, arguments: list[str], told: str) -> None:
    done = analyze(*(a.format(small.folder) for a in arguments))
    assert done.returncode == 2 and done.stderr.startswith("error: ") and told in done.stderr and "Traceback" not in done.stderr


def test_traceback_can_be_asked_for(small: Results) -> None:
    done = analyze(small.folder, "--sort", "nothing", ONESHOT_TRACEBACK="1")
    assert done.returncode != 0 and "Traceback" in done.stderr
