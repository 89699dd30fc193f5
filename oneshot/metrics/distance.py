"""Distance to people's point in the plane of diversity and recognizability.

As in Fig. 5a of Boutin et al. 2022 (https://arxiv.org/abs/2205.10370): Euclidean, after each axis
is divided by its standard deviation over the pooled models. The paper gives no sigmas; these are
recovered from the figure, whose values they reproduce to about 0.02.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIGMA_DIVERSITY = 0.775  # in units of SimCLR's features
SIGMA_RECOGNIZABILITY = 13.5  # in per cent


def human_distance(
    diversity: Any,
    recognizability: Any,
    human_diversity: float,
    human_recognizability: float,
    sigma_diversity: float = SIGMA_DIVERSITY,
    sigma_recognizability: float = SIGMA_RECOGNIZABILITY,
) -> Any:
    """Distance of a model, or of an array of models, to people's point.

    >>> human_distance(1.0, 96.0, 1.3, 100.0, sigma_diversity=0.1, sigma_recognizability=1.0)
    5.0

    Args:
        diversity: of the model; NaN gives NaN.
        recognizability: of the model, in per cent; NaN gives NaN.
        human_diversity: of people.
        human_recognizability: of people, in per cent.
        sigma_diversity: unit of the first axis.
        sigma_recognizability: unit of the second axis, in per cent.

    Returns:
        A float, or float64 of the models' shape.

    Raises:
        ValueError: a sigma is not positive, or people's point not finite.
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
