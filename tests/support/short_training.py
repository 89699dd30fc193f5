"""Trainings on a part of their images, for tests that look at everything around them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from oneshot.training import loop
from oneshot.trial import trial  # noqa: F401  (its modules are then loaded, and can be patched)


@contextlib.contextmanager
def first_images(train: int, schedule: int) -> Iterator[list[int]]:
    """Trials train on the first images alone, for as long as the context lasts.

    Args:
        train: how many images are trained on.
        schedule: how many are evaluated for the schedule.

    Yields:
        How many models each training had, in order.
    """
    stacks: list[int] = []

    def part(rows: Any, count: int) -> Any:
        return tuple(r[:count] for r in rows) if isinstance(rows, tuple) else rows[:count]

    def fit(models: Any, material: Any, *rest: Any, **more: Any) -> Any:
        stacks.append(len(models))
        short = dataclasses.replace(
            material,
            train=part(material.train, train),
            schedule=part(material.schedule, schedule),
        )
        return loop.fit(models, short, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("oneshot.trial.") and getattr(module, "fit", None) is loop.fit:
                patch.setattr(module, "fit", fit)
        yield stacks
