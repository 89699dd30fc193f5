"""Fisher's exact test against a count of all ways, and what is said of classes left out."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import grid, write_results

from oneshot.report.analysis.removed import first_axis, fisher_tail, hits_by_class
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import removed
from oneshot.report.results import Results, load


def by_counting(hits: int, drawings: int, false: int, real: int) -> float:
    """The share of the ways to choose which images are taken, that give so many hits or more."""
    ways = list(itertools.combinations(range(drawings + real), hits + false))
    return sum(sum(i < drawings for i in way) >= hits for way in ways) / len(ways)


@pytest.mark.parametrize(
    ("hits", "drawings", "false", "real"), [(0, 5, 0, 5), (3, 5, 1, 6), (5, 6, 0, 8), (1, 4, 4, 5)]
)
def test_the_exact_test_by_counting(hits: int, drawings: int, false: int, real: int) -> None:
    expected = by_counting(hits, drawings, false, real)
    assert fisher_tail(hits, drawings, false, real) == pytest.approx(expected, rel=1e-9)


def test_the_exact_test_of_many() -> None:
    assert fisher_tail(0, 10_000, 20, 1_350) == pytest.approx(1)
    assert fisher_tail(5_000, 10_000, 0, 1_350) < 1e-200
    # as many as real images have: about one half
    assert fisher_tail(100, 10_000, 10, 1_000) == pytest.approx(0.5, abs=0.1)


def results_of(folder: Path, hits: dict[str, tuple[float, float]]) -> Results:
    """Results of greys: by split the hits at beta 0 and 1, of 1,000 drawings; one per cent null."""
    results = load(write_results(folder, grid(beta=[0.0, 1.0], split=list(hits)), seeds=2))
    points = results.requested.copy()
    points["hits_missing"] = [
        hits[split][int(beta)] for split, beta in zip(points["split"], points["beta"])
    ]
    points["false_hits"], points["drawings"], points["dataset"] = 0.01, 1000, "mnist"
    points["class_entropy"] = 0.5
    points[["diversity", "recognizability", "human_distance"]] = math.nan
    names = [f"digit {split[-1]}" for split in points["split"]]
    predicted = pd.DataFrame(
        dict(point_id=points["point_id"], class_name=names, left_out=1, real_images=1350)
    )
    return dataclasses.replace(results, points=points, predicted=predicted, axes=["beta", "split"])


def test_hits_beside_their_null(tmp_path: Path) -> None:
    results = results_of(tmp_path, {"without_3": (0.01, 0.2), "without_7": (0.0, 0.012)})
    assert first_axis(results) == "beta"
    table = hits_by_class(results).set_index(["class_name", "beta"])
    assert (table["points"] == 2).all() and (table["drawings"] == 2000).all()
    assert table["above"].to_dict() == {
        ("digit 3", 0.0): False,
        ("digit 3", 1.0): True,
        ("digit 7", 0.0): False,
        ("digit 7", 1.0): False,
    }
    assert table.loc[("digit 7", 0.0), "p"] == pytest.approx(1)
    expected = fisher_tail(20, 2000, 14, 1350)
    assert table.loc[("digit 3", 0.0), "p"] == pytest.approx(expected)
    plot = removed.draw(results)
    assert plot.title.startswith("1 of 2 classes left out is drawn more often")
    assert "digit 3 most, 0.200" in plot.title
    assert len(plot.numbers) == 4


def test_titles_without_hits(tmp_path: Path) -> None:
    plot = removed.draw(results_of(tmp_path / "a", {"without_3": (0.0, 0.0)}))
    assert plot.title.startswith("The class left out is drawn no more often")
    plot = removed.draw(
        results_of(tmp_path / "b", {"without_3": (0.0, 0.01), "without_4": (0.0, 0.0)})
    )
    assert plot.title.startswith("No class left out is drawn more often")


def test_nothing_left_out_is_an_error(tmp_path: Path) -> None:
    results = results_of(tmp_path, {"without_3": (0.0, 0.0)})
    kept = results.predicted.assign(left_out=0)
    with pytest.raises(AnalysisError, match="no class was left out"):
        hits_by_class(dataclasses.replace(results, predicted=kept))


def test_what_was_shown_a_few_times_does_not_count_as_left_out(tmp_path: Path) -> None:
    results = results_of(tmp_path, {"without_3": (0.2, 0.3), "without_7": (0.0, 0.3)})
    points = results.points.rename(columns={"beta": "shots"})
    shown = dataclasses.replace(results, points=points, axes=["split", "z", "shots"])
    assert first_axis(shown) == "shots"
    plot = removed.draw(shown)
    assert plot.title.startswith("Without shots, 1 of 2 classes left out is drawn more often")
    assert "digit 3 most, 0.200" in plot.title and set(plot.numbers["shots"]) == {0.0, 1.0}
