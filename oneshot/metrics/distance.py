"""Distance to people's point in the plane of diversity and recognizability.

As in Fig. 5a of Boutin et al. 2022 (https://arxiv.org/abs/2205.10370): Euclidean, after each axis
is divided by its standard deviation over the pooled models. The paper gives no sigmas. Recovered
from the figure, whose values they reproduce to about 0.02, they are 0.775 for diversity and 13.5
per cent for recognizability.

Features of a critic have a scale of their own, and with it diversities. So the unit of diversity is
a share of people's own: 0.775 where people's diversity is 1.286, as with the published critic. The
distance then means the same with every critic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

UNIT_DIVERSITY = 0.775 / 1.286  # times people's diversity
UNIT_RECOGNIZABILITY = 13.5  # in per cent


def human_distance(
    diversity: Any,
    recognizability: Any,
    human_diversity: float,
    human_recognizability: float,
    unit_diversity: float = UNIT_DIVERSITY,
    unit_recognizability: float = UNIT_RECOGNIZABILITY,
) -> Any:
    """Distance of a model, or of an array of models, to people's point.

    >>> human_distance(1.4, 96.0, 2.0, 100.0, unit_diversity=0.1, unit_recognizability=1.0)
    5.0

    Args:
        diversity: of the model; NaN gives NaN.
        recognizability: of the model, in per cent; NaN gives NaN.
        human_diversity: of people, above 0.
        human_recognizability: of people, in per cent.
        unit_diversity: of the first axis, in shares of people's diversity.
        unit_recognizability: of the second axis, in per cent.

    Returns:
        A float, or float64 of the models' shape.

    Raises:
        ValueError: a unit is not positive, or people's point is not finite or without diversity.
    """
    if not (0 < unit_diversity < np.inf and 0 < unit_recognizability < np.inf):
        raise ValueError(
            f"the units must be finite and positive, given {unit_diversity} and"
            f" {unit_recognizability}"
        )
    if not np.isfinite([human_diversity, human_recognizability]).all() or human_diversity <= 0:
        raise ValueError(
            "the human point must be finite, and its diversity above 0, given"
            f" ({human_diversity}, {human_recognizability})"
        )
    ratio = np.asarray(diversity, np.float64) / human_diversity
    across = (ratio - 1) / unit_diversity
    up = (np.asarray(recognizability, np.float64) - human_recognizability) / unit_recognizability
    distance = np.hypot(across, up)
    return float(distance) if distance.ndim == 0 else distance
