"""drawings: images made elsewhere, from a file, scored like any model's.

`oneshot/data/drawings_file.py` says what the file holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oneshot.contracts import ReferenceFamily
from oneshot.data.drawings_file import read_drawings
from oneshot.sweep.settings import setting
from oneshot.types import DataSet, Drawings

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Settings of images made elsewhere."""

    file: str = setting(
        "",
        "data",
        "npz or Parquet file with the images, see `oneshot/data/drawings_file.py`",
        file=True,
    )


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class FromFile(ReferenceFamily):
    """The drawings of a file, standardised to the image size of the data set.

    Raises ValueError that begins with the file's path and says what is wrong.
    """

    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        return read_drawings(Path(self.config.file), data.image_size)


FAMILY = FromFile
