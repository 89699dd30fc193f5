"""oneshot: sweeps of one-shot generative models on the plane of diversity and recognizability."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oneshot.sweep import Sweep, grid, line, points, steps

__version__ = "0.1.0"
__all__ = ["Sweep", "grid", "line", "points", "steps"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for."""
    if name in __all__:
        return getattr(importlib.import_module("oneshot.sweep"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names of the module, the public ones included."""
    return sorted({*globals(), *__all__})
