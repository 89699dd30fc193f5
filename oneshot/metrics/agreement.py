"""Agreement of two rankings, as of the same models by two critics.

Source: Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33 (tau-b).
"""

from __future__ import annotations

import math

import numpy as np


def kendall_tau(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b of two lists of values of the same things.

    (C - D) / sqrt((C + D + T1) (C + D + T2)), where C and D count the pairs that both lists order
    alike and oppositely, T1 the pairs that tie in the first list only, T2 in the second only.

    >>> kendall_tau([1, 2, 3, 4], [10, 30, 20, 40])  # five pairs alike, one opposite
    0.6666666666666666

    Args:
        one: [n], a value a thing; NaN leaves that thing out.
        other: [n], in the same order; NaN leaves that thing out.

    Returns:
        -1 .. 1; NaN where fewer than 2 things are left or all values of a list are equal.

    Raises:
        ValueError: the lists are not of one length.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(
            f"both lists must be [n] with a value for each of the same n things, given shapes"
            f" {one.shape} and {other.shape}"
        )
    known = ~(np.isnan(one) | np.isnan(other))
    one, other = one[known], other[known]
    agree = untied_one = untied_other = 0
    for i in range(len(one) - 1):
        first, second = _order(one, i), _order(other, i)
        agree += int((first * second).sum())
        untied_one += int(np.abs(first).sum())
        untied_other += int(np.abs(second).sum())
    if untied_one == 0 or untied_other == 0:
        return float("nan")
    return agree / math.sqrt(untied_one * untied_other)


def _order(values: np.ndarray, i: int) -> np.ndarray:
    """1, 0 or -1 for each later value: above value i, equal, below. Infinities are values."""
    later = values[i + 1 :]
    return (later > values[i]).astype(np.int64) - (later < values[i]).astype(np.int64)
