"""The order in which points run: as the sweep file gives them, or spread over the grid.

No id depends on it. In the spread order each point is the one farthest from all before it, so that
the first points of any number cover the grid, corners and edges included. On a grid of three axes
a map interpolated from so many points is nearer to the whole than with Sobol's sequence
(`benchmarks/map_orders.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oneshot.sweep.definition import Sweep
from oneshot.sweep.point import Point
from oneshot.sweep.positions import cells_of, positions

# distances are compared as whole numbers, so that every machine breaks ties alike
RESOLUTION = 10_000
# distances that may be computed: a second or two; larger sweeps are spread as far as this goes
MOST_DISTANCES = 100_000_000


def in_run_order(sweep: Sweep, everything: Sequence[Point], to_run: Sequence[Point]) -> list[Point]:
    """Points in the order in which they run.

    Args:
        sweep: whose `order` says which.
        everything: all points of the sweep. Their places do not depend on what has run.
        to_run: those of them that are sorted.

    Returns:
        References first. In the spread order all points of the first seed follow, then those of the
        next one.
    """
    if sweep.order == "product":
        return list(to_run)
    cells = cells_of(sweep, everything)
    order = spread_order(positions([points[0] for points in cells], sweep.axes))
    seeds = {seed: number for number, seed in enumerate(sweep.seed_list())}
    place = {p.point_id: (seeds[p.seed], i) for i, cell in enumerate(order) for p in cells[cell]}
    return sorted(to_run, key=lambda p: place.get(p.point_id, (-1, 0)))


def spread_order(places: np.ndarray) -> list[int]:
    """The order in which each place is the one farthest from all before it.

    >>> spread_order(np.array([[0.0], [0.25], [0.5], [0.75], [1.0]]))
    [2, 0, 4, 1, 3]

    Args:
        places: float64 [places, axes], as `positions` gives them.

    Returns:
        Every index once: first the place nearest to the middle; of places equally far, the first
        one. What is beyond `MOST_DISTANCES` comes last, as it was given.
    """
    whole = np.rint(places * RESOLUTION).astype(np.int64)
    count = len(whole)
    middle = (whole.max(0) + whole.min(0)) // 2
    chosen = [int(np.argmin(((whole - middle) ** 2).sum(1)))]
    distance = ((whole - whole[chosen[0]]) ** 2).sum(1)
    for _ in range(min(count, MOST_DISTANCES // count) - 1):
        farthest = int(np.argmax(distance))
        chosen.append(farthest)
        np.minimum(distance, ((whole - whole[farthest]) ** 2).sum(1), out=distance)
    return list(dict.fromkeys([*chosen, *range(count)]))
