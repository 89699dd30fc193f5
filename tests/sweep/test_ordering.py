"""Orders: the first points of a spread order cover the grid, ids and stacks stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sweeps import make

from oneshot.store import plan
from oneshot.store.store import Store
from oneshot.sweep import Sweep, SweepError, grid, line, points, steps
from oneshot.sweep.expansion import expand
from oneshot.sweep.grouping import stacks
from oneshot.sweep.ordering import in_run_order, spread_order
from oneshot.sweep.positions import positions
from oneshot.trial import trial

PUBLISHED = grid(beta=steps(0, 4, 0.25), time_steps=steps(20, 90, 10), z=steps(10, 400, 25))


def farthest(everything: np.ndarray, first: np.ndarray) -> float:
    """The distance of the place that is farthest from all of the first ones."""
    between = np.linalg.norm(everything[:, None] - first[None], axis=-1)
    return float(between.min(1).max())


@pytest.fixture(scope="module")
def published() -> Sweep:
    return make(PUBLISHED, order="spread")


def test_the_first_64_of_the_published_grid_cover_it(published: Sweep) -> None:
    everything = expand(published)
    ordered = in_run_order(published, everything, everything)
    assert len(ordered) == 2176 and set(map(id, ordered)) == set(map(id, everything))
    first = ordered[:64]
    for axis, least in (("beta", 9), ("time_steps", 8), ("z", 9)):
        assert len({p.settings[axis] for p in first}) >= least, axis
    # every eighth of the grid has points: each half of each axis with each half of the others
    places = positions(everything, published.axes)
    chosen = places[[everything.index(p) for p in first]]
    eighths = np.unique(chosen >= 0.5, axis=0, return_counts=True)
    assert len(eighths[0]) == 8 and eighths[1].min() >= 5
    rng = np.random.default_rng(3)
    by_chance = min(farthest(places, places[rng.permutation(2176)[:64]]) for _ in range(20))
    assert farthest(places, chosen) < 0.27 < 0.3 < by_chance
    assert farthest(places, places[:64]) > 1.0


def test_an_order_changes_no_id_and_no_stack(published: Sweep) -> None:
    everything, plain = expand(published), expand(make(PUBLISHED))
    assert [p.point_id for p in everything] == [p.point_id for p in plain]
    ordered = in_run_order(published, everything, everything)
    assert {frozenset(s) for s in stacks(ordered)} == {frozenset(s) for s in stacks(plain)}
    groups = trial.group(ordered, 64)
    assert [len(g) for g in groups] == [17] * 128
    # the first stacks are those of shapes that lie far apart
    shapes = [(g[0].settings["time_steps"], g[0].settings["z"]) for g in groups[:8]]
    assert len({t for t, _ in shapes}) >= 3 and len({z for _, z in shapes}) >= 3
    assert {20, 90} <= {t for t, _ in shapes} and {10, 385} <= {z for _, z in shapes}


def test_references_come_first_and_then_seed_after_seed(tmp_path: Path) -> None:
    sweep = make(grid(beta=[0.0, 1.0, 2.0], z=[10, 20, 30]), seeds=2, order="spread")
    sweep = Sweep(**{**vars(sweep), "references": ("human", "copy")})
    made = plan.make(sweep, Store(tmp_path))
    assert [p.model for p in made.to_run[:2]] == ["human", "copy"]
    own = made.to_run[2:]
    assert [p.seed for p in own] == [44] * 9 + [45] * 9
    cells = [(p.settings["beta"], p.settings["z"]) for p in own]
    assert cells[:9] == cells[9:] and cells[0] == (1.0, 20)
    assert set(cells[1:5]) == {(0.0, 10), (0.0, 30), (2.0, 10), (2.0, 30)}
    # the tables keep the sweep's order, and a limit takes the first of the order
    assert [p.settings["z"] for p in made.points[2:8:2]] == [10, 20, 30]
    few = plan.make(sweep, Store(tmp_path), limit=5)
    assert [p.point_id for p in few.to_run[2:]] == [p.point_id for p in own[:5]]


def test_the_order_of_what_is_left_is_that_of_the_whole() -> None:
    sweep = make(grid(beta=steps(0, 4, 0.5), z=[10, 20, 30]), order="spread")
    everything = expand(sweep)
    whole = in_run_order(sweep, everything, everything)
    left = [p for p in everything if p not in whole[:7]]
    assert in_run_order(sweep, everything, left) == whole[7:]


def test_lines_lists_and_words_are_spread_too() -> None:
    lines = make(
        line(base=dict(beta=1.0, z=50), beta=steps(0, 2, 0.25), z=steps(10, 90, 10)), order="spread"
    )
    points_of = expand(lines)
    first = in_run_order(lines, points_of, points_of)[:5]
    assert {(p.settings["beta"], p.settings["z"]) for p in first} == {
        *((1.0, 50), (0.0, 50), (2.0, 50), (1.0, 10), (1.0, 90)),
    }
    parts = [grid(beta=[0.0, 1.0], z=[10, 20]), points([dict(beta=4.0, z=30, hidden=64)])]
    mixed = make(parts, order="spread")
    assert in_run_order(mixed, expand(mixed), expand(mixed))[1].settings["beta"] == 4.0
    words = make(grid(exemplar=["medoid", "random"], beta=steps(0, 4, 1)), order="spread")
    names = [p.settings["exemplar"] for p in in_run_order(words, expand(words), expand(words))]
    assert 2 <= names[:4].count("medoid") <= 3 and len(names) == 10


def test_a_large_sweep_is_spread_as_far_as_a_second_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneshot.sweep.ordering.MOST_DISTANCES", 3 * 11)
    order = spread_order(np.linspace(0, 1, 11)[:, None])
    assert order == [5, 0, 10, 1, 2, 3, 4, 6, 7, 8, 9]


def test_an_order_that_there_is_not_is_refused() -> None:
    with pytest.raises(SweepError, match=r"there is no such order. Did you mean 'spread'\? Known"):
        make(PUBLISHED, order="spraed")
