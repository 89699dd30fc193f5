"""What do the drawings rest on? The importance maps of settings and of people."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.importance import (
    PEOPLE,
    difference_error,
    importance_by_class,
    importance_by_setting,
    mean_maps,
    no_maps_kept,
)
from oneshot.report.analysis.people_maps import PeopleMaps
from oneshot.report.analysis.resampling import CHANCE, t_tail
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, style
from oneshot.report.figures.images import on_paper
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced, varying_axes
from oneshot.report.text import setting_text
from oneshot.scoring.importance_maps import Maps

CLASSES, SETTINGS = 10, 4  # shown at most
NAME = 10  # letters of a class that fit above its column
# percentile of a map that is shown darkest; its few largest pixels would leave the rest white
DARKEST = 99.0


@styled
def draw(results: Results, people: PeopleMaps | None = None) -> Plot:
    """Draw the maps of a few classes, a column each, under the outline of the exemplar's strokes.

    A line for each of a few settings, evenly spaced from best to last, then one for people. The
    classes are evenly spaced in the list of names, so not chosen.

    Args:
        results: The results.
        people: The maps of people, if any.

    Returns:
        The plot.

    Raises:
        AnalysisError: There are no maps, none are kept, or no class is common to all lines.
    """
    by_class = importance_by_class(results, people)
    table = importance_by_setting(results, by_class, people)
    models = table[table["model"] != PEOPLE]
    title = _title(results, by_class, models)
    rows = _settings_to_show(results, models)
    kept = [(row, maps) for row in rows if (maps := mean_maps(results, row)) is not None]
    if not kept:
        raise no_maps_kept(results)
    classes = _classes_to_show([maps for _, maps in kept], people)
    strips = [
        (_caption(results, row), colours.BLACK, _of_classes(maps, classes)) for row, maps in kept
    ]
    exemplars = strips[0][2]
    if people is not None:
        drawn = people.of(classes, exemplars.maps.shape[1:])
        maps_of_people = Maps(drawn, exemplars.exemplars, tuple(classes))
        strips.append((_caption(results, table.iloc[-1]), colours.VERMILLION, maps_of_people))
    foot = style.foot(results, *_notes(len(models), len(rows), len(kept)))
    figure = style.canvas(title, foot, (style.WIDE, 0.85 + 0.6 * (1 + len(strips))))
    panels = figure.subplots(1 + len(strips), 1, squeeze=False)[:, 0]
    _exemplar_strip(panels[0], exemplars, classes)
    for panel, (text, colour, maps) in zip(panels[1:], strips):
        _map_strip(panel, maps)
        _label(panel, text, colour)
    style.settle(figure)
    numbers = table.assign(
        shown=[any(row.equals(one) for one, _ in kept) for _, row in table.iterrows()],
        classes_shown=" ".join(classes),
    )
    return Plot(figure, numbers, title)


def _settings_to_show(results: Results, models: pd.DataFrame) -> list[pd.Series]:
    """A few rows of a summary, evenly spaced; in the order of the axis where only one varies."""
    places = evenly_spaced(range(len(models)), SETTINGS)
    chosen = models.iloc[places]
    axes = varying_axes(results)
    if len(axes) == 1:
        chosen = chosen.sort_values(axes[0])
    return [row for _, row in chosen.iterrows()]


def _classes_to_show(maps: list[Maps], people: PeopleMaps | None) -> list[str]:
    """Ten (or all, if fewer) of the classes that every line has, evenly spaced in order of name."""
    common = set.intersection(*(set(one.class_names) for one in maps))
    if people is not None:
        common &= set(people.class_names)
    if not common:
        raise AnalysisError("the settings have maps of different classes")
    return evenly_spaced(sorted(common), CLASSES)


def _of_classes(maps: Maps, classes: list[str]) -> Maps:
    """The maps of some classes, in their order."""
    places = [maps.class_names.index(name) for name in classes]
    return Maps(maps.maps[places], maps.exemplars[places], tuple(classes))


def _exemplar_strip(panel: Axes, maps: Maps, classes: list[str]) -> None:
    """Draw the exemplars beside each other, their classes above them."""
    width = maps.exemplars.shape[2]
    panel.imshow(
        _side_by_side(np.stack([on_paper(image, 0.92) for image in maps.exemplars]), 1.0),
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
            ((i + 0.5) * width + i * _gap(width), 0),
            (0, 4),
            textcoords="offset points",
            fontsize=7,
            ha="center",
            va="bottom",
        )
    _label(panel, "exemplar", colours.BLACK)
    _hide_frame(panel)


def _map_strip(panel: Axes, maps: Maps) -> None:
    """Draw the maps beside each other, with outlines of the exemplars' strokes above.

    Each goes from white (0) to dark (its own DARKEST percentile).
    """
    scales = [np.percentile(one, DARKEST) or one.max() or 1.0 for one in maps.maps]
    panel.imshow(
        _side_by_side(np.stack([one / scale for one, scale in zip(maps.maps, scales)]), 0.0),
        cmap=colours.PAPER_TO_INK,
        vmin=0,
        vmax=1,
    )
    panel.contour(
        _side_by_side(maps.exemplars.astype(float), 0.0),
        levels=[0.5],
        colors=[colours.ORANGE],
        linewidths=0.5,
    )
    _hide_frame(panel)


def _side_by_side(images: np.ndarray, between: float) -> np.ndarray:
    """Images [C, H, W] in one line: [H, C W and the gaps]; `between` fills the gaps."""
    count, height, width = images.shape
    spaced = np.full((height, count, width + _gap(width)), between)
    spaced[:, :, :width] = images.transpose(1, 0, 2)
    return spaced.reshape(height, -1)[:, : -_gap(width)]


def _gap(width: int) -> int:
    """The gap between images of this width, in pixels."""
    return max(1, width // 12)


def _hide_frame(panel: Axes) -> None:
    """Hide ticks and frame of a panel, and put it at the left."""
    panel.set(xticks=[], yticks=[], anchor="W")
    panel.spines[:].set_visible(False)


def _label(panel: Axes, text: str, colour: str) -> None:
    """Write what a line shows, at its left."""
    panel.set_ylabel(
        text, rotation=0, ha="right", va="center", fontsize=7, color=colour, labelpad=5
    )


def _caption(results: Results, row: pd.Series) -> str:
    """Which setting, on how few pixels, how near to people."""
    who = (
        "people"
        if row["model"] == PEOPLE
        else textwrap.fill(setting_text(results, row), 18, max_lines=3, placeholder=" ..")
    )
    agrees = f"\nrank corr. {row['spearman']:.2f}" if pd.notna(row.get("spearman")) else ""
    return f"{who}\nhalf on {_percent(row['sparsity'])}{agrees}"


def _percent(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f} %"


def _notes(settings: int, rows: int, kept: int) -> list[str]:
    """What the foot line says of the picture."""
    return [
        (
            f"each map from white (0) to dark (its {DARKEST:.0f}th percentile), a mean over seeds;"
            " orange: outline of the exemplar"
        ),
        f"{rows} of {settings} settings, evenly spaced in their order" if rows < settings else "",
        f"no maps kept of {rows - kept} of them" if kept < rows else "",
    ]


def _title(results: Results, classes: pd.DataFrame, models: pd.DataFrame) -> str:
    """On how few pixels half of the maps lies, or how well they agree with people's.

    Neutral unless the two ends differ over classes beyond chance, as the ends of all pairs.

    Args:
        results: The results.
        classes: The table of `importance_by_class`.
        models: Their `importance_by_setting`, without people.

    Returns:
        The title.
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
    gap = high[measure] - low[measure]
    error = difference_error(results, classes, low, high, measure)
    pairs = len(ordered) * (len(ordered) - 1) // 2  # of which these two lie farthest apart
    freedom = classes["class_name"].nunique() - 1
    p = t_tail(gap / error, freedom) if error > 0 else float(not gap > 0 or freedom < 1)
    clear = pairs > 0 and p * pairs < CHANCE
    names = setting_text(results, low), setting_text(results, high)
    if measure == "spearman":
        return _agreement_title(low["spearman"], high["spearman"], names, clear)
    if not clear:
        whatever = ", whatever the setting" if len(ordered) > 1 else ""
        return (
            f"Half of the importance lies on {_percent(ordered['sparsity'].mean())} of the"
            f" pixels{whatever}"
        )
    few, many = _percent(low["sparsity"]), _percent(high["sparsity"])
    return (
        f"Half of the importance lies on {few} of the pixels at {names[0]}, on {many} at {names[1]}"
    )


def _agreement_title(low: float, high: float, names: tuple[str, str], clear: bool) -> str:
    """Which setting is nearest to people's maps; neutral unless clear."""
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
