"""Which levels are used? The KL of each level of context and latents."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.sets import level_kls
from oneshot.report.figures import colours, style
from oneshot.report.figures.set_models import NATS, PANELS, models_to_show
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results

UNUSED = 0.01  # a level with a smaller share of its model's KL says next to nothing
LATENTS = {"c": colours.BLUE, "z": colours.GREEN}


@styled
def draw(results: Results) -> Plot:
    """Draw the KL of each level, top to bottom, a panel per model.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No KL of levels is in the tables.
    """
    table = level_kls(results)
    models, note = models_to_show(list(dict.fromkeys(table["model"])), PANELS)
    shown = table[table["model"].isin(models)].reset_index(drop=True)
    title = _title(table)
    places = _level_places(shown)
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    words = "level 1 is the top; c: context of a set, divided by its images; z: of each image"
    size = (
        style.WIDE if columns > 1 else style.SINGLE[0],
        0.9 + rows * (0.55 + 0.17 * (len(places) + 1)),
    )
    figure = style.canvas(title, style.foot(results, words, note), size)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in grid.flat[len(models) :]:
        panel.set_axis_off()
    for i, (panel, model) in enumerate(zip(grid.flat, models)):
        _panel(panel, shown[shown["model"] == model], places)
        panel.set_title(style.wrapped(model, 24 if columns == 4 else 30), loc="left", fontsize=7.5)
        last = i + columns >= len(models)
        panel.tick_params(axis="x", labelbottom=last)
        panel.set_xlabel(f"KL ({NATS})" if last else "")
    grid.flat[0].set_xlim(0, 1.32 * max(shown["kl"].max(), 1e-9))
    grid.flat[0].set_ylim(max(places.values()) + 0.6, -0.6)
    style.settle(figure)
    return Plot(figure, shown, title)


def _level_places(table: pd.DataFrame) -> dict[tuple[str, int], float]:
    """Where each level's bars are: context above latents, the top level first, a gap between."""
    levels = sorted(set(zip(table["latent"], table["level"])))
    gap = 0.6 * (levels[0][0] != levels[-1][0])
    return {
        (latent, level): i + gap * (latent != levels[0][0])
        for i, (latent, level) in enumerate(levels)
    }


def _panel(panel: Axes, part: pd.DataFrame, places: dict[tuple[str, int], float]) -> None:
    """Draw the bars of one model, each with its number."""
    at = [places[key] for key in zip(part["latent"], part["level"])]
    panel.barh(
        at,
        part["kl"],
        color=[LATENTS.get(latent, colours.GREY) for latent in part["latent"]],
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


def _title(table: pd.DataFrame) -> str:
    """How many levels say next to nothing; else the context's share of the KL."""
    idle = table[table["share"] < UNUSED]
    if len(idle):
        first, verb = idle.iloc[0], "is" if len(idle) == 1 else "are"
        example = f"{first['latent']}{first['level']} of {first['model']}"
        example = example if len(idle) == 1 else f"such as {example}"
        count = f"{len(idle)} of {style.plural(len(table), 'level')}"
        return f"{count} {verb} hardly used (under 1 % of the KL), {example}"
    context = table.loc[table["latent"] == "c", "kl"].sum() / table["kl"].sum()
    return (
        f"Every level is used; {100 * context:.0f} % of the KL is the context's"
        if context
        else "Every level is used"
    )
