"""The batches that a family trains on: pairs, sets or labelled images."""

from __future__ import annotations

import numpy as np
import torch

from oneshot.contracts import Labelled, Pairs, TrainedFamily
from oneshot.training.batch_source import Batches
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.pair_batches import PairBatches
from oneshot.training.phase import is_tuning, phase_of
from oneshot.training.set_batches import SetBatches
from oneshot.training.tuning_batches import TuningBatches
from oneshot.types import DataSet


def batches_for(
    model: TrainedFamily,
    data: DataSet,
    exemplars: np.ndarray,
    device: torch.device,
    greys: np.ndarray | None = None,
) -> Batches:
    """The batches that a model trains on.

    Args:
        model: whose settings say which.
        data: images and classes.
        exemplars: image index of each class's exemplar.
        device: of training.
        greys: grey images, for stochastic binarisation.

    Returns:
        Pairs, sets or labelled images, as the family `trains_on`; in a tuning, shots.

    Raises:
        ValueError: no class has enough images for a set, or for its shots.
    """
    if is_tuning(model):
        epochs, most = phase_of(model).epochs, model.evaluation_batch
        return TuningBatches.of_novel(data, model.config, device, epochs, most)
    if model.trains_on is Labelled:
        return LabelledBatches.of(data, model.config, device, model.evaluation_batch)
    classes, most = model.config.schedule_classes, model.evaluation_batch
    if model.trains_on is Pairs:
        return PairBatches.of(data, exemplars, classes, device, most)
    set_size, copies = model.config.set_size, model.config.augmented_copies
    steps = getattr(model.config, "epoch_steps", 0)
    return SetBatches.of(data, set_size, copies, classes, device, greys, most, steps)
