"""Whom does the pooling attend to? The weights of each head over a set's members."""

from __future__ import annotations

import itertools
import textwrap

import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.sets import best_point, peak_weight
from oneshot.report.figures import colours, style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced

SETS_SHOWN, LEVELS_SHOWN = 6, 6


@styled
def draw(results: Results) -> Plot:
    """Draw the weights of one model, sets as columns, levels as rows.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No attention weights are in the tables.
    """
    model, table = best_point(results, "attention")
    peak, uniform = peak_weight(table)
    title = (
        f"Largest weight of a head: {peak:.2f} on average, against {uniform:.2f} if all members"
        " counted the same"
    )
    chosen = sorted(table["set"].unique())[:SETS_SHOWN]
    every = list(dict.fromkeys(table["level"]))
    levels = evenly_spaced(every, LEVELS_SHOWN)
    notes = [
        f"weights of {model}" if results.evaluated["point_id"].nunique() > 1 else "",
        "dashed: uniform weights",
    ]
    notes.append(f"{len(levels)} of {len(every)} levels" if len(levels) < len(every) else "")
    figure = style.canvas(
        title, style.foot(results, *notes), (style.WIDE, 1.1 + 0.85 * len(levels))
    )
    grid = figure.subplots(len(levels), len(chosen), sharex=True, sharey=True, squeeze=False)
    for (i, level), (j, number) in itertools.product(enumerate(levels), enumerate(chosen)):
        part = table[(table["set"] == number) & (table["level"] == level)]
        _panel(grid[i, j], part)
        grid[i, j].set_ylabel(f"weight, {level}" if j == 0 else "", fontsize=8)
        grid[i, j].set_xlabel("head" if i == len(levels) - 1 else "", fontsize=8)
        if i == 0 and len(part):
            grid[i, j].set_title(_short_class(part["class_name"].iloc[0]), fontsize=7, loc="left")
    grid[0, 0].set_ylim(0, min(1.0, 1.08 * table["weight"].max()))
    style.settle(figure)
    return Plot(figure, table, title)


def _short_class(name: str) -> str:
    """A class in at most two short lines, as in `Angelic` over `character01`."""
    return "\n".join(
        textwrap.shorten(line, 15, placeholder="..") if " " in line else line[:15]
        for line in str(name).split("/")[-2:]
    )


def _panel(panel: Axes, part: pd.DataFrame) -> None:
    """Draw a group of bars per head, one bar per member."""
    members = part["member"].nunique()
    heads = sorted(part["head"].unique())
    at = part["head"].map(heads.index) * (members + 1.5) + part["member"]
    panel.bar(
        at,
        part["weight"],
        width=0.8,
        color=[(colours.BLUE, colours.GREEN)[heads.index(h) % 2] for h in part["head"]],
    )
    panel.axhline(1 / max(members, 1), color=colours.GREY, lw=0.7, ls=(0, (4, 3)))
    panel.set_xticks(
        [i * (members + 1.5) + (members - 1) / 2 for i in range(len(heads))],
        [f"{h + 1:.0f}" for h in heads],
        fontsize=7,
    )
    panel.tick_params(axis="x", length=0)
    panel.tick_params(axis="y", labelsize=7)
    panel.locator_params(axis="y", nbins=3)
