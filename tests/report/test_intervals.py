"""Intervals of means over classes and seeds: coverage, and a second implementation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from figure_checks import analyze
from scored_classes import HUMAN, scored_classes

from oneshot.metrics.bootstrap import interval
from oneshot.metrics.distance import human_distance
from oneshot.report.analysis.intervals import Mean, Scores, setting_means, with_intervals
from oneshot.report.analysis.resampling import class_weights, seed_weights
from oneshot.report.results import Results


def mean_of(table: np.ndarray, metric: str = "recognizability") -> Mean:
    results = scored_classes({1.0: table})
    return Scores(results, results.points).mean(metric, np.arange(len(table)))


def made_table(rng: np.random.Generator, seeds: int, classes: int, **sd: float) -> np.ndarray:
    """A mean of 50 with effects of seeds, of classes, and of both together."""
    return (
        50
        + sd.get("seed", 0) * rng.normal(size=(seeds, 1))
        + sd.get("of_class", 0) * rng.normal(size=(1, classes))
        + sd.get("both", 0) * rng.normal(size=(seeds, classes))
    )


@pytest.mark.parametrize(
    ("seeds", "classes", "sd"),
    [
        (1, 40, dict(of_class=6.0, both=3.0)),
        (3, 40, dict(of_class=4.0, seed=2.0, both=1.0)),
        (3, 40, dict(seed=3.0)),
        (2, 40, dict(seed=3.0, of_class=1.0)),
        (6, 20, dict(seed=2.0, of_class=8.0)),
    ],
)
def test_intervals_cover_the_mean_as_often_as_they_say(seeds: int, classes: int, sd: dict) -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(150):
        low, high = mean_of(made_table(rng, seeds, classes, **sd)).bounds("recognizability")
        inside.append(low <= 50 <= high)
    assert np.mean(inside) > 0.88


def test_an_interval_is_that_of_a_loop_over_draws() -> None:
    table = made_table(np.random.default_rng(2), 3, 12, seed=1.0, of_class=4.0, both=1.0)
    found = mean_of(table)
    loop = [
        (s[:, None] * c[None, :] * table).sum() / (s.sum() * c.sum())
        for s, c in zip(seed_weights(3), class_weights(12))
    ]
    assert found.draws == pytest.approx(np.array(loop)) and found.value == pytest.approx(
        table.mean()
    )
    assert found.by_seed == pytest.approx(table.mean(axis=1)) and found.classes == 12


def test_missing_cells_weigh_nothing() -> None:
    table = made_table(np.random.default_rng(2), 2, 12, of_class=4.0, both=1.0)
    results = scored_classes({1.0: table})
    kept = ~(
        (results.classes["point_id"] == "made-1.0-0")
        & (results.classes["class_name"] == "class003")
    )
    found = setting_means(
        dataclasses.replace(results, classes=results.classes[kept]), "recognizability"
    )
    centred = table.copy()
    centred[0, 3] = np.nan
    moved = centred - np.nanmean(centred, axis=1, keepdims=True)
    by_hand = []
    for c in class_weights(12):
        rows = [np.nansum(c * row) / c[~np.isnan(row)].sum() for row in moved]
        by_hand.append(np.mean(rows) + table.mean())
    assert found[0].class_draws == pytest.approx(np.array(by_hand))


def test_one_seed_of_one_class_has_no_interval_and_equal_seeds_a_short_one() -> None:
    assert np.isnan(mean_of(np.array([[50.0]])).bounds("recognizability")).all()
    assert mean_of(np.full((2, 5), 50.0)).bounds("recognizability") == pytest.approx((50, 50))


def test_an_interval_holds_its_mean_and_ends_where_the_metric_does() -> None:
    low, high = mean_of(np.array([[100.0] * 9 + [60.0], [100.0] * 10])).bounds("recognizability")
    assert low < 98 < high <= 100


def test_a_distance_is_computed_anew_from_each_draw_with_people_fixed() -> None:
    table = made_table(np.random.default_rng(3), 1, 15, of_class=9.0)
    found = mean_of(table, "human_distance")
    up = class_weights(15) @ table[0] / 15
    assert found.class_draws == pytest.approx(human_distance(1.0, up, *HUMAN))
    assert mean_of(table, "diversity_ratio").bounds("diversity_ratio") == pytest.approx(
        [1 / 1.3] * 2
    )


def test_a_seed_that_lacks_a_setting_does_not_widen_the_mean_over_settings() -> None:
    rng = np.random.default_rng(4)
    tables = {b: made_table(rng, 3, 20, seed=0.1) + 30 * b for b in (0.0, 1.0)}
    whole = scored_classes(tables)
    lacking = dataclasses.replace(
        whole, points=whole.points[whole.points["point_id"] != "made-1.0-2"]
    )
    for results, width in ((whole, 2.0), (lacking, 3.0)):
        rows = results.points
        low, high = Scores(results, rows).mean("recognizability", np.arange(len(rows))).bounds("")
        assert high - low < width


def test_metrics_that_are_not_scored_by_class_have_intervals_over_seeds(loaded: Results) -> None:
    table = with_intervals(loaded)
    models = table[(table["model"] == "vae_stn") & (table["seeds"] > 2)]
    for metric in ("human_distance", "diversity", "diversity_ratio", "generalization_area"):
        assert (models[f"{metric}_low"] <= models[metric]).all()
        assert (models[metric] <= models[f"{metric}_high"]).all()
        assert (models[f"{metric}_high"] - models[f"{metric}_low"] > 0).all()
    people = table[table["model"] == "human"].iloc[0]
    assert np.isnan(people["human_distance_low"]) and people["diversity_low"] < people["diversity"]
    assert np.isnan(people["generalization_area_low"]), "one seed, not by class"


def test_the_table_over_seeds_has_intervals_beside_means_and_errors(loaded: Results) -> None:
    done = analyze(loaded.folder, "--over-seeds", "--no-figures", "--where", "model == 'vae_stn'")
    header = done.stdout.splitlines()[0].split()
    for name in ("human_distance", "diversity", "recognizability", "originality"):
        places = [header.index(f"{name}{end}") for end in ("", "_low", "_high", "_se")]
        assert places == sorted(places)
    row = dict(zip(header, done.stdout.splitlines()[1].split()))
    assert float(row["diversity_low"]) < float(row["diversity"]) < float(row["diversity_high"])
    assert len(row["diversity_low"].split(".")[1]) == 3


@pytest.mark.parametrize(("seeds", "classes"), [(1, 60), (3, 40), (6, 20), (4, 1)])
def test_intervals_agree_with_those_of_the_metric(seeds: int, classes: int) -> None:
    rng = np.random.default_rng(seeds)
    table = made_table(rng, seeds, classes, seed=2.0, of_class=5.0, both=2.0)
    low, high = mean_of(table).bounds("recognizability")
    other = interval(table)
    width = other.high - other.low
    assert width > 1
    assert low == pytest.approx(other.low, abs=0.12 * width)
    assert high == pytest.approx(other.high, abs=0.12 * width)
