"""Precision, recall, density and coverage on sets made by hand, and against plain loops."""

from __future__ import annotations

import math
import tracemalloc

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from gaussian_drawings import clusters, rotation

from oneshot.metrics import blocks, neighbours
from oneshot.metrics.neighbours import nearest, prdc


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """Euclidean, in plain Python."""
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(x.tolist(), y.tolist())))


def by_loops(people: np.ndarray, drawn: np.ndarray, k: int) -> tuple[float, ...]:
    """The four shares as they are defined, pair by pair."""

    def radius(rows: np.ndarray, i: int) -> float:
        return sorted(distance(rows[i], y) for j, y in enumerate(rows) if j != i)[k - 1]

    ball = [radius(people, i) for i in range(len(people))]
    other = [radius(drawn, j) for j in range(len(drawn))]
    far = [[distance(x, y) for y in drawn] for x in people]
    inside = [[far[i][j] < ball[i] for j in range(len(drawn))] for i in range(len(people))]
    return (
        sum(any(row[j] for row in inside) for j in range(len(drawn))) / len(drawn),
        sum(any(d < r for d, r in zip(row, other)) for row in far) / len(people),
        sum(sum(row) for row in inside) / (k * len(drawn)),
        sum(any(row) for row in inside) / len(people),
    )


# ---------------------------------------------------------------- by hand


def line(*values: float) -> np.ndarray:
    """Points on a line."""
    return np.array(values)[:, None]


def test_sets_on_a_line():
    people = line(0, 1, 3, 10)  # k = 1: radii 1, 1, 2, 7
    drawn = line(0.5, 4, 20)  # radii 3.5, 3.5, 16
    # 0.5 lies in the balls of 0 and 1, 4 in those of 3 and 10, 20 in none;
    # 0, 1, 3 lie in the ball of 0.5, 10 in that of 20 (its distance 10 < 16)
    assert prdc(people, drawn, k=1) == pytest.approx((2 / 3, 1.0, 4 / 3, 1.0))
    # far away: nothing in common
    assert prdc(people, drawn + 1000, k=1) == (0.0, 0.0, 0.0, 0.0)


def test_the_surface_is_outside():
    people, drawn = line(0, 2, 5), line(-2, 7, 8)  # k = 1: radii 2, 2, 3 and 9, 1, 1
    # -2 lies on the surface of the ball of 0, 8 on that of 5, 7 inside that of 5
    assert prdc(people, drawn, k=1) == pytest.approx((1 / 3, 1.0, 1 / 3, 1 / 3))
    assert prdc(people, drawn + 1e-9, k=1).precision == pytest.approx(2 / 3)


def test_a_set_with_itself():
    for rows, k in ((clusters(10, 12, 6, 0.5)[0], 5), (line(0, 1, 3, 7, 15), 2)):
        assert prdc(rows, rows, k) == (1.0, 1.0, 1.0, 1.0)
        assert prdc(rows, rows[::-1], k) == (1.0, 1.0, 1.0, 1.0)
        # k copies of each row leave the k-th neighbour among the other rows
        if k == 2:
            twice = np.repeat(rows, 2, axis=0)
            assert prdc(twice, twice, k)[:2] == (1.0, 1.0)
    # where the two nearest are equally far, the k-th does not count and density falls
    even = line(0, 1, 2, 3)
    assert prdc(even, even, 2) == pytest.approx((1.0, 1.0, (2 + 1 + 1 + 2) / 8, 1.0))
    # where k + 1 rows coincide, their balls are empty: they lie in none
    piled = line(0, 0, 0, 5, 7, 8.5)
    assert prdc(piled, piled, 2) == by_loops(piled, piled, 2)
    assert prdc(piled, piled, 2).coverage == 0.5


def test_copies_of_exemplars_recall_nothing():
    people = clusters(8, 20, 16, 0.4)[0]
    first = people[::20]  # the exemplar of a class is one of its drawings
    copies = np.repeat(first, 20, axis=0)
    found = prdc(people, copies)
    assert found.recall == 0.0
    assert found.precision == 1.0
    assert found.coverage < 0.5
    # and so for features of a kind that a matrix product rounds
    far = people + 1e4
    assert prdc(far, np.repeat(far[::20], 20, axis=0)).recall == 0.0


# ---------------------------------------------------------------- against loops


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_shares_equal_plain_loops(k: int, offset: float):
    rng = np.random.default_rng(k)
    people = rng.standard_normal((40, 4)) + offset
    drawn = np.vstack([people[:7], 0.7 * rng.standard_normal((20, 4)) + 0.4 + offset])
    assert prdc(people, drawn, k) == pytest.approx(by_loops(people, drawn, k), rel=1e-12)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(data=st.data(), k=st.integers(1, 3), dimensions=st.integers(1, 3))
def test_ties_fall_as_in_plain_loops(data: st.DataObject, k: int, dimensions: int):
    # corners of a grid: many equal distances and copies, all exact in floats
    def rows(name: str) -> np.ndarray:
        cells = st.lists(
            st.lists(st.integers(-2, 2), min_size=dimensions, max_size=dimensions),
            min_size=k + 1,
            max_size=12,
        )
        return np.array(data.draw(cells, name), np.float64)

    people, drawn = rows("people"), rows("drawn")
    assert prdc(people, drawn, k) == pytest.approx(by_loops(people, drawn, k), rel=1e-12)


def test_many_near_copies_are_told_apart():
    # distances far below what a matrix product resolves: 1e-9 beside a size of 30
    rng = np.random.default_rng(7)
    centre = rng.standard_normal(8) * 10
    people = np.vstack([centre + 1e-9 * rng.standard_normal((20, 8)), rng.standard_normal((20, 8))])
    drawn = np.vstack([centre + 1e-9 * rng.standard_normal((15, 8)), rng.standard_normal((9, 8))])
    drawn[-1] *= 1e4  # an outlier makes the products of all rows uncertain
    for k in (1, 4):
        assert prdc(people, drawn, k) == pytest.approx(by_loops(people, drawn, k), rel=1e-12)
    for i, found in enumerate(nearest(people)):
        others = np.delete(people, i, axis=0)
        assert found == pytest.approx(min(distance(people[i], y) for y in others), rel=1e-12)


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(seed=st.integers(0, 2**32 - 1), dimensions=st.integers(1, 5))
def test_they_are_blind_to_order_rotation_shift_and_scale(seed: int, dimensions: int):
    rng = np.random.default_rng(seed)
    people, drawn = rng.standard_normal((25, dimensions)), rng.standard_normal((15, dimensions))
    base = pytest.approx(prdc(people, drawn, 3))
    assert prdc(rng.permutation(people), rng.permutation(drawn), 3) == base
    turn = 3.0 * rotation(dimensions, seed)
    assert prdc(people @ turn + 5.0, drawn @ turn + 5.0, 3) == base
    # with the sets exchanged, precision and recall are exchanged
    assert prdc(drawn, people, 3)[:2] == pytest.approx(prdc(people, drawn, 3)[1::-1])


def test_parts_of_the_pairs_change_nothing(monkeypatch):
    people, _, _ = clusters(5, 9, 3, 0.4)
    drawn = np.vstack([people[::4], people[:8] + 0.1])
    whole, near = prdc(people, drawn), nearest(drawn, people)
    parts = []

    def small(rows: int, columns: int, numbers: int = 50):
        parts.extend(blocks.blocks(rows, columns, min(numbers, 50)))
        return blocks.blocks(rows, columns, min(numbers, 50))

    monkeypatch.setattr(neighbours, "blocks", small)
    assert prdc(people, drawn) == whole
    assert (nearest(drawn, people) == near).all()
    assert len(parts) > 50


# ---------------------------------------------------------------- nearest


def test_the_nearest_row_equals_plain_loops():
    rng = np.random.default_rng(2)
    rows, others = rng.standard_normal((30, 5)), rng.standard_normal((50, 5))
    others[[3, 9]] = rows[4]
    expected = [min(distance(x, y) for y in others) for x in rows]
    found = nearest(rows, others)
    assert found == pytest.approx(expected, rel=1e-12)
    assert found[4] == 0.0
    assert (np.delete(found, 4) > 0).all()
    assert nearest(rows[:1], others[:1])[0] == pytest.approx(distance(rows[0], others[0]))


def test_a_row_is_not_its_own_neighbour_but_a_copy_of_it_is():
    rows = np.random.default_rng(3).standard_normal((20, 5))
    assert (nearest(rows, rows) == 0).all()
    assert (nearest(rows) > 0).all()
    rows[7] = rows[2]
    assert np.flatnonzero(nearest(rows) == 0).tolist() == [2, 7]


# ---------------------------------------------------------------- limits


def test_memory_stays_small_even_where_all_rows_coincide():
    rng = np.random.default_rng(5)
    people, blank = rng.standard_normal((4000, 8)), np.ones((4000, 8))
    nearly = blank + 1e-12 * rng.standard_normal((4000, 8))
    for drawn in (blank, nearly):
        tracemalloc.start()
        found = prdc(people, drawn)
        nearest(people, drawn)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.recall == 0.0
        assert peak < 150e6  # one whole table of pairs has 128 MB, and several are needed


def test_few_pairs_are_summed_one_by_one(monkeypatch):
    rng, summed = np.random.default_rng(8), []
    people = rng.standard_normal((300, 8)) + 100.0
    collapsed = people[0] + 1e-6 * rng.standard_normal((300, 8))
    exact = neighbours._SquaredDistances.exact

    def counted(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        summed.append(len(rows))
        return exact(self, rows, columns)

    monkeypatch.setattr(neighbours._SquaredDistances, "exact", counted)
    assert prdc(people, collapsed).precision > 0.9
    # for each radius k + 1 neighbours; else only what a product cannot decide, of 90,000 pairs
    assert 2 * 300 * 6 <= sum(summed) < 2 * 300 * 6 + 1000


def test_they_refuse():
    rows = np.random.default_rng(0).standard_normal((8, 3))
    with pytest.raises(ValueError, match="drawn features must have at least 6 rows, given 5"):
        prdc(rows, rows[:5])
    with pytest.raises(ValueError, match="reference features must have at least 6 rows, given 4"):
        prdc(rows[:4], rows)
    with pytest.raises(ValueError, match="k must be at least 1"):
        prdc(rows, rows, k=0)
    with pytest.raises(ValueError, match="same critic"):
        prdc(rows, rows[:, :2])
    with pytest.raises(ValueError, match="at least 2 rows, given 1"):
        nearest(rows[:1])
    with pytest.raises(ValueError, match="at least 1 row, given 0"):
        nearest(rows, rows[:0])
    rows[1, 1] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        nearest(rows)


def test_the_shares_agree_with_the_prdc_package():
    published = pytest.importorskip("prdc", reason="needs prdc: pip install prdc")
    rng = np.random.default_rng(6)
    people, drawn = rng.standard_normal((90, 6)), 0.8 * rng.standard_normal((70, 6)) + 0.3
    for k in (1, 3, 5):
        expected = published.compute_prdc(people, drawn, k)
        assert prdc(people, drawn, k)._asdict() == pytest.approx(expected, rel=1e-12)
