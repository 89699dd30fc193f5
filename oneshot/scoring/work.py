"""What a grader is given: a point with its drawings, critics, people, and the trained family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from oneshot.critics.encoder import embed_all
from oneshot.critics.predictions import Predictions
from oneshot.metrics.neighbours import nearest
from oneshot.scoring.base_classifier import BaseClassifier
from oneshot.scoring.classifier import Classifier
from oneshot.scoring.plane import Critics, Human
from oneshot.store.store import Store
from oneshot.sweep.point import Point
from oneshot.training.loop import Tick, unwatched
from oneshot.types import DataSet, Drawings

Columns = dict[str, Any]  # of the row: a number each
Tables = dict[str, Any]  # by name: lists by column, one value a line


@dataclass(frozen=True, eq=False)
class People:
    """What drawings are compared with beside people's point.

    Args:
        features: of people's drawings of the test classes in SimCLR's space, float32 [N, D].
        label: class of each of them, int64 [N].
        train: features of drawings that models may have learned from, float32 [M, D].
    """

    features: np.ndarray
    label: np.ndarray
    train: np.ndarray

    @cached_property
    def to_train(self) -> np.ndarray:
        """The distance of each of people's drawings to the nearest training drawing, [N]."""
        return nearest(self.features, self.train)


@dataclass(frozen=True, eq=False)
class Work:
    """One point to be graded.

    Args:
        point: its settings say what is scored, and how.
        data: images and classes.
        exemplars: image index of each class's exemplar, int64 [classes].
        drawings: what it drew.
        critics: the networks; None where drawings are not scored.
        human: people's point; None where drawings are not scored.
        people: people's and training drawings; None where drawings are not scored.
        family: the family of the point.
        load_weights: puts the weights that the point draws with into the family, on the device.
        greys: gives the images in grey levels, where the family wants them.
        store: where what is more than a number goes.
        device: where networks compute.
        classifier: of greys; None where no classifier scores.
        base_classifier: of base classes; None where there are no novel ones.
        tick: is called with (what, done, total) batch by batch; it may raise.
        file: gives the path on this machine of the file that a setting names, "" for none.
        once: reads what is stored under (name, key, folder of its lease, read, make), which one
            process makes first where it is not there; None where nothing has to be made.
    """

    point: Point
    data: DataSet
    exemplars: np.ndarray
    drawings: Drawings
    critics: Critics | None
    human: Human | None
    people: People | None
    family: Any
    load_weights: Callable[[], None]
    greys: Callable[[], np.ndarray | None]
    store: Store
    device: torch.device
    classifier: Classifier | None = None
    base_classifier: BaseClassifier | None = None
    tick: Tick = field(default=unwatched)
    file: Callable[[str], str] = field(default=lambda name: "")
    once: Callable[..., Any] | None = None

    @cached_property
    def features(self) -> np.ndarray:
        """The drawings in SimCLR's space, float32 [N, D], embedded once for all graders.

        Equal drawings have equal features to the bit, whichever batch they fall into.
        """
        assert self.critics is not None
        images = self.drawings.images
        bits = np.packbits(images.reshape(len(images), -1), axis=1)
        _, chosen, of_each = np.unique(bits, axis=0, return_index=True, return_inverse=True)
        return embed_all(self.critics.simclr, images[chosen], self.device)[of_each.reshape(-1)]

    @cached_property
    def predictions(self) -> Predictions:
        """What the classifier says of the drawings, computed once for all graders."""
        assert self.classifier is not None
        return self.classifier.predict(np.moveaxis(self.drawings.images, -1, 1))
