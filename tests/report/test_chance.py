"""Tests of differences and effects hold their level; the best of many equal models by luck."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scored_classes import scored_classes

from oneshot.report.analysis.chance import (
    alike_to_first,
    beats,
    contrast_p,
    difference_p,
    luck,
    seed_noise,
)
from oneshot.report.analysis.intervals import Mean, setting_means
from oneshot.report.analysis.nearest import luck_text, nearest
from oneshot.report.results import Results


def equal_models(seed: int, count: int = 5, seeds: int = 3, move: float = 0.0) -> Results:
    """Settings that differ by noise of trainings alone; the first lies higher by `move`."""
    rng = np.random.default_rng(seed)
    easy = 5 * rng.normal(size=(1, 30))
    tables = {
        float(i): 60 + easy + rng.normal(size=(seeds, 1)) + 0.5 * rng.normal(size=(seeds, 30))
        for i in range(count)
    }
    tables[0.0] = tables[0.0] + move
    return scored_classes(tables)


def means_of(results: Results) -> list[Mean]:
    return setting_means(results, "recognizability")


def test_equal_models_are_told_apart_no_more_often_than_chance_says() -> None:
    differ, effects = [], []
    for seed in range(120):
        results = equal_models(seed)
        means, noise = means_of(results), seed_noise(results, "recognizability")
        differ.append(difference_p(means[0], means[1], noise) < 0.05)
        effects.append(contrast_p(means, noise) < 0.05)
    assert np.mean(differ) < 0.11 and np.mean(effects) < 0.11


def test_a_model_that_differs_by_five_errors_is_found() -> None:
    found = []
    for seed in range(20):
        results = equal_models(seed, move=4.0)  # sd of a mean of three: 0.6
        means, noise = means_of(results), seed_noise(results, "recognizability")
        found.append((difference_p(means[0], means[1], noise), contrast_p(means, noise)))
    assert np.mean(np.array(found) < 0.05) > 0.9


def test_seed_noise_is_the_pooled_spread_within_settings() -> None:
    results = equal_models(0, count=40)
    rows = results.points.groupby("beta")["recognizability"]
    noise = seed_noise(results, "recognizability")
    assert noise.df == 80 and noise.sd == pytest.approx(np.sqrt(rows.var().mean()))
    assert seed_noise(equal_models(0, seeds=1)).df == 0


def test_with_one_seed_a_difference_is_tested_over_classes() -> None:
    rng = np.random.default_rng(0)
    easy = 9 * rng.normal(size=30)
    tables = {0.0: (60 + easy)[None], 1.0: (60.5 + easy + 0.2 * rng.normal(size=30))[None]}
    results = scored_classes({**tables, 2.0: 60 + 9 * rng.normal(size=(1, 30))})
    means, noise = means_of(results), seed_noise(results, "recognizability")
    gap = tables[1.0][0] - tables[0.0][0]
    t = gap.mean() / (gap.std(ddof=1) / np.sqrt(30))
    assert t > 10 and difference_p(means[0], means[1], noise) < 1e-6
    assert difference_p(means[0], means[2], noise) > 0.05
    assert beats(means[0], means[1], noise) and not beats(means[1], means[0], noise)
    assert alike_to_first(means, noise) == 1


def test_nothing_is_told_where_nothing_is_known_of_errors() -> None:
    results = scored_classes({0.0: np.array([[50.0]]), 1.0: np.array([[70.0]])})
    means, noise = means_of(results), seed_noise(results, "recognizability")
    assert np.isnan(difference_p(means[0], means[1], noise))
    assert np.isnan(contrast_p(means, noise)) and alike_to_first(means, noise) == 1
    assert luck(results) is None and luck_text(luck(results)) == ""


def test_the_best_of_equal_models_is_as_lucky_as_the_least_of_normal_numbers() -> None:
    results = equal_models(3, count=20)
    found, noise = luck(results), seed_noise(results)
    assert found is not None and found.settings == 20 and found.seeds
    mean = results.points.groupby("beta")["human_distance"].mean().mean()
    # of 20 normal numbers the least lies 1.8675 standard deviations below their mean
    assert found.expected == pytest.approx(mean - 1.8675 * noise.sd / np.sqrt(3), abs=0.01)
    # and in 1 of 20 cases beyond the quantile 1 - 0.95 ** (1 / 20) = 0.00256: 2.799
    assert found.limit == pytest.approx(mean - 2.799 * noise.sd / np.sqrt(3), abs=0.02)
    assert not found.beaten and "no nearer than luck" in luck_text(found)
    better = luck(equal_models(3, count=20, move=9.0))
    assert better is not None and better.beaten


def test_with_one_seed_luck_is_that_of_drawing_alone() -> None:
    results = equal_models(0, count=8, seeds=1)
    errors = dict(diversity_se=0.0, recognizability_se=1.35)
    made = dataclasses.replace(results, points=results.points.assign(**errors))
    found = luck(made)
    assert found is not None and not found.seeds
    # distances are almost those upwards: 13.5 per cent are 1; 1.4236: the least of eight
    mean = made.points["human_distance"].mean()
    assert found.expected == pytest.approx(mean - 1.4236 * 0.1, abs=0.01)
    assert "(noise of drawing alone)" in luck_text(found)


def test_the_nearest_knows_who_cannot_be_told_from_it() -> None:
    found = nearest(equal_models(5, count=6, move=0.0))
    assert found is not None and found.alike == 5 and not np.isfinite(found.noise)
    clear = nearest(equal_models(5, count=6, move=9.0))
    assert clear is not None and clear.alike == 0 and clear.setting["beta"] == 0
    assert clear.bounds[0] < clear.distance < clear.bounds[1]
