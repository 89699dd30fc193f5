"""Base and novel classes, shots, pool and test: golden values, nesting, what is disjoint."""

from __future__ import annotations

import numpy as np
import pytest
from made_classes import blank

from oneshot.data import few_shot, mnist
from oneshot.data.few_shot import few_shot_parts
from oneshot.types import Part, is_class_split

EMNIST_NAMES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
# facts of the published splits: novel ids, and their characters
EMNIST = {
    "classes_0": ("0 3 9 19 21 23 36 39 44 46", "0 3 9 J L N a e q t"),
    "classes_1": ("0 5 8 9 11 12 15 16 37 43", "0 5 8 9 B C F G b n"),
    "classes_2": ("7 8 11 15 18 22 31 34 40 46", "7 8 B F I M V Y f t"),
    "classes_3": ("0 3 8 10 19 21 24 39 41 42", "0 3 8 A J L O e g h"),
    "classes_4": ("1 5 8 9 23 30 36 39 40 46", "1 5 8 9 N U a e f t"),
}
OMNIGLOT_SUMS = [163663, 180647, 188388, 170922, 178585]


@pytest.mark.parametrize("split", few_shot.SPLITS)
def test_the_published_splits_of_emnist(split: str) -> None:
    base, novel = few_shot.class_split(47, 10, split)
    ids, characters = EMNIST[split]
    assert " ".join(map(str, novel)) == ids
    assert " ".join(EMNIST_NAMES[c] for c in novel) == characters
    assert np.array_equal(np.sort(np.concatenate([base, novel])), np.arange(47))
    assert np.array_equal(base, np.sort(base)) and base.dtype == novel.dtype == np.int64


def test_the_published_splits_of_omniglot() -> None:
    novel = [few_shot.class_split(1623, 212, split)[1] for split in few_shot.SPLITS]
    assert [int(ids.sum()) for ids in novel] == OMNIGLOT_SUMS
    assert {len(set(ids.tolist())) for ids in novel} == {212}


@pytest.mark.parametrize(
    ("label", "images", "first", "last"),
    [
        (0, 2800, [1390, 196, 253, 2586, 1043], []),
        (1, 2800, [1687, 1070, 549, 1193, 2303], []),
        (46, 2800, [1690, 2779, 1356, 1629, 1885], []),
        (0, 20, [18, 1, 19, 8, 10], [3, 0, 15, 12]),
        (1, 20, [3, 16, 6, 10, 2], [8, 12, 11, 5]),
    ],
)
def test_the_published_order_of_a_class(
    label: int, images: int, first: list[int], last: list[int]
) -> None:
    order = few_shot.shuffled_class(label, images)
    assert order[:5].tolist() == first and order[len(order) - len(last) :].tolist() == last
    assert np.array_equal(np.sort(order), np.arange(images)) and order.dtype == np.int64


def test_parts_have_the_published_sizes() -> None:
    emnist = blank("classes_0", 10, [2800] * 47)
    parts = few_shot_parts(emnist, 5, 0, "published")
    sizes = [len(rows) for rows in (parts.base, parts.supports.ravel(), parts.pool, parts.test)]
    assert sizes == [103_600, 50, 22_400, 5_600]
    assert emnist.part is not None and len(emnist.validation) == 0
    of_base = np.bincount(emnist.part[parts.base], minlength=3)
    assert of_base.tolist() == [93_240, 10_360, 0]
    omniglot = blank("classes_3", 212, [20] * 1623)
    parts = few_shot_parts(omniglot, 5, 0, "published")
    assert [len(parts.base), *parts.supports.shape] == [28_220, 212, 5]
    assert [len(parts.pool), len(parts.test)] == [3_392, 848]


def test_the_tenth_for_selection_is_one_shuffle_over_base_images() -> None:
    data = blank("classes_1", 2, [20, 30, 20, 25, 20])
    assert data.part is not None
    base = data.rows(data.train).tolist()
    np.random.RandomState(0).shuffle(base)
    kept = len(base) * 9 // 10
    assert np.array_equal(np.flatnonzero(data.part == Part.SELECTION), np.sort(base[kept:]))
    for c in data.test.tolist():
        part = data.part[data.label == c]
        assert np.array_equal(part, np.sort(part))  # the first 80 % train, the rest tests
        assert np.count_nonzero(part == Part.TRAIN) == len(part) * 4 // 5


def test_published_shots_are_the_first_of_each_class() -> None:
    data = blank("classes_0", 2, [40] * 6)
    supports = few_shot_parts(data, 3, 0, "disjoint").supports
    starts = np.searchsorted(data.label, data.test)
    assert np.array_equal(supports, starts[:, None] + np.arange(3))


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("pool", few_shot.POOLS)
def test_few_shots_are_among_more_shots(seed: int, pool: str) -> None:
    data = blank("classes_2", 3, [40] * 8)
    five, many = (few_shot_parts(data, k, seed, pool) for k in (5, 25))
    assert five.supports.shape == (3, 5) and many.supports.shape == (3, 25)
    assert np.array_equal(many.supports[:, :5], five.supports)
    assert all(len(np.unique(row)) == 25 for row in many.supports)


def test_other_seeds_choose_other_shots_of_the_same_classes_and_images() -> None:
    data = blank("classes_2", 3, [40] * 8)
    chosen = {seed: few_shot_parts(data, 5, seed, "disjoint").supports for seed in range(6)}
    assert len({supports.tobytes() for supports in chosen.values()}) == 6
    assert data.part is not None
    for supports in chosen.values():
        assert (data.label[supports] == data.test[:, None]).all()
        assert (data.part[supports] == Part.TRAIN).all()
    # each class by its own numbers
    within = chosen[1] - np.searchsorted(data.label, data.test)[:, None]
    assert len({row.tobytes() for row in within}) == 3
    again = few_shot_parts(data, 5, 3, "published").supports
    assert np.array_equal(again, chosen[3])  # whatever the pool


@pytest.mark.parametrize("seed", [0, 5])
def test_disjoint_parts_make_up_the_data_set_and_the_published_pool_holds_the_shots(
    seed: int,
) -> None:
    data = blank("classes_4", 3, [20, 25, 30, 40, 20, 35, 22, 20])
    apart, published = (few_shot_parts(data, 5, seed, pool) for pool in ("disjoint", "published"))
    every = np.concatenate([apart.base, apart.supports.ravel(), apart.pool, apart.test])
    assert np.array_equal(np.sort(every), np.arange(len(data.label)))
    shots = published.supports.ravel()
    assert np.isin(shots, published.pool).all() and not np.isin(published.pool, apart.test).any()
    assert np.array_equal(np.union1d(apart.pool, shots), np.sort(published.pool))
    assert np.array_equal(apart.test, published.test)
    for rows in (apart.base, apart.supports, apart.pool, apart.test):
        assert rows.dtype == np.int64


def test_as_many_shots_as_there_are_leave_no_pool_and_more_are_refused() -> None:
    data = blank("classes_0", 2, [20] * 6)
    parts = few_shot_parts(data, 16, 2, "disjoint")
    assert parts.supports.shape == (2, 16) and len(parts.pool) == 0
    name = data.class_names[data.test[0]]
    with pytest.raises(ValueError, match=f"shots = 17: the class '{name}' of blank has 16 images"):
        few_shot_parts(data, 17, 0, "disjoint")
    with pytest.raises(ValueError, match="shots = 0: a novel class needs at least 1"):
        few_shot_parts(data, 0, 0, "disjoint")
    with pytest.raises(ValueError, match="pool = 'apart' is not one of published, disjoint"):
        few_shot_parts(data, 1, 0, "apart")


def test_splits_of_other_kinds_are_told_apart() -> None:
    assert [s for s in mnist.SPLITS if is_class_split(s)] == []
    assert all(map(is_class_split, few_shot.SPLITS)) and len(few_shot.SPLITS) == 5
    data = blank("classes_0", 2, [20] * 6)
    object.__setattr__(data, "split", "without_1")
    with pytest.raises(ValueError, match=r"'without_1' of blank has no novel classes; .*classes_0"):
        few_shot_parts(data, 1, 0, "disjoint")
