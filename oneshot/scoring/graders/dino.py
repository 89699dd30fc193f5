"""The reviewers' panel in the features of DINOv2, which no critic of ours has a part in."""

from __future__ import annotations

import functools
import io

import numpy as np
import torch
from torch import nn

from oneshot.models.human import Config as HumanConfig
from oneshot.models.human import Human
from oneshot.scoring import dino, panel
from oneshot.scoring.work import Columns, Tables, Work
from oneshot.store.node_cache import node_file
from oneshot.store.store import sealed
from oneshot.sweep.point import digest

VERSION = 1
NEEDS = ("people", "dino_weights")


def grade(work: Work) -> tuple[Columns, Tables]:
    """Compare the first drawings of each class with people's.

    Args:
        work: a point with drawings of the test classes, in bits or colour.

    Returns:
        Columns of the row; those of a metric for which there are too few drawings are missing.
    """
    network = _network(work.file("dino_weights"), work.device)
    chosen = panel.first(work.drawings.label, work.point.settings["diversity_drawings"])
    features = dino.embed(network, work.drawings.images[chosen], work.device, work.tick)
    columns = panel.of_two_sets(
        features.astype(np.float64), _of_people(work, network).astype(np.float64)
    )
    return {f"dino_{name.removeprefix('sample_')}": v for name, v in columns.items()}, {}


@functools.lru_cache(maxsize=1)  # a worker scores many points with the same network
def _network(path: str, device: torch.device) -> nn.Module:
    """The network of a file, which the store names by its content, on a device."""
    return dino.read(path).to(device)


def _of_people(work: Work, network: nn.Module) -> np.ndarray:
    """The features of the first of people's drawings of each class, which the store keeps."""
    assert work.once is not None
    point, store = work.point, work.store
    of_data = [point.data_fingerprint, *(point.settings[n] for n in ("dataset", "split"))]
    sizes = [point.settings[n] for n in ("image_size", "diversity_drawings")]
    files = [point.files.get(name, "") for name in ("dino_weights", "human_file")]
    folder = f"store/features/{digest('dino', VERSION, of_data, sizes, files)}"
    key = f"{folder}.npy"

    def make() -> None:
        people = Human(HumanConfig(work.file("human_file"))).draw(work.data, work.exemplars, 0, 0)
        chosen = panel.first(people.label, point.settings["diversity_drawings"])
        buffer = io.BytesIO()
        np.save(buffer, dino.embed(network, people.images[chosen], work.device, work.tick))
        store.create(key, sealed(buffer.getvalue()))

    def read() -> np.ndarray:
        features: np.ndarray = np.load(node_file(store, key), mmap_mode="r", allow_pickle=False)
        return features

    name = "DINOv2 features of people's drawings"
    stored: np.ndarray = work.once(name, key, folder, read, make)
    return stored
