"""Originality against a loop, and refusing what it cannot measure."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from gaussian_drawings import clusters

from oneshot.metrics.originality import normaliser, originality


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


def test_originality_refuses():
    with pytest.raises(ValueError, match="scale is 0"):
        normaliser(np.ones((4, 3)))
    with pytest.raises(ValueError, match="2 dimensions"):
        normaliser(np.ones((4, 1)))
    with pytest.raises(ValueError, match="positive, given 0"):
        originality(np.ones((2, 3)), np.arange(2), np.ones((2, 3)), 0.0)
    with pytest.raises(ValueError, match=r"\[C, 3\]"):
        originality(np.ones((2, 3)), np.arange(2), np.ones((2, 4)), 1.0)
