"""Results made of scores by seed and class, without files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oneshot.metrics.distance import human_distance
from oneshot.report.results import Results

HUMAN = (1.3, 97.0)


def scored_classes(
    settings: Mapping[Any, np.ndarray],
    axis: str = "beta",
    diversity: float = 1.0,
    name: str = "made",
    **columns: Any,
) -> Results:
    """Results whose recognizability is given by seed and class.

    Args:
        settings: Value of the axis -> recognizability [seeds, classes]; diversity is constant.
        axis: The axis.
        diversity: Of all points and classes.
        name: Of the sweep.
        columns: More columns of the points, the same in all rows.

    Returns:
        The results, without references.
    """
    points, classes = [], []
    for value, table in settings.items():
        for seed, row in enumerate(np.atleast_2d(table)):
            point, up = f"{name}-{value}-{seed}", float(row.mean())
            points.append(
                {
                    "point_id": point,
                    "status": "done",
                    "model": "vae_stn",
                    axis: value,
                    "seed": seed,
                    "diversity": diversity,
                    "recognizability": up,
                    "human_distance": human_distance(diversity, up, *HUMAN),
                    "human_diversity": HUMAN[0],
                    "human_recognizability": HUMAN[1],
                    "diversity_ratio": diversity / HUMAN[0],
                    **columns,
                }
            )
            names = [f"class{i:03d}" for i in range(len(row))]
            scores = {"diversity": diversity, "recognizability": row}
            classes.append(pd.DataFrame({"point_id": point, "class_name": names, **scores}))
    curves = pd.DataFrame({"point_id": pd.Series(dtype=str)})
    return Results(
        pd.DataFrame(points), pd.concat(classes), curves, [axis], name, "", Path("results") / name
    )
