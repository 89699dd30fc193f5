"""Believable tables of a sweep of set VAEs, without a sweep: bounds, KL, attention, confusion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
from synthetic_results import write_results, write_table

MODELS = [
    {"latents": "vector", "context": "none", "pooling": "mean", "nelbo": 101.5},
    {"latents": "vector", "context": "flat", "pooling": "mean", "nelbo": 96.6},
    {"latents": "map", "context": "flat", "pooling": "mean", "nelbo": 92.9},
    {"latents": "map", "context": "flat", "pooling": "attention", "nelbo": 92.8},
    {"latents": "pyramid", "context": "hierarchical", "pooling": "mean", "nelbo": 89.4},
    {"latents": "pyramid", "context": "hierarchical", "pooling": "attention", "nelbo": 88.4},
]
OFFSETS = {"test": 0.0, "mnist": 25.0, "mnist2": 10.0, "mnist3": 22.0}
GAIN = {1: 9.5, 2: 6.0, 5: 0.0, 10: -1.7, 20: -2.5}  # nats per image above those with 5 members
TRAINED = 5


def write_sets(
    root: Path,
    *,
    seeds: int = 1,
    colour: bool = False,
    datasets: int = 4,
    models: int = 6,
    trained: Sequence[int] = (5,),
    **options: Any,
) -> Path:
    """Write the tables of a sweep of set VAEs.

    Args:
        root: The folder of results.
        seeds: Points a setting.
        colour: No drawing has a place on the plane.
        datasets: So many of OFFSETS were evaluated.
        models: So many of MODELS, the last ones.
        trained: The set sizes to train with, an axis.
        options: Of `write_results`.

    Returns:
        The sweep's folder.
    """
    axes = [
        {**{k: v for k, v in model.items() if k != "nelbo"}, "set_size": size}
        for model in MODELS[-models:]
        for size in trained
    ]
    folder = write_results(
        root, axes, seeds=seeds, name="set_vae", references=not colour, where_is=_place, **options
    )
    table = pyarrow.parquet.read_table(folder / "points.parquet")
    about = json.loads(table.schema.metadata[b"oneshot"])
    points = table.to_pandas()
    points["model"] = points["model"].replace("vae_stn", "set_vae")
    if colour:
        points[
            [
                name
                for name in points
                if name.startswith(
                    ("diversity", "recognizab", "originality", "human_", "generalization")
                )
            ]
        ] = np.nan
    likelihood = pd.concat([_likelihood(row, datasets) for row in _own(points)], ignore_index=True)
    trained_on = likelihood["point_id"].map(points.set_index("point_id")["set_size"])
    own = likelihood[
        (likelihood["dataset"] == "test") & (likelihood["set_size"] == trained_on)
    ].set_index("point_id")
    for name in ("nelbo", "nll", "kl_c", "kl_z", "reconstruction"):
        points[name] = points["point_id"].map(own[name])
    points["mnist_nelbo"] = points["nelbo"] + OFFSETS["mnist"]
    points["classified_kl"] = np.where(points["nelbo"].notna(), 180 - points["nelbo"], np.nan)
    tables = {"points": points, "likelihood": likelihood}
    for name, make in (("layers", _layers), ("attention", _attention), ("confusion", _confusion)):
        tables[name] = pd.concat([make(row) for row in _own(points)], ignore_index=True)
    for name, frame in tables.items():
        write_table(frame, folder / f"{name}.parquet", about)
    return folder


def _place(pooling: str, latents: str, **_: Any) -> tuple[float, float]:
    return 1.2 + 0.2 * (pooling == "mean"), 80.0 + 2 * len(latents)


def _own(points: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        row
        for row in points.to_dict("records")
        if row["model"] == "set_vae" and row["status"] == "done"
    ]


def base(row: dict[str, Any]) -> float:
    """The NELBO of a point on test sets of 5, nats per image; it differs a little by seed."""
    same = next(m for m in MODELS if all(m[k] == row[k] for k in ("latents", "context", "pooling")))
    return float(same["nelbo"] + 0.2 * (row["seed"] - 44))


def _likelihood(row: dict[str, Any], datasets: int) -> pd.DataFrame:
    rows = []
    for dataset, offset in list(OFFSETS.items())[:datasets]:
        for size in GAIN if dataset == "test" else [s for s in GAIN if s > 1]:
            nelbo = base(row) + offset + GAIN[size] * (row["context"] != "none")
            nelbo += 0.8 * abs(np.log(size / row["set_size"])) * (row["set_size"] != TRAINED)
            kl_c, kl_z = (0.0 if row["context"] == "none" else 25 / size), 28.0
            numbers = dict(
                nelbo=nelbo, nelbo_se=0.11, reconstruction=nelbo - kl_c - kl_z, kl_c=kl_c, kl_z=kl_z
            )
            scored = size == row["set_size"] and dataset == "test"
            rows.append(
                {
                    **_key(row),
                    "dataset": dataset,
                    "set_size": size,
                    "sets": 1000,
                    **numbers,
                    "nll": nelbo - 3.4 if scored else np.nan,
                    "nll_se": 0.1 if scored else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {"point_id": row["point_id"]}


def _layers(row: dict[str, Any]) -> pd.DataFrame:
    count = 3 if row["latents"] == "pyramid" else 1
    latents = ["z"] if row["context"] == "none" else ["c", "z"]
    kl = {"c": [3.2, 1.7, 0.04], "z": [4.0, 9.5, 14.5]}
    return pd.DataFrame(
        [
            {**_key(row), "latent": v, "level": i + 1, "kl": kl[v][i]}
            for v in latents
            for i in range(count)
        ]
    )


def _attention(row: dict[str, Any]) -> pd.DataFrame:
    if row["pooling"] != "attention":
        return pd.DataFrame({"point_id": pd.Series(dtype=str)})
    rng = np.random.default_rng(3)
    rows = []
    for number in range(12):
        for level in range(3 if row["latents"] == "pyramid" else 1):
            for head, weights in enumerate(rng.dirichlet(np.ones(TRAINED) * (1 + 3 * level), 4)):
                where = {
                    "set": number,
                    "class_name": f"Angelic_{number}/character{number:02d}",
                    "level": f"c{level + 1}",
                    "head": head,
                }
                rows += [
                    {**_key(row), **where, "member": i, "weight": float(w)}
                    for i, w in enumerate(weights)
                ]
    return pd.DataFrame(rows)


def _confusion(row: dict[str, Any]) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = []
    for scorer, right in (("kl", 0.7), ("elbo", 0.9), ("reconstruction", 0.5)):
        for digit in range(10):
            chances = np.full(10, (1 - right) / 9)
            chances[digit] = right
            counts = rng.multinomial(1000, chances)
            rows += [
                {**_key(row), "scorer": scorer, "digit": digit, "predicted": p, "count": int(c)}
                for p, c in enumerate(counts)
            ]
    return pd.DataFrame(rows)
