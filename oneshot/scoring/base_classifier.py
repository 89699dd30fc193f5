"""The classifier of base classes and what it says of real images, on which few-shot scores rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from oneshot.critics import base_classifier, predictions
from oneshot.critics.predictions import Predictions
from oneshot.types import DataSet, Part

MOST_REAL = 5000  # base images that drawings of base classes are compared with, as published


@dataclass(frozen=True, eq=False)
class BaseClassifier:
    """The frozen classifier, and the real images of one class split.

    Attributes:
        network: it learned the base classes of the split.
        data: greys or colour with the split, whose classes are cut into parts.
        device: where the network is.
    """

    network: base_classifier.ResNet
    data: DataSet
    device: torch.device
    _known: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @property
    def dimensions(self) -> int:
        """How many numbers the features of an image are."""
        return int(self.network.last.in_features)

    def predict(self, images: np.ndarray) -> Predictions:
        """What the network says of images, as a data set has them, uint8 [N, C, S, S]."""
        return predictions.predict(self.network, images, self.device, base_classifier.MOST)

    def embed(self, images: np.ndarray) -> np.ndarray:
        """The features of images, as a data set has them, uint8 [N, C, S, S] -> float32 [N, D].

        Equal images have equal features to the bit, whichever batch they fall into.
        """
        if not len(images):
            return np.empty((0, self.dimensions), np.float32)
        whole = np.ascontiguousarray(images).reshape(len(images), -1)
        as_one = whole.view(np.dtype((np.void, whole.shape[1])))[:, 0]
        _, chosen, of_each = np.unique(as_one, return_index=True, return_inverse=True)
        features = predictions.embed(
            self.network, images[chosen], self.device, base_classifier.MOST
        )
        return features[of_each.reshape(-1)]

    def features(self, rows: np.ndarray) -> np.ndarray:
        """The features of images of the data set, each of which is seen once.

        Args:
            rows: image indices, int64 [N].

        Returns:
            float32 [N, D].
        """
        new = np.array(
            [row for row in np.unique(rows).tolist() if row not in self._known], np.int64
        )
        if len(new):
            self._known.update(zip(new.tolist(), self.embed(np.asarray(self.data.images[new]))))
        nothing = np.empty((0, self.dimensions), np.float32)
        return np.stack([self._known[row] for row in rows.tolist()]) if len(rows) else nothing

    @cached_property
    def test_rows(self) -> np.ndarray:
        """The image indices of the part TEST of the novel classes, sorted by class, int64 [N]."""
        return self.data.rows_of_part(self.data.test, Part.TEST)

    @cached_property
    def base_rows(self) -> np.ndarray:
        """The images of base classes that drawings of these are compared with, int64 [N].

        Those for selection, evenly spaced where they are more than 5,000; where they are too few
        for a Frechet distance, as many evenly spaced images for training besides as make twice the
        dimensions.
        """
        rows = self.data.rows_of_part(self.data.train, Part.SELECTION)
        if len(rows) <= self.dimensions:
            others = self.data.rows_of_part(self.data.train, Part.TRAIN)
            return np.sort(np.concatenate([rows, _spaced(others, 2 * self.dimensions - len(rows))]))
        return _spaced(rows, MOST_REAL)


def _spaced(rows: np.ndarray, most: int) -> np.ndarray:
    """So many of some rows, evenly spaced; all if there are no more."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]
