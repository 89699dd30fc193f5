"""Believable result tables without a sweep: points as VAE-STN might score, references, drawings."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from oneshot.metrics.generalization import compare
from oneshot.store.records import FORMAT

HUMAN = (1.29, 97.6)
SCALE = (0.775 / 1.286 * HUMAN[0], 13.5)
LANDMARKS = {"human": HUMAN, "copy": (0.0, 100.0), "noise": (0.62, 5.1)}
CLASSES = 20
FULL = {"beta": np.arange(17) / 4, "time_steps": range(20, 100, 10), "z": range(10, 400, 25)}


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """Every combination of the values of some axes."""
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def lines(base: dict[str, Any], **axes: Iterable[Any]) -> list[dict[str, Any]]:
    """One axis at a time: a base setting, with one axis at each of its values.

    Args:
        base: The base setting.
        axes: The values of each axis.

    Returns:
        The settings, each once.
    """
    rows = [{**base, axis: value} for axis, values in axes.items() for value in values]
    return list({tuple(row.items()): row for row in rows}.values())


def place(beta: float = 1.0, time_steps: int = 60, z: int = 80, **_: Any) -> tuple[float, float]:
    """Where a setting lies on the plane.

    Args:
        beta: Diversity falls with it, recognizability peaks inside.
        time_steps: Acts weakly, on both.
        z: Acts weakly, on diversity.
        _: Other axes, which do nothing.

    Returns:
        Diversity and recognizability (per cent).
    """
    diversity = 1.75 + 0.95 * np.exp(-0.8 * beta) - 0.0025 * (time_steps - 60) - 0.0002 * (z - 80)
    recognizability = (
        84
        - 11 * (beta - 1.75) ** 2 / (1 + 0.35 * beta)
        + 0.09 * (time_steps - 60)
        + 1.5 * beta * (time_steps - 60) / 60
    )
    return float(diversity), float(recognizability)


def write_results(
    root: Path,
    settings: list[dict[str, Any]],
    *,
    seeds: int = 1,
    name: str = "vae_stn",
    failed: int = 0,
    diverged: int = 0,
    references: bool = True,
    where_is: Callable[..., tuple[float, float]] = place,
    drawings: Callable[[str, int], np.ndarray] | None = None,
    noise: float = 1.0,
    version: int = FORMAT,
) -> Path:
    """Write the tables of a sweep, and its drawings.

    Args:
        root: The folder of results.
        settings: The settings of the models; all have the same axes.
        seeds: Points a setting.
        name: The sweep's name.
        failed: So many points at the end failed, and have no metrics.
        diverged: So many points before those diverged, and have no metrics.
        references: Whether there are people, copies and noise.
        where_is: The place of a setting on the plane.
        drawings: (sample_id, class) -> uint8 [20, H, W] images, the first of which serves as
            exemplar; None writes no drawings.
        noise: Factor of the noise of seeds.
        version: The format of the tables; those before 4 know no generalization.

    Returns:
        The sweep's folder, root/name.
    """
    rng, axes = np.random.default_rng(0), list(settings[0]) if settings else []
    asked = [("vae_stn", s, 44 + k) for s in settings for k in range(seeds)]
    asked = [(m, {}, 44) for m in LANDMARKS if references] + asked
    rows = []
    for i, (model, setting, seed) in enumerate(asked):
        left = len(asked) - i
        status = "failed" if left <= failed else "diverged" if left <= failed + diverged else "done"
        at = LANDMARKS.get(model) or np.add(
            where_is(**setting), noise * rng.normal(size=2) * (0.02, 0.6)
        )
        rows.append(_row(i, name, status, model, setting, axes, seed, at))
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    points = pd.DataFrame(rows)
    for axis in axes:  # typed as run_sweep.py writes them, references without a value
        values = [setting[axis] for setting in settings]
        if all(isinstance(value, bool) for value in values):
            points[axis] = points[axis].astype("boolean")
        elif all(isinstance(value, (int, np.integer)) for value in values):
            points[axis] = points[axis].astype("Int64")
    about = {
        "format": version,
        "sweep": name,
        "question": "Which setting draws like people?",
        "axes": axes,
        "revision": "e41c2d7",
    }
    if version < 4:
        points = points.drop(columns=["generalization_area", "generalization_coverage"])
    else:
        write_table(_generalization(points), folder / "generalization.parquet", about)
    write_table(points, folder / "points.parquet", about)
    write_table(_classes(points), folder / "classes.parquet", about)
    write_table(_curves(points), folder / "curves.parquet", about)
    if drawings is not None:
        for sample_id in points.loc[points["status"] == "done", "sample_id"]:
            write_drawings(root, sample_id, drawings)
    return folder


def _row(
    i: int,
    name: str,
    status: str,
    model: str,
    setting: dict[str, Any],
    axes: list[str],
    seed: int,
    at: Any,
) -> dict[str, Any]:
    done, reference = status == "done", model in LANDMARKS
    distance = float(np.hypot(*((np.asarray(at) - HUMAN) / SCALE)))
    area, coverage = compare(bins(*at), bins(*HUMAN))
    numbers = dict(
        diversity=at[0],
        diversity_se=0.012,
        recognizability=at[1],
        recognizability_se=0.31,
        originality=originality(at[0]),
        originality_se=0.01,
        human_diversity=HUMAN[0],
        human_recognizability=HUMAN[1],
        human_distance=distance,
        diversity_ratio=at[0] / HUMAN[0],
        constant_drawings=0,
        generalization_area=area,
        generalization_coverage=coverage,
    )
    return {
        "point_id": f"{i * 2654435761 % 2**32:08x}",
        "status": status,
        "model": model,
        **{axis: setting.get(axis) for axis in axes},
        "seed": seed,
        **{key: value if done else None for key, value in numbers.items()},
        "learning_rate": None if reference else 1e-3,
        "train_seconds": None if reference else 60.0 + setting.get("time_steps", 40),
        "sample_id": f"s{i:08x}",
        "sweep": name,
        "error": (
            "OutOfMemoryError: CUDA out of memory\n  at line 3" if status == "failed" else None
        ),
    }


def originality(diversity: float) -> float:
    """The originality of drawings of this diversity."""
    return 0.4 + 0.2 * diversity


def bins(diversity: float, recognizability: float) -> np.ndarray:
    """A generalization curve: originality as people's, recognizability falls with its square.

    Args:
        diversity: The mean over the bins.
        recognizability: The mean over the bins, per cent.

    Returns:
        [2, 10]: originality and recognizability of ten bins.
    """
    spread = np.array([0.56, 0.71, 0.79, 0.86, 0.93, 1.0, 1.08, 1.18, 1.30, 1.59])
    fall = 0.8 * (100 - recognizability) * (spread**2 - np.mean(spread**2))
    return np.stack([originality(diversity) * spread, np.clip(recognizability - fall, 0, 100)])


def _generalization(points: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for row in points[points["status"] == "done"].itertuples():
        across, up = bins(row.diversity, row.recognizability)
        parts.append(
            pd.DataFrame(
                {
                    "point_id": row.point_id,
                    "bin": np.arange(1, 11),
                    "originality": across,
                    "recognizability": up,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _classes(points: pd.DataFrame) -> pd.DataFrame:
    """Twenty classes, of which the third is the hardest; their mean is the point's."""
    done = points[points["status"] == "done"].astype({"diversity": float, "recognizability": float})
    rng = np.random.default_rng(1)
    easy = rng.normal(size=CLASSES)
    easy[2] = -3.0
    own = 0.3 * rng.normal(size=(len(done), CLASSES))
    effect = easy - easy.mean() + own - own.mean(axis=1, keepdims=True)
    d, r = (done[name].to_numpy()[:, None] for name in ("diversity", "recognizability"))
    scale = np.minimum(4.0, np.minimum(r, 100 - r) / 6)
    columns = {
        "point_id": np.repeat(done["point_id"].to_numpy(), CLASSES),
        "class_name": np.tile([f"class{c:02d}" for c in range(CLASSES)], len(done)),
        "diversity": (d * (1 - 0.05 * effect)).ravel(),
        "recognizability": (r + scale * effect).ravel(),
        "originality": (originality(1.0) * d * (1 + 0.03 * effect) / np.maximum(d, 1e-9)).ravel(),
    }
    return pd.DataFrame(columns)


def _curves(points: pd.DataFrame) -> pd.DataFrame:
    parts = []
    trained = points[~points["model"].isin(LANDMARKS) & (points["status"] != "failed")]
    for i, row in enumerate(trained.itertuples()):
        epoch = np.arange(1, 8 if row.status == "diverged" else 21)
        train = 100 + 20 * (getattr(row, "beta", 1.0) or 0) + (300 + i % 7) / epoch
        train = np.where(epoch == 7, np.nan, train) if row.status == "diverged" else train
        losses = {"train_loss": train, "validation_loss": train * 0.9 + epoch / 4}
        parts.append(pd.DataFrame({"point_id": row.point_id, "epoch": epoch, **losses}))
    empty = pd.DataFrame({"point_id": pd.Series(dtype=str), "epoch": pd.Series(dtype=int)})
    return pd.concat(parts, ignore_index=True) if parts else empty


def write_drawings(
    root: Path, sample_id: str, draw: Callable[[str, int], np.ndarray], classes: int = 15
) -> None:
    """Write one drawings.npz as the store keeps them.

    Args:
        root: The folder of results.
        sample_id: Whose drawings they are.
        draw: (sample_id, class) -> uint8 [N, H, W] images; the first serves as exemplar.
        classes: How many classes.
    """
    images = [draw(sample_id, c) for c in range(classes)]
    every, exemplars = np.concatenate(images), np.stack([image[0] for image in images])
    folder = root / "store" / "drawings" / sample_id
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "drawings.npz",
        packed=np.packbits(every.reshape(len(every), -1), axis=1),
        label=np.repeat(np.arange(classes), [len(image) for image in images]),
        exemplars=np.packbits(exemplars.reshape(classes, -1), axis=1),
        shape=np.array(every.shape[1:]),
        class_names=np.array([f"class{c:02d}" for c in range(classes)]),
    )


def squiggles(sample_id: str, label: int, count: int = 20, size: int = 16) -> np.ndarray:
    """Different drawings for different points, the same on every run.

    Args:
        sample_id: The point.
        label: The class.
        count: How many.
        size: Of an image.

    Returns:
        uint8 [count, size, size] of 0 and 1.
    """
    rng = np.random.default_rng(sum(sample_id.encode()) + label)
    return (rng.random((count, size, size)) < 0.2).astype(np.uint8)


def write_table(frame: pd.DataFrame, file: Path, about: dict[str, Any]) -> None:
    """Write a table as run_sweep.py does.

    Args:
        frame: The table.
        file: The Parquet file.
        about: The note on the sweep.
    """
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata(
        {**table.schema.metadata, b"oneshot": json.dumps(about).encode()}
    )
    pyarrow.parquet.write_table(table, file, write_page_checksum=True)
