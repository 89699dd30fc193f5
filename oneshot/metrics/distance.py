"""Distance to the human point in the plane of diversity and recognizability."""

from __future__ import annotations

from typing import Any

import numpy as np

# Spread of each axis over the pooled models of Boutin et al. 2022, recovered from their figure:
# with these the distances are comparable.
SIGMA_DIVERSITY = 0.775
SIGMA_RECOGNIZABILITY = 13.5


def human_distance(
    diversity: Any,
    recognizability: Any,
    human_diversity: float,
    human_recognizability: float,
    sigma_diversity: float = SIGMA_DIVERSITY,
    sigma_recognizability: float = SIGMA_RECOGNIZABILITY,
) -> Any:
    """Euclidean distance after dividing each axis by its sigma; one number, or an array for arrays
    of models.

    recognizability and its sigma are in per cent. A model whose value is NaN gets NaN.
    Raises ValueError if a sigma is not positive or the human point is not finite.
    """
    if not (0 < sigma_diversity < np.inf and 0 < sigma_recognizability < np.inf):
        raise ValueError(
            f"the sigmas must be finite and positive, given {sigma_diversity} and"
            f" {sigma_recognizability}"
        )
    if not np.isfinite([human_diversity, human_recognizability]).all():
        raise ValueError(
            f"the human point must be finite, given ({human_diversity}, {human_recognizability})"
        )
    across = (np.asarray(diversity, np.float64) - human_diversity) / sigma_diversity
    up = (np.asarray(recognizability, np.float64) - human_recognizability) / sigma_recognizability
    distance = np.hypot(across, up)
    return float(distance) if distance.ndim == 0 else distance
