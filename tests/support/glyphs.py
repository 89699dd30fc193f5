"""A data set of made glyphs that critics learn in seconds."""

from __future__ import annotations

import numpy as np

from oneshot.types import DataSet

SIZE = 20


def glyphs(classes: int = 36, per_class: int = 12, size: int = SIZE) -> DataSet:
    """Characters of three straight strokes, each drawing shifted and with its own ends; in thirds
    for train, validation and test.
    """
    rng = np.random.default_rng(0)
    images = np.zeros((classes, per_class, size, size), np.uint8)
    for c in range(classes):
        ends = rng.uniform(6, size - 6, (3, 2, 2))
        for d in range(per_class):
            moved = ends + rng.normal(0, 0.5, ends.shape) + rng.uniform(-2, 2, 2)
            for t in np.linspace(0, 1, 40):
                x, y = (
                    (moved[:, 0] * (1 - t) + moved[:, 1] * t)
                    .T.round()
                    .astype(int)
                    .clip(0, size - 2)
                )
                images[c, d, y, x] = images[c, d, y + 1, x] = 1
    third, ids = classes // 3, np.arange(classes)
    label = np.repeat(ids, per_class)
    names = tuple(f"glyph{c}" for c in ids)
    split = ids[:third], ids[third : 2 * third], ids[2 * third :]
    return DataSet("glyphs", "fixed", "made", images.reshape(-1, size, size), label, names, *split)
