"""The exemplar of each class: the one image that models and critics see of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from oneshot import rng
from oneshot.critics.encoder import embed_all
from oneshot.sweep.point import Point, digest
from oneshot.types import DataSet


def exemplars_id(point: Point, kind: str) -> str:
    """What identifies the exemplars of a kind.

    Args:
        point: its images, its SimCLR and its seed, as far as the kind depends on them.
        kind: "medoid", "first" or "random".

    Returns:
        An id of hexadecimal digits.
    """
    data = [
        point.settings["dataset"],
        point.settings["split"],
        point.settings["image_size"],
        point.data_fingerprint,
    ]
    chooser = point.critic_id("chooser")
    chosen_by = {"medoid": chooser, "first": "", "random": str(point.seed)}[kind]
    return digest("exemplars", 1, data, kind, chosen_by)


def exemplars_key(point: Point, kind: str) -> str:
    """Where the store keeps the exemplars of a kind.

    Args:
        point: as for `exemplars_id`.
        kind: "medoid", "first" or "random".

    Returns:
        A key of the store.
    """
    return f"store/exemplars/{exemplars_id(point, kind)}.npy"


def choose_exemplars(
    data: DataSet,
    kind: str,
    simclr: nn.Module | None,
    seed: int,
    device: torch.device,
    classes: np.ndarray | None = None,
) -> np.ndarray:
    """One image of each class.

    Args:
        data: the images.
        kind: "medoid" (nearest to the class mean in SimCLR's space), "first", or "random" (by the
            seed).
        simclr: the critic in whose space a medoid lies; None for the other kinds.
        seed: of random exemplars.
        device: where the critic is.
        classes: those whose medoids are wanted, int64 [n]; None for all.

    Returns:
        Image indices, int64 [classes]; -1 for a medoid that is not wanted.
    """
    starts = np.searchsorted(data.label, np.arange(len(data.class_names)))
    sizes = np.bincount(data.label, minlength=len(data.class_names))
    if kind == "first":
        return starts.astype(np.int64)
    if kind == "random":
        return starts + rng.generator(seed, "exemplar").integers(sizes)
    assert simclr is not None
    rows = np.arange(len(data.label)) if classes is None else data.rows(classes)
    label = data.label[rows]
    features = embed_all(simclr, data.images[rows], device).astype(np.float64)
    sums = np.stack([np.bincount(label, column, len(sizes)) for column in features.T], 1)
    means = sums / sizes[:, None]
    square_distance = ((features - means[label]) ** 2).sum(1)
    chosen = np.full(len(sizes), -1, np.int64)
    start = 0
    for c in np.unique(label):
        chosen[c] = starts[c] + square_distance[start : start + sizes[c]].argmin()
        start += sizes[c]
    return chosen
