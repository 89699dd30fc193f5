"""Features of made drawings, for tests of metrics."""

from __future__ import annotations

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
