"""The distance to people's point gives the published extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oneshot.metrics.distance import human_distance


def test_human_distance_gives_the_published_extremes():
    # Boutin et al. 2022: the human point (1.286, 97.56 %), and the base models as read from the
    # figure.
    assert human_distance(1.286, 97.56, 1.286, 97.56) == 0
    assert human_distance(1.286 + 0.775, 97.56 - 13.5, 1.286, 97.56) == pytest.approx(math.sqrt(2))
    table = human_distance(np.array([2.053, np.nan]), np.array([74.9, 80.0]), 1.286, 97.56)
    assert table[0] == pytest.approx(
        math.dist((2.053 / 0.775, 74.9 / 13.5), (1.286 / 0.775, 97.56 / 13.5))
    )
    assert np.isnan(table[1])
    with pytest.raises(ValueError, match="sigmas"):
        human_distance(1.0, 90.0, 1.286, 97.56, sigma_diversity=0.0)
    with pytest.raises(ValueError, match="human point"):
        human_distance(1.0, 90.0, math.nan, 97.56)
