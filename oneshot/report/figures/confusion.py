"""Are digits it never saw told apart by its latents? What each digit was taken for."""

from __future__ import annotations

import numpy as np

from oneshot.report.analysis.sets import SCORERS, best_point, confusion_matrices
from oneshot.report.figures import colours, style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results


@styled
def draw(results: Results) -> Plot:
    """Draw what the images of each digit were taken for, a panel per scorer.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No digits were classified.
    """
    model, rows = best_point(results, "confusion")
    matrices = confusion_matrices(rows)
    best = max(matrices, key=lambda scorer: matrices[scorer][1])
    title = f"Digits are classified best by {SCORERS[best]}: {matrices[best][1]:.1f} % correct"
    notes = [
        f"classified by {model}" if results.evaluated["point_id"].nunique() > 1 else "",
        "cells: per cent of a digit's images, from 1",
    ]
    figure = style.canvas(
        title,
        style.foot(results, *notes),
        (style.WIDE if len(matrices) > 1 else 3.6, 3.0 if len(matrices) != 2 else 4.1),
    )
    grid = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
    for panel, (scorer, (cells, correct)) in zip(grid, matrices.items()):
        panel.imshow(cells, cmap=colours.PAPER_TO_INK, vmin=0, vmax=100)
        for (row, column), value in np.ndenumerate(cells):
            if value >= 1:
                panel.text(
                    column,
                    row,
                    f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if value > 45 else colours.BLACK,
                )
        panel.set_title(f"{SCORERS[scorer]}: {correct:.1f} % correct", fontsize=8, loc="left")
        panel.set(xticks=range(len(cells)), yticks=range(len(cells)), xlabel="taken for")
        panel.tick_params(length=0, labelsize=7)
        panel.spines[:].set_visible(False)
    grid[0].set_ylabel("digit")
    style.settle(figure)
    return Plot(figure, rows, title)
