"""drawings: images made elsewhere, from a file, scored like any model's.

An .npz with arrays
    images     [N, H, W]  uint8 of 0 and 1, or floats in [0, 1] with ink bright
    exemplar   [N]        index into exemplars: the image each was drawn from
    exemplars  [C, H, W]  the conditioning images, one a class
    class_names [C]       optional
or a .parquet with columns `kind` ("drawing" or "exemplar"), `exemplar` (that index) and `pixels` (H*W numbers, row after row).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneshot.contracts import ReferenceFamily
from oneshot.episodes import DataSet, Drawings
from oneshot.metrics.images import standardise
from oneshot.settings import setting

VERSION = 1


@dataclass(frozen=True)
class Config:
    file: str = setting("", "data", "npz or Parquet file with the images, see `oneshot/models/drawings.py`", file=True)


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class FromFile(ReferenceFamily):
    """The drawings of a file, standardised to the image size of the data set. Raises ValueError that names the file and what is wrong."""

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        path = Path(self.config.file)
        try:
            read = _read_parquet if path.suffix == ".parquet" else _read_npz
            images, index, sources, names = read(path)
            _check(images, index, sources)
            bits, constant = standardise(images, data.image_size)
            exemplar_bits, blank = standardise(sources, data.image_size)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{path}: {error}") from error
        if blank.any():
            raise ValueError(f"{path}: {int(blank.sum())} of {len(blank)} exemplars are constant images")
        order = np.argsort(index, kind="stable")
        return Drawings(bits[order], index[order], exemplar_bits, names, int(constant.sum()))


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    with np.load(path, allow_pickle=False) as file:
        missing = {"images", "exemplar", "exemplars"} - set(file.files)
        if missing:
            raise ValueError(f"lacks the array {', '.join(sorted(missing))}; it has {', '.join(file.files)}")
        names = file["class_names"] if "class_names" in file.files else np.arange(len(file["exemplars"]))
        return file["images"], file["exemplar"].astype(np.int64), file["exemplars"], tuple(map(str, names))


def _read_parquet(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    import pandas as pd

    frame = pd.read_parquet(path)
    missing = {"kind", "exemplar", "pixels"} - set(frame.columns)
    if missing:
        raise ValueError(f"lacks the column {', '.join(sorted(missing))}; it has {', '.join(frame.columns)}")
    drawn = frame[frame.kind == "drawing"]
    sources = frame[frame.kind == "exemplar"].sort_values("exemplar")
    if sources.exemplar.tolist() != list(range(len(sources))):
        raise ValueError("its exemplars are not numbered 0, 1, 2 ... without gaps")
    images, exemplar_images = (_square(np.stack(list(part.pixels))) for part in (drawn, sources))
    return images, drawn.exemplar.to_numpy(np.int64), exemplar_images, tuple(map(str, range(len(sources))))


def _square(pixels: np.ndarray) -> np.ndarray:
    side = round(pixels.shape[1] ** 0.5)
    if side * side != pixels.shape[1]:
        raise ValueError(f"images of {pixels.shape[1]} pixels are not square")
    return pixels.reshape(-1, side, side)


def _check(images: np.ndarray, index: np.ndarray, sources: np.ndarray) -> None:
    if images.ndim != 3 or sources.ndim != 3:
        raise ValueError(f"images {images.shape} and exemplars {sources.shape} must have three dimensions: count, height, width")
    if len(index) != len(images):
        raise ValueError(f"{len(images)} images but {len(index)} exemplar indices")
    if len(index) and (index.min() < 0 or index.max() >= len(sources)):
        raise ValueError(f"exemplar indices run from {index.min()} to {index.max()}, but there are {len(sources)} exemplars")


FAMILY = FromFile
