"""A model taught a handful of examples: how good its drawings are, and what a classifier gains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from oneshot.report.analysis.few_shot import (
    QUALITY,
    REAL,
    SHOTS,
    across,
    best_mode,
    gain_table,
    is_alike,
    quality_table,
    require_few_shot,
    spread,
    with_drawings,
)
from oneshot.report.figures import colours, style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import value_text, with_interval

MODES = 9  # lines of a panel at most
NAMES = {"fid": "FID", "sample_recall": "recall"}
LABELS = {SHOTS: "shots of a novel class (k)"}
APART = 0.5  # of the room between two values, over which marks beside each other lie
Looks = Mapping[str, tuple[str, str]]


@styled
def draw(results: Results) -> Plot:
    """Draw FID and recall of drawings of novel classes by k, a line a mode, a column a data set.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No classifier was taught with drawings, or they are too few for a distance.
    """
    table = quality_table(results, MODES)
    datasets, modes = list(dict.fromkeys(table["dataset"])), list(dict.fromkeys(table["mode"]))
    metrics = [name for name in QUALITY if name in set(table["metric"])]
    title = _quality_title(results)
    notes = (
        _intervals(table),
        _real(results),
        "FID of one split is not comparable with that of another",
    )
    looks = dict(zip(modes, colours.series()))
    width = style.WIDE if len(datasets) > 1 else style.SINGLE[0]
    size = (width, 1.2 + 2.1 * len(metrics) + _legend_height(modes))
    figure = style.canvas(title, style.foot(results, *notes), size)
    grid = figure.subplots(len(metrics), len(datasets), squeeze=False, sharex="col", sharey="row")
    for line, metric in zip(grid, metrics):
        line[0].set_ylabel(NAMES[metric])
        for panel, dataset in zip(line, datasets):
            rows = table[(table["dataset"] == dataset) & (table["metric"] == metric)]
            _lines(panel, rows, SHOTS, "mode", looks)
    for panel, dataset in zip(grid[0], datasets):
        panel.set_title(dataset if len(datasets) > 1 else "", fontsize=8, loc="left")
    for panel in grid[-1]:
        panel.set_xlabel(LABELS[SHOTS])
    _legend(grid[-1, 0], looks, width)
    style.settle(figure)
    return Plot(figure, table, title)


@styled
def draw_gain(results: Results) -> Plot:
    """Draw what a classifier gains by drawings, by k, a line a split, a panel a data set and model.

    The black line is the mean over splits.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No classifier was taught with drawings.
    """
    table, axis = gain_table(results), across(results)
    panels = list(table[["dataset", "model"]].drop_duplicates().itertuples(index=False, name=None))
    splits = sorted(set(table["split"]) - {""})
    looks = dict(zip(splits, colours.series()))
    if (table["split"] == "").any():
        looks[""] = (colours.BLACK, "s")
    title = _gain_title(results)
    notes = (_intervals(table), _alone(results), _means_over(results, axis))
    columns = min(len(panels), 3)
    lines = -(-len(panels) // columns)
    width = style.WIDE if columns > 1 else style.SINGLE[0]
    size = (width, 1.2 + 2.4 * lines + _legend_height(splits))
    figure = style.canvas(title, style.foot(results, *notes), size)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for panel in grid.flat[len(panels) :]:
        panel.set_axis_off()
    for panel, (dataset, model) in zip(grid.flat, panels):
        rows = table[(table["dataset"] == dataset) & (table["model"] == model)]
        panel.axhline(0, color=colours.GREY, lw=0.7, ls=":", zorder=0)
        _lines(panel, rows, axis, "split", looks)
        what = "real images" if model == REAL else str(model)
        panel.set_title(f"{dataset}, {what}" if len(panels) > 1 else "", fontsize=8, loc="left")
        panel.set_xlabel(LABELS.get(axis, axis))
    for panel in grid[:, 0]:
        panel.set_ylabel("gain (points of accuracy)")
    named = {name or "mean over splits": look for name, look in looks.items()}
    _legend(grid[-1, 0], named, width)
    style.settle(figure)
    return Plot(figure, table, title)


def _lines(panel: Axes, rows: pd.DataFrame, axis: str, by: str, looks: Looks) -> None:
    """Draw a line with intervals for each value of a column; values of the axis are equally far."""
    values = sorted(rows[axis].dropna().unique())
    names = [name for name in looks if name in set(rows[by])]
    for i, name in enumerate(names):
        colour, marker = looks[name]
        line = rows[rows[by] == name].dropna(subset=axis).sort_values(axis)
        beside = APART * ((i + 0.5) / len(names) - 0.5)
        x = [values.index(value) + beside for value in line[axis]]
        up, down = line["high"] - line["mean"], line["mean"] - line["low"]
        style_of: dict[str, Any] = dict(color=colour, marker=marker, ms=4, lw=1.2, elinewidth=0.8)
        panel.errorbar(x, line["mean"], [down.fillna(0), up.fillna(0)], **style_of)
    panel.set_xticks(range(len(values)), [value_text(value) for value in values])
    panel.set_xlim(-0.5, len(values) - 0.5)


def _legend_height(names: Iterable[str]) -> float:
    """Inches that the legend needs below the panels."""
    return 0.18 * math.ceil(sum(1 for _ in names) / 2)


def _legend(panel: Axes, looks: Looks, width: float) -> None:
    """Name the lines below the lowest panel, if there are several; width: of the figure, inches."""
    if len(looks) < 2:
        return
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=4, lw=1.2, label=name)
        for name, (colour, marker) in looks.items()
    ]
    longest = max(map(len, looks))
    columns = max(1, int(width * 12 / (longest + 6)))
    panel.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -0.45 / 1.7),  # below the name of the axis: inches, of about 1.7
        ncols=min(columns, len(looks)),
        frameon=False,
        fontsize=7,
        borderaxespad=0,
        columnspacing=1.2,
        handletextpad=0.4,
    )


def _intervals(table: pd.DataFrame) -> str:
    """What the bars are; nothing where no bar has an interval."""
    if table["low"].isna().all():
        return "no intervals, as there is one point each"
    return "bars: 95 % intervals (t) over splits, or over points of one split"


def _real(results: Results) -> str:
    """FID and recall of real images, if they were scored beside models."""
    rows = require_few_shot(results)
    real = rows[rows["model"] == REAL]
    if real.empty or len(real) == len(rows) or not set(QUALITY) <= set(real):
        return ""
    fid, recall = (real[name].mean() for name in QUALITY)
    return f"real images: FID {fid:.3g}, recall {recall:.2f}"


def _alone(results: Results) -> str:
    """How far accuracies from shots alone lie apart between splits."""
    rows = with_drawings(results)
    means = rows.groupby(["dataset", "split"])["classified_supports"].mean()
    if len(means) < 2:
        return f"accuracy from shots alone: {means.iloc[0]:.1f} %"
    return f"accuracy from shots alone: {means.min():.1f} to {means.max():.1f} % by split"


def _means_over(results: Results, axis: str) -> str:
    """Over which other axes the points of a line go."""
    rows, shown = with_drawings(results), {"model", "dataset", "split", axis}
    axes = [a for a in (*results.axes, "seed") if a in rows and a not in shown]
    others = [a for a in axes if rows[a].nunique() > 1]
    return f"means over {', '.join(others)}" if others else ""


def _quality_title(results: Results) -> str:
    """Which mode has the lowest FID, and how many others cannot be told from it."""
    table = best_mode(results, MODES)
    if table.empty:
        return "Drawings are too few for FID: recall by shots"
    best = table.iloc[0]
    if len(table) == 1:
        return f"Drawings of {best['mode']}: FID {best['fid']:.3g}, mean over splits and shots"
    first, others = f"Lowest FID: {best['mode']} ({best['fid']:.3g})", len(table) - 1
    if table["p"].iloc[1:].isna().all():
        return f"{first}; untested with one split and number of shots"
    alike = int(is_alike(table).sum())
    if alike == others:
        return f"No mode is distinguishable by FID from the lowest: {best['mode']}"
    return f"{first}; {alike} of {style.plural(others, 'other')} not distinguishable"


def _gain_title(results: Results) -> str:
    """Whether drawings help a classifier, beyond the interval of the mean."""
    rows = with_drawings(results)
    drawn, real = rows[rows["model"] != REAL], rows[rows["model"] == REAL]
    found = _finding("Drawings", drawn) if len(drawn) else _finding("Real images", real)
    if len(drawn) and len(real):
        found += f"; real images: {spread(real, 'classified_gain').mean:.2f}"
    return found


def _finding(what: str, rows: pd.DataFrame) -> str:
    """What the mean gain of some rows says."""
    gain = spread(rows, "classified_gain")
    units = style.plural(gain.units, "split" if gain.splits > 1 else "point")
    over = f"mean of {units}" + (" of one split" if gain.splits == 1 else "")
    if math.isnan(gain.low):
        return f"{what}: a gain of {gain.mean:.2f} points of accuracy, untested with one point"
    text = f"{with_interval(gain.mean, (gain.low, gain.high))} points of accuracy ({over})"
    if gain.low > 0:
        return f"{what} help a classifier: {text}"
    if gain.high < 0:
        return f"{what} harm a classifier: {text}"
    return f"{what} help no classifier beyond chance: {text}"
