"""Do models generalize as people do? Recognizability as drawings stray from their exemplar."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from oneshot.report.analysis.chance import alike_to_first, seed_noise
from oneshot.report.analysis.generalization import (
    FIT,
    generalization_curves,
    ordered_axis,
    people_lie_above,
    settings_to_show,
)
from oneshot.report.analysis.intervals import setting_means
from oneshot.report.averages import over_seeds
from oneshot.report.figures import colours, style
from oneshot.report.figures.labels import spread_labels
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import setting_text

DASHES = ["-", (0, (4, 1.5)), (0, (1.5, 1.2))]  # of curves that share a colour
LETTERS = 30  # of a line of a label
ENOUGH = 0.5  # of people's range must be covered for the area of a curve to be compared
NO_BREAK = "\u00a0"  # a space at which lines do not break


@styled
def draw(results: Results) -> Plot:
    """Draw the curves of people and of a few settings: ten bins as dots, their quadratic as a line.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No model's drawings were enough for a curve.
    """
    table = generalization_curves(results)
    chosen, note = settings_to_show(results, table)
    people = list(dict.fromkeys(table.loc[table["model"] == "human", "setting"]))
    curves = {setting: table[table["setting"] == setting] for setting in [*people, *chosen]}
    shown = pd.concat(list(curves.values()), ignore_index=True)
    title = _title(results, shown)
    dots = "dots: ten bins of equal count" + ", means over seeds" * bool(table["seeds"].max() > 1)
    labels = (
        "labels: area to people's curve (% x originality) over the share of people's range of"
        " originality"
        if shown["generalization_coverage"].notna().any()
        else ""
    )
    foot = style.foot(results, f"{dots}; lines: quadratic fits", labels, note)
    figure = style.canvas(title, foot, (style.WIDE, style.SINGLE[1]))
    axes = figure.subplots()
    _set_limits(axes, shown)
    looks = _looks(results, shown)
    ends = [_draw_curve(axes, curves[setting], **looks[setting]) for setting in [*chosen, *people]]
    style.settle(figure)
    spread_labels(figure, axes, ends, inside=True)
    return Plot(figure, shown, title)


def _set_limits(axes: Axes, shown: pd.DataFrame) -> None:
    """Limits round all dots, with a margin."""
    x, y = shown["originality"], shown["recognizability"]
    dx, dy = max(0.04 * (x.max() - x.min()), 0.01), max(0.05 * (y.max() - y.min()), 0.5)
    axes.set(xlim=(x.min() - dx, x.max() + dx), ylim=(y.min() - dy, y.max() + dy))
    axes.set(xlabel="originality", ylabel=style.with_unit("recognizability"))


def _looks(results: Results, shown: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour, marker and dashes of each setting; people have their own.

    Colours follow the first axis of numbers, else the family, else each setting has its own.
    """
    models = shown[shown["model"] != "human"].drop_duplicates("setting")
    axis = ordered_axis(results, models)
    kind = axis or ("model" if models["model"].nunique() > 1 else "setting")
    families = dict(zip(dict.fromkeys(models[kind]), colours.series()))
    norm = colours.axis_norm(models[axis]) if axis else None
    looks: dict[str, dict[str, Any]] = {}
    used: Counter[str] = Counter()
    for setting, value in zip(models["setting"], models[kind]):
        colour, marker = (
            (colours.ordered_colours()(float(norm(value))), "o") if norm else families[value]
        )
        again = used[str((colour, marker))]
        used[str((colour, marker))] += 1
        looks[setting] = dict(
            color=colour, marker=marker, ms=4, lw=1.2, ls=DASHES[again % len(DASHES)], zorder=3
        )
    people = dict(
        color=colours.VERMILLION, marker="*", ms=9, mec="white", mew=0.5, lw=2.0, zorder=6
    )
    return looks | {setting: people for setting in shown.loc[shown["model"] == "human", "setting"]}


def _draw_curve(axes: Axes, rows: pd.DataFrame, **looks: Any) -> tuple[Annotation, Any]:
    """Draw dots and quadratic; returns a label at the right edge, and its colour."""
    x = np.linspace(rows["originality"].min(), rows["originality"].max(), 100)
    y = np.polyval(rows[FIT].to_numpy(float)[0], x)
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
        dict(fontsize=8, color=colours.VERMILLION, fontweight="bold")
        if people
        else dict(fontsize=7)
    )
    text |= dict(textcoords="offset points", va="center", annotation_clip=False)
    return (
        axes.annotate(style.wrapped(label_text(rows.iloc[0]), LETTERS), edge, (9, 0), **text),
        looks["color"],
    )


def label_text(row: pd.Series) -> str:
    """A setting, how far from people's curve it is, and over how much of its range.

    Lines break between axes only.
    """
    setting = ", ".join(part.replace(" ", NO_BREAK) for part in str(row["setting"]).split(", "))
    nearness = _nearness(row) if row["model"] != "human" else ""
    return f"{setting}: {nearness.replace(' ', NO_BREAK)}" if nearness else setting


def _nearness(row: pd.Series) -> str:
    """`0.76 over 79 %`: the area to people's curve and its coverage; "" without such a curve."""
    if pd.isna(row["generalization_coverage"]):
        return ""
    if pd.isna(row["generalization_area"]):
        return "no overlap"
    coverage = 100 * row["generalization_coverage"]
    return f"{row['generalization_area']:.2f} over {coverage:.0f} %"


def _title(results: Results, shown: pd.DataFrame) -> str:
    """Whose curve is nearest to people's, as far as seeds tell, and whether people's lies above it.

    The area is compared among curves that cover at least half of people's range: over little, it is
    small.

    Args:
        results: The results.
        shown: The rows of `generalization_curves` that are drawn.

    Returns:
        The title.
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
    wide = ranked[ranked["generalization_coverage"] >= ENOUGH]
    if wide.empty:
        widest = 100 * ranked["generalization_coverage"].max()
        return f"No curve covers half of people's range of originality (the widest {widest:.0f} %)"
    best = wide.iloc[0]
    above = [people_lie_above(shown, setting) for setting in settings["setting"]]
    above_note = "; people's lies above" + " all" * (len(above) > 1) if all(above) else ""
    if len(wide) == 1:
        only = "the only one that covers half of people's range" * (len(settings) > 1)
        name = f"Distance to people's curve: {best['setting']}" + f" ({only})" * bool(only)
        return f"{name}, area {_nearness(best)} of its range{above_note}"
    alike = _alike(results, wide)
    if alike is None:
        name = f"Smallest area to people's curve, untested with one seed: {best['setting']}"
        return f"{name}, {_nearness(best)} of its range{above_note}"
    if alike == len(wide) - 1:
        return f"No curve is nearer to people's beyond chance{above_note}"
    others = f"; {alike} of {len(wide) - 1} others not distinguishable" * (alike > 0)
    name = f"Nearest to people's curve: {best['setting']}"
    return f"{name}, area {_nearness(best)} of its range{others}{above_note}"


def _alike(results: Results, ranked: pd.DataFrame) -> int | None:
    """How many of some settings cannot be told from the first by their areas; None: one seed."""
    metric = "generalization_area"
    noise = seed_noise(results, metric)
    if not noise.df:
        return None
    frame = over_seeds(results, results.models)
    means = setting_means(results, metric, results.models)
    by_name = {setting_text(results, row): m for (_, row), m in zip(frame.iterrows(), means)}
    return alike_to_first([by_name[name] for name in ranked["setting"]], noise)
