"""Kernel distance between two sets of features.

Source: Binkowski et al. 2018 (https://arxiv.org/abs/1801.01401, section 4), where the features are
those of an Inception network and the distance is called KID. The published code averages over
random subsets of 1,000 to save time; here all pairs enter, so that the value is deterministic.
"""

from __future__ import annotations

import numpy as np

from oneshot.metrics.blocks import blocks
from oneshot.metrics.checks import checked_pair


def kernel_distance(reference: np.ndarray, drawn: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x y / D + 1)^3.

    The mean of k over pairs of different rows of one set, plus that of the other set, less twice
    the mean over pairs of a row of each. Its expectation does not depend on the numbers of rows.

    >>> kernel_distance([[0.0], [1.0]], [[1.0], [1.0]])  # 1 + 8 - 2 (1 + 1 + 8 + 8) / 4
    0.0

    Args:
        reference: [N, D], features of people's drawings, N >= 2.
        drawn: [M, D], features of a model's drawings, M >= 2.

    Returns:
        The distance; negative by chance where the sets are alike.

    Raises:
        ValueError: a set has fewer than 2 rows, or a feature is not finite.
    """
    reference, drawn = checked_pair(reference, drawn, least=2)
    n, m = len(reference), len(drawn)
    within = _total(reference) / (n * (n - 1)) + _total(drawn) / (m * (m - 1))
    return float(within - 2.0 * _total(reference, drawn) / (n * m))


def _total(rows: np.ndarray, others: np.ndarray | None = None) -> float:
    """The sum of the kernel over all pairs; over pairs of different rows where others is None."""
    columns = rows if others is None else others
    total = 0.0
    for part in blocks(len(rows), len(columns)):
        base = rows[part] @ columns.T / rows.shape[1] + 1.0
        kernel = base * base
        kernel *= base
        if others is None:
            own = np.arange(part.start, part.stop)
            kernel[own - part.start, own] = 0.0
        total += float(kernel.sum())
    return total
