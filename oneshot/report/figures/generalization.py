"""The figure of generalization curves: how recognizability falls as drawings stray from their
exemplar, of people and of models.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from oneshot.report.analysis import generalization as ag
from oneshot.report.figures import style as fs
from oneshot.report.figures.sets import spread_labels, wrapped
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results

DASHES = ["-", (0, (4, 1.5)), (0, (1.5, 1.2))]  # of curves that share a colour
LETTERS = 30  # of a line of a label
ENOUGH = 0.5  # of the widest coverage, for the area of a curve to be compared


@styled
def generalization(results: Results) -> Plot:
    """Do models generalize as people do? The curve of people and of at most eight settings: ten
    bins as dots, their quadratic as a line.
    """
    table = ag.curves(results)
    chosen, note = ag.choose(results, table)
    people = list(dict.fromkeys(table.loc[table["model"] == "human", "setting"]))
    shown = pd.concat(
        [table[table["setting"] == setting] for setting in [*people, *chosen]], ignore_index=True
    )
    title = generalization_title(shown)
    means = "dots: ten bins of equal count" + ", means over seeds" * bool(table["seeds"].max() > 1)
    scored = shown["generalization_coverage"].notna().any()
    labels = (
        "labels: area to people's curve (% x originality) over the share of people's range of"
        " originality"
        if scored
        else ""
    )
    figure = fs.canvas(
        title,
        fs.foot(results, f"{means}; lines: quadratic fits", labels, note),
        (fs.WIDE, fs.SINGLE[1]),
    )
    axes = figure.subplots()
    frame_curves(axes, shown)
    looks = appearance(results, shown)
    ends = [
        draw_curve(axes, shown[shown["setting"] == setting], **looks[setting])
        for setting in [*chosen, *people]
    ]
    fs.settle(figure)
    spread_labels(figure, axes, ends, inside=True)
    return Plot(figure, shown, title)


def frame_curves(axes: Axes, shown: pd.DataFrame) -> None:
    """Limits round all dots, with a margin."""
    x, y = shown["originality"], shown["recognizability"]
    dx, dy = max(0.04 * (x.max() - x.min()), 0.01), max(0.05 * (y.max() - y.min()), 0.5)
    axes.set(xlim=(x.min() - dx, x.max() + dx), ylim=(y.min() - dy, y.max() + dy))
    axes.set(xlabel="originality", ylabel=fs.with_unit("recognizability"))


def appearance(results: Results, shown: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour, marker and dashes of each setting: by the first axis of numbers, else by family, else
    one each; people have their own.
    """
    models = shown[shown["model"] != "human"].drop_duplicates("setting")
    axis = ag.ordered_axis(results, models)
    kind = axis or ("model" if models["model"].nunique() > 1 else "setting")
    families = dict(zip(dict.fromkeys(models[kind]), fs.series()))
    norm = fs.shades(models[axis]) if axis else None
    looks: dict[str, dict[str, Any]] = {}
    used: Counter[str] = Counter()
    for setting, value in zip(models["setting"], models[kind]):
        colour, marker = (
            (fs.ordered_colours()(float(norm(value))), "o") if norm else families[value]
        )
        again = used[str((colour, marker))]
        used[str((colour, marker))] += 1
        looks[setting] = dict(
            color=colour, marker=marker, ms=4, lw=1.2, ls=DASHES[again % len(DASHES)], zorder=3
        )
    people = dict(color=fs.VERMILLION, marker="*", ms=9, mec="white", mew=0.5, lw=2.0, zorder=6)
    return looks | {setting: people for setting in shown.loc[shown["model"] == "human", "setting"]}


def draw_curve(axes: Axes, rows: pd.DataFrame, **looks: Any) -> tuple[Annotation, Any]:
    """One setting's dots and quadratic; returns its label, level with the end of the line at the
    right edge, and its colour.
    """
    x = np.linspace(rows["originality"].min(), rows["originality"].max(), 100)
    y = np.polyval(rows[ag.FIT].to_numpy(float)[0], x)
    dots = {
        name: looks[name]
        for name in ("color", "marker", "ms", "mec", "mew", "zorder")
        if name in looks
    }
    axes.plot(rows["originality"], rows["recognizability"], ls="none", **dots)
    line = {name: looks[name] for name in ("color", "lw", "ls") if name in looks}
    axes.plot(x, y, zorder=looks["zorder"] - 0.5, **line)
    edge = (axes.get_xlim()[1], float(y[-1]))
    axes.plot([x[-1], edge[0]], [edge[1]] * 2, color=looks["color"], lw=0.5, ls=":", zorder=1)
    people = rows["model"].iloc[0] == "human"
    text: dict[str, Any] = (
        dict(fontsize=8, color=fs.VERMILLION, fontweight="bold") if people else dict(fontsize=7)
    )
    text |= dict(textcoords="offset points", va="center", annotation_clip=False)
    return (
        axes.annotate(wrapped(label_text(rows.iloc[0]), LETTERS), edge, (9, 0), **text),
        looks["color"],
    )


def label_text(row: pd.Series) -> str:
    """A setting, and how far from people's curve it is over how much of its range; lines break
    between axes only.
    """
    setting = ", ".join(part.replace(" ", "\u00a0") for part in str(row["setting"]).split(", "))
    return f"{setting}: {nearness(row)}" if row["model"] != "human" and nearness(row) else setting


def nearness(row: pd.Series) -> str:
    """`0.76 over 79 %`, the spaces such that lines do not break there; "" where there is no curve
    of people.
    """
    if pd.isna(row["generalization_coverage"]):
        return ""
    if pd.isna(row["generalization_area"]):
        return "no\u00a0overlap"
    return f"{row['generalization_area']:.2f}\u00a0over\u00a0{100 * row['generalization_coverage']:.0f}\u00a0%"


def generalization_title(shown: pd.DataFrame) -> str:
    """Whose curve is nearest to people's, and whether people's lies above; neutral if seeds differ
    as much as settings.

    The area is compared among curves that cover at least half as much of people's range as the
    widest does: over little, it is small.
    """
    settings = shown[shown["model"] != "human"].drop_duplicates("setting")
    ranked = settings.dropna(subset="generalization_area").sort_values(
        "generalization_area", kind="stable"
    )
    if ranked.empty:
        apart = settings["generalization_coverage"].notna().any()
        return (
            "No curve shares originality with people's"
            if apart
            else "Recognizability by originality; there is no curve of people"
        )
    wide = ranked["generalization_coverage"] >= ENOUGH * ranked["generalization_coverage"].max()
    ranked = ranked[wide]
    best, areas = ranked.iloc[0], ranked["generalization_area"]
    noise = float(np.sqrt((ranked["generalization_area_se"] ** 2).mean()))
    if len(ranked) > 2 and areas.median() - best["generalization_area"] < 2 * noise:
        return "No curve is nearer to people's than seed noise allows"
    above = [ag.people_above(shown, setting) for setting in settings["setting"]]
    told = "; people's lies above" + " all" * (len(above) > 1) if all(above) else ""
    what = "Nearest to people's curve" if len(settings) > 1 else "Distance to people's curve"
    return f"{what}: {best['setting']}, area {nearness(best)} of its range{told}".replace(
        "\u00a0", " "
    )
