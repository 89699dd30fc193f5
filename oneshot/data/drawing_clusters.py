"""Clusters of drawings that are alike, found so that every machine finds the same.

All distances are whole numbers, and equal ones are told apart by the order of the drawings.
"""

from __future__ import annotations

import numpy as np

WIDTH, PASSES = 5, 3  # of the running sum that blurs: a standard deviation of 2.4 pixels
FAR = 1 << 50  # above every sum of distances


def blurred(images: np.ndarray) -> np.ndarray:
    """Blur images, so that a line beside a line is near to it.

    A running sum over WIDTH pixels, along and across, PASSES times.

    Args:
        images: uint8 [N, H, W] of 0 and 1.

    Returns:
        int64 [N, H, W], 25^3 times as large as an average; paper lies around the images.
    """
    blurry, reach = images.astype(np.int64), WIDTH // 2
    for axis in (1, 2) * PASSES:
        padded = np.pad(blurry, [(reach, reach) if a == axis else (0, 0) for a in range(3)])
        length = blurry.shape[axis]
        shifts = [np.take(padded, np.arange(s, s + length), axis) for s in range(WIDTH)]
        blurry = np.sum(shifts, axis=0)
    return blurry


def squared_distances(images: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances between blurred images, as whole numbers: int64 [N, N].

    Args:
        images: uint8 [N, H, W] of 0 and 1.
    """
    # whole numbers below 2^53: the product is exact in whatever order a processor adds
    flat = blurred(images).reshape(len(images), -1).astype(np.float64)
    product = (flat @ flat.T).astype(np.int64)
    norm = np.diagonal(product)
    distance: np.ndarray = norm[:, None] + norm[None, :] - 2 * product
    return distance


def two_clusters(images: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The two tightest disjoint clusters round drawings of the set, as k-medoids cuts a set in two.

    For two medoids, every drawing belongs to the nearer one (of two equal ones, to the first), and
    the `size` nearest of each medoid's drawings are its cluster. Of all pairs of medoids, the pair
    is taken whose clusters have the smallest sum of squared distances to their medoids.

    Args:
        images: uint8 [N, H, W] of 0 and 1, N at least 2 `size`.
        size: drawings of a cluster.

    Returns:
        Their indices, sorted: int64 [size] each; the tighter cluster first.

    Raises:
        ValueError: no pair of medoids has `size` drawings each.
    """
    distance = squared_distances(images)
    least, pair = FAR, (0, 0)
    for first in range(len(images) - 1):
        others = distance[first + 1 :]
        sums = _sums(*_own(distance[first], others), size).sum(0)
        second = int(np.argmin(sums))  # the first of equal ones
        if sums[second] < least:
            least, pair = int(sums[second]), (first, first + 1 + second)
    if least == FAR:
        raise ValueError(f"there are no two clusters of {size} among {len(images)} drawings")
    own = np.concatenate(_own(distance[pair[0]], distance[pair[1], None]))
    tighter = int(np.argmin(_sums(own[:1], own[1:], size)[:, 0]))
    nearest = np.sort(np.argsort(own, axis=1, kind="stable")[:, :size], axis=1)
    return nearest[tighter], nearest[1 - tighter]


def _own(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances of a medoid to its drawings, FAR to those of the other medoid.

    Args:
        first: int64 [N], distances of one medoid.
        second: int64 [M, N], distances of each of M second medoids.

    Returns:
        Of the first medoid and of the second, int64 [M, N] each.
    """
    nearer = first <= second
    return np.where(nearer, first, FAR), np.where(nearer, FAR, second)


def _sums(first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    """The sums of the `size` smallest of both, int64 [2, M]; at least FAR where there are fewer."""
    both = np.stack([first, second])
    return np.partition(both, size - 1, axis=2)[:, :, :size].sum(2)
