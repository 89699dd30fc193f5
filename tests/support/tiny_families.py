"""The tiny variants of every model, with random weights, a random batch, and data of their kind."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import made_labelled
import numpy as np
import torch

from oneshot.contracts import Items, TrainedFamily
from oneshot.sweep import families
from oneshot.trial import family_contract, made_batch
from oneshot.trial.made_batch import class_count
from oneshot.types import DataSet, Kind

SIZE = family_contract.SIZE  # of the images, in pixels
__all__ = ["class_count"]  # for tests

FAMILIES = [
    f"{family}:{variant}"
    for family in families.names("models")
    if family != "drawings"
    for variant in families.declaration("models", family).variants
    if variant.startswith("tiny")
]
TRAINED = [f for f in FAMILIES if families.module("models", f.partition(":")[0]).FAMILY.trained]


def build(
    family: str,
    seed: int = 0,
    image_size: int = SIZE,
    device: torch.device | None = None,
    **changed: Any,
) -> Any:
    """A model with random weights.

    Args:
        family: `model:variant`.
        seed: of its weights.
        image_size: side of its images, in pixels.
        device: where its weights are made [the CPU].
        changed: settings that differ from the variant's.

    Returns:
        An instance of the family.
    """
    name, _, variant = family.partition(":")
    module = families.module("models", name)
    config = module.Config(**{**module.VARIANTS[variant or "tiny"], **changed})
    if not module.FAMILY.trained:
        return module.FAMILY(config)
    torch.manual_seed(seed)
    with device or torch.device("cpu"):
        return module.FAMILY(config, image_size)


def kind(family: Any) -> Kind:
    """The first kind of data that an instance of a family models."""
    return families.kinds(type(family).__module__.rpartition(".")[2])[0]


def item_shape(family: TrainedFamily) -> tuple[int, ...]:
    """The shape of an item that a model learns and draws: (1, S, S), or (2,) of points."""
    return made_batch.item_shape(family, kind(family))


def batch(family: TrainedFamily, n: int = 5) -> tuple[Items, torch.Tensor]:
    """A random batch of a model.

    Args:
        family: the model.
        n: items of the batch.

    Returns:
        Its items, and its noise of shape (n, *noise_shape).
    """
    return made_batch.batch(family, kind(family), n)


def asked(family: TrainedFamily, n: int = 5, seed: int = 2) -> torch.Tensor:
    """What a model is asked for drawings by.

    Args:
        family: the model.
        n: drawings.
        seed: of exemplars.

    Returns:
        Exemplars, weights over classes, or [n, 0], as the family asks.
    """
    return made_batch.asked(family, kind(family), n, seed)


@functools.cache
def drawings_data() -> DataSet:
    """30 classes of 6 drawings: bars at random places, with a little jitter."""
    rng = np.random.default_rng(0)
    images = np.zeros((30, 6, SIZE, SIZE), np.uint8)
    for c in range(30):
        y, x = rng.integers(2, 14, 2)
        for i in range(6):
            dy, dx = rng.integers(-1, 2, 2)
            images[c, i, y + dy : y + dy + 4, 2:18] = 1
            images[c, i, 3:17, x + dx : x + dx + 2] = 1
    return DataSet(
        "made",
        "fixed",
        "0",
        images.reshape(-1, SIZE, SIZE),
        np.arange(30).repeat(6),
        tuple(f"class {c}" for c in range(30)),
        np.arange(6),
        np.arange(6, 9),
        np.arange(9, 30),
    )


def data_for(family: Any) -> DataSet:
    """Data that a family can draw for: bits, or greys or points of which class 2 is left out."""
    if (of := kind(family)) == Kind.BITS:
        return drawings_data()
    data = made_labelled.made(str(of), without=2, classes=class_count(family), side=SIZE)
    few_shot = type(family).__module__.endswith(".real")  # of novel classes alone
    return dataclasses.replace(data, split="classes_0") if few_shot else data


def first_exemplars(data: DataSet) -> np.ndarray:
    """The first image of each class, int64 [classes]."""
    return np.searchsorted(data.label, np.arange(len(data.class_names)))
