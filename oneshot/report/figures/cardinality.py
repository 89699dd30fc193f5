"""Do larger sets help? NELBO against the size of the test sets."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.ticker import NullFormatter, NullLocator

from oneshot.report.analysis.bounds import (
    DATASETS,
    gains_by_size,
    is_trained_size,
    likelihood_bounds,
    models_by_nelbo,
)
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, style
from oneshot.report.figures.labels import spread_labels
from oneshot.report.figures.set_models import NATS, PANELS, models_to_show
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import varying_axes

LINES = 8  # models shown at most
BEYOND_CHANCE = 2.0  # standard errors


@styled
def draw(results: Results) -> Plot:
    """Draw one line a model, a panel per data set.

    If the sweep trained models on sets of several sizes, a panel per kind of model instead, with
    one line a size (test sets only).

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No bound was evaluated, or at one set size only.
    """
    table = likelihood_bounds(results).dropna(subset="nelbo")
    if table["set_size"].nunique() < 2:
        raise AnalysisError("the models were evaluated at one set size")
    by_kind = "set_size" in varying_axes(results)
    panels, note = _panels(table, by_kind)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    title = _title(table)
    ring = "ring: the size trained on" if table["trained_size"].notna().any() else ""
    size = (
        style.WIDE if columns > 1 else style.SINGLE[0],
        0.6 + (2.9 if rows == 1 else 2.4 * rows),
    )
    figure = style.canvas(title, style.foot(results, ring, note), size)
    grid = figure.subplots(rows, columns, sharey=by_kind, squeeze=False)
    for panel in grid.flat[len(panels) :]:
        panel.set_axis_off()
    ends = []
    for panel, (heading, lines) in zip(grid.flat, panels.items()):
        ends.append(_draw_panel(panel, lines))
        panel.set_title(heading, loc="left", fontsize=8)
    for panel in grid[:, 0]:
        panel.set_ylabel(f"NELBO ({NATS})")
    style.settle(figure)
    for panel, labels in zip(grid.flat, ends):
        spread_labels(figure, panel, labels)
    shown = pd.concat(
        [line for lines in panels.values() for line in lines.values()], ignore_index=True
    )
    return Plot(figure, shown, title)


def _panels(table: pd.DataFrame, by_kind: bool) -> tuple[dict[str, dict[str, pd.DataFrame]], str]:
    """What each panel shows: heading -> label -> rows of a line; and what is left out."""
    if by_kind:
        tests = table[table["dataset"] == "test"].sort_values("trained_size", kind="stable")
        kinds, note = models_to_show(list(dict.fromkeys(table["kind"])), PANELS)
        lines = {kind: tests[tests["kind"] == kind].groupby("trained_size") for kind in kinds}
        return {
            kind: {f"trained on {size}": line for size, line in groups}
            for kind, groups in lines.items()
        }, note
    models, note = models_to_show(models_by_nelbo(table), LINES)
    panels = {}
    for dataset, part in table[table["model"].isin(models)].groupby("dataset", sort=False):
        panels[DATASETS.get(str(dataset), str(dataset))] = {
            model: line for model in models if len(line := part[part["model"] == model])
        }
    return panels, note


def _draw_panel(panel: Axes, lines: dict[str, pd.DataFrame]) -> list[tuple[Annotation, str]]:
    """Draw the lines of one panel; returns their labels at the right end, with their colours."""
    labels = []
    for (name, rows), (colour, marker) in zip(lines.items(), colours.series()):
        line = rows.sort_values("set_size")
        looks: dict[str, Any] = dict(color=colour, marker=marker, ms=3.5, lw=1.2, elinewidth=0.8)
        panel.errorbar(line["set_size"], line["nelbo"], line["nelbo_se"].fillna(0), **looks)
        own = line[is_trained_size(line)]
        panel.plot(own["set_size"], own["nelbo"], "o", ms=8, mfc="none", mec=colour, mew=0.8)
        end = (float(line["set_size"].iloc[-1]), float(line["nelbo"].iloc[-1]))
        label = panel.annotate(
            style.wrapped(name, 24),
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


def _title(table: pd.DataFrame) -> str:
    """From which size to which most is gained, if that is more than the sets' own spread."""
    steps = gains_by_size(table)
    if steps.empty:
        return "NELBO by the size of the test sets"
    most = steps.iloc[int(steps["gain"].argmax())]
    mean = (
        ", mean over models" if table.loc[table["dataset"] == "test", "model"].nunique() > 1 else ""
    )
    if most["gain"] > 0 and not most["gain"] > BEYOND_CHANCE * most["gain_se"]:
        error = f" +- {most['gain_se']:.2f}" if pd.notna(most["gain_se"]) else ""
        return (
            "No step between sizes of test sets lowers the NELBO beyond chance (best step:"
            f" {most['gain']:.2f}{error} {NATS}{mean})"
        )
    if most["gain"] <= 0:
        return (
            f"Larger test sets do not lower the NELBO (best step: {most['gain']:.2f} {NATS}{mean})"
        )
    sizes = f"{most['smaller']:.0f} to {style.plural(int(most['larger']), 'member')}"
    return f"Most is gained from {sizes}: {most['gain']:.2f} {NATS}{mean}"
