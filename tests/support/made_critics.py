"""Results whose points were scored by several critics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
from synthetic_results import HUMAN, SCALE, write_table


def score_again(folder: Path, seed: int, scale: float = 0.4, noise: float = 0.1) -> None:
    """Add the points of a sweep as another pair of critics scores them.

    Args:
        folder: The sweep's folder; its first points count as scored by the critics of seed 0.
        seed: Of the other critics.
        scale: Its diversities, also people's, are so many times the first one's.
        noise: The standard deviation of what it finds else in the distances of models.
    """
    rng, table = np.random.default_rng(seed), pyarrow.parquet.read_table(folder / "points.parquet")
    about = json.loads(table.schema.metadata[b"oneshot"])
    points = table.to_pandas()
    first = points[points.get("critic_seed", pd.Series(0, index=points.index)) == 0]
    first = first.assign(critic_seed=0, simclr_id="simclr0", protonet_id="protonet0")
    other = first.assign(
        critic_seed=seed,
        simclr_id=f"simclr{seed}",
        protonet_id=f"protonet{seed}",
        point_id=f"c{seed}" + first["point_id"],
        diversity=first["diversity"] * scale,
        diversity_se=first["diversity_se"] * scale,
        human_diversity=first["human_diversity"] * scale,
    )
    models = ~other["model"].isin(["human", "copy", "noise"])
    moved = other["recognizability"] + SCALE[1] * noise * rng.normal(size=len(other))
    other["recognizability"] = other["recognizability"].where(~models, moved)
    across = (first["diversity"] - HUMAN[0]) / SCALE[0]
    up = (other["recognizability"] - HUMAN[1]) / SCALE[1]
    other["human_distance"] = np.hypot(across, up)
    rest = points[~points["point_id"].isin(first["point_id"])]
    about["axes"] = list(dict.fromkeys([*about["axes"], "critic_seed"]))
    write_table(
        pd.concat([first, rest, other], ignore_index=True), folder / "points.parquet", about
    )
    classes = pd.read_parquet(folder / "classes.parquet")
    classes = classes[classes["point_id"].isin(first["point_id"])]
    again = classes.assign(point_id=f"c{seed}" + classes["point_id"])
    again["diversity"] *= scale
    every = pd.concat([pd.read_parquet(folder / "classes.parquet"), again], ignore_index=True)
    write_table(every, folder / "classes.parquet", about)
