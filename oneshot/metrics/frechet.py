"""Frechet distance between two sets of features, as if both were Gaussian.

Source: Heusel et al. 2017 (https://arxiv.org/abs/1706.08500, eq. 6), where the features are those
of an Inception network and the distance is called FID. With another critic's features it is another
number: values of different critics cannot be compared.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.checks import checked_pair


def frechet_distance(reference: np.ndarray, drawn: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians with the means and covariances of two sets.

    |m_r - m_d|^2 + tr(S_r + S_d - 2 (S_r S_d)^(1/2)), with n - 1 in the denominators of the
    covariances. It is biased upwards by an amount that falls as 1 / n: compare equal numbers of
    drawings only.

    >>> people = np.array([[0.0], [2.0], [4.0]])  # mean 2, standard deviation 2
    >>> drawn = np.array([[4.0], [5.0], [6.0]])  # mean 5, standard deviation 1
    >>> round(frechet_distance(people, drawn), 9)  # 3^2 + (2 - 1)^2
    10.0

    Args:
        reference: [N, D], features of people's drawings.
        drawn: [M, D], features of a model's drawings.

    Returns:
        The distance in squared units of the features; never negative, and 0 where it is less than
        D times the machine's epsilon times both traces, which is rounding.

    Raises:
        ValueError: a set has no more rows than dimensions, so that its covariance cannot have full
            rank; or a feature is not finite.
    """
    reference, drawn = checked_pair(reference, drawn)
    dimensions = reference.shape[1]
    if min(len(reference), len(drawn)) <= dimensions:
        raise ValueError(
            f"the Frechet distance in {dimensions} dimensions needs at least {dimensions + 1} rows"
            f" of each set, given {len(reference)} of the reference and {len(drawn)} drawn: draw"
            " more, or use the kernel distance, which needs 2"
        )
    mean_r, root_r = _mean_and_root(reference)
    mean_d, root_d = _mean_and_root(drawn)
    # The trace of (S_r S_d)^(1/2) is the sum of the singular values of R_r R_d^T. Eigenvalues of
    # S_r S_d would be their squares: small ones would be lost in the rounding of large ones.
    shared = np.linalg.svd(root_r @ root_d.T, compute_uv=False).sum()
    traces = (root_r**2).sum() + (root_d**2).sum()
    distance = float(((mean_r - mean_d) ** 2).sum() + traces - 2.0 * shared)
    rounding = dimensions * np.finfo(np.float64).eps * traces
    return distance if distance > rounding else 0.0


def _mean_and_root(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean [D] and a root R [D, D] of the covariance: R^T R is the covariance."""
    mean = features.mean(axis=0)
    root = np.linalg.qr(features - mean, mode="r")
    return mean, root / np.sqrt(len(features) - 1)
