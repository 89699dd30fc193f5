"""Figures of how well models of sets explain images: bounds on the likelihood, and the gain from
larger sets.
"""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import NullFormatter, NullLocator

from oneshot.report.analysis import sets
from oneshot.report.figures import style as fs
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import AnalysisError, Results, plus_minus, varying

ROWS, LINES, PANELS = 20, 8, 8  # models shown at most: as dots, as lines, as panels
NATS = "nats per image"


def only(models: list[str], most: int) -> tuple[list[str], str]:
    """The first `most` models and, if there are more, the note that says so."""
    return models[:most], (
        f"the {most} of {len(models)} models of lowest NELBO" if len(models) > most else ""
    )


def wrapped(text: str, width: int) -> str:
    """Lines of at most `width` characters; a slash stays with the word before it."""
    lines = textwrap.wrap(text.replace(" /", "\u00a0/"), width)
    return "\n".join(lines).replace("\u00a0", " ")


@styled
def likelihood(results: Results) -> Plot:
    """Which model explains sets best? NELBO and NLL of each at the set size it was trained on, a
    panel per data set.
    """
    table = sets.at_trained_size(sets.bounds(results))
    models, note = only(sets.best_first(table), ROWS)
    shown = table[table["model"].isin(models)].reset_index(drop=True)
    title = likelihood_title(table)
    errors = f"bars: standard error over {'seeds' if table['seeds'].max() > 1 else 'sets'}"
    lines = [wrapped(model, 24) for model in models]
    height = 1.25 + 0.15 * sum(max(1.7, 1 + line.count("\n")) for line in lines)
    notes = [sizes_note(shown), errors, note]
    datasets = list(dict.fromkeys(shown["dataset"]))
    figure = fs.canvas(
        title, fs.foot(results, *notes), (fs.WIDE if len(datasets) > 1 else fs.SINGLE[0], height)
    )
    grid = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    for panel, dataset in zip(grid, datasets):
        part = shown[shown["dataset"] == dataset].assign(row=lambda t: t["model"].map(models.index))
        for term, colour, marker, side in (
            ("nelbo", fs.BLUE, "o", "left"),
            ("nll", fs.PURPLE, "D", "right"),
        ):
            dots(panel, part.dropna(subset=term), term, colour, marker, side)
        panel.set(ylim=(len(models) - 0.5, -1.1), xlabel=NATS)
        panel.set_title(sets.DATASETS.get(dataset, dataset), loc="left", fontsize=8)
        panel.set_yticks(range(len(models)), lines, fontsize=8 if max(map(len, models)) < 25 else 7)
        panel.tick_params(axis="y", length=0)
        room_for_names(panel, nll=part["nll"].notna().any())
        panel.locator_params(axis="x", nbins=4)
        panel.ticklabel_format(axis="x", useOffset=False)
    fs.settle(figure)
    return Plot(figure, shown, title)


def dots(panel: Axes, part: pd.DataFrame, term: str, colour: str, marker: str, side: str) -> None:
    """One bound of every model with its error bar; the uppermost dot carries the name, turned away
    from the other bound's.
    """
    for row in part["row"]:
        panel.axhline(row, color=fs.PALE, lw=0.4, zorder=0)
    looks: dict[str, Any] = dict(fmt=marker, ms=4.5, color=colour, elinewidth=1.0, zorder=3)
    panel.errorbar(part[term], part["row"], xerr=part[f"{term}_se"].fillna(0), **looks)
    if len(part):
        top = part.iloc[int(part["row"].argmin())]
        at = (float(top[term]), float(top["row"]))
        panel.annotate(
            term.upper(),
            at,
            (4 if side == "left" else -4, 5),
            textcoords="offset points",
            fontsize=7,
            color=colour,
            ha=side,
        )


def room_for_names(panel: Axes, nll: bool) -> None:
    """Margins wide enough for the names at the uppermost dots."""
    low, high = panel.dataLim.intervalx
    span = max(high - low, 1.0)
    panel.set_xlim(low - (0.3 if nll else 0.1) * span, high + 0.15 * span)


def sizes_note(table: pd.DataFrame) -> str:
    sizes = sorted(set(table["trained_size"].dropna()))
    return (
        f"sets of {', '.join(map(str, sizes))} images, the size trained on"
        if len(sizes) <= 4
        else "at the set size trained on"
    )


def likelihood_title(table: pd.DataFrame) -> str:
    """Who has the lowest NELBO of test sets, and by how much; neutral if the two best are within
    two standard errors of each other.
    """
    tests = (
        table[table["dataset"] == "test"].dropna(subset="nelbo").sort_values("nelbo", kind="stable")
    )
    if tests.empty:
        return "No bound on the likelihood of test sets"
    best = tests.iloc[0]
    if len(tests) == 1:
        return f"NELBO of {best['model']}: {plus_minus(best['nelbo'], best['nelbo_se'])} {NATS}"
    second = tests.iloc[1]
    gap, noise = (
        second["nelbo"] - best["nelbo"],
        float(np.hypot(best["nelbo_se"], second["nelbo_se"])),
    )
    if gap < 2 * noise:
        return (
            f"Lowest NELBO: {best['model']} and {second['model']} are within their standard errors"
            f" ({best['nelbo']:.2f} {NATS})"
        )
    return (
        f"Lowest NELBO: {best['model']}, {best['nelbo']:.2f} {NATS}, {gap:.2f} below"
        f" {second['model']}"
    )


@styled
def cardinality(results: Results) -> Plot:
    """Do larger sets help? NELBO against the size of the test sets, one line a model, a panel per
    data set.

    If the sweep trained models on sets of several sizes, a panel per kind of model instead, with
    one line a size (test sets only).
    """
    table = sets.bounds(results).dropna(subset="nelbo")
    if table["set_size"].nunique() < 2:
        raise AnalysisError("the models were evaluated at one set size")
    by_kind = "set_size" in varying(results)
    panels, note = size_panels(table, by_kind)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    title = cardinality_title(table)
    ring = "ring: the size trained on" if table["trained_size"].notna().any() else ""
    size = (fs.WIDE if columns > 1 else fs.SINGLE[0], 0.6 + (2.9 if rows == 1 else 2.4 * rows))
    figure = fs.canvas(title, fs.foot(results, ring, note), size)
    grid = figure.subplots(rows, columns, sharey=by_kind, squeeze=False)
    for panel in grid.flat[len(panels) :]:
        panel.set_axis_off()
    ends = []
    for panel, (heading, lines) in zip(grid.flat, panels.items()):
        ends.append(size_panel(panel, lines))
        panel.set_title(heading, loc="left", fontsize=8)
    for panel in grid[:, 0]:
        panel.set_ylabel(f"NELBO ({NATS})")
    fs.settle(figure)
    for panel, labels in zip(grid.flat, ends):
        spread_labels(figure, panel, labels)
    shown = pd.concat(
        [line for lines in panels.values() for line in lines.values()], ignore_index=True
    )
    return Plot(figure, shown, title)


def size_panels(
    table: pd.DataFrame, by_kind: bool
) -> tuple[dict[str, dict[str, pd.DataFrame]], str]:
    """What each panel shows: heading -> label -> the rows of a line; and the note on what is left
    out.
    """
    if by_kind:
        tests = table[table["dataset"] == "test"].sort_values("trained_size", kind="stable")
        kinds, note = only(list(dict.fromkeys(table["kind"])), PANELS)
        lines = {kind: tests[tests["kind"] == kind].groupby("trained_size") for kind in kinds}
        return {
            kind: {f"trained on {size}": line for size, line in groups}
            for kind, groups in lines.items()
        }, note
    models, note = only(sets.best_first(table), LINES)
    panels = {}
    for dataset, part in table[table["model"].isin(models)].groupby("dataset", sort=False):
        panels[sets.DATASETS.get(str(dataset), str(dataset))] = {
            m: line for m in models if len(line := part[part["model"] == m])
        }
    return panels, note


def size_panel(panel: Axes, lines: dict[str, pd.DataFrame]) -> list[tuple[Annotation, str]]:
    """The lines of one panel; returns their labels at the right end, with the colours of the
    lines.
    """
    labels = []
    for (name, rows), (colour, marker) in zip(lines.items(), fs.series()):
        line = rows.sort_values("set_size")
        style = dict(color=colour, marker=marker, ms=3.5, lw=1.2, elinewidth=0.8)
        panel.errorbar(line["set_size"], line["nelbo"], line["nelbo_se"].fillna(0), **style)  # type: ignore[arg-type]
        own = line[sets.of_trained_size(line)]
        panel.plot(own["set_size"], own["nelbo"], "o", ms=8, mfc="none", mec=colour, mew=0.8)
        end = (float(line["set_size"].iloc[-1]), float(line["nelbo"].iloc[-1]))
        label = panel.annotate(
            wrapped(name, 24),
            end,
            (9, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
            annotation_clip=False,
        )
        labels.append((label, colour))
    sizes = sorted(set(pd.concat(lines.values())["set_size"]))
    panel.set_xscale("log")
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xticks(sizes, [str(size) for size in sizes])
    panel.set_xlabel("images in a test set")
    panel.ticklabel_format(axis="y", useOffset=False)
    panel.locator_params(axis="y", nbins=5)
    return labels


def spread_labels(
    figure: Figure,
    panel: Axes,
    found: list[tuple[Annotation, str]],
    gap: float = 1.0,
    inside: bool = False,
) -> None:
    """Move labels that cover each other apart, as little as needed, and tie each to its line. Call
    it after `settle`.

    inside: keep them between the bottom and the top of the panel, if there is room.
    """
    found = sorted(found, key=lambda pair: -pair[0].xy[1])  # the uppermost first
    labels = [label for label, _ in found]
    pixels = figure.dpi / 72
    heights = [label.get_window_extent().height + gap * pixels for label in labels]
    wanted = [panel.transData.transform(label.xy)[1] for label in labels]
    places = list(wanted)
    for _ in range(500):
        if inside:
            places[0] = min(places[0], panel.bbox.y1 - heights[0] / 2)
            places[-1] = max(places[-1], panel.bbox.y0 + heights[-1] / 2)
        for i, j in itertools.pairwise(range(len(labels))):
            if (overlap := (heights[i] + heights[j]) / 2 - (places[i] - places[j])) > 0:
                places[i], places[j] = places[i] + overlap / 2, places[j] - overlap / 2
    for (label, colour), place, want in zip(found, places, wanted):
        label.xyann = (9, round((place - want) / pixels, 3))
        tie = dict(arrowstyle="-", color=colour, lw=0.6, shrinkA=0, shrinkB=3)
        panel.annotate(
            "",
            label.xy,
            (8, label.xyann[1]),
            textcoords="offset points",
            annotation_clip=False,
            arrowprops=tie,
        )


def cardinality_title(table: pd.DataFrame) -> str:
    steps = sets.gains(table)
    if steps.empty:
        return "NELBO by the size of the test sets"
    most = steps.iloc[int(steps["gain"].argmax())]
    mean = (
        ", mean over models" if table.loc[table["dataset"] == "test", "model"].nunique() > 1 else ""
    )
    if most["gain"] <= 0:
        return (
            f"Larger test sets do not lower the NELBO (best step: {most['gain']:.2f} {NATS}{mean})"
        )
    return (
        f"Most is gained from {most['smaller']:.0f} to {fs.plural(int(most['larger']), 'member')}:"
        f" {most['gain']:.2f} {NATS}{mean}"
    )
