"""The tiny variants of every model, with random weights and a random batch."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from oneshot.contracts import Pairs, Sets, TrainedFamily
from oneshot.sweep import families

SIZE = 20  # of the images, in pixels

FAMILIES = [
    f"{family}:{variant}"
    for family in families.names("models")
    if family != "drawings"
    for variant in families.declaration("models", family).variants
    if variant.startswith("tiny")
]
TRAINED = [
    f
    for f in FAMILIES
    if importlib.import_module(f"oneshot.models.{f.split(':')[0]}").FAMILY.trained
]


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
    module = importlib.import_module(f"oneshot.models.{name}")
    config = module.Config(**{**module.VARIANTS[variant or "tiny"], **changed})
    if not module.FAMILY.trained:
        return module.FAMILY(config)
    torch.manual_seed(seed)
    with device or torch.device("cpu"):
        return module.FAMILY(config, image_size)


def batch(family: TrainedFamily, n: int = 5) -> tuple[Pairs | Sets, torch.Tensor]:
    """A random batch of a model.

    Args:
        family: the model.
        n: items of the batch.

    Returns:
        Its items, and its noise of shape (n, *noise_shape).
    """
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(n, *family.noise_shape, generator=generator)
    side = family.image_size
    if family.trains_on is Sets:
        shape = (n, family.config.set_size, 1, side, side)
        return Sets((torch.rand(shape, generator=generator) > 0.8).float()), noise
    x = (torch.rand(n, 1, side, side, generator=generator) > 0.8).float()
    return Pairs(x, x.flip(0)), noise
