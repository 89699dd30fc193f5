"""Families that are there for one test, beside those of the package."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import oneshot.models
from oneshot.sweep import families

# Draws real test images of a data set of greys, a share of them of the class that is left out.
REAL_MIX = '''
"""real_mix: real test images, a share of them of the class that was left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneshot import rng
from oneshot.contracts import ReferenceFamily
from oneshot.sweep.settings import setting
from oneshot.types import DataSet, Drawings, Part

VERSION = 1
KINDS = ("greys",)


@dataclass(frozen=True)
class Config:
    part: float = setting(0.0, "sample", "share of the class that was left out", low=0, high=1)


VARIANTS: dict[str, dict[str, object]] = {"tiny": {}}


class RealMix(ReferenceFamily):
    def draw(self, data: DataSet, exemplars: np.ndarray, n: int, seed: int) -> Drawings:
        count = n * len(data.class_names)
        missing = round(self.config.part * count) if len(data.test) else 0
        draws = rng.generator(seed, "real mix")
        rows = [
            draws.choice(data.rows_of_part(classes, Part.TEST), size)
            for classes, size in ((data.test, missing), (data.train, count - missing))
            if size
        ]
        images = np.moveaxis(data.images[np.concatenate(rows)], 1, -1)
        blank = np.zeros((1, *images.shape[1:]), np.uint8)
        return Drawings(images, np.zeros(count, np.int64), blank, ("",))


FAMILY = RealMix
'''


@contextlib.contextmanager
def installed(folder: Path, name: str, source: str) -> Iterator[None]:
    """The package has one more family, in this process, for the length of a with block.

    Args:
        folder: An empty one, for a copy of the package that is made of links.
        name: Of the family.
        source: Of its file.
    """
    models = folder / "models"
    models.mkdir(parents=True)
    for path in families.PACKAGE.iterdir():
        if path.name != "models":
            (folder / path.name).symlink_to(path)
    for path in (families.PACKAGE / "models").glob("*.py"):
        (models / path.name).symlink_to(path)
    (models / f"{name}.py").write_text(source)
    places = [*oneshot.models.__path__, str(models)]
    try:
        with (
            mock.patch.object(families, "PACKAGE", folder),
            mock.patch.object(oneshot.models, "__path__", places),
        ):
            yield
    finally:
        sys.modules.pop(f"oneshot.models.{name}", None)
