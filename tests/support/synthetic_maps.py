"""Believable importance maps of a sweep of guidance strengths: strokes, and their corners."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
from PIL import Image, ImageDraw, ImageFilter
from synthetic_results import grid, write_results, write_table

from oneshot.scoring import importance_maps as files
from oneshot.scoring.importance_maps import Maps

CLASSES = tuple(f"class{c:02d}" for c in range(14))
SIZE = 48
GAMMAS = (0.0, 0.5, 1.0, 2.0, 4.0)


def corners(number: int) -> np.ndarray:
    """Where the strokes of a class begin, turn and end, in units of the image: [5, 2]."""
    return np.random.default_rng(number).uniform(0.15, 0.85, (5, 2))


def exemplar(number: int, size: int = SIZE) -> np.ndarray:
    """A broken line of four strokes.

    Args:
        number: The class.
        size: Of the image.

    Returns:
        uint8 [size, size] of 0 and 1.
    """
    image = Image.new("1", (size, size))
    ImageDraw.Draw(image).line(
        [tuple(xy) for xy in (corners(number) * size).tolist()], fill=1, width=2
    )
    return np.asarray(image).astype(np.uint8)


def importance(number: int, gamma: float, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """A map: the strokes' surroundings, and the corners the more the greater gamma is.

    Args:
        number: The class.
        gamma: The guidance strength.
        size: Of the map.
        seed: Of the noise.

    Returns:
        float64 [size, size].
    """
    blurred = Image.fromarray(exemplar(number, size) * np.uint8(255)).filter(
        ImageFilter.GaussianBlur(size / 20)
    )
    y, x = np.mgrid[:size, :size] / size
    spots = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.003) for cx, cy in corners(number)[::2])
    noise = np.random.default_rng([number, seed]).uniform(0, 0.06, (size, size))
    return np.asarray(np.asarray(blurred) / 255 + gamma * spots + noise)


def people(count: int = 14, size: int = 64) -> np.ndarray:
    """Maps of people, larger than the models': corners above all.

    Args:
        count: How many classes.
        size: Of a map.

    Returns:
        float64 [count, size, size].
    """
    return np.stack([importance(number, 3.0, size, seed=99) for number in range(count)])


def write_people(file: Path, **arrays: object) -> Path:
    """Write a file with importance maps of people.

    Args:
        file: The .npz.
        arrays: Arrays that replace `maps` and `class_names`, or come to them.

    Returns:
        The file.
    """
    np.savez(file, **{"maps": people(), "class_names": np.array(CLASSES), **arrays})  # type: ignore[arg-type]
    return file


def write_maps(
    root: Path,
    *,
    gammas: tuple[float, ...] = GAMMAS,
    seeds: int = 2,
    keep: bool = True,
    name: str = "guided",
) -> Path:
    """Write the tables of a sweep over gamma, and its maps into the store; references have none.

    Args:
        root: The folder of results.
        gammas: The values of the axis.
        seeds: Points a value.
        keep: Whether the store keeps the maps.
        name: The sweep's name.

    Returns:
        The sweep's folder.
    """
    folder = write_results(root, grid(gamma=gammas), seeds=seeds, name=name)
    table = pyarrow.parquet.read_table(folder / "points.parquet")
    about, points = json.loads(table.schema.metadata[b"oneshot"]), table.to_pandas()
    points["model"] = points["model"].replace("vae_stn", "diffusion")
    tables = []
    for row in points[points["model"] == "diffusion"].itertuples():
        stacked = np.stack(
            [importance(c, float(row.gamma), seed=int(row.seed)) for c in range(len(CLASSES))]
        ).astype(np.float32)
        maps = Maps(stacked, np.stack([exemplar(c) for c in range(len(CLASSES))]), CLASSES)
        tables.append(pd.DataFrame({"point_id": row.point_id, **files.columns(maps)}))
        points.loc[row.Index, "importance_sparsity"] = files.mean_sparsity(files.columns(maps))
        if keep:
            file = root / files.key(str(row.point_id))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(files.to_bytes(maps))
    write_table(points, folder / "points.parquet", about)
    write_table(pd.concat(tables, ignore_index=True), folder / "importance.parquet", about)
    return folder
