"""The figures and the command: what is drawn and written for small and large results, and what a
user's mistakes answer.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from figure_checks import analyze, font_sizes, foot, overlaps
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex, to_rgb
from synthetic_results import FULL, HUMAN, grid, lines, squiggles, write_results

from oneshot.report.analysis import plane
from oneshot.report.analysis.generalization import MOST
from oneshot.report.figures import catalog, sheet
from oneshot.report.figures import style as fs
from oneshot.report.figures.axes import still_falling
from oneshot.report.figures.sets import LINES
from oneshot.report.results import AnalysisError, Results

ROOT = Path(__file__).parents[2]
SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 3.0, 4.0], time_steps=[20, 90])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Results:
    root = tmp_path_factory.mktemp("results")
    return plane.load(write_results(root, SMALL, seeds=2, failed=1, diverged=2, drawings=squiggles))


# ---- every figure


@pytest.mark.parametrize("name", ["plane", "effects"])
def test_files_are_the_same_bytes_on_every_run(small: Results, tmp_path: Path, name: str) -> None:
    for folder in ("first", "second"):
        plot = catalog.FIGURES[name](small)
        catalog.save(plot.figure, plot.numbers, tmp_path / folder, name)
    for kind in ("svg", "png", "csv"):
        assert (tmp_path / "first" / f"{name}.{kind}").read_bytes() == (
            tmp_path / "second" / f"{name}.{kind}"
        ).read_bytes()


def test_figures_leave_the_global_settings_alone(small: Results) -> None:
    with matplotlib.rc_context({"font.size": 31.0}):
        plot = catalog.plane(small)
        assert matplotlib.rcParams["font.size"] == 31.0
    assert plot.figure.axes[0].xaxis.label.get_size() == 9
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize("name", list(catalog.FIGURES))
def test_no_text_is_tiny_and_none_covers_another(small: Results, name: str) -> None:
    plot = catalog.FIGURES[name](small)
    sizes = font_sizes(plot)
    assert min(set(sizes) - {6.0}) >= 7 and sizes.count(6) == 1  # 6 pt: the foot line only
    assert overlaps(plot) == []


@pytest.mark.parametrize("count", [1, 9, 41])
def test_few_points_are_drawn_or_the_reason_is_given(tmp_path: Path, count: int) -> None:
    base = {"beta": 2.0, "time_steps": 60, "z": 85}
    settings = {1: grid(beta=[1.0]), 9: grid(beta=np.arange(9) / 2), 41: lines(base, **FULL)}[count]
    results = plane.load(write_results(tmp_path, settings))
    for name, draw in catalog.FIGURES.items():
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


def test_the_full_grid_is_drawn(tmp_path: Path) -> None:
    results = plane.load(write_results(tmp_path, grid(**FULL), failed=5, diverged=9))
    plot = catalog.plane(results)
    assert (
        len(plot.numbers) == 2176 - 14 + 3
        and "2,162 points" in foot(plot)
        and "5 failed, 9 diverged" in foot(plot)
    )
    assert overlaps(plot) == [] and catalog.heatmap(results).numbers.shape == (8, 18)


# ---- the plane and the trajectory


def test_plane_keeps_its_limits_marks_people_and_says_who_is_nearest(small: Results) -> None:
    plot = catalog.plane(small)
    axes = plot.figure.axes[0]
    assert axes.get_xlim() == (0, 3.2) and axes.get_ylim() == (0, 102)
    assert {"people", "copies", "noise", "nearest", "chance 5 %"} <= {
        t.get_text() for t in axes.texts
    }
    radii = sorted(patch.width / 2 / 0.775 for patch in axes.patches)
    assert radii == pytest.approx([0.5, 1, 2, 3, 4]) and all(
        patch.center == pytest.approx(HUMAN) for patch in axes.patches
    )
    best = plane.ranking(small).iloc[0]
    assert plot.title.startswith(
        f"Nearest to people: beta {best['beta']:g}, time_steps {best['time_steps']:g}, distance"
    )


def bars(plot: catalog.Plot) -> tuple[np.ndarray, np.ndarray]:
    """Half the lengths of the error bars of a plane: across, up."""
    found = [c for c in plot.figure.axes[0].collections if isinstance(c, LineCollection)]
    half = [np.array([np.ptp(np.asarray(s), axis=0) / 2 for s in c.get_segments()]) for c in found]
    # thin, under the dots
    assert len(half) == 2 and all(c.get_linewidth()[0] < 1 and c.get_zorder() < 3 for c in found)
    return half[0][:, 0], half[1][:, 1]


def test_plane_has_the_errors_of_points_and_of_people(tmp_path: Path) -> None:
    results = plane.load(write_results(tmp_path, SMALL))
    results.points["diversity_se"] = np.linspace(0.01, 0.2, len(results.points))
    plot = catalog.plane(results)
    across, up = bars(plot)
    assert sorted(across) == pytest.approx(
        np.linspace(0.01, 0.2, len(results.points))
    ) and up == pytest.approx(0.31)
    assert len(across) == len(SMALL) + 3 and "bars: standard errors" in foot(plot)
    # also in the table beside the figure
    assert sorted(plot.numbers["diversity_se"]) == pytest.approx(sorted(across))


def test_plane_has_errors_over_seeds_where_there_are_several(small: Results) -> None:
    plot = catalog.plane(small)
    across, _ = bars(plot)
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
    path = catalog.trajectory(small).numbers.set_index("beta")
    rows = small.models.query("beta == 1")
    assert path.loc[1.0, "diversity_se"] == pytest.approx(
        rows.groupby("seed")["diversity"].mean().sem()
    )
    one = catalog.trajectory(plane.load(write_results(tmp_path, SMALL)))
    # means of two points
    assert one.numbers["diversity_se"].tolist() == pytest.approx([0.012 / np.sqrt(2)] * 6)
    assert bars(one)[0].tolist() == pytest.approx([*one.numbers["diversity_se"], 0.012])


def test_results_without_errors_have_no_bars(tmp_path: Path) -> None:
    results = plane.load(write_results(tmp_path, SMALL))
    for name in ("diversity_se", "recognizability_se"):
        del results.points[name]
    plot = catalog.plane(results)
    assert "bars" not in foot(plot) and not [
        c for c in plot.figure.axes[0].collections if isinstance(c, LineCollection)
    ]


# ---- colours

TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
VISION = {  # linear RGB as the eye without one kind of cone sees it (Machado et al. 2009)
    "three cones": np.eye(3),
    "no long": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no medium": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def lab(colour: Any, eye: str = "three cones") -> np.ndarray:
    """A colour in CIE Lab (D65)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISION[eye] @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least(colours: list[Any], eye: str = "three cones") -> float:
    """The least distance (delta E of 1976) of two of these colours; 2 is just seen, 10 at a
    glance.
    """
    return min(
        float(np.linalg.norm(lab(a, eye) - lab(b, eye)))
        for a, b in itertools.combinations(colours, 2)
    )


def test_the_distance_of_colours_is_that_of_the_standard() -> None:
    assert lab("white") == pytest.approx([100, 0, 0], abs=0.01) and lab("#FF0000") == pytest.approx(
        [53.24, 80.09, 67.20], abs=0.02
    )
    assert least(["white", "black"]) == pytest.approx(100, abs=0.01) and least(["#0072B2"] * 2) == 0


@pytest.mark.parametrize(
    ("eye", "families", "shades"),
    [("three cones", 20, 20), ("no long", 12, 12), ("no medium", 12, 12)],
)
def test_no_two_colours_of_a_figure_are_alike(eye: str, families: float, shades: float) -> None:
    assert least([*(colour for colour, _ in fs.FAMILIES), fs.VERMILLION, fs.BLACK], eye) > families
    for count in range(2, len(fs.ORDERED) + 1):
        norm = fs.shades(pd.Series(2.0 ** np.arange(count)))  # however unevenly they lie
        shown = [fs.ordered_colours()(float(norm(value))) for value in 2.0 ** np.arange(count)]
        assert least([*shown, fs.VERMILLION], eye) > shades, count
        # never lost on paper
        assert (np.diff([lab(colour, eye)[0] for colour in shown]) > 0).all() and lab(shown[-1])[
            0
        ] < 82
    assert len({*itertools.islice(fs.series(), 36)}) == 36
    assert LINES <= 8 and len(fs.ORDERED) >= MOST


def test_colours_that_tell_settings_apart_come_from_figures_as_drawn(tmp_path: Path) -> None:
    results = plane.load(
        write_results(tmp_path, grid(beta=[0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 4.0]))
    )
    for name, count in (("generalization", 8), ("plane", 8), ("trajectory", 8)):
        axes = catalog.FIGURES[name](results).figure.axes[0]
        lines = {to_hex(line.get_color()) for line in axes.lines if len(line.get_xdata()) == 100}
        clouds = [
            c
            for c in axes.collections
            if isinstance(c, PathCollection) and c.get_array() is not None
        ]
        dots = {to_hex(colour) for c in clouds for colour in c.to_rgba(c.get_array())}
        shown = (lines - {to_hex(fs.VERMILLION)}) if name == "generalization" else dots
        assert len(shown) == count and least(sorted(shown)) > 20, name


def test_shades_of_many_values_follow_the_values() -> None:
    many = pd.Series(np.arange(20.0))
    assert (
        float(fs.shades(many)(9.5)) == pytest.approx(0.5)
        and float(fs.shades(pd.Series([1.0, 2.0, 100.0]))(2.0)) == 0.5
    )
    assert fs.Ranks(np.array([1.0, 2.0, 100.0])).inverse(0.5) == 2.0


def test_plane_extends_for_points_outside_and_says_so(tmp_path: Path) -> None:
    results = plane.load(
        write_results(tmp_path, SMALL, where_is=lambda beta, **_: (2.0 + beta, 60.0))
    )
    plot = catalog.plane(results)
    assert plot.figure.axes[0].get_xlim()[1] > 6 and "diversity axis extended from 3.2" in foot(
        plot
    )


def test_plane_is_cut_where_all_lie_in_a_corner_and_says_so(tmp_path: Path) -> None:
    results = plane.load(
        write_results(tmp_path, SMALL, where_is=lambda beta, **_: (0.2 + beta / 100, 60.0))
    )
    plot = catalog.plane(results)
    assert plot.figure.axes[0].get_xlim()[1] in (
        0.8,
        1.6,
    ) and "diversity axis cut from 3.2" in foot(plot)


def test_plane_title_is_neutral_when_seeds_differ_more_than_settings(tmp_path: Path) -> None:
    results = plane.load(
        write_results(tmp_path, SMALL, seeds=3, noise=5, where_is=lambda **_: (2.0, 60.0))
    )
    assert catalog.plane(results).title == "No setting is nearer to people than seed noise allows"


def test_plane_without_people_or_models(tmp_path: Path) -> None:
    alone = plane.load(write_results(tmp_path, [], name="alone"))
    assert "no distance" in catalog.plane(alone).title
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0]), references=False, name="unmeasured")
    results = plane.load(folder)
    results.points[["human_distance", "human_diversity", "human_recognizability"]] = np.nan
    plot = catalog.plane(results)
    assert "no distance" in plot.title and not plot.figure.axes[0].patches


def test_families_differ_by_marker_and_name(small: Results) -> None:
    points = small.points.assign(
        model=np.where(small.points["time_steps"] == 90, "vae_ns", small.points["model"])
    )
    mixed = Results(points, small.classes, small.curves, small.axes, small.name, "", small.folder)
    axes = catalog.plane(mixed, "model").figure.axes[0]
    assert {"vae_ns", "vae_stn"} <= {t.get_text() for t in axes.texts}
    clouds = [
        c for c in axes.collections if isinstance(c, PathCollection) and len(c.get_offsets()) > 3
    ]
    assert len(clouds) == len({c.get_paths()[0].vertices.tobytes() for c in clouds}) == 2
    assert overlaps(catalog.plane(mixed)) == []


def test_trajectory_labels_ends_and_nearest(small: Results) -> None:
    plot = catalog.trajectory(small)
    assert plot.title.startswith("beta 0 to 4: diversity falls from") and list(
        plot.numbers["beta"]
    ) == [0, 0.5, 1, 2, 3, 4]
    shown = {t.get_text() for t in plot.figure.axes[0].texts}
    assert {"beta 0", "beta 4", "people"} <= shown and any("(nearest)" in text for text in shown)
    assert catalog.trajectory(small, "time_steps").numbers["time_steps"].tolist() == [20, 90]


# ---- effects, heat map, curves


def test_effects_have_a_panel_per_axis_and_metric(small: Results) -> None:
    plot = catalog.effects(small)
    assert len(plot.figure.axes) == 6 and plot.title.startswith("beta explains")
    row = plot.numbers.query("axis == 'beta' and metric == 'human_distance' and value == 1").iloc[0]
    assert (
        row["mean"] == pytest.approx(small.models.query("beta == 1")["human_distance"].mean())
        and row["n"] == 4
    )


def test_effects_of_words_are_not_joined(tmp_path: Path) -> None:
    settings = grid(protocol=["episodes", "expected"], beta=[0.0, 1.0])
    results = plane.load(write_results(tmp_path, settings))
    panel = catalog.effects(results).figure.axes[-2]
    assert [t.get_text() for t in panel.get_xticklabels()] == ["episodes", "expected"]
    assert panel.lines[0].get_linestyle() == "None"


def test_heatmap_cells_are_means_over_the_rest(small: Results) -> None:
    cells = catalog.heatmap(small).numbers.set_index("time_steps")
    assert cells.loc[20, "beta 0.5"] == pytest.approx(
        small.models.query("beta == .5 and time_steps == 20")["human_distance"].mean()
    )


def hatched(plot: catalog.Plot) -> int:
    return sum(bool(patch.get_hatch()) for patch in plot.figure.axes[0].patches)


def test_heatmap_of_a_grid_with_a_missing_cell_has_an_empty_cell(tmp_path: Path) -> None:
    full = plane.load(write_results(tmp_path, SMALL, name="full"))
    assert hatched(catalog.heatmap(full)) == 0 and "empty" not in foot(catalog.heatmap(full))
    for name, settings, failed in (("missing", SMALL[:-1], 0), ("failed", SMALL, 1)):
        plot = catalog.heatmap(
            plane.load(write_results(tmp_path, settings, failed=failed, name=name))
        )
        assert plot.numbers.set_index("time_steps").isna().sum(axis=None) == hatched(plot) == 1
        assert "1 of 12 cells is empty" in foot(plot) and "interact (" in plot.title
    tiny = plane.load(write_results(tmp_path, grid(beta=[0.0, 1.0], z=[10, 60])[:-1], name="tiny"))
    plot = catalog.heatmap(tiny)
    assert "1 of 4 cells is empty" in foot(plot) and plot.title.startswith(
        "beta and z: too few cells to say whether they interact"
    )
    assert overlaps(plot) == []


def test_heatmap_without_distances_gives_the_reason(small: Results) -> None:
    nowhere = dataclasses.replace(small, points=small.points.assign(human_distance=np.nan))
    with pytest.raises(AnalysisError, match="no two axes were crossed"):
        catalog.heatmap(nowhere)
    with pytest.raises(AnalysisError, match="no cell of beta and time_steps has a distance"):
        catalog.heatmap(nowhere, ("beta", "time_steps"))


def test_curves_show_at_most_sixteen_panels_and_dash_what_diverged(tmp_path: Path) -> None:
    results = plane.load(write_results(tmp_path, grid(beta=np.arange(17) / 4), diverged=1))
    plot = catalog.curves(results)
    shown = [panel for panel in plot.figure.axes if panel.axison]
    assert (
        len(shown) == 16
        and shown[-1].get_title("left") == "beta 4"
        and "16 of 17 values" in foot(plot)
    )
    assert "1 diverged" in plot.title and all(
        line.is_dashed() for line in shown[-1].lines if len(line.get_xdata()) > 1
    )
    assert max(max(line.get_xdata()) for line in shown[-1].lines) == 6  # the last finite epoch


def test_a_loss_is_still_falling_if_its_last_tenth_lies_lower() -> None:
    assert still_falling(np.linspace(200, 100, 100)) and not still_falling(
        np.r_[np.linspace(200, 100, 80), np.full(20, 100.0)]
    )


# ---- the sheet


def test_sheet_shows_what_the_store_holds(small: Results) -> None:
    plot = catalog.sheet(small)
    assert plot.numbers["block"].tolist() == ["nearest", "median", "farthest", "people"]
    kept = sheet.read_drawings(small, plot.numbers["sample_id"][0])
    assert kept is not None
    np.testing.assert_array_equal(
        kept.images[kept.label == 3], squiggles(plot.numbers["sample_id"][0], 3)
    )
    picture = np.asarray(plot.figure.axes[0].images[0].get_array())
    first = plot.numbers["classes"][0].split()[0]
    drawing = squiggles(plot.numbers["sample_id"][0], int(first[-2:]))[0]
    start = 16 + 16 // 3
    np.testing.assert_array_equal(picture[:16, start : start + 16] == 0, drawing == 1)


def test_sheet_names_what_is_missing(tmp_path: Path) -> None:
    folder = write_results(tmp_path, SMALL, drawings=squiggles)
    results = plane.load(folder)
    nearest = plane.extremes(results)["nearest"]["sample_id"]
    (tmp_path / "store" / "drawings" / nearest / "drawings.npz").write_bytes(b"cut off")
    assert "no drawings kept of: nearest" in foot(catalog.sheet(results))


def test_drawings_with_any_bit_flipped_are_shown_or_missing(tmp_path: Path) -> None:
    results = plane.load(
        write_results(
            tmp_path, grid(beta=[1.0]), drawings=lambda s, c: squiggles(s, c, count=2, size=8)
        )
    )
    sample = str(results.models["sample_id"].iloc[0])
    file = tmp_path / "store" / "drawings" / sample / "drawings.npz"
    good, rng = file.read_bytes(), np.random.default_rng(0)
    whole = sheet.read_drawings(results, sample)
    assert whole is not None
    missing = 0
    for _ in range(1500):
        at, bit = int(rng.integers(len(good))), int(rng.integers(8))
        file.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
        kept = sheet.read_drawings(results, sample)
        missing += kept is None
        assert kept is None or (
            np.array_equal(kept.images, whole.images) and kept.class_names == whole.class_names
        )
    assert missing > 500
    for cut in range(0, len(good), 97):
        file.write_bytes(good[:cut])
        assert sheet.read_drawings(results, sample) is None


def test_classes_of_the_sheet_are_the_same_for_all_and_spread() -> None:
    def drawn(names: list[str]) -> sheet.Drawn:
        return sheet.Drawn(np.empty((0, 1, 1)), np.empty(0), np.empty((0, 1, 1)), names)

    many = [f"c{i:03d}" for i in range(150)]
    chosen = sheet.shared_classes([drawn(many), drawn(many[10:])])
    assert len(chosen) == 12 and chosen[0] == "c010" and chosen[-1] == "c149"
    with pytest.raises(AnalysisError, match="different classes"):
        sheet.shared_classes([drawn(["a"]), drawn(["b"])])


# ---- the command


def test_help_is_short_and_needs_no_heavy_import() -> None:
    """In a process of its own, as are the table and the figures below, each once."""
    code = "import sys\nfrom oneshot.report.command import main\n"
    code += "try: main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(any(m in sys.modules for m in ('pandas', 'numpy', 'matplotlib', 'torch')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    text = done.stdout.splitlines()
    assert (
        done.returncode == 0
        and len(text) <= 60
        and max(map(len, text)) <= 80
        and "examples:" in text
    )
    assert "people, copies and noise stay" in " ".join(done.stdout.split())


def test_the_script_prints_the_table_and_draws(small: Results, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "analyze.py"),
        str(small.folder),
        "--where",
        "seed == 44 and beta < 1",
        "--figures",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, "--csv", str(tmp_path / "t.csv")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1 + 4 + 3 == 1 + len(
        pd.read_csv(tmp_path / "t.csv")
    ), done.stderr
    assert f"{tmp_path}/plane.png  " in done.stderr and (
        tmp_path / "plane.png"
    ).read_bytes().startswith(b"\x89PNG")


def test_command_prints_the_table_and_writes_files(small: Results, tmp_path: Path) -> None:
    files = [
        "--csv",
        tmp_path / "t.csv",
        "--parquet",
        tmp_path / "t.parquet",
        "--figures",
        tmp_path / "f",
    ]
    done = analyze(small.folder, "--where", "beta <= 1", *files)
    assert done.returncode == 0, done.stderr
    lines_ = done.stdout.splitlines()
    assert len(lines_) == 1 + 12 + 3 and "human_distance" in lines_[0] and "point_id" in lines_[0]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 12 + 3 and list(
        pd.read_parquet(tmp_path / "t.parquet")
    ) == list(small.points)
    # they have no beta, and stay
    assert set(pd.read_csv(tmp_path / "t.csv")["model"]) == {"vae_stn", "human", "copy", "noise"}
    for name in catalog.FIGURES:
        assert f"{name}.png  " in done.stderr  # and the finding
        assert (tmp_path / "f" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert ElementTree.parse(tmp_path / "f" / f"{name}.svg").getroot().tag.endswith("svg")
        assert len(pd.read_csv(tmp_path / "f" / f"{name}.csv")) > 0


def test_command_says_which_figures_cannot_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        catalog, "FIGURES", {name: catalog.FIGURES[name] for name in ("plane", "heatmap", "sheet")}
    )
    done = analyze(write_results(tmp_path, grid(beta=[1.0])))
    assert done.returncode == 0 and "no heatmap: no two axes were crossed" in done.stderr
    assert f"no sheet: no drawings are kept in {tmp_path}/store/drawings" in done.stderr
    assert (tmp_path / "vae_stn" / "figures" / "plane.svg").is_file()


def test_a_figure_that_breaks_costs_neither_the_others_nor_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(results: Results) -> catalog.Plot:
        raise ZeroDivisionError("by zero\nat some place")

    monkeypatch.setattr(catalog, "FIGURES", {"effects": breaks, "plane": catalog.plane})
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0]))
    done = analyze(folder)
    assert (
        done.returncode == 1
        and "no effects: an error while it was drawn (ZeroDivisionError: by zero" in done.stderr
    )
    assert (
        "plane.png  Nearest" in done.stderr
        and "Traceback" not in done.stderr
        and "ONESHOT_TRACEBACK=1" in done.stderr
    )
    with pytest.raises(ZeroDivisionError):
        analyze(folder, ONESHOT_TRACEBACK="1")


def test_a_filter_that_nothing_fulfils_prints_no_rows_and_draws_nothing(
    small: Results, tmp_path: Path
) -> None:
    done = analyze(small.folder, "--where", "beta > 100", "--figures", tmp_path / "f")
    assert (
        done.returncode == 0
        and len(done.stdout.splitlines()) == 1
        and done.stderr == "no row fulfils beta > 100\n"
    )
    assert not (tmp_path / "f").exists()


def test_command_prints_json_and_means_over_seeds(small: Results) -> None:
    done = analyze(
        small.folder,
        "--no-figures",
        "--json",
        "--over-seeds",
        "--where",
        "model == 'vae_stn'",
        "--top",
        2,
    )
    rows = json.loads(done.stdout)
    assert (
        [row["seeds"] for row in rows] == [2, 2]
        and rows[0]["human_distance"] <= rows[1]["human_distance"]
        and done.stderr == ""
    )


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
        # below a file nothing can be, whoever asks
        (["{}", "--no-figures", "--csv", f"{__file__}/t.csv"], "test_figures.py"),
        (["{}x"], "there is no folder"),
        ([], "RESULTS"),
    ],
)
def test_mistakes_are_answered_without_traceback(
    small: Results, arguments: list[str], told: str
) -> None:
    done = analyze(*(a.format(small.folder) for a in arguments))
    assert (
        done.returncode == 2
        and done.stderr.startswith("error: ")
        and told in done.stderr
        and "Traceback" not in done.stderr
    )


def test_traceback_can_be_asked_for(small: Results) -> None:
    with pytest.raises(AnalysisError):
        analyze(small.folder, "--sort", "nothing", ONESHOT_TRACEBACK="1")
