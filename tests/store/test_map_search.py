"""What --refine chooses on made planes: the map of the whole grid is known with fewer points."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import small

sys.path.insert(0, str(small.ROOT))

from benchmarks import map_orders
from oneshot.store.map_search import Known, axis_weights, choose
from oneshot.sweep.ordering import spread_order

LINE = np.linspace(0, 1, 21)[:, None]


def test_a_step_is_found_by_halving_it() -> None:
    """Of a line with one steep place, most choices lie there."""
    places = np.where(LINE > 0.62, 3.0, 0.0)
    rows = [0, 5, 10, 15, 20]
    free = [i for i in range(21) if i not in rows]
    known = Known(LINE[rows], places[rows], places[rows, 0])
    chosen = [c for c in choose(known, LINE[free], 4) if not c.for_best]
    assert free[chosen[0].candidate] in (12, 13)
    assert sorted(known.at[list(chosen[0].between)].ravel()) == [0.5, 0.75]
    assert chosen[0].apart == 3.0
    # the next one is not where the first one is
    assert len({c.candidate for c in choose(known, LINE[free], 16)}) == 16


def test_one_in_eight_goes_to_where_the_best_is_expected() -> None:
    values = np.abs(LINE[:, 0] - 0.3)
    rows = [0, 4, 8, 12, 16, 20]
    free = [i for i in range(21) if i not in rows]
    known = Known(LINE[rows], values[rows, None], values[rows])
    chosen = choose(known, LINE[free], 9)
    assert [c.for_best for c in chosen] == [False] * 7 + [True, False]
    place = LINE[free[chosen[7].candidate], 0]
    assert abs(place - 0.3) <= 0.15 and chosen[7].expected < 0.2


def test_where_something_diverged_nothing_is_chosen_beside_it_for_being_far_from_rows() -> None:
    rows, tried = [0, 1, 2, 3], [18]
    places = np.zeros((4, 1))
    known = Known(LINE[rows], places, places[:, 0])
    free = [i for i in range(21) if i not in [*rows, *tried]]
    assert free[choose(known, LINE[free], 1)[0].candidate] == 20
    assert 9 <= free[choose(known, LINE[free], 1, LINE[tried])[0].candidate] <= 12


def test_an_axis_without_influence_weighs_less() -> None:
    at = np.random.default_rng(1).random((60, 3))
    places = np.stack([4 * at[:, 0], at[:, 1]], 1)
    weight = axis_weights(Known(at, places, places[:, 0]))
    assert weight[0] == 1.0 and weight[1] < 0.6 and weight[2] < 0.45
    assert axis_weights(Known(at[:7], places[:7], places[:7, 0])).tolist() == [1.0] * 3
    still = np.zeros((60, 2))
    assert axis_weights(Known(at, still, still[:, 0])).tolist() == [1.0] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plane", "most"), [(map_orders.front, 0.92), (map_orders.without_z, 0.85)]
)
def test_the_map_of_the_published_grid_is_known_early(plane: map_orders.Plane, most: float) -> None:
    """128 points in each order, of 2,176; the errors are in units of the plane."""
    at = map_orders.grid(map_orders.SHAPE)
    true, spread = plane(at), spread_order(at)
    errors: dict[str, list[float]] = {"product": [], "chance": [], "spread": [], "refined": []}
    for seed in (1, 2, 3):
        noise = map_orders.NOISE * np.random.default_rng(seed).normal(size=true.shape)
        some = {
            "product": list(range(128)),
            "chance": np.random.default_rng(seed).permutation(len(at))[:128].tolist(),
            "spread": spread[:128],
            "refined": map_orders.refined_order(at, true + noise, 64, 16, 128),
        }
        for name, ran in some.items():
            errors[name].append(map_orders.map_error(at, true, true + noise, ran))
    mean = {name: float(np.mean(found)) for name, found in errors.items()}
    assert mean["spread"] < 0.25 < mean["product"]
    assert mean["spread"] < 0.8 * mean["chance"] and mean["product"] > 10 * mean["spread"]
    assert mean["refined"] < most * mean["spread"]


def test_the_count_of_points_is_that_of_the_first_error_small_enough() -> None:
    order = list(range(200))
    assert map_orders.points_needed(order, lambda ran: 10.0 / len(ran), [0.5, 0.2]) == [20, 52]
    assert map_orders.points_needed(order, lambda ran: 1.0, [0.5, 0.2]) == [200, 200]


def test_a_small_grid_is_mapped_with_fewer_points_by_the_spread_order() -> None:
    found = map_orders.counts((7, 4, 5), map_orders.smooth, 1)
    assert found["spread"][0] < 40 < found["product"][0] <= 140
