"""oneshot: sweeps of one-shot generative models on the plane of diversity and recognizability."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneshot.api.load import load
    from oneshot.api.run import run
    from oneshot.api.score import score
    from oneshot.api.trained_model import TrainedModel, model
    from oneshot.sweep import Sweep, grid, line, points, steps

__version__ = "0.1.0"
__all__ = [
    "Sweep",
    "TrainedModel",
    "grid",
    "line",
    "load",
    "model",
    "points",
    "run",
    "score",
    "steps",
]
_HOMES = {  # of the names that do not come from oneshot.sweep
    "TrainedModel": "oneshot.api.trained_model",
    "load": "oneshot.api.load",
    "model": "oneshot.api.trained_model",
    "run": "oneshot.api.run",
    "score": "oneshot.api.score",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for."""
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "oneshot.sweep")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names of the module, the public ones included."""
    return sorted({*globals(), *__all__})
