"""Do two axes interact? The mean distance to people in each cell of two axes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from oneshot.report.analysis.chance import alike_to_first, seed_noise
from oneshot.report.analysis.design import design_of
from oneshot.report.analysis.effects import (
    cell_means,
    cell_scores,
    interaction,
    interaction_p,
    strongest_pair,
)
from oneshot.report.analysis.plane import require_scores
from oneshot.report.analysis.resampling import CHANCE
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import value_text

MOST_NUMBERS = 100  # of more cells the numbers are not written
MOST_TICKS = 17


@styled
def draw(results: Results, pair: tuple[str, str] | None = None) -> Plot:
    """Draw the mean distance to people in each cell of two axes.

    Args:
        results: The results.
        pair: The axes. Default: the crossed pair that explains most of the variance.

    Returns:
        The plot.

    Raises:
        AnalysisError: No two axes were crossed, or no cell has a distance to people.
    """
    require_scores(results)
    strongest = pair or strongest_pair(results)
    if strongest is None:
        raise AnalysisError("no two axes were crossed")
    a, b = strongest[:2]
    if results.models[a].nunique() < results.models[b].nunique():
        a, b = b, a  # the longer axis lies across
    cells = cell_means(results, a, b)
    values = cells.to_numpy()
    if not np.isfinite(values).any():
        raise AnalysisError(f"no cell of {a} and {b} has a distance to people")
    title = _title(results, cells, a, b)
    note = "each cell is a mean over the rest; darker is nearer to people"
    notes = [note, _empty_note(values), *_confounded_notes(results, a, b)]
    figure = style.canvas(title, style.foot(results, *notes))
    axes = figure.subplots()
    norm = colours.value_norm(pd.Series(values.ravel()))
    image = axes.imshow(
        cells, cmap=colours.ordered_colours(), aspect="auto", origin="lower", norm=norm
    )
    for side, labels in (("x", cells.columns), ("y", cells.index)):
        step = max(1, -(-len(labels) // MOST_TICKS))
        axes.set(
            **{
                f"{side}ticks": range(0, len(labels), step),
                f"{side}ticklabels": [value_text(label) for label in labels[::step]],
            }
        )
    axes.set(xlabel=style.with_unit(a), ylabel=style.with_unit(b))
    axes.tick_params(length=0, labelsize=7)
    axes.spines[:].set_visible(False)
    if cells.size <= MOST_NUMBERS:
        _write_numbers(axes, values, norm)
    for row, col in zip(*np.nonzero(np.isnan(values))):
        axes.add_patch(_cell(row, col, ec=colours.PALE, lw=0, hatch="////"))
    row, col = _nearest(values)
    axes.add_patch(_cell(row, col, ec=colours.VERMILLION, lw=1.6, clip_on=False))
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=18, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(style.with_unit("human_distance"), fontsize=8)
    style.settle(figure)
    columns = [f"{a} {value_text(value)}" for value in cells.columns]
    return Plot(figure, cells.set_axis(columns, axis=1).reset_index(), title)


def _cell(row: int, col: int, **looks: Any) -> Rectangle:
    """The outline of a cell."""
    return Rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, **looks)


def _nearest(values: np.ndarray) -> tuple[int, int]:
    """Row and column of the cell that is nearest to people."""
    row, col = divmod(int(np.nanargmin(values)), values.shape[1])
    return row, col


def _empty_note(values: np.ndarray) -> str:
    """How many cells are empty."""
    empty = int(np.isnan(values).sum())
    if not empty:
        return ""
    verb = "is" if empty == 1 else "are"
    return f"{empty} of {style.plural(values.size, 'cell')} {verb} empty (hatched): no score"


def _confounded_notes(results: Results, *axes: str) -> list[str]:
    """Which axes each of the two was never varied apart from."""
    plan = design_of(results, "human_distance")
    others = {axis: plan.confounded_with(axis) for axis in axes}
    return [
        f"{axis} was never varied apart from {', '.join(names)}"
        for axis, names in others.items()
        if names
    ]


def _write_numbers(axes: Axes, values: np.ndarray, norm: Normalize) -> None:
    """Write the number of each cell, light on dark and dark on light."""
    for (row, col), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if float(norm(value)) < 0.6 else colours.BLACK
            axes.text(col, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)


def _title(results: Results, cells: pd.DataFrame, a: str, b: str) -> str:
    """Whether the axes interact, and which cell is nearest to people, as far as tests tell."""
    row, col = _nearest(cells.to_numpy())
    nearest = f"{a} {value_text(cells.columns[col])}, {b} {value_text(cells.index[row])}"
    _, means = cell_scores(results, a, b)
    noise = seed_noise(results)
    ranked = sorted(means, key=lambda mean: mean.value)
    alike = alike_to_first(ranked, noise)
    if len(ranked) > 1 and alike == len(ranked) - 1:
        best = "no cell is clearly the nearest to people"
    else:
        others = f" ({style.plural(alike, 'other')} not distinguishable)" * (alike > 0)
        best = f"nearest cell {nearest}: {cells.to_numpy()[row, col]:.2f}{others}"
    pairs_of_rows = itertools.combinations(range(len(cells)), 2)
    if not any((cells.iloc[i] + cells.iloc[j]).count() > 1 for i, j in pairs_of_rows):
        # no two rows share two columns
        return f"{a} and {b}: too few cells to say whether they interact; {best}"
    p = interaction_p(results, a, b)
    if np.isnan(p):
        return f"{a} and {b}: no test of their interaction, one seed and no score by class; {best}"
    if not p < CHANCE:
        return f"{a} and {b} do not interact beyond chance; {best}"
    share = interaction(results, a, b)
    word = "hardly interact" if share < 0.02 else "interact"
    return f"{a} and {b} {word} ({100 * share:.0f} % of the variance); {best}"
