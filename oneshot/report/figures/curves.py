"""Did it train? Losses by epoch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from oneshot.metrics.trend import ERRORS, last_third
from oneshot.report.analysis.trajectory import default_axis
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced, varying_axes
from oneshot.report.text import value_text
from oneshot.types import Status

PANELS = 16
LINES = 5  # more points in a panel become a median and a band
COLOURS = (colours.BLUE, colours.PURPLE)  # of training and validation


@styled
def draw(results: Results, axis: str = "") -> Plot:
    """Draw the losses by epoch, a panel per value of an axis, diverged points dashed.

    Args:
        results: The results.
        axis: The axis. Default: that of the trajectory, else the first that varies.

    Returns:
        The plot.

    Raises:
        AnalysisError: No training curves are in the table, or none of its points.
    """
    losses = [
        name
        for name in ("train_loss", "validation_loss")
        if name in results.curves and results.curves[name].notna().any()
    ]
    if not losses:
        raise AnalysisError("no training curves are in the table")
    axis = axis or default_axis(results) or next(iter(varying_axes(results)), "")
    keys = ["point_id", "status", *([axis] if axis else [])]
    points = results.points[list(dict.fromkeys(keys))]
    frame = results.curves.merge(points, on="point_id")
    frame = frame.sort_values(["point_id", "epoch"], kind="stable")
    if axis:
        frame = frame.dropna(subset=axis)
    if frame.empty:
        raise AnalysisError("no training curve is of a point in the table")
    values = sorted(frame[axis].unique()) if axis else [""]
    shown = evenly_spaced(values, PANELS)
    title = _title(frame, losses[-1])
    notes = [
        _lines_note(frame, axis),
        f"{len(shown)} of {len(values)} values of {axis}" if len(shown) < len(values) else "",
    ]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    width = style.WIDE if columns > 1 else style.SINGLE[0]
    figure = style.canvas(title, style.foot(results, *notes), (width, max(2.6, 0.8 + 1.35 * rows)))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in grid.flat[len(shown) :]:
        panel.set_axis_off()
    drawn = frame.assign(epoch=frame["epoch"] + 1)  # the first is 1, also on a logarithmic axis
    for panel, value in zip(grid.flat, shown):
        _panel(panel, drawn[drawn[axis] == value] if axis else drawn, losses)
        panel.set_title(f"{axis} {value_text(value)}" if axis else "", fontsize=8, loc="left")
    _name_losses(grid[0, 0], losses)
    _set_scales(grid, drawn, losses, len(shown))
    style.settle(figure)
    return Plot(figure, frame[[*keys, "epoch", *losses]], title)


def _name_losses(panel: Axes, losses: Sequence[str]) -> None:
    """Name the lines in the upper right corner, which is free, as curves fall."""
    for i, (name, colour) in enumerate(zip(losses, COLOURS)):
        panel.text(
            0.98,
            0.98 - 0.13 * i,
            name.removesuffix("_loss").replace("train", "training"),
            transform=panel.transAxes,
            color=colour,
            fontsize=8,
            ha="right",
            va="top",
        )


def _lines_note(frame: pd.DataFrame, axis: str) -> str:
    """What the lines of the panels are."""
    counts = (
        frame.groupby(axis)["point_id"].nunique()
        if axis
        else pd.Series([frame["point_id"].nunique()])
    )
    many = (
        "line and band: median and 10 to 90 % of a panel's points"
        if counts.max() > LINES
        else "one line a point"
    )
    return many + ", dashed: diverged" * bool((frame["status"] == Status.DIVERGED).any())


def _panel(panel: Axes, frame: pd.DataFrame, losses: Sequence[str]) -> None:
    """Draw few points as lines, many as median and band; diverged points dashed."""
    diverged = frame["status"] == Status.DIVERGED
    for name, colour in zip(losses, COLOURS):
        whole = frame[~diverged].dropna(subset=name)
        looks: dict[str, Any] = dict(color=colour, zorder=2)
        if whole["point_id"].nunique() <= LINES:
            for _, part in whole.groupby("point_id"):
                panel.plot(part["epoch"], part[name], lw=1.0, **looks)
        else:
            by_epoch = whole.groupby("epoch")[name]
            low, middle, high = (by_epoch.quantile(q) for q in (0.1, 0.5, 0.9))
            panel.fill_between(middle.index, low, high, color=colour, alpha=0.2, lw=0)
            panel.plot(middle.index, middle, lw=1.2, **looks)
        for _, part in itertools.islice(
            frame[diverged].dropna(subset=name).groupby("point_id"), LINES
        ):
            panel.plot(part["epoch"], part[name], lw=0.8, ls=(0, (3, 2)), **looks)
            panel.plot(part["epoch"].iloc[-1:], part[name].iloc[-1:], marker="x", ms=4, **looks)


def _set_scales(grid: np.ndarray, frame: pd.DataFrame, losses: Sequence[str], shown: int) -> None:
    """Share the axes: epochs logarithmic, losses from the lowest to the highest of whole points."""
    first, columns = grid.flat[0], grid.shape[1]
    epochs = frame["epoch"]
    if epochs.max() > 10:
        first.set_xscale("log")
    first.set_xlim(epochs.min(), max(epochs.max(), epochs.min() + 1))
    finite = frame.loc[frame["status"] != Status.DIVERGED, list(losses)].to_numpy()
    if np.isfinite(finite).any():
        low, most, high = np.nanquantile(finite, [0, 0.995, 1])
        # a rare spike must not flatten all curves
        high = high if high - low <= 2 * (most - low) else most
        first.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low) + 1e-9)
    for i, panel in enumerate(grid.flat[:shown]):
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        if epochs.max() > 10:
            panel.xaxis.set_major_locator(LogLocator(numticks=5))
        panel.locator_params(axis="y", nbins=4)
        last = i + columns >= shown  # the lowest panel of its column
        panel.tick_params(labelbottom=last)
        panel.set_xlabel("epoch" if last else "")
        panel.set_ylabel("loss" if i % columns == 0 else "")


def _title(frame: pd.DataFrame, loss: str) -> str:
    """How many points were still learning when they stopped, and how many diverged."""
    diverged = frame.loc[frame["status"] == Status.DIVERGED, "point_id"].nunique()
    whole = frame[(frame["status"] != Status.DIVERGED) & frame[loss].notna()]
    ways = [trend_at_end(part[loss].to_numpy()) for _, part in whole.groupby("point_id")]
    total, what = len(ways), loss.replace("_", " ")
    points, few = style.plural(total, "point"), ways.count(None)
    found = [
        f"{word} at the end in {'all ' * (count == total > 1)}{style.plural(count, 'point')}"
        if count == total
        else f"{word} at the end in {count:,} of {points}"
        for word, count in (("still fell", ways.count(-1)), ("rose", ways.count(1)))
        if count
    ]
    if not found and few < total:
        found = [f"had settled at the end in {'all ' * (total - few > 1)}{total - few:,}"]
        found[0] += f" {'points' if total - few > 1 else 'point'}"
    if few:
        found.append(f"too few epochs to tell in {few:,} of {points}")
    finding = f"{what} {', '.join(found)}" if total else f"no {what}"
    if few == total > 0:
        finding = f"too few epochs to tell whether {what} still fell at the end ({points})"
    return finding[0].upper() + finding[1:] + (f"; {diverged} diverged" if diverged else "")


def trend_at_end(loss: np.ndarray) -> int | None:
    """Whether a loss by epoch still fell or rose over the last third of its epochs.

    Args:
        loss: The loss of each epoch.

    Returns:
        -1 or 1 if the slope lies more than two of its standard errors below or above 0, else 0;
        None if fewer than four epochs are left to tell.
    """
    trend = last_third(loss)
    if np.isnan(trend.slope):
        return None
    return int(np.sign(trend.slope)) if abs(trend.slope) > ERRORS * trend.se else 0
