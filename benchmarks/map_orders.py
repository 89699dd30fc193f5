"""How many points of the 2,176 of the VAE-STN grid must be computed until the map of all is known,
by the order in which they run.

    python benchmarks/map_orders.py [--quick]

Nothing is trained: where a point lies on the plane is a formula of its beta, time steps and z, with
noise. The map is the plane interpolated from the points that ran (linearly between them, else the
nearest). It is known when the root mean square of its distance to the true plane, in units of the
plane, is at most 0.25, or 0.15. Three planes: all axes matter and recognizability rises steeply
along a bent front; the same with z of no influence; one that is smooth everywhere. "Best" counts
the points until one of them is truly at most 0.02 farther from people than the nearest of all.

Orders: product as the sweep gives it; by chance; Sobol's sequence; spread; 64 points spread and
then --refine 16 again and again. As stacks: the 17 betas of a shape together, in the order in which
shapes come. optuna: points that --suggest asks for, where optuna is installed.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.harness import Row, Table, parser
from oneshot.metrics.distance import UNIT_DIVERSITY, UNIT_RECOGNIZABILITY
from oneshot.store import suggest
from oneshot.store.map_search import Known, choose
from oneshot.sweep.ordering import spread_order

SHAPE = (17, 8, 16)  # betas, time steps, sizes of z
ERRORS = (0.25, 0.15)  # of the map, at most, in units of the plane
FROM_BEST = 0.02  # of the distance to people, in the same units
NOISE = 0.05  # of a point, in the same units: of seeds and of finitely many drawings
PEOPLE = np.array([1.0 / UNIT_DIVERSITY, 95.0 / UNIT_RECOGNIZABILITY])
FIRST, BATCH = 64, 16  # points before the first --refine, and of each
SEEDS = (1, 2, 3)

Plane = Callable[[np.ndarray], np.ndarray]


def grid(shape: Sequence[int]) -> np.ndarray:
    """Where the cells of a grid lie, in the product order; every axis is from 0 to 1."""
    indices = np.array(np.unravel_index(np.arange(int(np.prod(shape))), tuple(shape))).T
    return indices / np.maximum(np.array(shape) - 1, 1)


def front(at: np.ndarray, of_z: float = 1.0) -> np.ndarray:
    """A plane with a steep rise of recognizability along a front that all axes bend."""
    beta, steps, z = 4.0 * at[:, 0], at[:, 1], of_z * at[:, 2]
    past = beta - (0.9 + 0.8 * steps - 0.5 * z)
    recognizability = (
        35 + 55 / (1 + np.exp(-3 * past)) - of_z * 12 * np.exp(-(((z - 0.2) / 0.15) ** 2))
    )
    diversity = 1.35 - 0.75 / (1 + np.exp(-2 * (past - 0.4))) + 0.15 * steps
    return np.stack([diversity / UNIT_DIVERSITY, recognizability / UNIT_RECOGNIZABILITY], 1)


def without_z(at: np.ndarray) -> np.ndarray:
    """The same front where z has no influence."""
    return front(at, 0.0)


def smooth(at: np.ndarray) -> np.ndarray:
    """A plane without any steep place."""
    beta, steps, z = at.T
    recognizability = 30 + 45 * beta + 10 * steps - 15 * (z - 0.6) ** 2
    diversity = 1.5 - 0.7 * beta + 0.2 * np.sin(2 * steps) + 0.2 * z
    return np.stack([diversity / UNIT_DIVERSITY, recognizability / UNIT_RECOGNIZABILITY], 1)


PLANES: dict[str, Plane] = {
    "a steep front, all axes": front,
    "the same, z without influence": without_z,
    "a smooth plane": smooth,
}


def map_error(at: np.ndarray, true: np.ndarray, seen: np.ndarray, ran: Sequence[int]) -> float:
    """The root mean square distance of the map that some points give to the true plane.

    Args:
        at: where the cells lie on the grid.
        true: their places on the plane.
        seen: the same with noise.
        ran: the cells that ran.
    """
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
    from scipy.spatial import QhullError

    ids = np.asarray(ran)
    known = NearestNDInterpolator(at[ids], seen[ids])(at)
    try:
        linear = LinearNDInterpolator(at[ids], seen[ids])(at)
        known = np.where(np.isnan(linear), known, linear)
    except QhullError:
        pass  # all in one plane of the grid
    return float(np.sqrt(((known - true) ** 2).sum(1).mean()))


def points_needed(
    order: Sequence[int], error: Callable[[Sequence[int]], float], limits: Sequence[float]
) -> list[int]:
    """How many points of an order bring the error of the map below each limit, within a 16th.

    Args:
        order: of all cells.
        error: of the map that some cells give.
        limits: falling.

    Returns:
        A number for each limit; that of all cells if fewer do not.
    """
    found: list[int] = []
    count = 8
    while count < len(order) and len(found) < len(limits):
        now = error(order[:count])
        while len(found) < len(limits) and now <= limits[len(found)]:
            found.append(count)
        count += max(4, count // 16)
    return found + [len(order)] * (len(limits) - len(found))


def refined_order(
    at: np.ndarray, seen: np.ndarray, first: int, batch: int, count: int
) -> list[int]:
    """Spread points, then those that --refine adds.

    Args:
        at: where the cells lie on the grid.
        seen: their places on the plane, as rows have them.
        first: spread points.
        batch: points of each --refine.
        count: points with those of --refine.
    """
    order = spread_order(at)[:first]
    values = np.linalg.norm(seen - PEOPLE, axis=1)
    while len(order) < count:
        free = np.array(sorted(set(range(len(at))) - set(order)))
        known = Known(at[order], seen[order], values[order])
        order += [int(free[c.candidate]) for c in choose(known, at[free], batch)]
    return order[:count]


def by_stacks(order: Sequence[int], betas: int) -> list[int]:
    """The order in which rows come if all betas of a shape train together."""
    shapes = len(order) // betas
    first = dict.fromkeys(cell % shapes for cell in order)
    return [shape + beta * shapes for shape in first for beta in range(betas)]


def orders(at: np.ndarray, shape: Sequence[int], seen: np.ndarray) -> dict[str, list[int]]:
    """The orders that are compared."""
    from scipy.stats import qmc

    cells, spread = len(at), spread_order(at)
    terms = qmc.Sobol(3, scramble=False).random_base2(int(np.ceil(np.log2(64 * cells))))
    sobol = np.ravel_multi_index(tuple(np.floor(terms * shape).astype(int).T), tuple(shape))
    product = list(range(cells))
    refined = refined_order(at, seen, FIRST, BATCH, max(cells // 4, FIRST))
    return {
        "product": product,
        "by chance": np.random.default_rng(5).permutation(cells).tolist(),
        "Sobol": list(dict.fromkeys([*sobol.tolist(), *product])),
        "spread": spread,
        "spread, then refine": [*refined, *(cell for cell in spread if cell not in set(refined))],
        "product, as stacks": by_stacks(product, shape[0]),
        "spread, as stacks": by_stacks(spread, shape[0]),
    }


def suggested_order(shape: Sequence[int], seen: np.ndarray, batch: int) -> list[int]:
    """The cells that --suggest optuna asks for, for a quarter of the grid; none without optuna."""
    values = {f"axis {i}": list(range(size)) for i, size in enumerate(shape)}
    cells = np.array(np.unravel_index(np.arange(int(np.prod(shape))), tuple(shape))).T
    places = [dict(zip(values, cell.tolist())) for cell in cells]
    distance = np.linalg.norm(seen - PEOPLE, axis=1)
    order: list[int] = []
    while len(order) < len(cells) // 4:
        free = sorted(set(range(len(cells))) - set(order))
        told = [(places[cell], float(distance[cell])) for cell in order]
        try:
            asked = suggest.ask("optuna", values, [places[c] for c in free], told, batch)
        except suggest.NotInstalled:
            return []
        order += [free[index] for index, _ in asked]
    return order


def counts(shape: Sequence[int], plane: Plane, seed: int) -> dict[str, list[int]]:
    """The points that each order needs on a plane with the noise of a seed.

    Args:
        shape: of the grid.
        plane: the places of its cells.
        seed: of the noise.

    Returns:
        For each order the points until the map is known, for each error, and until the best.
    """
    at = grid(shape)
    true = plane(at)
    seen = true + NOISE * np.random.default_rng(seed).normal(size=true.shape)
    distance = np.linalg.norm(true - PEOPLE, axis=1)
    good = set(np.flatnonzero(distance <= distance.min() + FROM_BEST).tolist())
    found = {}
    for name, order in orders(at, shape, seen).items():
        needed = points_needed(order, lambda ran: map_error(at, true, seen, ran), ERRORS)
        found[name] = [*needed, 1 + next(i for i, cell in enumerate(order) if cell in good)]
    if asked := suggested_order(shape, seen, BATCH):
        best = next((i for i, cell in enumerate(asked) if cell in good), len(asked)) + 1
        found["optuna"] = [*[len(at)] * len(ERRORS), best]
    return found


def main() -> None:
    options = parser(__doc__).parse_args()
    shape, seeds = ((7, 4, 5), SEEDS[:1]) if options.quick else (SHAPE, SEEDS)
    table, cells = Table("map_orders"), int(np.prod(shape))
    for title, plane in PLANES.items():
        found = [counts(shape, plane, seed) for seed in seeds]
        middle = {
            name: [int(statistics.median(numbers)) for numbers in zip(*(f[name] for f in found))]
            for name in found[0]
        }
        for name, (count, finer, best) in middle.items():
            base = middle["product, as stacks" if "as stacks" in name else "product"][0]
            if name == "optuna":
                table.add(Row(11, f"points until the best ({title}): {name}", f"{best:,}"))
                continue
            what = f"points until the map of {cells:,} is known ({title}): {name}"
            note = f"error {ERRORS[1]}: {finer:,}; best: {best:,}"
            table.add(Row(11, what, f"{count:,}", f"{base:,}", base / count, note=note))
    table.note(errors=ERRORS, noise=NOISE, seeds=seeds)


if __name__ == "__main__":
    main()
