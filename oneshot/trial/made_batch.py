"""Random batches of what a family trains on, to hold it to its contract."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneshot.contracts import Items, Labelled, Pairs, Sets, TrainedFamily
from oneshot.types import Kind

CLASSES = 10  # of data of a family that does not say how many it takes


def item_shape(family: TrainedFamily, kind: Kind) -> tuple[int, ...]:
    """The shape of an item that a model learns and draws: (1, S, S), or (2,) of points.

    Args:
        family: the model.
        kind: of its data.

    Returns:
        Without the dimension of the batch.
    """
    side = family.image_size
    return (2,) if kind == Kind.POINTS else (1, side, side)


def class_count(family: Any) -> int:
    """How many classes the data of a model have: as many as it was built for."""
    return int(getattr(family.config, "classes", CLASSES))


def batch(family: TrainedFamily, kind: Kind, n: int = 5) -> tuple[Items, Tensor]:
    """A random batch of a model.

    Args:
        family: the model.
        kind: of its data.
        n: items of the batch.

    Returns:
        Its items, and its noise of shape (n, *noise_shape).
    """
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(n, *family.noise_shape, generator=generator)
    if family.trains_on is Sets:
        sets = (n, family.config.set_size, *item_shape(family, kind))
        return Sets((torch.rand(sets, generator=generator) > 0.8).float()), noise
    if family.trains_on is Labelled:
        label = torch.arange(n) % class_count(family)
        one_hot = torch.nn.functional.one_hot(label, class_count(family)).float()
        return Labelled(_items(family, kind, n, generator), one_hot), noise
    x = _items(family, kind, n, generator)
    return Pairs(x, x.flip(0)), noise


def asked(family: TrainedFamily, kind: Kind, n: int = 5, seed: int = 2) -> Tensor:
    """What a model is asked for drawings by.

    Args:
        family: the model.
        kind: of its data.
        n: drawings.
        seed: of exemplars.

    Returns:
        Exemplars, weights over classes, or [n, 0], as the family asks.
    """
    if family.asks == "nothing":
        return torch.zeros(n, 0)
    if family.asks == "class":
        label = torch.arange(n) % class_count(family)
        return torch.nn.functional.one_hot(label, class_count(family)).float()
    return _items(family, kind, n, torch.Generator().manual_seed(seed))


def _items(family: TrainedFamily, kind: Kind, n: int, generator: torch.Generator) -> Tensor:
    """Random items of the kind of data that a model models."""
    shape = (n, *item_shape(family, kind))
    if kind == Kind.POINTS:
        return torch.randn(shape, generator=generator)
    levels = torch.rand(shape, generator=generator)
    return levels if kind == Kind.GREYS else (levels > 0.8).float()


def part(items: Items, rows: slice) -> Items:
    """Some of the items of a batch.

    Args:
        items: of the batch.
        rows: which.

    Returns:
        As many items.
    """
    parts: list[Any] = [t if t is None else t[rows] for t in vars(items).values()]
    return type(items)(*parts)
