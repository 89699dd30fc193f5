"""Which axis matters? The mean of each metric over the rest at each value of an axis."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from oneshot.report.analysis.design import design_of, shares
from oneshot.report.analysis.effects import (
    comparable_points,
    effect_p,
    is_numeric_axis,
    main_effect,
    main_effects,
)
from oneshot.report.analysis.plane import across, human_point, require_scores
from oneshot.report.analysis.resampling import CHANCE, holm
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, style
from oneshot.report.figures.labels import halo
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import varying_axes
from oneshot.report.table import exact_types
from oneshot.report.text import two_numbers, value_text

MOST_AXES = 4
NOTE = 24  # letters above a panel at most
COLUMNS = ["axis", "value", "metric", "mean", "se", "low", "high", "n"]  # of the numbers
SEED_LINES = 5  # of more seeds none is drawn


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
        for metric in ("human_distance", across(results), "recognizability")
        if results.models[metric].notna().any()
    ]
    table = main_effects(results, metrics[0]) if metrics else pd.DataFrame()
    if table.empty:
        raise AnalysisError("no axis varies")
    strongest = set(table["axis"].head(MOST_AXES))
    axes = [axis for axis in varying_axes(results) if axis in strongest]
    effects = {(axis, m): main_effect(results, axis, m) for axis in axes for m in metrics}
    title = _title(results, table, effects, metrics[0])
    counts = pd.concat([means["n"] for means in effects.values()])
    notes = [
        f"n = {style.count_text(counts)} per value",
        f"bars: {style.intervals_text(results)}",
        _seeds_note(results),
        _shares_note(results, metrics[0]),
        f"not shown: {', '.join(table['axis'][MOST_AXES:])}" if len(table) > MOST_AXES else "",
    ]
    size = (style.WIDE, 0.7 + 1.5 * len(metrics))
    figure = style.canvas(title, style.foot(results, *notes), size)
    grid = figure.subplots(len(metrics), len(axes), sharex="col", sharey="row", squeeze=False)
    human = human_point(results)
    parts = {metric: _share_of_axes(results, metric) for metric in metrics}
    for (row, metric), (col, axis) in itertools.product(enumerate(metrics), enumerate(axes)):
        panel = grid[row, col]
        _effect_panel(panel, results, axis, metric, effects[axis, metric])
        _people_line(panel, human, metric, labelled=col == 0)
        _share_bar(panel, *parts[metric][axis])
        panel.set_xlabel(style.with_unit(axis) if row == len(metrics) - 1 else "")
        panel.set_ylabel(style.with_unit(metric) if col == 0 else "")
    figure.align_ylabels()
    style.settle(figure)
    numbers = [
        exact_types(results, means)
        .astype({axis: object})
        .rename(columns={axis: "value", metric: "mean"})
        .rename(columns={f"{metric}_{end}": end for end in ("se", "low", "high")})
        .assign(axis=axis, metric=metric)[COLUMNS]
        for (axis, metric), means in effects.items()
    ]
    return Plot(figure, pd.concat(numbers, ignore_index=True), title)


def _title(
    results: Results,
    table: pd.DataFrame,
    effects: dict[tuple[str, str], pd.DataFrame],
    metric: str,
) -> str:
    """Which axis explains most, of those that move the metric beyond chance (Holm's correction)."""
    what = "distance to people" if metric == "human_distance" else metric.replace("_", " ")
    p = holm(np.array([effect_p(results, axis, metric) for axis in table["axis"]]))
    if np.isnan(p).all():
        return f"No telling what moves the {what}: there is one seed, and no score by class"
    if not (p < CHANCE).any():
        return f"No axis moves the {what} beyond chance"
    top, rest = table[p < CHANCE].iloc[0], table.drop(index=table.index[p < CHANCE][0])
    if top["confounded_with"]:
        together = f"{top['axis']} and {top['confounded_with']}"
        return (
            f"{together} are confounded: never varied apart, together they explain"
            f" {100 * top['joint_share']:.0f} % of the variance of the {what}"
        )
    if len(table) == 1:  # alone it explains all there is; say which way it goes instead
        means = effects[top["axis"], metric]
        ends = two_numbers(means[metric].iloc[0], means[metric].iloc[-1])
        places = [
            f"{end} at {top['axis']} {value_text(means[top['axis']].iloc[i])}"
            for i, end in zip((0, -1), ends)
        ]
        return f"{what[0].upper()}{what[1:]}: {places[0]}, {places[1]}"
    others = ", ".join(
        f"{axis} confounded" if np.isnan(share) else f"{axis} {100 * share:.0f} %"
        for axis, share in zip(rest["axis"][:3], rest["share"][:3])
    )
    share = f"{100 * top['share']:.0f} %"
    return f"{top['axis']} explains {share} of the variance of the {what} ({others})"


def _seeds_note(results: Results) -> str:
    """How the seeds are shown."""
    return "thin lines: seeds" if 1 < results.models["seed"].nunique() <= SEED_LINES else ""


def _shares_note(results: Results, metric: str) -> str:
    """What the bars of shares are, and which axes were not varied apart."""
    plan = design_of(results, metric)
    text = "grey bar: share of the variance over all points"
    if not plan.balanced:
        text += " (not every combination was scored: the mean over all orders of the axes)"
    aliased = [" and ".join(group) for group in plan.groups if len(group) > 1]
    return text + "".join(
        f"; {axes} were never varied apart: no share of their own" for axes in aliased
    )


def _share_of_axes(results: Results, metric: str) -> dict[str, tuple[float, str]]:
    """The share of each axis, and the axes that it is confounded with, whose share is NaN."""
    plan = design_of(results, metric)
    by_group = shares(plan, results.models[metric].dropna().to_numpy(float))
    alone = {axis: group for group in plan.groups for axis in group}
    return {
        axis: (
            by_group[group] if len(group) == 1 else float("nan"),
            ", ".join(plan.confounded_with(axis)),
        )
        for axis, group in alone.items()
    }


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
    ends = means[[f"{metric}_low", f"{metric}_high"]].sub(means[metric], axis=0).abs()
    if ends.notna().all(axis=None):
        looks = dict(fmt="none", ecolor=colours.LIGHT, elinewidth=0.8, zorder=1.5)
        panel.errorbar(at, means[metric], ends.to_numpy(float).T, **looks)
    looks = dict(color=colours.BLUE, lw=1.4, marker="o", ms=3, zorder=2)
    panel.plot(at, means[metric], ls="-" if ordered else "", **looks)
    panel.locator_params(axis="y", nbins=5)
    if not ordered:
        names = [value_text(value)[:12] for value in means[axis]]
        panel.set_xticks(
            list(at), names, rotation=30 if len(means) > 3 or len("".join(names)) > 24 else 0
        )
        panel.set_xlim(-0.5, len(means) - 0.5)


def _people_line(
    panel: Axes, human: tuple[float, float] | None, metric: str, labelled: bool
) -> None:
    """Draw where people are, on a panel of diversity or recognizability."""
    if human is None or metric == "human_distance":
        return
    level = human[1] if metric == "recognizability" else human[0]
    panel.axhline(level, color=colours.VERMILLION, lw=0.9, zorder=0)
    if labelled:
        looks: dict[str, Any] = dict(
            fontsize=7, color=colours.VERMILLION, ha="right", va="center", path_effects=halo()
        )
        panel.text(0.99, level, "people", transform=panel.get_yaxis_transform(), **looks)


def _share_bar(panel: Axes, share: float, confounded_with: str) -> None:
    """Draw a bar above the panel whose length is the share of variance, with the number."""
    looks: dict[str, Any] = dict(transform=panel.transAxes, clip_on=False, lw=0)
    text: dict[str, Any] = dict(fontsize=7, va="center", color=colours.GREY)
    text |= dict(transform=panel.transAxes)
    if confounded_with:
        note = f"confounded with {confounded_with}"
        short = note if len(note) <= NOTE else "confounded"
        panel.text(1.0, 1.065, short, ha="right", **text)
        return
    panel.add_patch(Rectangle((0, 1.05), 0.78, 0.035, color="#EEEEEE", **looks))
    panel.add_patch(Rectangle((0, 1.05), 0.78 * share, 0.035, color=colours.GREY, **looks))
    panel.text(1.0, 1.065, f"{100 * share:.0f} %", ha="right", **text)
