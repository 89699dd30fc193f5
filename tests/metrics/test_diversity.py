"""Diversity against a second implementation, and its error against repetitions."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from gaussian_drawings import clusters

from oneshot.metrics import diversity as div


def test_diversity_equals_a_loop_with_the_statistics_module():
    features, label, _ = clusters(4, 6, 5, 0.7)
    keep = np.delete(np.arange(len(label)), [1, 8, 9])  # uneven classes
    features, label = features[keep], label[keep]
    loop = [
        statistics.mean(statistics.stdev(features[label == c, d].tolist()) for d in range(5))
        for c in range(4)
    ]
    assert div.diversity(features, label) == pytest.approx(loop, rel=1e-12)


def test_diversity_knows_nothing_of_order_shift_or_rotation_of_axes_and_scales():
    features, label, _ = clusters(5, 8, 6, 1.0)
    base = div.diversity(features, label)
    order = np.random.default_rng(3).permutation(len(label))
    assert div.diversity(features[order], label[order]) == pytest.approx(base, rel=1e-12)
    assert div.diversity(3 * features[:, ::-1] + 100, label) == pytest.approx(3 * base, rel=1e-9)


def test_diversity_se_is_the_jackknife_of_independent_classes():
    features, label, _ = clusters(3, 5, 4, 1.0)
    variance = 0.0
    for c in range(3):
        rows = features[label == c]
        left_out = [np.delete(rows, i, axis=0).std(axis=0, ddof=1).mean() for i in range(5)]
        variance += 4 * np.var(left_out)
    assert div.diversity_se(features, label) == pytest.approx(math.sqrt(variance) / 3, rel=1e-10)


def test_diversity_se_covers_the_spread_over_repetitions():
    scores, errors = [], []
    for seed in range(200):
        features, label, _ = clusters(10, 12, 3, 1.0, seed)
        scores.append(div.diversity(features, label).mean())
        errors.append(div.diversity_se(features, label))
    # The spread of 200 scores is known to 1 / sqrt(400) = 5 %; 15 % is three of these.
    assert np.mean(errors) == pytest.approx(np.std(scores, ddof=1), rel=0.15)
    assert math.isnan(div.diversity_se(*clusters(3, 2, 4, 1.0)[:2]))


def test_diversity_refuses():
    features, label, _ = clusters(3, 4, 2, 1.0)
    with pytest.raises(
        ValueError, match=r"at least 2 drawings, but 1 of 3 classes .*class 2 has 1"
    ):
        div.diversity(features[:9], label[:9])
    with pytest.raises(ValueError, match="class 1 has 0"):
        div.diversity(features[label != 1], label[label != 1])
    with pytest.raises(ValueError, match="class 3 has 0"):
        div.diversity(features, label, classes=4)
    features[2, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 12 rows"):
        div.diversity(features, label)
    with pytest.raises(ValueError, match="one label per row"):
        div.diversity(features, label[:-1])
    with pytest.raises(ValueError, match="must be integers"):
        div.diversity(np.ones((12, 2)), label.astype(float))
