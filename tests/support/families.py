"""Models of all families that learn, in their tiny variants."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from oneshot.sweep import families

SIZE = 20  # pixels a side


def _trained() -> list[str]:
    found = []
    for family in families.names("models"):
        if importlib.import_module(f"oneshot.models.{family}").FAMILY.trained:
            variants = families.declaration("models", family).variants
            found += [f"{family}:{name}" for name in variants if name.startswith("tiny")]
    return found


TRAINED = _trained()  # "family:variant"


def build(family: str, device: torch.device | None = None, **changed: Any) -> Any:
    """A model of "family:variant" with other settings; of the CPU from seed 0."""
    name, _, variant = family.partition(":")
    module = importlib.import_module(f"oneshot.models.{name}")
    config = module.Config(**{**module.VARIANTS[variant], **changed})
    torch.manual_seed(0)
    with device or torch.device("cpu"):
        return module.FAMILY(config, SIZE)
