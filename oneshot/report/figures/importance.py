"""The figure of importance maps: which pixels of an exemplar the drawings of a setting rest on, and
which people rest on.
"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis import importance as found
from oneshot.report.analysis.importance import PEOPLE, People
from oneshot.report.figures import style as fs
from oneshot.report.figures.levels import PAPER_TO_INK
from oneshot.report.figures.sheet import shades
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import AnalysisError, Results, setting_text, varying
from oneshot.scoring.importance_maps import Maps

CLASSES, SETTINGS = 10, 4  # shown at most
NAME = 10  # letters of a class that fit above its column
# percentile of a map that is shown darkest; its few largest pixels would leave the rest white
DARKEST = 99.0


@styled
def importance(results: Results, people: People | None = None) -> Plot:
    """What do the drawings rest on? The maps of at most 10 classes, a column each, under the
    outline of the exemplar's strokes.

    A line for each of at most 4 settings, evenly spaced from best to last
    (`analysis_importance.summary`), then one for people. The classes are evenly spaced in the list
    of names, so not chosen.
    """
    by_class = found.by_class(results, people)
    table = found.summary(results, by_class, people)
    models = table[table["model"] != PEOPLE]
    title = importance_title(results, by_class, models)
    rows = chosen(results, models)
    kept = [(row, maps) for row in rows if (maps := found.mean_maps(results, row)) is not None]
    if not kept:
        raise found.nothing_kept(results)
    classes = shown_classes([maps for _, maps in kept], people)
    strips = [(caption(results, row), fs.BLACK, maps) for row, maps in kept]
    if people is not None:
        first = kept[0][1]
        theirs = Maps(
            people.of(classes, first.maps.shape[1:]),
            of_classes(first, classes).exemplars,
            tuple(classes),
        )
        strips.append((caption(results, table.iloc[-1]), fs.VERMILLION, theirs))
    figure = fs.canvas(
        title,
        fs.foot(results, *notes(len(models), len(rows), len(kept))),
        (fs.WIDE, 0.85 + 0.6 * (1 + len(strips))),
    )
    panels = figure.subplots(1 + len(strips), 1, squeeze=False)[:, 0]
    exemplar_strip(panels[0], of_classes(kept[0][1], classes), classes)
    for panel, (text, colour, maps) in zip(panels[1:], strips):
        strip(panel, of_classes(maps, classes))
        label(panel, text, colour)
    fs.settle(figure)
    shown = table.assign(
        shown=[any(row.equals(one) for one, _ in kept) for _, row in table.iterrows()],
        classes_shown=" ".join(classes),
    )
    return Plot(figure, shown, title)


def chosen(results: Results, table: pd.DataFrame) -> list[pd.Series]:
    """At most SETTINGS rows of a summary, evenly spaced in its order; in the order of the axis
    where only one varies.
    """
    places = np.linspace(0, len(table) - 1, min(SETTINGS, len(table))).round().astype(int)
    axes = varying(results)
    some = table.iloc[places]
    return [row for _, row in (some.sort_values(axes[0]) if len(axes) == 1 else some).iterrows()]


def shown_classes(maps: list[Maps], people: People | None) -> list[str]:
    """Ten (or all, if fewer) of the classes that every line has, evenly spaced in order of name."""
    common = set.intersection(
        *(set(one.class_names) for one in maps), *([set(people.class_names)] if people else [])
    )
    if not common:
        raise AnalysisError("the settings have maps of different classes")
    names = sorted(common)
    return [
        names[i]
        for i in np.linspace(0, len(names) - 1, min(CLASSES, len(names))).round().astype(int)
    ]


def of_classes(maps: Maps, classes: list[str]) -> Maps:
    places = [maps.class_names.index(name) for name in classes]
    return Maps(maps.maps[places], maps.exemplars[places], tuple(classes))


def exemplar_strip(panel: Axes, maps: Maps, classes: list[str]) -> None:
    """The exemplars beside each other, their classes above them."""
    width = maps.exemplars.shape[2]
    panel.imshow(
        joined(np.stack([shades(image, 0.92) for image in maps.exemplars]), 1.0),
        cmap="gray",
        vmin=0,
        vmax=1,
    )
    for i, name in enumerate(classes):
        lines = textwrap.wrap(
            name.replace("/", " ").replace("_", " "), NAME, break_long_words=False
        )
        text = "\n".join(
            line if len(line) <= NAME else f"{line[: NAME - 4]}..{line[-2:]}"
            for line in [*lines[:2], *lines[2:][-1:]]
        )
        panel.annotate(
            text,
            ((i + 0.5) * width + i * gap(width), 0),
            (0, 4),
            textcoords="offset points",
            fontsize=7,
            ha="center",
            va="bottom",
        )
    label(panel, "exemplar", fs.BLACK)
    bare(panel)


def strip(panel: Axes, maps: Maps) -> None:
    """The maps beside each other, each from white (0) to dark (its own DARKEST percentile),
    outlines of the exemplars' strokes above.
    """
    scales = [np.percentile(one, DARKEST) or one.max() or 1.0 for one in maps.maps]
    panel.imshow(
        joined(np.stack([one / scale for one, scale in zip(maps.maps, scales)]), 0.0),
        cmap=PAPER_TO_INK,
        vmin=0,
        vmax=1,
    )
    panel.contour(
        joined(maps.exemplars.astype(float), 0.0), levels=[0.5], colors=[fs.ORANGE], linewidths=0.5
    )
    bare(panel)


def joined(images: np.ndarray, between: float) -> np.ndarray:
    """Images [C, H, W] in one line, [H, C W and the gaps]; `between` fills the gaps."""
    count, height, width = images.shape
    spaced = np.full((height, count, width + gap(width)), between)
    spaced[:, :, :width] = images.transpose(1, 0, 2)
    return spaced.reshape(height, -1)[:, : -gap(width)]


def gap(width: int) -> int:
    return max(1, width // 12)


def bare(panel: Axes) -> None:
    panel.set(xticks=[], yticks=[], anchor="W")
    panel.spines[:].set_visible(False)


def label(panel: Axes, text: str, colour: str) -> None:
    """What a line shows, at its left."""
    panel.set_ylabel(
        text, rotation=0, ha="right", va="center", fontsize=7, color=colour, labelpad=5
    )


def caption(results: Results, row: pd.Series) -> str:
    """Which setting, on how few pixels, how near to people."""
    who = (
        "people"
        if row["model"] == PEOPLE
        else textwrap.fill(setting_text(results, row), 18, max_lines=3, placeholder=" ..")
    )
    agrees = f"\nrank corr. {row['spearman']:.2f}" if pd.notna(row.get("spearman")) else ""
    return f"{who}\nhalf on {percent(row['sparsity'])}{agrees}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def notes(settings: int, rows: int, kept: int) -> list[str]:
    """What the foot line says of the picture."""
    return [
        (
            f"each map from white (0) to dark (its {DARKEST:.0f}th percentile), a mean over seeds;"
            " orange: outline of the exemplar"
        ),
        f"{rows} of {settings} settings, evenly spaced in their order" if rows < settings else "",
        f"no maps kept of {rows - kept} of them" if kept < rows else "",
    ]


def importance_title(results: Results, classes: pd.DataFrame, models: pd.DataFrame) -> str:
    """On how few pixels half of the maps lies, or how well they agree with people's; neutral within
    two standard errors over classes.

    classes: `by_class`. models: their `summary`, without people.
    """
    measure = "spearman" if "spearman" in models else "sparsity"
    ordered = models.dropna(subset=measure).sort_values(measure, kind="stable")
    if ordered.empty:
        return (
            "No map can be compared with people's: one of each pair is constant"
            if measure == "spearman"
            else "No map has any mass"
        )
    low, high = ordered.iloc[0], ordered.iloc[-1]
    clear = high[measure] - low[measure] > 2 * found.difference_error(
        results, classes, low, high, measure
    )
    names = setting_text(results, low), setting_text(results, high)
    if measure == "spearman":
        return agreement(low["spearman"], high["spearman"], names, clear)
    if not clear:
        whatever = ", whatever the setting" if len(ordered) > 1 else ""
        return (
            f"Half of the importance lies on {percent(ordered['sparsity'].mean())} of the"
            f" pixels{whatever}"
        )
    few, many = percent(low["sparsity"]), percent(high["sparsity"])
    return (
        f"Half of the importance lies on {few} of the pixels at {names[0]}, on {many} at {names[1]}"
    )


def agreement(low: float, high: float, names: tuple[str, str], clear: bool) -> str:
    if clear:
        return (
            f"Nearest to people's maps: {names[1]}, rank correlation {high:.2f}; {low:.2f} at"
            f" {names[0]}"
        )
    if low == high:
        return f"Rank correlation of the maps with people's: {high:.2f}"
    return (
        f"No setting is clearly nearer to people's maps: rank correlations {low:.2f} to {high:.2f}"
    )
