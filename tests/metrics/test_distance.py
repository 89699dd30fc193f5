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
    with pytest.raises(ValueError, match="units"):
        human_distance(1.0, 90.0, 1.286, 97.56, unit_diversity=0.0)
    with pytest.raises(ValueError, match="human point"):
        human_distance(1.0, 90.0, 0.0, 97.56)
    with pytest.raises(ValueError, match="human point"):
        human_distance(1.0, 90.0, math.nan, 97.56)


@pytest.mark.parametrize("scale", [0.1, 0.4, 7.0])
def test_the_distance_does_not_depend_on_the_scale_of_a_critics_features(scale: float):
    models = np.array([0.0, 0.3, 1.286, 1.81, 2.6])
    percent = np.array([100.0, 79.0, 97.56, 5.0, 36.0])
    published = human_distance(models, percent, 1.286, 97.56)
    assert human_distance(scale * models, percent, scale * 1.286, 97.56) == pytest.approx(published)


def test_copies_and_noise_are_far_from_people_with_every_critic():
    """Copies are always recognised and never differ: 1 / 0.603 from people, whatever the critic."""
    copies = human_distance(0.0, 100.0, 0.37, 96.0)
    assert copies == pytest.approx(math.hypot(1.286 / 0.775, 4 / 13.5)) and copies > 1.6
    assert human_distance(0.37, 5.0, 0.37, 96.0) > 6
