"""Originality against a loop, and refusing what it cannot measure."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from gaussian_drawings import clusters

from oneshot.metrics.originality import normaliser, originality, originality_se


def test_originality_equals_a_loop_and_its_scale_the_statistics_module():
    features, label, prototypes = clusters(3, 4, 5, 0.5)
    scale = statistics.mean(statistics.stdev(row) for row in features.tolist())
    assert normaliser(features) == pytest.approx(scale, rel=1e-12)
    values = originality(features, label, prototypes, scale)
    for row, c, value in zip(features, label, values):
        assert value == pytest.approx(
            math.dist(row / scale, prototypes[c] / scale) / math.sqrt(5), rel=1e-12
        )
    assert (originality(prototypes, np.arange(3), prototypes, scale) == 0).all()
    assert originality(
        7 * features, label, 7 * prototypes, normaliser(7 * features)
    ) == pytest.approx(values)


def test_the_standard_error_leaves_out_what_classes_differ_in():
    """It is the spread of the model's mean over repeated drawings from the same classes."""
    rng = np.random.default_rng(0)
    label, means = np.repeat(np.arange(15), 8), rng.uniform(0, 9, 15)  # classes far apart
    drawn = means[label] + rng.normal(0, 0.7, (4000, len(label)))
    spread = drawn.mean(1).std(ddof=1)
    errors = [originality_se(row, label) for row in drawn[:400]]
    assert np.mean(errors) == pytest.approx(spread, rel=0.05)
    assert spread == pytest.approx(0.7 / math.sqrt(len(label)), rel=0.05)
    unequal = originality_se([0.0, 2.0, 5.0, 6.0, 7.0], [0, 0, 1, 1, 1])
    assert unequal == pytest.approx(math.sqrt(2 / 2 + 1 / 3) / 2)
    with pytest.raises(ValueError, match="at least 2 drawings"):
        originality_se([1.0, 2.0, 3.0], [0, 0, 1])


def test_originality_refuses():
    with pytest.raises(ValueError, match="scale is 0"):
        normaliser(np.ones((4, 3)))
    with pytest.raises(ValueError, match="2 dimensions"):
        normaliser(np.ones((4, 1)))
    with pytest.raises(ValueError, match="positive, given 0"):
        originality(np.ones((2, 3)), np.arange(2), np.ones((2, 3)), 0.0)
    with pytest.raises(ValueError, match=r"\[C, 3\]"):
        originality(np.ones((2, 3)), np.arange(2), np.ones((2, 4)), 1.0)
