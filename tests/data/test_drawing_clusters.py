"""Clusters of drawings: blur, distances, and the best pair of medoids, checked by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from oneshot.data import drawing_clusters


def random_drawings(seed: int, count: int, side: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((count, side, side)) < 0.3).astype(np.uint8)


def test_a_pixel_is_blurred_by_three_running_sums_and_paper_lies_around_the_image() -> None:
    image = np.zeros((2, 15, 15), np.uint8)
    image[0, 7, 7] = image[1, 0, 14] = 1
    line = np.array([1, 3, 6, 10, 15, 18, 19, 18, 15, 10, 6, 3, 1])  # (1 + x + .. + x^4)^3
    blurred = drawing_clusters.blurred(image)
    assert np.array_equal(blurred[0, 1:14, 1:14], np.outer(line, line))
    assert blurred[0].sum() == 5**6
    # what a sum carries out of the image does not come back
    assert blurred[1, :7, 14].tolist() == [9 * n for n in (9, 11, 12, 9, 6, 3, 1)]


def test_distances_are_whole_numbers_and_those_of_a_plain_loop() -> None:
    images = random_drawings(0, 5)
    blurred = drawing_clusters.blurred(images)
    distance = drawing_clusters.squared_distances(images)
    assert distance.dtype == np.int64
    for i, j in itertools.product(range(5), repeat=2):
        assert distance[i, j] == int(((blurred[i] - blurred[j]) ** 2).sum())


def by_brute_force(images: np.ndarray, size: int) -> tuple[list[int], list[int]]:
    """The definition of `two_clusters`, pair by pair."""
    d = drawing_clusters.squared_distances(images).tolist()
    best: tuple[int, list[list[int]]] | None = None
    for a, b in itertools.combinations(range(len(images)), 2):
        parts: list[list[int]] = [[], []]
        for i in range(len(images)):
            parts[d[a][i] > d[b][i]].append(i)
        if min(map(len, parts)) < size:
            continue
        chosen = [sorted(own, key=d[m].__getitem__)[:size] for m, own in zip((a, b), parts)]
        sums = [sum(d[m][i] for i in own) for m, own in zip((a, b), chosen)]
        if best is None or sum(sums) < best[0]:
            best = sum(sums), chosen if sums[0] <= sums[1] else chosen[::-1]
    assert best is not None
    return sorted(best[1][0]), sorted(best[1][1])


@pytest.mark.parametrize("seed", range(8))
def test_the_two_clusters_are_the_best_of_all_pairs_of_medoids(seed: int) -> None:
    images = random_drawings(seed, 11)
    found = drawing_clusters.two_clusters(images, 4)
    assert tuple(cluster.tolist() for cluster in found) == by_brute_force(images, 4)


def test_two_ways_to_draw_a_thing_are_told_apart_and_stray_drawings_are_left_out() -> None:
    upright, flat = np.zeros((2, 12, 12), np.uint8)
    upright[1:11, 5], flat[5, 1:11] = 1, 1
    ways = [np.roll(upright, 1, 1), flat, upright, np.roll(flat, 1, 0), flat, upright]
    images = np.stack([np.eye(12, dtype=np.uint8), *ways, np.ones((12, 12), np.uint8)])
    found = drawing_clusters.two_clusters(images, 3)
    assert {tuple(cluster.tolist()) for cluster in found} == {(1, 3, 6), (2, 4, 5)}


def test_equal_drawings_are_taken_in_their_order() -> None:
    images = np.zeros((9, 8, 8), np.uint8)
    images[::2, 2:4], images[1::2, 6:8] = 1, 1
    found = drawing_clusters.two_clusters(images, 3)
    assert [cluster.tolist() for cluster in found] == [[0, 2, 4], [1, 3, 5]]


def test_too_few_drawings_are_an_error() -> None:
    with pytest.raises(ValueError, match="no two clusters of 3 among 5 drawings"):
        drawing_clusters.two_clusters(random_drawings(1, 5), 3)
