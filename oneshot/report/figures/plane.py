"""Who draws like people? Every setting on diversity x recognizability."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from oneshot.report.analysis.critics import agreement_text, critic_agreement
from oneshot.report.analysis.intervals import RATIO, with_intervals
from oneshot.report.analysis.nearest import Nearest, luck_text, nearest, nearest_title
from oneshot.report.analysis.plane import (
    across,
    human_point,
    require_scores,
    settings_on_plane,
)
from oneshot.report.figures import colours, plane_marks, style
from oneshot.report.figures.labels import Labels, halo
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import known_column, varying_axes
from oneshot.report.text import value_text

# where the axis across ends, fixed, so that figures compare
X_LIMITS = {"diversity": 3.2, RATIO: 2.4}
WAYS = 20  # classes among which a drawing is recognised, of which one is right by chance
MOST_BARS = 60  # settings; the intervals of more would hide their dots


@styled
def draw(results: Results, color_by: str = "") -> Plot:
    """Draw every setting (mean over its seeds) on the plane, coloured by an axis or by family.

    Args:
        results: The results.
        color_by: An axis or metric. Default: the first axis that varies, else the family.

    Returns:
        The plot.

    Raises:
        AnalysisError: No point has a place on the plane, or there is no such axis.
    """
    if results.references.empty:
        require_scores(results)
    frame, x = settings_on_plane(results), across(results)
    axis = (
        known_column(frame, color_by)
        if color_by
        else next((a for a in varying_axes(results) if a != "model"), "model")
    )
    references = with_intervals(results, results.references)
    shown = pd.concat([frame, references], ignore_index=True)
    found = nearest(results)
    title, x_limit = nearest_title(results, found), _x_limit(shown, x)
    notes = _notes(results, frame, found)
    figure = style.canvas(title, style.foot(results, *notes), style.SINGLE)
    axes = figure.subplots()
    axes.set(
        xlim=(0, x_limit),
        ylim=(0, plane_marks.Y_LIMIT),
        xlabel=style.with_unit(x),
        ylabel=style.with_unit("recognizability"),
    )
    if len(frame) <= MOST_BARS:
        plane_marks.error_bars(axes, shown, x)
    families = _cloud(figure, axes, results, frame, axis)
    style.settle(figure)
    labels = Labels(axes, frame[[x, "recognizability"]].to_numpy())
    plane_marks.landmarks(axes, results.references, labels, x)
    # the table has this column where it is another number
    percent = 100 / float(results.models["ways"].max() if "ways" in results.models else WAYS)
    chance = axes.axhline(percent, color=colours.GREY, lw=0.7, ls=(0, (4, 3)), zorder=0)
    looks = dict(ha="right", fontsize=7, color=chance.get_color(), path_effects=halo())
    note = axes.text(x_limit * 0.995, percent + 0.8, f"chance {percent:.3g} %", **looks)  # type: ignore[arg-type]
    labels.taken.append(note.get_window_extent())
    for name, at, y, colour in families:
        labels.add(at, y, name, color=colour, bold=True)
    if found and found.settings > 1:
        _mark_nearest(axes, labels, found.setting[x], found.setting["recognizability"])
    plane_marks.distance_rings(axes, results, labels)
    return Plot(figure, shown.reindex(columns=list(frame.columns)), title)


def _notes(results: Results, frame: pd.DataFrame, found: Nearest | None) -> list[str]:
    """What the foot line says of ellipses, dots, bars, luck, critics and the axis across."""
    notes = []
    if human_point(results):
        rings = ", ".join(f"{radius:g}" for radius in plane_marks.RINGS)
        notes.append(f"ellipses: distance to people {rings}")
    several_seeds = bool(len(frame) and frame["seeds"].max() > 1)
    over = "seeds" * several_seeds
    over += (" and " * bool(over) + "critics") * ("critics" in frame)
    if over:
        notes.append(f"dots are means over {over}")
    x = across(results)
    if f"{x}_low" in frame and frame[f"{x}_low"].notna().any():
        drawn = "bars" if len(frame) <= MOST_BARS else "not drawn, in the CSV"
        notes.append(f"{drawn}: {style.intervals_text(results)}")
    notes += [luck_text(found.luck) if found else "", agreement_text(critic_agreement(results))]
    fixed, limit = X_LIMITS[x], _x_limit(pd.concat([frame, results.references]), x)
    if limit != fixed:
        changed = "extended" if limit > fixed else "cut"
        notes.append(f"{x.replace('_', ' ')} axis {changed} from {fixed} to {limit:.2g}")
    return notes


def _x_limit(shown: pd.DataFrame, x: str) -> float:
    """Where the axis across ends: fixed, so that figures compare; further if a point lies beyond.

    It is a half, a quarter ... where the features of briefly trained critics are so small that all
    points would lie in a corner.
    """
    high, limit = shown[x].max(), X_LIMITS[x]
    while 0 < high * 1.1 < limit / 2:
        limit /= 2
    return float(max(limit, 1.05 * high)) if high > 0 else limit


def _cloud(
    figure: Figure, axes: Axes, results: Results, frame: pd.DataFrame, axis: str
) -> list[tuple[str, float, float, str]]:
    """Draw the dots; returns labels (text, x, y, colour) that name families or unordered values."""
    x = across(results)
    # the nearest on top
    frame = frame.sort_values("human_distance", ascending=False, kind="stable")
    ordered = axis in frame and pd.api.types.is_numeric_dtype(frame[axis]) and axis != "model"
    kinds = ["model"] if ordered else list(dict.fromkeys(["model", axis]))
    norm = None
    if ordered and frame[axis].notna().any():
        to_norm = colours.axis_norm if axis in results.axes else colours.value_norm
        norm = to_norm(frame[axis].dropna())
    labels = []
    for (colour, marker), (key, part) in zip(
        colours.series(), frame.groupby(kinds, dropna=False, sort=True)
    ):
        plain = norm is None or part[axis].isna().all()
        paint: dict[str, Any] = (
            dict(color=colour)
            if plain
            else dict(c=part[axis], cmap=colours.ordered_colours(), norm=norm)
        )
        axes.scatter(
            part[x],
            part["recognizability"],
            marker=marker,
            zorder=3,
            **paint,
            **plane_marks.dot_style(len(frame)),
        )
        name = value_text(key[-1] if isinstance(key, tuple) else key)
        labels.append(
            (
                name,
                part[x].median(),
                part["recognizability"].median(),
                colour if plain else colours.BLACK,
            )
        )
    if norm:
        bar = figure.colorbar(
            ScalarMappable(norm, colours.ordered_colours()),
            ax=axes,
            shrink=0.6,
            aspect=18,
            pad=0.02,
        )
        bar.outline.set_visible(False)
        bar.set_label(style.with_unit(axis), fontsize=8)
        if len(ticks := sorted(frame[axis].dropna().unique())) <= 8:
            bar.set_ticks(ticks, labels=[value_text(tick) for tick in ticks])
    return labels if len(labels) > 1 else []


def _mark_nearest(axes: Axes, labels: Labels, x: float, y: float) -> None:
    """Draw a ring around the setting nearest to people."""
    looks: dict[str, Any] = dict(facecolors="none", edgecolors=colours.BLACK, linewidths=1.1)
    axes.scatter([x], [y], s=95, zorder=5, **looks)
    labels.add(x, y, "nearest")
