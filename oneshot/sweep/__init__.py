"""What is asked: sweeps, their settings and points. Sweep files import from here."""

from oneshot.sweep.definition import Sweep
from oneshot.sweep.parts import Part, SweepError, grid, line, points, steps

__all__ = ["Part", "Sweep", "SweepError", "grid", "line", "points", "steps"]
