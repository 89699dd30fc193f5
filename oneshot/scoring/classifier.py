"""The classifier of all classes, with what it says of real images: what grey drawings rest on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from oneshot.critics import classifier
from oneshot.critics.predictions import Predictions, predict
from oneshot.types import DataSet, Part


@dataclass(frozen=True, eq=False)
class Classifier:
    """The frozen classifier, and the real images that it never saw.

    Attributes:
        network: it sees all classes of the data set, also those that a split leaves out.
        data: greys whose classes are cut into parts, of any split.
        device: where the network is.
    """

    network: classifier.Classifier
    data: DataSet
    device: torch.device

    def predict(self, images: np.ndarray) -> Predictions:
        """What the network says of images, as a data set has them, uint8 [N, 1, S, S]."""
        return predict(self.network, images, self.device)

    @cached_property
    def real_rows(self) -> np.ndarray:
        """The image indices of the part TEST of all classes, sorted by class, int64 [N]."""
        assert self.data.part is not None
        return np.flatnonzero(self.data.part == Part.TEST)

    @cached_property
    def real_label(self) -> np.ndarray:
        """The classes of these images, int64 [N]."""
        return self.data.label[self.real_rows]

    @cached_property
    def real(self) -> Predictions:
        """What the network says of these images."""
        return self.predict(self.data.images[self.real_rows])
