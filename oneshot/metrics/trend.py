"""Whether a training curve still falls at its end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST = 4  # points of the last third
ERRORS = 2.0  # standard errors that a slope must lie below 0


class Trend(NamedTuple):
    """The straight line through the last third of a curve.

    Attributes:
        slope: per epoch; NaN where too few points are left.
        se: standard error of the slope; NaN likewise.
        points: how many points the line rests on.
    """

    slope: float
    se: float
    points: int

    @property
    def falling(self) -> bool | None:
        """Whether the slope lies more than two standard errors below 0; None: not decided."""
        return None if np.isnan(self.slope) else bool(self.slope < -ERRORS * self.se)


def last_third(values: np.ndarray, epochs: np.ndarray | None = None) -> Trend:
    """The line of least squares through the last third of a curve.

    The last third of n points are the last ceil(n / 3). Those that are NaN or infinite are left
    out. Errors of different epochs count as independent and equally large; where the curve bends,
    the bend counts as error.

    >>> curve = [9.0, 7.0, 5.0, 4.0, 3.0, 2.0, 1.9, 1.6, 1.5, 1.2]
    >>> trend = last_third(curve)  # of 1.9, 1.6, 1.5, 1.2
    >>> round(trend.slope, 9), round(trend.se, 9), trend.points, trend.falling
    (-0.22, 0.028284271, 4, True)
    >>> last_third(curve[:9]).falling is None  # three points
    True

    Args:
        values: of the curve, [n], in order.
        epochs: of the points, [n], rising; None for 0, 1, 2, ...

    Returns:
        Slope and error, NaN where fewer than 4 finite points are left.

    Raises:
        ValueError: the curve is not [n], or the epochs are not finite and rising, one a point.
    """
    y = np.asarray(values, np.float64)
    if y.ndim != 1:
        raise ValueError(f"a curve must be [n], given shape {y.shape}")
    x = np.arange(len(y), dtype=np.float64) if epochs is None else np.asarray(epochs, np.float64)
    if x.shape != y.shape or not np.isfinite(x).all() or (np.diff(x) <= 0).any():
        raise ValueError(
            f"epochs must be finite, rising and one for each of {len(y)} points, given {x.shape}"
        )
    first = len(y) - -(-len(y) // 3)
    known = np.flatnonzero(np.isfinite(y[first:])) + first
    x, y = x[known], y[known]
    if len(y) < LEAST:
        return Trend(float("nan"), float("nan"), len(y))
    if np.ptp(y) == 0:  # else the slope would be rounding, and its error too
        return Trend(0.0, 0.0, len(y))
    across, up = x - x.mean(), y - y.mean()
    spread = (across**2).sum()
    slope = (across * up).sum() / spread
    left = ((up - slope * across) ** 2).sum()
    return Trend(float(slope), float(np.sqrt(left / (len(y) - 2) / spread)), len(y))
