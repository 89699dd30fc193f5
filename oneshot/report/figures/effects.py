"""Which axis matters? The mean of each metric over the rest at each value of an axis."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from oneshot.report.analysis.effects import (
    comparable_points,
    exceeds_noise,
    is_numeric_axis,
    main_effect,
    main_effects,
    variance_share,
)
from oneshot.report.analysis.plane import human_point, require_scores
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, style
from oneshot.report.figures.labels import halo
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import varying_axes
from oneshot.report.table import exact_types
from oneshot.report.text import value_text

MOST_AXES = 4
SEED_LINES = 5  # more seeds become a band of their standard error


@styled
def draw(results: Results) -> Plot:
    """Draw one column per axis (the strongest ones), one row per metric.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No point has a place on the plane, or no axis varies.
    """
    require_scores(results)
    metrics = [
        metric
        for metric in ("human_distance", "diversity", "recognizability")
        if results.models[metric].notna().any()
    ]
    shares = main_effects(results, metrics[0]) if metrics else pd.DataFrame()
    if shares.empty:
        raise AnalysisError("no axis varies")
    strongest = set(shares["axis"].head(MOST_AXES))
    axes = [axis for axis in varying_axes(results) if axis in strongest]
    effects = {(axis, m): main_effect(results, axis, m) for axis in axes for m in metrics}
    title = _title(shares, effects, metrics[0])
    counts = pd.concat([means["n"] for means in effects.values()])
    notes = [
        f"n = {style.count_text(counts)} per value",
        _seeds_note(results),
        "bar: share of the variance over all points",
        f"not shown: {', '.join(shares['axis'][MOST_AXES:])}" if len(shares) > MOST_AXES else "",
    ]
    size = (style.WIDE, 0.7 + 1.5 * len(metrics))
    figure = style.canvas(title, style.foot(results, *notes), size)
    grid = figure.subplots(len(metrics), len(axes), sharex="col", sharey="row", squeeze=False)
    human = human_point(results)
    for (row, metric), (col, axis) in itertools.product(enumerate(metrics), enumerate(axes)):
        panel = grid[row, col]
        _effect_panel(panel, results, axis, metric, effects[axis, metric])
        _people_line(panel, human, metric, labelled=col == 0)
        _share_bar(panel, variance_share(results, [axis], metric))
        panel.set_xlabel(style.with_unit(axis) if row == len(metrics) - 1 else "")
        panel.set_ylabel(style.with_unit(metric) if col == 0 else "")
    figure.align_ylabels()
    style.settle(figure)
    numbers = [
        exact_types(results, means)
        .astype({axis: object})
        .rename(columns={axis: "value", metric: "mean", f"{metric}_se": "se"})
        .assign(axis=axis, metric=metric)[["axis", "value", "metric", "mean", "se", "n"]]
        for (axis, metric), means in effects.items()
    ]
    return Plot(figure, pd.concat(numbers, ignore_index=True), title)


def _title(shares: pd.DataFrame, effects: dict[tuple[str, str], pd.DataFrame], metric: str) -> str:
    """Which axis explains most; neutral if none exceeds seed noise."""
    what = "distance to people" if metric == "human_distance" else metric
    top = shares.iloc[0]
    if not exceeds_noise(effects[top["axis"], metric], metric):
        return f"No axis moves the {what} beyond seed noise"
    if len(shares) == 1:  # alone it explains all there is; say which way it goes instead
        means = effects[top["axis"], metric]
        ends = [
            f"{means[metric].iloc[i]:.2f} at {top['axis']} {value_text(means[top['axis']].iloc[i])}"
            for i in (0, -1)
        ]
        return f"{what[0].upper()}{what[1:]}: {ends[0]}, {ends[1]}"
    rest = ", ".join(
        f"{axis} {100 * part:.0f} %"
        for axis, part in zip(shares["axis"][1:4], shares["share"][1:4])
    )
    return f"{top['axis']} explains {100 * top['share']:.0f} % of the variance of the {what}" + (
        f" ({rest})" if rest else ""
    )


def _seeds_note(results: Results) -> str:
    """How the seeds are shown."""
    seeds = results.models["seed"].nunique()
    if seeds == 1:
        return ""
    return "thin lines: seeds" if seeds <= SEED_LINES else "band: standard error over seeds"


def _effect_panel(
    panel: Axes, results: Results, axis: str, metric: str, means: pd.DataFrame
) -> None:
    """Draw means, joined if the axis is ordered; few seeds as thin lines, more as a band."""
    ordered = is_numeric_axis(results, axis)
    at = means[axis] if ordered else pd.Series(range(len(means)), index=means.index)
    seeds = results.models["seed"].nunique()
    if 1 < seeds <= SEED_LINES:
        place_of = dict(zip(means[axis], at))
        looks: dict[str, Any] = dict(ls="-") if ordered else dict(ls="", marker="_")
        rows = comparable_points(results, axis).dropna(subset=metric)
        for _, part in rows.groupby("seed"):
            line = part.groupby(axis)[metric].mean()
            places = [place_of[value] for value in line.index]
            panel.plot(places, line, color=colours.PALE, lw=0.8, zorder=1, **looks)
    elif seeds > SEED_LINES:
        low, high = means[metric] - means[f"{metric}_se"], means[metric] + means[f"{metric}_se"]
        panel.fill_between(at, low, high, color=colours.BLUE, alpha=0.2, lw=0)
    looks = dict(color=colours.BLUE, lw=1.4, marker="o", ms=3, zorder=2)
    panel.plot(at, means[metric], ls="-" if ordered else "", **looks)
    panel.locator_params(axis="y", nbins=5)
    if not ordered:
        names = [value_text(value)[:12] for value in means[axis]]
        panel.set_xticks(list(at), names, rotation=30 if len(means) > 3 else 0)
        panel.set_xlim(-0.5, len(means) - 0.5)


def _people_line(
    panel: Axes, human: tuple[float, float] | None, metric: str, labelled: bool
) -> None:
    """Draw where people are, on a panel of diversity or recognizability."""
    if human is None or metric == "human_distance":
        return
    level = human[0] if metric == "diversity" else human[1]
    panel.axhline(level, color=colours.VERMILLION, lw=0.9, zorder=0)
    if labelled:
        looks: dict[str, Any] = dict(
            fontsize=7, color=colours.VERMILLION, ha="right", va="center", path_effects=halo()
        )
        panel.text(0.99, level, "people", transform=panel.get_yaxis_transform(), **looks)


def _share_bar(panel: Axes, share: float) -> None:
    """Draw a bar above the panel whose length is the share of variance, with the number."""
    looks: dict[str, Any] = dict(transform=panel.transAxes, clip_on=False, lw=0)
    panel.add_patch(Rectangle((0, 1.05), 0.78, 0.035, color="#EEEEEE", **looks))
    panel.add_patch(Rectangle((0, 1.05), 0.78 * share, 0.035, color=colours.GREY, **looks))
    panel.text(
        1.0,
        1.065,
        f"{100 * share:.0f} %",
        transform=panel.transAxes,
        fontsize=7,
        ha="right",
        va="center",
        color=colours.GREY,
    )
