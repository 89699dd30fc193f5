"""All figures of a sweep, and how they are written.

Each figure is a file of this folder with a function `draw`, decorated with `styled`, that takes the
results and returns a Plot (figure, numbers, finding). It raises AnalysisError with the reason if it
cannot be drawn from these results (no axis varies, no drawings are kept). To add one: a new file,
and its line in FIGURES; or in SET_FIGURES, REMOVED_FIGURES, MAP_FIGURES, SHEET_FIGURES,
POINT_FIGURES or FEW_SHOT_FIGURES if it shows what only sweeps of models of sets, of greys, of
models that explain themselves, of models with sheets, of points of the plane, or of models that are
taught a few examples leave.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from oneshot.report.analysis.few_shot import has_few_shot
from oneshot.report.analysis.people_maps import PeopleMaps
from oneshot.report.analysis.sheets import has_sheets
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import (
    attention,
    cardinality,
    confusion,
    curves,
    effects,
    few_shot,
    generalization,
    heatmap,
    importance,
    layers,
    likelihood,
    missing,
    modes,
    plane,
    removed,
    sheet,
    sheets,
    trajectory,
)
from oneshot.report.figures.style import Plot, save
from oneshot.report.results import Results
from oneshot.report.table import exact_types

FIGURES: dict[str, Callable[..., Plot]] = {
    "plane": plane.draw,
    "trajectory": trajectory.draw,
    "generalization": generalization.draw,
    "effects": effects.draw,
    "heatmap": heatmap.draw,
    "sheet": sheet.draw,
    "curves": curves.draw,
}
SET_FIGURES: dict[str, Callable[..., Plot]] = {
    "likelihood": likelihood.draw,
    "cardinality": cardinality.draw,
    "layers": layers.draw,
    "attention": attention.draw,
    "confusion": confusion.draw,
}
REMOVED_FIGURES: dict[str, Callable[..., Plot]] = {"removed": removed.draw}
MAP_FIGURES: dict[str, Callable[..., Plot]] = {"importance": importance.draw}
SHEET_FIGURES: dict[str, Callable[..., Plot]] = {"sheets": sheets.draw}
POINT_FIGURES: dict[str, Callable[..., Plot]] = {"modes": modes.draw, "missing": missing.draw}
FEW_SHOT_FIGURES: dict[str, Callable[..., Plot]] = {
    "few_shot": few_shot.draw,
    "gain": few_shot.draw_gain,
}
# how the reason begins where a figure broke, though these results should have one
BROKEN = "an error while it was drawn"


def figures_of(results: Results) -> dict[str, Callable[..., Plot]]:
    """The figures that these results may have.

    Those of models of sets are left out where no such model was evaluated, that of classes left out
    of training where no classifier saw drawings, those of importance maps and of sheets where none
    were made, those of few shots where no classifier was taught with drawings, those of the plane
    of people where all drawings are points.
    """
    figures = dict(FIGURES)
    if not results.modes.empty:
        of_points = POINT_FIGURES | {"curves": curves.draw}
        if results.models.empty:
            return of_points
        figures |= of_points
    if not (results.likelihood.empty and results.confusion.empty):
        figures |= SET_FIGURES
    if not results.predicted.empty:
        figures |= REMOVED_FIGURES
    if not results.importance.empty:
        figures |= MAP_FIGURES
    if has_few_shot(results):
        figures |= FEW_SHOT_FIGURES
    if has_sheets(results):
        figures |= SHEET_FIGURES
    return figures


def write_all(
    results: Results, folder: str | Path, color_by: str = "", people: PeopleMaps | None = None
) -> Iterator[tuple[str, str, str]]:
    """Draw and save every figure as name.png, .svg and .csv, though one of them breaks.

    Args:
        results: The results.
        folder: Where the files go.
        color_by: The axis or metric that colours the plane.
        people: Importance maps of people, for the figure of those.

    Yields:
        (name, title, "") of each that was written, (name, "", reason) of each that cannot be
        drawn from these results or broke.
    """
    options = {"plane": color_by, "importance": people}
    for name, draw in figures_of(results).items():
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
        save(plot.figure, exact_types(results, plot.numbers), folder, name)
        yield name, plot.title, ""
