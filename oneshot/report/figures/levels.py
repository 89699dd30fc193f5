"""Figures of what models of sets do inside: KL by level, attention over the members of a set,
few-shot classification of digits.
"""

from __future__ import annotations

import itertools
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from oneshot.report.analysis import sets
from oneshot.report.figures import style as fs
from oneshot.report.figures.sets import NATS, PANELS, only, wrapped
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results

SETS_SHOWN, LEVELS_SHOWN = 6, 6
UNUSED = 0.01  # a level with a smaller share of its model's KL says next to nothing
# most cells are nearly 0: leave them white
PAPER_TO_INK = LinearSegmentedColormap.from_list("ink", ["white", fs.BLUE, "#00304D"])
LATENTS = {"c": fs.BLUE, "z": fs.GREEN}


@styled
def layers(results: Results) -> Plot:
    """Which levels are used? The KL of each level of context and latents, top to bottom, a panel
    per model.
    """
    table = sets.levels(results)
    models, note = only(list(dict.fromkeys(table["model"])), PANELS)
    shown = table[table["model"].isin(models)].reset_index(drop=True)
    title = layers_title(table)
    places = level_places(shown)
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    words = "level 1 is the top; c: context of a set, divided by its images; z: of each image"
    size = (
        fs.WIDE if columns > 1 else fs.SINGLE[0],
        0.9 + rows * (0.55 + 0.17 * (len(places) + 1)),
    )
    figure = fs.canvas(title, fs.foot(results, words, note), size)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in grid.flat[len(models) :]:
        panel.set_axis_off()
    for i, (panel, model) in enumerate(zip(grid.flat, models)):
        level_panel(panel, shown[shown["model"] == model], places)
        panel.set_title(wrapped(model, 24 if columns == 4 else 30), loc="left", fontsize=7.5)
        last = i + columns >= len(models)
        panel.tick_params(axis="x", labelbottom=last)
        panel.set_xlabel(f"KL ({NATS})" if last else "")
    grid.flat[0].set_xlim(0, 1.32 * max(shown["kl"].max(), 1e-9))
    grid.flat[0].set_ylim(max(places.values()) + 0.6, -0.6)
    fs.settle(figure)
    return Plot(figure, shown, title)


def level_places(table: pd.DataFrame) -> dict[tuple[str, int], float]:
    """Where each level's bars are, the same in all panels: context above latents, the top level
    first, a gap between.
    """
    found = sorted(set(zip(table["latent"], table["level"])))
    gap = 0.6 * (found[0][0] != found[-1][0])
    return {
        (latent, level): i + gap * (latent != found[0][0])
        for i, (latent, level) in enumerate(found)
    }


def level_panel(panel: Axes, part: pd.DataFrame, places: dict[tuple[str, int], float]) -> None:
    """Bars of one model, each with its number."""
    at = [places[key] for key in zip(part["latent"], part["level"])]
    panel.barh(
        at,
        part["kl"],
        color=[LATENTS.get(latent, fs.GREY) for latent in part["latent"]],
        height=0.72,
    )
    for place, kl in zip(at, part["kl"]):
        panel.annotate(
            f"{kl:.2f}", (kl, place), (2, 0), textcoords="offset points", fontsize=7, va="center"
        )
    panel.set_yticks(
        list(places.values()), [f"{latent}{level}" for latent, level in places], fontsize=7
    )
    panel.tick_params(axis="y", length=0)
    panel.locator_params(axis="x", nbins=4)


def layers_title(table: pd.DataFrame) -> str:
    """How many levels say next to nothing; the models' mean KL otherwise."""
    idle = table[table["share"] < UNUSED]
    if len(idle):
        first, verb = idle.iloc[0], "is" if len(idle) == 1 else "are"
        example = f"{first['latent']}{first['level']} of {first['model']}"
        example = example if len(idle) == 1 else f"such as {example}"
        return (
            f"{len(idle)} of {fs.plural(len(table), 'level')} {verb} hardly used (under 1 % of the"
            f" KL), {example}"
        )
    context = table.loc[table["latent"] == "c", "kl"].sum() / table["kl"].sum()
    return (
        f"Every level is used; {100 * context:.0f} % of the KL is the context's"
        if context
        else "Every level is used"
    )


@styled
def attention(results: Results) -> Plot:
    """Whom does the pooling attend to? The weights of each head over a set's members, sets as
    columns, levels as rows, for one model.
    """
    model, table = sets.representative(results, "attention")
    peak, uniform = sets.peak_weight(table)
    title = (
        f"Largest weight of a head: {peak:.2f} on average, against {uniform:.2f} if all members"
        " counted the same"
    )
    chosen = sorted(table["set"].unique())[:SETS_SHOWN]
    every = list(dict.fromkeys(table["level"]))
    levels = [
        every[i]
        for i in sorted(
            set(np.linspace(0, len(every) - 1, min(LEVELS_SHOWN, len(every))).round().astype(int))
        )
    ]
    notes = [
        f"weights of {model}" if results.evaluated["point_id"].nunique() > 1 else "",
        "dashed: uniform weights",
    ]
    notes.append(f"{len(levels)} of {len(every)} levels" if len(levels) < len(every) else "")
    figure = fs.canvas(title, fs.foot(results, *notes), (fs.WIDE, 1.1 + 0.85 * len(levels)))
    grid = figure.subplots(len(levels), len(chosen), sharex=True, sharey=True, squeeze=False)
    for (i, level), (j, number) in itertools.product(enumerate(levels), enumerate(chosen)):
        part = table[(table["set"] == number) & (table["level"] == level)]
        weight_panel(grid[i, j], part)
        grid[i, j].set_ylabel(f"weight, {level}" if j == 0 else "", fontsize=8)
        grid[i, j].set_xlabel("head" if i == len(levels) - 1 else "", fontsize=8)
        if i == 0 and len(part):
            grid[i, j].set_title(short_class(part["class_name"].iloc[0]), fontsize=7, loc="left")
    grid[0, 0].set_ylim(0, min(1.0, 1.08 * table["weight"].max()))
    fs.settle(figure)
    return Plot(figure, table, title)


def short_class(name: str) -> str:
    """A class in at most two short lines, as in `Angelic` over `character01`."""
    return "\n".join(
        textwrap.shorten(line, 15, placeholder="..") if " " in line else line[:15]
        for line in str(name).split("/")[-2:]
    )


def weight_panel(panel: Axes, part: pd.DataFrame) -> None:
    """A group of bars per head, one bar per member."""
    members = part["member"].nunique()
    heads = sorted(part["head"].unique())
    at = part["head"].map(heads.index) * (members + 1.5) + part["member"]
    panel.bar(
        at,
        part["weight"],
        width=0.8,
        color=[(fs.BLUE, fs.GREEN)[heads.index(h) % 2] for h in part["head"]],
    )
    panel.axhline(1 / max(members, 1), color=fs.GREY, lw=0.7, ls=(0, (4, 3)))
    panel.set_xticks(
        [i * (members + 1.5) + (members - 1) / 2 for i in range(len(heads))],
        [f"{h + 1:.0f}" for h in heads],
        fontsize=7,
    )
    panel.tick_params(axis="x", length=0)
    panel.tick_params(axis="y", labelsize=7)
    panel.locator_params(axis="y", nbins=3)


@styled
def confusion(results: Results) -> Plot:
    """Are digits it never saw told apart by its latents? What the images of each digit were taken
    for, a panel per scorer.
    """
    model, rows = sets.representative(results, "confusion")
    found = sets.percentages(rows)
    best = max(found, key=lambda scorer: found[scorer][1])
    title = f"Digits are classified best by {sets.SCORERS[best]}: {found[best][1]:.1f} % correct"
    notes = [
        f"classified by {model}" if results.evaluated["point_id"].nunique() > 1 else "",
        "cells: per cent of a digit's images, from 1",
    ]
    figure = fs.canvas(
        title,
        fs.foot(results, *notes),
        (fs.WIDE if len(found) > 1 else 3.6, 3.0 if len(found) != 2 else 4.1),
    )
    grid = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for panel, (scorer, (cells, correct)) in zip(grid, found.items()):
        panel.imshow(cells, cmap=PAPER_TO_INK, vmin=0, vmax=100)
        for (row, column), value in np.ndenumerate(cells):
            if value >= 1:
                panel.text(
                    column,
                    row,
                    f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if value > 45 else fs.BLACK,
                )
        panel.set_title(f"{sets.SCORERS[scorer]}: {correct:.1f} % correct", fontsize=8, loc="left")
        panel.set(xticks=range(len(cells)), yticks=range(len(cells)), xlabel="taken for")
        panel.tick_params(length=0, labelsize=7)
        panel.spines[:].set_visible(False)
    grid[0].set_ylabel("digit")
    fs.settle(figure)
    return Plot(figure, rows, title)
