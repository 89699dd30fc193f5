"""Importance maps as a value, and as the file in which the store keeps those of a point.

No torch, so that analysis reads them too.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from oneshot.metrics.importance import sparsity
from oneshot.store.store import with_checksum, without_checksum


@dataclass(frozen=True, eq=False)
class Maps:
    """Which pixels of the exemplars of the test classes the drawings rest on.

    Attributes:
        maps: float32 [C, H, W], at least 0; only ratios within a map mean something.
        exemplars: uint8 [C, H, W] of 0 and 1.
        class_names: of the C classes.
    """

    maps: np.ndarray
    exemplars: np.ndarray
    class_names: tuple[str, ...]


def key(point_id: str) -> str:
    """Where the store keeps the maps of a point."""
    return f"store/importance/{point_id}.npz"


def columns(maps: Maps) -> dict[str, list[Any]]:
    """The table `importance`: of each class, its name and the sparsity of its map.

    Sparsity is the fraction of the pixels that holds half of the map, NaN for a map without mass.
    """
    return {"class_name": list(maps.class_names), "sparsity": sparsity(maps.maps).tolist()}


def mean_sparsity(columns: Mapping[str, list[Any]]) -> float:
    """The mean over the classes whose map has mass; NaN if none has."""
    return float(pd.Series(columns["sparsity"], dtype=float).mean())


def even(maps: np.ndarray) -> np.ndarray:
    """Maps [C, H, W] in units of their own mean, float64, so that they can be averaged.

    A map without mass stays as it is.
    """
    means = np.asarray(maps, np.float64).mean(axis=(1, 2), keepdims=True)
    return maps / np.where(means > 0, means, 1.0)


def to_bytes(maps: Maps) -> bytes:
    """The file of maps: an npz with a checksum behind it, which readers of npz pass over.

    Arrays: `maps` (float16, each in units of its own mean), `exemplars` (np.packbits of each
    image), `shape`, `class_names`. In these units float16 keeps three digits of pixels down to a
    ten-thousandth of the mean, and maps of up to 255 pixels square.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        maps=even(maps.maps).astype(np.float16),
        exemplars=np.packbits(maps.exemplars.reshape(len(maps.exemplars), -1), axis=1),
        shape=np.array(maps.exemplars.shape[1:]),
        class_names=np.array(maps.class_names, dtype=np.str_),
    )
    return with_checksum(buffer.getvalue())


def from_bytes(data: bytes) -> Maps:
    """The maps in the bytes of `to_bytes`, each in units of its own mean.

    Raises:
        ValueError: these are not the whole bytes of such a file.
    """
    try:
        data = without_checksum(data, "this file")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            height, width = map(int, file["shape"])
            bits = np.unpackbits(file["exemplars"], axis=1)[:, : height * width]
            names = tuple(map(str, file["class_names"]))
            maps = file["maps"].astype(np.float32)
            return Maps(maps, bits.reshape(-1, height, width), names)
    except (
        OSError,
        EOFError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(f"not a whole file of importance maps ({error})") from error
