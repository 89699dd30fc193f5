"""Figures on the plane of diversity and recognizability: all settings, and the path of an axis
through it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from oneshot.metrics.distance import SIGMA_DIVERSITY, SIGMA_RECOGNIZABILITY
from oneshot.report.analysis import plane as analysis
from oneshot.report.figures import style as fs
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import (
    AnalysisError,
    Results,
    column,
    plus_minus,
    setting_text,
    value_text,
    varying,
)

X_LIMIT, Y_LIMIT = 3.2, 102.0  # fixed, so that figures compare
CHANCE = 5.0  # per cent: one of the 20 classes of an episode
RINGS = (0.5, 1, 2, 3, 4)


@styled
def plane(results: Results, color_by: str = "") -> Plot:
    """Who draws like people? Every setting (mean over its seeds) on diversity x recognizability,
    coloured by an axis or by family.
    """
    if results.references.empty:
        analysis.need_scores(results)
    frame = analysis.places(results)
    axis = (
        column(frame, color_by)
        if color_by
        else next((a for a in varying(results) if a != "model"), "model")
    )
    figure = fs.canvas(
        nearest_title(results), fs.foot(results, *plane_notes(results, frame)), fs.SINGLE
    )
    axes = figure.subplots()
    wide = reach(results, frame)
    axes.set(
        xlim=(0, wide),
        ylim=(0, Y_LIMIT),
        xlabel="diversity",
        ylabel=fs.with_unit("recognizability"),
    )
    fs.error_bars(axes, pd.concat([frame, results.references]))
    families = cloud(figure, axes, results, frame, axis)
    fs.settle(figure)
    labels = fs.Labels(axes, frame[["diversity", "recognizability"]].to_numpy())
    fs.landmarks(axes, results.references, labels)
    chance = axes.axhline(CHANCE, color=fs.GREY, lw=0.7, ls=(0, (4, 3)), zorder=0)
    looks = dict(ha="right", fontsize=7, color=chance.get_color(), path_effects=fs.halo())
    note = axes.text(wide * 0.995, CHANCE + 0.8, f"chance {CHANCE:g} %", **looks)  # type: ignore[arg-type]
    labels.taken.append(note.get_window_extent())
    for name, x, y, colour in families:
        labels.add(x, y, name, color=colour, bold=True)
    mark_nearest(axes, labels, analysis.ranking(results))
    rings(axes, results, labels)
    shown = pd.concat([frame, results.references], ignore_index=True).reindex(
        columns=list(frame.columns)
    )
    return Plot(figure, shown, nearest_title(results))


def nearest_title(results: Results) -> str:
    """The finding of the plane; neutral if the best setting is within seed noise of the median
    one.
    """
    ranked = analysis.ranking(results)
    if ranked.empty:
        return (
            f"{results.name}: {fs.plural(len(results.models), 'point')}; no distance to people was"
            " scored"
        )
    best, noise = ranked.iloc[0], analysis.seed_noise(results)
    if len(ranked) > 2 and ranked["human_distance"].median() - best["human_distance"] < 2 * noise:
        return "No setting is nearer to people than seed noise allows"
    return (
        f"Nearest to people: {setting_text(results, best)}, distance"
        f" {plus_minus(best['human_distance'], best['human_distance_se'])}"
    )


def plane_notes(results: Results, frame: pd.DataFrame) -> list[str]:
    wide = reach(results, frame)
    seeds = frame["seeds"].max() if len(frame) else 1
    notes = [
        (
            f"ellipses: distance to people {', '.join(f'{r:g}' for r in RINGS)}"
            if analysis.human_point(results)
            else ""
        )
    ]
    notes.append("dots are means over seeds" if seeds > 1 else "")
    if any(
        part.get("diversity_se", pd.Series(dtype=float)).notna().any()
        for part in (frame, results.references)
    ):
        notes.append(
            f"bars: standard errors{', over seeds where there are several' * bool(seeds > 1)},"
            " where wider than their dots"
        )
    return [
        *notes,
        (
            f"diversity axis {'extended' if wide > X_LIMIT else 'cut'} from {X_LIMIT} to {wide:.2g}"
            if wide != X_LIMIT
            else ""
        ),
    ]


def reach(results: Results, frame: pd.DataFrame) -> float:
    """Where the diversity axis ends: 3.2, so that figures compare; further if a point lies beyond;
    1.6, 0.8, 0.4 ... where the features of
    briefly trained critics are so small that all would lie in a corner."""
    high = pd.concat([frame, results.references])["diversity"].max()
    wide = X_LIMIT
    while 0 < high * 1.1 < wide / 2:
        wide /= 2
    return float(max(wide, 1.05 * high)) if high > 0 else wide


def cloud(
    figure: Figure, axes: Axes, results: Results, frame: pd.DataFrame, axis: str
) -> list[tuple[str, float, float, str]]:
    """Draw the dots; returns the labels (text, x, y, colour) that say which family or value of an
    unordered axis is which.
    """
    # the nearest on top
    frame = frame.sort_values("human_distance", ascending=False, kind="stable")
    ordered = axis in frame and pd.api.types.is_numeric_dtype(frame[axis]) and axis != "model"
    kinds = ["model"] if ordered else list(dict.fromkeys(["model", axis]))
    colours = fs.shades if axis in results.axes else fs.scale
    norm = colours(frame[axis].dropna()) if ordered and frame[axis].notna().any() else None
    labels = []
    for (colour, marker), (key, part) in zip(
        fs.series(), frame.groupby(kinds, dropna=False, sort=True)
    ):
        plain = norm is None or part[axis].isna().all()
        paint: dict[str, Any] = (
            dict(color=colour)
            if plain
            else dict(c=part[axis], cmap=fs.ordered_colours(), norm=norm)
        )
        axes.scatter(
            part["diversity"],
            part["recognizability"],
            marker=marker,
            zorder=3,
            **paint,
            **fs.dot(len(frame)),
        )
        name = value_text(key[-1] if isinstance(key, tuple) else key)
        labels.append(
            (
                name,
                part["diversity"].median(),
                part["recognizability"].median(),
                colour if plain else fs.BLACK,
            )
        )
    if norm:
        bar = figure.colorbar(
            ScalarMappable(norm, fs.ordered_colours()), ax=axes, shrink=0.6, aspect=18, pad=0.02
        )
        bar.outline.set_visible(False)
        bar.set_label(fs.with_unit(axis), fontsize=8)
        if len(ticks := sorted(frame[axis].dropna().unique())) <= 8:
            bar.set_ticks(ticks, labels=[value_text(tick) for tick in ticks])
    return labels if len(labels) > 1 else []


def mark_nearest(axes: Axes, labels: fs.Labels, ranked: pd.DataFrame) -> None:
    if len(ranked) > 1:
        x, y = ranked.iloc[0][["diversity", "recognizability"]]
        axes.scatter(
            [x], [y], s=95, facecolors="none", edgecolors=fs.BLACK, linewidths=1.1, zorder=5
        )
        labels.add(x, y, "nearest")


def rings(axes: Axes, results: Results, labels: fs.Labels) -> None:
    """Curves of equal distance to people, each labelled where there is room."""
    human = analysis.human_point(results)
    if human is None:
        return
    for radius in RINGS:
        size = (2 * radius * SIGMA_DIVERSITY, 2 * radius * SIGMA_RECOGNIZABILITY)
        axes.add_patch(Ellipse(human, *size, fill=False, ec=fs.PALE, lw=0.7, zorder=0))
        ring_label(axes, labels, human, radius)


def ring_label(axes: Axes, labels: fs.Labels, human: tuple[float, float], radius: float) -> None:
    """The number of a ring on the ring itself, at the angle (below the centre) where it covers
    least; none if it is out of sight.
    """
    angles = np.radians([-125, -140, -110, -90, -70, -55, -40, -155, -25, -170, -10])
    spots = np.array(human) + radius * np.array(
        [SIGMA_DIVERSITY, SIGMA_RECOGNIZABILITY]
    ) * np.stack([np.cos(angles), np.sin(angles)], 1)
    text = axes.text(
        *human,
        f"{radius:g}",
        fontsize=7,
        color=fs.GREY,
        ha="center",
        va="center",
        path_effects=fs.halo(),
        zorder=2,
    )
    costs = []
    for spot in spots:
        text.set_position(tuple(spot))
        costs.append(labels.cost(text.get_window_extent()))
    best = int(np.argmin(costs))
    text.set_position(tuple(spots[best]))
    if costs[best] >= 1000:
        text.remove()
    else:
        labels.taken.append(text.get_window_extent())


@styled
def trajectory(results: Results, axis: str = "", degree: int = 0) -> Plot:
    """What does an axis do? The mean over the rest at each of its values, joined in order, with the
    parametric fit.

    axis: default beta if it varies, else the first axis of numbers. degree of the fit: default 3
    for beta, 1 (a line) for others.
    """
    analysis.need_scores(results)
    axis = axis or analysis.first_axis(results) or ""
    if not axis:
        raise AnalysisError("no axis of numbers varies")
    path = analysis.trajectory(results, axis)
    if len(path) < 2:
        raise AnalysisError(f"{axis} has one value with a score")
    title = trajectory_title(results, path, axis)
    bars = (
        "bars: standard errors, where wider than their dots"
        if path["diversity_se"].notna().any()
        else ""
    )
    means = f"each dot is a mean over {fs.count_text(path['n'])}; thin line: parametric fit"
    figure = fs.canvas(title, fs.foot(results, means, bars))
    axes = figure.subplots()
    norm = fs.shades(path[axis])
    fs.error_bars(axes, pd.concat([path, results.references.query("model == 'human'")]))
    for (_, marker), (_, part) in zip(fs.series(), path.groupby("model")):
        axes.plot(part["diversity"], part["recognizability"], color=fs.PALE, lw=1.6, zorder=1)
        looks = dict(marker=marker, s=38, linewidths=0.4, edgecolors="#222222", zorder=3)
        axes.scatter(
            part["diversity"],
            part["recognizability"],
            c=part[axis],
            cmap=fs.ordered_colours(),
            norm=norm,
            **looks,  # type: ignore[arg-type]
        )
        if (curve := analysis.fit(part, axis, degree or (3 if axis == "beta" else 1))) is not None:
            axes.plot(
                curve["diversity"], curve["recognizability"], color=fs.BLACK, lw=0.7, zorder=2
            )
    frame_path(axes, path, results)
    fs.settle(figure)
    labels = fs.Labels(axes, np.concatenate([along(part) for _, part in path.groupby("model")]))
    fs.landmarks(axes, results.references.query("model == 'human'"), labels)
    for _, part in path.groupby("model"):
        label_path(labels, part, axis, several=path["model"].nunique() > 1)
    rings(axes, results, labels)
    return Plot(figure, path, title)


def along(path: pd.DataFrame, steps: int = 20) -> np.ndarray:
    """Places along the joined dots, for labels to keep off: [N, 2]."""
    at = np.linspace(0, len(path) - 1, steps * len(path))
    return np.stack(
        [
            np.interp(at, np.arange(len(path)), path[name])
            for name in ("diversity", "recognizability")
        ],
        axis=1,
    )


def frame_path(axes: Axes, path: pd.DataFrame, results: Results) -> None:
    """Limits round the path and people, with a margin."""
    seen = pd.concat([path, results.references.query("model == 'human'")])
    (x0, x1), (y0, y1) = (
        (seen[name].min(), seen[name].max()) for name in ("diversity", "recognizability")
    )
    dx, dy = max(0.12 * (x1 - x0), 0.1), max(0.12 * (y1 - y0), 2.0)
    axes.set(xlim=(max(0, x0 - dx), x1 + dx), ylim=(max(0, y0 - dy), min(Y_LIMIT, y1 + dy)))
    axes.set(xlabel="diversity", ylabel=fs.with_unit("recognizability"))


def label_path(labels: fs.Labels, path: pd.DataFrame, axis: str, several: bool) -> None:
    """First, last and nearest always; whole numbers of beta where there is room. The first says
    which family, if there are several.
    """
    path = path.reset_index(drop=True)
    nearest = int(path["human_distance"].argmin()) if path["human_distance"].notna().any() else -1
    ends = (0, len(path) - 1)
    whole = [
        i for i, value in enumerate(path[axis]) if axis == "beta" and float(value).is_integer()
    ]
    for i in dict.fromkeys([*ends, *([nearest] if nearest >= 0 else []), *whole]):
        row = path.iloc[i]
        text = f"{axis} " * (i in ends) + value_text(row[axis]) + " (nearest)" * (i == nearest)
        text = f"{row['model']}: {text}" if several and i == 0 else text
        labels.add(
            row["diversity"],
            row["recognizability"],
            text,
            optional=i not in (*ends, nearest),
            bold=i == nearest,
        )


def trajectory_title(results: Results, path: pd.DataFrame, axis: str) -> str:
    first, last = path.iloc[0], path.iloc[-1]
    span = f"{axis} {value_text(path[axis].min())} to {value_text(path[axis].max())}"
    if path["human_distance"].isna().all() or path["model"].nunique() > 1:
        return f"{span}: the path of {' and '.join(path['model'].unique())}"
    if not analysis.beyond_noise(
        analysis.effect(results, axis, "human_distance"), "human_distance"
    ):
        return f"{span}: no effect on the distance to people beyond seed noise"
    best = path.iloc[int(path["human_distance"].argmin())]
    verb = "rises" if last["diversity"] > first["diversity"] else "falls"
    moves = f"diversity {verb} from {first['diversity']:.2f} to {last['diversity']:.2f}"
    return (
        f"{span}: {moves}, nearest to people at {value_text(best[axis])} (distance"
        f" {best['human_distance']:.2f})"
    )
