"""Who draws like people? Every setting on diversity x recognizability."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from oneshot.report.analysis.plane import (
    human_point,
    ranking,
    require_scores,
    seed_noise,
    settings_on_plane,
)
from oneshot.report.figures import colours, plane_marks, style
from oneshot.report.figures.labels import Labels, halo
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.select import known_column, varying_axes
from oneshot.report.text import plus_minus, setting_text, value_text

X_LIMIT = 3.2  # of diversity, fixed, so that figures compare
CHANCE = 5.0  # per cent: one of the 20 classes of an episode


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
    frame = settings_on_plane(results)
    axis = (
        known_column(frame, color_by)
        if color_by
        else next((a for a in varying_axes(results) if a != "model"), "model")
    )
    figure = style.canvas(
        _title(results), style.foot(results, *_notes(results, frame)), style.SINGLE
    )
    axes = figure.subplots()
    x_limit = _diversity_limit(results, frame)
    axes.set(
        xlim=(0, x_limit),
        ylim=(0, plane_marks.Y_LIMIT),
        xlabel="diversity",
        ylabel=style.with_unit("recognizability"),
    )
    plane_marks.error_bars(axes, pd.concat([frame, results.references]))
    families = _cloud(figure, axes, results, frame, axis)
    style.settle(figure)
    labels = Labels(axes, frame[["diversity", "recognizability"]].to_numpy())
    plane_marks.landmarks(axes, results.references, labels)
    chance = axes.axhline(CHANCE, color=colours.GREY, lw=0.7, ls=(0, (4, 3)), zorder=0)
    looks = dict(ha="right", fontsize=7, color=chance.get_color(), path_effects=halo())
    note = axes.text(x_limit * 0.995, CHANCE + 0.8, f"chance {CHANCE:g} %", **looks)  # type: ignore[arg-type]
    labels.taken.append(note.get_window_extent())
    for name, x, y, colour in families:
        labels.add(x, y, name, color=colour, bold=True)
    _mark_nearest(axes, labels, ranking(results))
    plane_marks.distance_rings(axes, results, labels)
    shown = pd.concat([frame, results.references], ignore_index=True).reindex(
        columns=list(frame.columns)
    )
    return Plot(figure, shown, _title(results))


def _title(results: Results) -> str:
    """The nearest setting; neutral if it is within seed noise of the median one."""
    ranked = ranking(results)
    if ranked.empty:
        points = style.plural(len(results.models), "point")
        return f"{results.name}: {points}; no distance to people was scored"
    best, noise = ranked.iloc[0], seed_noise(results)
    if len(ranked) > 2 and ranked["human_distance"].median() - best["human_distance"] < 2 * noise:
        return "No setting is nearer to people than seed noise allows"
    return (
        f"Nearest to people: {setting_text(results, best)}, distance"
        f" {plus_minus(best['human_distance'], best['human_distance_se'])}"
    )


def _notes(results: Results, frame: pd.DataFrame) -> list[str]:
    """What the foot line says of ellipses, dots, bars and the diversity axis."""
    notes = []
    if human_point(results):
        rings = ", ".join(f"{radius:g}" for radius in plane_marks.RINGS)
        notes.append(f"ellipses: distance to people {rings}")
    several_seeds = bool(len(frame) and frame["seeds"].max() > 1)
    if several_seeds:
        notes.append("dots are means over seeds")
    shown = (frame, results.references)
    if any(part.get("diversity_se", pd.Series(dtype=float)).notna().any() for part in shown):
        over_seeds = ", over seeds where there are several" * several_seeds
        notes.append(f"bars: standard errors{over_seeds}, where wider than their dots")
    limit = _diversity_limit(results, frame)
    if limit != X_LIMIT:
        changed = "extended" if limit > X_LIMIT else "cut"
        notes.append(f"diversity axis {changed} from {X_LIMIT} to {limit:.2g}")
    return notes


def _diversity_limit(results: Results, frame: pd.DataFrame) -> float:
    """Where the diversity axis ends: 3.2, so that figures compare; further if a point lies beyond.

    It is 1.6, 0.8, 0.4 ... where the features of briefly trained critics are so small that all
    points would lie in a corner.
    """
    high = pd.concat([frame, results.references])["diversity"].max()
    limit = X_LIMIT
    while 0 < high * 1.1 < limit / 2:
        limit /= 2
    return float(max(limit, 1.05 * high)) if high > 0 else limit


def _cloud(
    figure: Figure, axes: Axes, results: Results, frame: pd.DataFrame, axis: str
) -> list[tuple[str, float, float, str]]:
    """Draw the dots; returns labels (text, x, y, colour) that name families or unordered values."""
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
            part["diversity"],
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
                part["diversity"].median(),
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


def _mark_nearest(axes: Axes, labels: Labels, ranked: pd.DataFrame) -> None:
    """Draw a ring around the setting nearest to people."""
    if len(ranked) > 1:
        x, y = ranked.iloc[0][["diversity", "recognizability"]]
        axes.scatter(
            [x], [y], s=95, facecolors="none", edgecolors=colours.BLACK, linewidths=1.1, zorder=5
        )
        labels.add(x, y, "nearest")
