"""Hits of modes: closed forms, and a plain second implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oneshot.metrics import modes

SIGMA, RADIUS = 0.05 / math.sqrt(2), math.sqrt(2)
ANGLES = math.pi / 2 - math.pi / 4 * np.arange(8)
CENTRES = RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
OWNER = np.arange(8)
COUNT = 200_000


def drawn(which: list[int], count: int = COUNT) -> np.ndarray:
    """Points of some of the eight modes."""
    rng = np.random.default_rng(0)
    return CENTRES[rng.choice(which, count)] + SIGMA * rng.normal(size=(count, 2))


def hits(points: np.ndarray, sigmas: float) -> np.ndarray:
    return modes.hits(modes.places(points, CENTRES, OWNER), sigmas * SIGMA, 8)


def test_a_mode_s_own_points_hit_it_as_the_closed_form_says() -> None:
    """1 - exp(-r^2 / 2) of a Gaussian of the plane."""
    points = drawn([3])
    for sigmas, share in ((3, 0.98889), (4, 0.99966)):
        assert 1 - math.exp(-(sigmas**2) / 2) == pytest.approx(share, abs=1e-5)
        assert hits(points, sigmas)[3] == pytest.approx(share, abs=1e-3)


def test_the_whole_mixture_hits_each_mode_by_an_eighth_and_seven_modes_never_the_eighth() -> None:
    whole = hits(drawn(list(range(8))), 3)
    np.testing.assert_allclose(whole, 0.98889 / 8, atol=0.003)
    seven = hits(drawn([0, 1, 2, 4, 5, 6, 7]), 4)
    assert seven[3] == 0 and modes.covered(seven) == 7


def test_a_ring_hits_each_mode_by_its_share_of_the_circle() -> None:
    """Twice the angle 2 asin(r sigma / 2 R) within r sigma of a centre, over the whole circle."""
    angle = 2 * math.pi * (np.arange(COUNT) + 0.5) / COUNT
    ring = RADIUS * np.stack([np.cos(angle), np.sin(angle)], 1)
    for sigmas, share in ((3, 0.02388), (4, 0.03184)):
        closed = 4 * math.asin(sigmas * SIGMA / (2 * RADIUS)) / (2 * math.pi)
        assert closed == pytest.approx(share, abs=1e-5)
        np.testing.assert_allclose(hits(ring, sigmas), closed, atol=5e-5)
    assert modes.radius_error(ring, RADIUS) == pytest.approx(0, abs=1e-12)
    assert modes.radius_error(1.5 * ring, RADIUS) == pytest.approx(RADIUS / 2)


def test_chords_between_kept_modes_never_come_near_the_removed_one() -> None:
    kept = [0, 1, 2, 4, 5, 6, 7]
    rng = np.random.default_rng(1)
    one, other = drawn(kept), rng.permutation(drawn(kept))
    share = rng.random((COUNT, 1))
    chords = share * one + (1 - share) * other
    assert hits(chords, 4)[3] == 0
    assert modes.off_share(modes.places(chords, CENTRES, OWNER), 4 * SIGMA) == pytest.approx(
        0.725, abs=0.005
    )
    least = modes.least_distances(chords, CENTRES, OWNER)
    assert least[3] > 8 * SIGMA and least[0] < SIGMA
    # the middle of the two neighbours is 11.7 sigma short of the removed centre
    middle = (CENTRES[2] + CENTRES[4]) / 2
    assert modes.least_distances(middle[None], CENTRES, OWNER)[3] / SIGMA == pytest.approx(
        11.7, abs=0.05
    )


def test_the_distance_of_the_shares_counts_collapse_and_what_lies_off() -> None:
    even = np.full(8, 1 / 8)
    assert modes.mode_distance(even, even) == 0 and modes.mode_distance(0 * even, even) == 1
    assert modes.mode_distance(np.eye(8)[2], even) == pytest.approx(7 / 8)
    assert modes.mode_distance(0.75 * even, even) == pytest.approx(0.25)
    whole = hits(drawn(list(range(8))), 3)
    assert modes.mode_distance(whole, even) == pytest.approx(0.0111, abs=0.003)


def test_a_curve_of_many_centres_is_one_mode() -> None:
    centres = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [2.0, 3.0]])
    where = modes.places([[0.9, 0.1], [2.0, 2.0], [5.0, 0.0]], centres, [0, 0, 0, 1])
    assert where.mode.tolist() == [0, 1, 0] and where.distance[1:].tolist() == [1.0, 3.0]
    assert modes.hits(where, 1.0, 2).tolist() == pytest.approx([1 / 3, 1 / 3])
    assert modes.shares(where, 2).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert modes.off_share(where, 1.0) == pytest.approx(1 / 3)


def test_places_are_those_of_a_plain_loop_at_any_number_of_points() -> None:
    rng = np.random.default_rng(2)
    points, centres = rng.normal(size=(57, 2)), rng.normal(size=(11, 2))
    where = modes.places(points, centres, np.arange(11))
    for point, mode, distance in zip(points, where.mode, where.distance):
        each = [math.dist(point, centre) for centre in centres]
        assert mode == int(np.argmin(each)) and distance == pytest.approx(min(each))
    least = modes.least_distances(points, centres, np.arange(11))
    np.testing.assert_allclose(
        least, [min(math.dist(point, centre) for point in points) for centre in centres]
    )
    with pytest.raises(ValueError, match="NaN"):
        modes.places([[math.nan, 0]], centres, np.arange(11))


def test_distances_to_training_points_are_in_multiples_of_real_ones() -> None:
    train, held_out, others = drawn([0], 400), drawn([0], 900)[400:], drawn([1], 100)
    assert modes.nearest_ratio(held_out, train, held_out) == pytest.approx(1.0)
    assert modes.nearest_ratio(train[:50], train, held_out) == 0
    assert modes.nearest_ratio(others, train, held_out) > 100
    # of 400 points of a mode a fresh one is 0.115 sigma away on average
    rng = np.random.default_rng(5)
    fresh = CENTRES[0] + SIGMA * rng.normal(size=(4000, 2))
    assert modes.nearest_distance(fresh, train) / SIGMA == pytest.approx(0.115, abs=0.01)
