"""The sheet of drawings, and the drawings as the store keeps them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from figure_checks import foot
from synthetic_results import grid, squiggles, write_results

from oneshot.report.analysis.drawings import Drawings, read_drawings
from oneshot.report.analysis.plane import extremes
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import sheet
from oneshot.report.results import Results, load

SMALL = grid(beta=[0.0, 0.5, 1.0, 2.0, 3.0, 4.0], time_steps=[20, 90])


def test_sheet_shows_what_the_store_holds(small: Results) -> None:
    plot = sheet.draw(small)
    assert plot.numbers["block"].tolist() == ["nearest", "median", "farthest", "people"]
    kept = read_drawings(small, plot.numbers["sample_id"][0])
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
    results = load(folder)
    nearest = extremes(results)["nearest"]["sample_id"]
    (tmp_path / "store" / "drawings" / nearest / "drawings.npz").write_bytes(b"cut off")
    assert "no drawings kept of: nearest" in foot(sheet.draw(results))


def test_drawings_with_any_bit_flipped_are_shown_or_missing(tmp_path: Path) -> None:
    results = load(
        write_results(
            tmp_path, grid(beta=[1.0]), drawings=lambda s, c: squiggles(s, c, count=2, size=8)
        )
    )
    sample = str(results.models["sample_id"].iloc[0])
    file = tmp_path / "store" / "drawings" / sample / "drawings.npz"
    good, rng = file.read_bytes(), np.random.default_rng(0)
    whole = read_drawings(results, sample)
    assert whole is not None
    missing = 0
    for _ in range(1500):
        at, bit = int(rng.integers(len(good))), int(rng.integers(8))
        file.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
        kept = read_drawings(results, sample)
        missing += kept is None
        assert kept is None or (
            np.array_equal(kept.images, whole.images) and kept.class_names == whole.class_names
        )
    assert missing > 500
    for cut in range(0, len(good), 97):
        file.write_bytes(good[:cut])
        assert read_drawings(results, sample) is None


def test_classes_of_the_sheet_are_the_same_for_all_and_spread() -> None:
    def drawn(names: list[str]) -> Drawings:
        return Drawings(np.empty((0, 1, 1)), np.empty(0), np.empty((0, 1, 1)), names)

    many = [f"c{i:03d}" for i in range(150)]
    chosen = sheet.classes_to_show([drawn(many), drawn(many[10:])])
    assert len(chosen) == 12 and chosen[0] == "c010" and chosen[-1] == "c149"
    with pytest.raises(AnalysisError, match="different classes"):
        sheet.classes_to_show([drawn(["a"]), drawn(["b"])])


def greys(root: Path, names: list[str], hits: float = 0.2) -> Results:
    """Results of two settings of greys; drawing i of a point has the grey i in every pixel."""
    results = load(write_results(root, grid(beta=[0.0, 1.0]), references=False))
    points = results.points.copy()
    points[["diversity", "recognizability", "human_distance"]] = np.nan
    points["hits_missing"], points["false_hits"] = [0.01, hits], 0.003
    for sample in points["sample_id"]:
        images = np.arange(200, dtype=np.uint8).repeat(64).reshape(200, 8, 8, 1)
        label = np.arange(len(names)).repeat(200 // len(names))
        exemplars = np.full((len(names), 8, 8, 1), 250, np.uint8)
        (folder := root / "store" / "drawings" / sample).mkdir(parents=True)
        np.savez(
            folder / "drawings.npz",
            images=images,
            exemplars=exemplars,
            label=label,
            class_names=np.array(names),
        )
    return dataclasses.replace(results, points=points)


def test_greys_are_shown_as_they_are(tmp_path: Path) -> None:
    plot = sheet.draw(greys(tmp_path, [f"class {c}" for c in range(10)]))
    assert plot.title == "Drawings in what was left out: most 0.200, fewest 0.010"
    assert plot.numbers["block"].tolist() == ["most hits", "fewest hits"]
    picture = np.asarray(plot.figure.axes[0].images[0].get_array()).squeeze()
    first = 8 + 8 // 3
    assert picture[0, 0] == pytest.approx(250 / 255)
    # the second line is the second class, which begins with drawing 20
    assert picture[9, first] == pytest.approx(20 / 255)
    assert picture[9, first + 9] == pytest.approx(21 / 255)
    panel = plot.figure.axes[0].get_title(loc="left")
    assert "hits 0.200, of other real images 0.003" in panel


def test_drawings_for_no_class_fill_lines(tmp_path: Path) -> None:
    plot = sheet.draw(greys(tmp_path, [""]))
    assert "the first drawings, for no class" in foot(plot)
    picture = np.asarray(plot.figure.axes[0].images[0].get_array()).squeeze()
    shown = picture[::9, ::9][:12, :10]
    np.testing.assert_allclose(shown, np.arange(120).reshape(12, 10) / 255)
