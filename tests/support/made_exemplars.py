"""Exemplars that no data set has, and drawings as results keep them."""

from __future__ import annotations

import numpy as np

import oneshot
from oneshot.scoring import sample
from oneshot.types import Drawings


def bars(count: int) -> np.ndarray:
    """Bars of different lengths, in grey, larger than the images of small models."""
    images = np.zeros((count, 32, 32))
    for i in range(count):
        images[i, 4 : 8 + i, 6 : 28 - i] = 0.9
    return images


def stored_drawings(model: oneshot.TrainedModel) -> Drawings:
    """The drawings that a model made when its sweep was run."""
    key = f"store/drawings/{model.row['sample_id']}/drawings.npz"
    return sample.from_bytes(model.stored.store.read(key))
