"""Is a class drawn that the model never saw? Its hits, beside the classifier's own mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from oneshot.report.analysis.removed import SHOTS, first_axis, hits_by_class
from oneshot.report.figures import colours, style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced
from oneshot.report.text import value_text

SMALLEST = 1e-3  # share below which the axis is linear, so that 0 has a place
MOST_VALUES = 8  # of the axis that colours
LINE = 0.26  # inches a class


@styled
def draw(results: Results) -> Plot:
    """Draw the share of drawings that are taken for the class that was left out, a line a class.

    A dot is the mean over the rest at a value of the first axis, its line reaches from the lowest
    to the highest point. The black bar is the share of real images of the other classes that are
    taken for it.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No class was left out, or no drawings were classified.
    """
    table, axis = hits_by_class(results), first_axis(results)
    datasets = list(dict.fromkeys(table["dataset"]))
    values = sorted(table[axis].dropna().unique()) if axis else [""]
    shown = evenly_spaced(values, MOST_VALUES)
    title = _title(table)
    lines = table.groupby("dataset")["class_name"].nunique().max()
    notes = [
        "a class at a time was left out of training; lines: lowest to highest point",
        f"{len(shown)} of {len(values)} values of {axis} shown" if len(shown) < len(values) else "",
        "filled: more than the classifier's mistakes (Fisher's exact test, Holm's correction)",
    ]
    width = style.WIDE if len(datasets) > 1 else style.SINGLE[0]
    size = (width, 1.9 + LINE * max(int(lines), 4))
    figure = style.canvas(title, style.foot(results, *notes), size)
    panels = figure.subplots(1, len(datasets), squeeze=False)[0]
    looks = _looks(shown)
    for panel, dataset in zip(panels, datasets):
        _panel(panel, table[table["dataset"] == dataset], axis, looks)
        panel.set_title(dataset if len(datasets) > 1 else "", fontsize=8, loc="left")
    real = "real images of other classes"
    handles = [Line2D([], [], color=colours.BLACK, marker="|", ls="", ms=11, mew=2, label=real)]
    for value, (colour, marker) in looks.items() if axis else ():
        text = f"{axis} {value_text(value)}"
        handles.append(Line2D([], [], color=colour, marker=marker, ls="", ms=5, label=text))
    panels[0].legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -0.6 / (size[1] - 1.2)),
        ncols=4,
        frameon=False,
        fontsize=7,
        borderaxespad=0,
        columnspacing=1.2,
        handletextpad=0.4,
    )
    style.settle(figure)
    return Plot(figure, table, title)


def _looks(values: list[object]) -> dict[object, tuple[Any, str]]:
    """The colour and marker of each value: of numbers from dark to light, else unlike."""
    if len(values) > 1 and all(isinstance(v, (int, float, np.number)) for v in values):
        ramp = colours.ordered_colours()
        return {v: (ramp(i / (len(values) - 1)), "o") for i, v in enumerate(values)}
    return dict(zip(values, colours.series()))


def _panel(
    panel: Axes, table: pd.DataFrame, axis: str, looks: dict[object, tuple[Any, str]]
) -> None:
    """Draw the classes of one data set from top to bottom."""
    names = list(dict.fromkeys(table["class_name"]))
    names = sorted(names, key=lambda name: -table[table["class_name"] == name]["highest"].max())
    for place, name in enumerate(names):
        rows = table[table["class_name"] == name]
        panel.axhline(place, color=colours.PALE, lw=0.4, zorder=0)
        null = rows["false_hits"].mean()
        panel.plot(null, place, "|", color=colours.BLACK, ms=13, mew=2, zorder=2)
        for i, (value, (colour, marker)) in enumerate(looks.items()):
            y = place + (0.56 * ((i + 0.5) / len(looks) - 0.5) if len(looks) > 1 else 0)
            for row in (rows[rows[axis] == value] if axis else rows).to_dict("records"):
                panel.plot([row["lowest"], row["highest"]], [y, y], color=colour, lw=1, zorder=3)
                face = colour if row["above"] else "white"
                panel.plot(row["hits_missing"], y, marker, color=colour, mfc=face, ms=4.5, zorder=4)
    panel.set_xscale("symlog", linthresh=SMALLEST, linscale=0.6)
    most = max(table["highest"].max(), table["false_hits"].max(), 10 * SMALLEST)
    panel.set(xlim=(-0.2 * SMALLEST, min(1.6 * most, 1.05)), ylim=(len(names) - 0.4, -0.6))
    ticks = [t for t in (0, 0.001, 0.01, 0.1, 1) if t <= min(1.6 * most, 1.05)]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.set_yticks(range(len(names)), names)
    panel.minorticks_off()
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.set_xlabel("share of drawings in the class left out")


def _title(table: pd.DataFrame) -> str:
    """In how many classes there are more hits than mistakes, and where most of them are."""
    sets, condition = table["dataset"].nunique(), ""
    if SHOTS in table and (table[SHOTS] == 0).any() and table[SHOTS].nunique() > 1:
        table, condition = table[table[SHOTS] == 0], "Without shots, "
    names = table["class_name"].map(lambda name: f"class {name}" if name.isdigit() else name)
    place = names + (" of " + table["dataset"] if sets > 1 else "")
    classes, above = place.nunique(), table.assign(place=place)[table["above"]]
    if above.empty:
        text = (
            "No class left out is drawn more often than the classifier's mistakes have it"
            if classes > 1
            else "The class left out is drawn no more often than the classifier's mistakes have it"
        )
        return condition + (text[0].lower() + text[1:] if condition else text)
    best = above.iloc[int(above["hits_missing"].argmax())]
    drawn = above["place"].nunique()
    which = f"{drawn} of {classes} classes left out {'is' if drawn == 1 else 'are'}"
    one = "the class left out is" if condition else "The class left out is"
    return (
        f"{condition}{which if classes > 1 else one} drawn more often than the"
        f" classifier's mistakes have it: {best['place']} most, {best['hits_missing']:.3f} of"
        f" the drawings ({best['false_hits']:.3f} by mistake)"
    )
