"""Features of made drawings, for tests of metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def clusters(
    classes: int, per_class: int, dimensions: int, spread: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaussian drawings about Gaussian exemplars: (queries, label, prototypes)."""
    rng = np.random.default_rng(seed)
    prototypes = rng.standard_normal((classes, dimensions))
    label = np.repeat(np.arange(classes), per_class)
    return (
        prototypes[label] + spread * rng.standard_normal((len(label), dimensions)),
        label,
        prototypes,
    )


def gaussian(
    rows: int, mean: Sequence[float], deviations: Sequence[float], seed: int = 0
) -> np.ndarray:
    """Rows whose mean is exactly that, and whose axes are uncorrelated with these deviations."""
    drawn = np.random.default_rng(seed).standard_normal((rows, len(mean)))
    axes, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
    return axes * np.sqrt(rows - 1) * np.asarray(deviations) + np.asarray(mean)


def rotation(dimensions: int, seed: int = 0) -> np.ndarray:
    """A random orthogonal matrix."""
    square = np.random.default_rng(seed).standard_normal((dimensions, dimensions))
    return np.linalg.qr(square)[0]
