"""The figures of a sweep: each a function of the results of `analysis.load` that returns a Plot
(figure, numbers, finding).

A figure that cannot be drawn from these results (no axis varies, no drawings are kept) raises
AnalysisError with the reason. To add one: a function in a `figure_*.py`, decorated with `styled`,
and its line in FIGURES, or in SET_FIGURES or MAP_FIGURES if it shows what only sweeps of models of
sets, or of models that explain themselves, leave.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from oneshot.report.analysis.importance import People
from oneshot.report.figures.axes import curves, effects, heatmap
from oneshot.report.figures.generalization import generalization
from oneshot.report.figures.importance import importance
from oneshot.report.figures.levels import attention, confusion, layers
from oneshot.report.figures.plane import plane, trajectory
from oneshot.report.figures.sets import cardinality, likelihood
from oneshot.report.figures.sheet import sheet
from oneshot.report.figures.style import Plot, save, style
from oneshot.report.results import AnalysisError, Results, exact

__all__ = [
    "BROKEN",
    "FIGURES",
    "MAP_FIGURES",
    "SET_FIGURES",
    "Plot",
    "attention",
    "cardinality",
    "confusion",
    "curves",
    "effects",
    "generalization",
    "heatmap",
    "importance",
    "layers",
    "likelihood",
    "plane",
    "save",
    "sheet",
    "style",
    "trajectory",
    "write_all",
]

FIGURES: dict[str, Callable[..., Plot]] = {
    "plane": plane,
    "trajectory": trajectory,
    "generalization": generalization,
    "effects": effects,
    "heatmap": heatmap,
    "sheet": sheet,
    "curves": curves,
}
SET_FIGURES: dict[str, Callable[..., Plot]] = {
    "likelihood": likelihood,
    "cardinality": cardinality,
    "layers": layers,
    "attention": attention,
    "confusion": confusion,
}
MAP_FIGURES: dict[str, Callable[..., Plot]] = {"importance": importance}
# how the reason begins where a figure broke, though these results should have one
BROKEN = "an error while it was drawn"


def write_all(
    results: Results, folder: str | Path, color_by: str = "", people: People | None = None
) -> Iterator[tuple[str, str, str]]:
    """Draw and save every figure into `folder` as name.png, .svg and .csv. color_by colours the
    plane; people: importance maps of theirs.

    Yields (name, title, "") of each that was written and (name, "", reason) of each that cannot be
    drawn from these results; one that breaks does not cost the others. Those of models of sets are
    left out without a word where no such model was evaluated, that of importance maps where none
    were made.
    """
    of_sets = not (results.likelihood.empty and results.confusion.empty)
    explained = not results.importance.empty
    options = {"plane": color_by, "importance": people}
    for name, draw in (
        FIGURES | (SET_FIGURES if of_sets else {}) | (MAP_FIGURES if explained else {})
    ).items():
        try:
            plot = draw(results, options[name]) if name in options else draw(results)
        except AnalysisError as error:
            yield name, "", str(error)
            continue
        except Exception as error:
            if os.environ.get("ONESHOT_TRACEBACK") == "1":
                raise
            yield name, "", f"{BROKEN} ({type(error).__name__}: {error})".splitlines()[0]
            continue
        save(plot.figure, exact(results, plot.numbers), folder, name)
        yield name, plot.title, ""
