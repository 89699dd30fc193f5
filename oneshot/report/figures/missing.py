"""Does it matter which mode was left out? Hits and modes covered by removed mode and by an axis."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

from oneshot.report.analysis.modes import cell_table, null_hits
from oneshot.report.figures import colours, style
from oneshot.report.figures.modes import finding
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results

MOST_NUMBERS = 120  # of more cells the numbers are not written
PANELS = {
    "hits_missing": "drawings that hit the removed mode (%)",
    "modes_covered": "kept modes covered",
}


@styled
def draw(results: Results) -> Plot:
    """Draw the mean share of hits, and of modes covered, in each cell of mode and axis.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No drawing is a point of the plane, or no mode was left out.
    """
    tables = {metric: cell_table(results, metric) for metric in PANELS}
    tables["hits_missing"] = 100 * tables["hits_missing"]
    lines = len(tables["hits_missing"])
    height = 0.24 + 0.11 * max(text.count("\n") for text in tables["hits_missing"].index)
    title = finding(results)
    notes = ["each cell is a mean over the rest; below the line: references"]
    size = (style.WIDE, 1.5 + 2 * (0.45 + height * lines))
    figure = style.canvas(title, style.foot(results, *notes), size)
    grid = figure.subplots(2, 1, sharex=True)
    for panel, (metric, table) in zip(grid, tables.items()):
        looks = _colours(results, metric, table)
        _heat_map(panel, table, looks, "{:.2f}" if metric == "hits_missing" else "{:.1f}")
        panel.set_title(PANELS[metric], fontsize=8, loc="left")
        models = lines - sum(name in set(results.nulls["model"]) for name in table.index)
        if models < lines:
            panel.axhline(models - 0.5, color=colours.BLACK, lw=0.8)
    grid[-1].set_xlabel("mode left out of training", fontsize=8)
    style.settle(figure)
    whole = pd.concat([table.assign(metric=metric) for metric, table in tables.items()])
    return Plot(figure, whole.rename_axis("line").reset_index(), title)


def _colours(results: Results, metric: str, table: pd.DataFrame) -> tuple[Colormap, Normalize]:
    """Colours of a metric: hits from white, the more the darker, at least up to the ring's."""
    highest = float(np.nanmax(table.to_numpy()))
    if metric == "hits_missing":
        top = max(highest, 100 * null_hits(results).get("ring", 0.0), 1.0)
        return colours.PAPER_TO_INK, Normalize(0, top)
    return colours.ordered_colours(), Normalize(0, max(highest, 1.0))


def _heat_map(
    panel: Axes, table: pd.DataFrame, looks: tuple[Colormap, Normalize], number: str
) -> None:
    """Draw one table of cells, with their numbers where these are few."""
    cmap, norm = looks
    panel.imshow(table, cmap=cmap, norm=norm, aspect="auto")
    panel.set_yticks(range(len(table)), list(table.index), fontsize=7)
    wide = [str(name).replace(" ", "\n") for name in table.columns]
    panel.set_xticks(range(len(wide)), wide, fontsize=7)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    if table.size > MOST_NUMBERS:
        return
    for (row, column), value in np.ndenumerate(table.to_numpy(float)):
        if np.isfinite(value):
            red, green, blue, _ = cmap(norm(value))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            panel.text(
                column,
                row,
                number.format(value),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else colours.BLACK,
            )
