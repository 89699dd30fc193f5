"""What figures on the plane share: people, copies and noise, error bars, rings of distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from oneshot.report.analysis.plane import human_point, plane_units
from oneshot.report.figures import colours
from oneshot.report.figures.labels import BAD, Labels, halo
from oneshot.report.results import Results

Y_LIMIT = 102.0  # of recognizability, fixed, so that figures compare
RINGS = (0.5, 1, 2, 3, 4)  # distances to people
MANY = 5000  # dots; more are one bitmap inside the SVG
LANDMARKS = {
    "human": dict(
        marker="*", s=190, color=colours.VERMILLION, edgecolors="white", linewidths=0.7, zorder=6
    ),
    "copy": dict(
        marker="s", s=34, color=colours.BLACK, edgecolors="white", linewidths=0.7, zorder=6
    ),
    "noise": dict(marker="x", s=36, color=colours.BLACK, linewidths=1.4, zorder=6),
}
NAMES = {"human": "people", "copy": "copies", "noise": "noise"}


def landmarks(axes: Axes, references: pd.DataFrame, labels: Labels, x: str) -> None:
    """Draw people, copies and noise, the same sign everywhere, each labelled where it is.

    Args:
        axes: The plot.
        references: Their rows.
        labels: The labels of the plot.
        x: The column that lies across.
    """
    for model, looks in LANDMARKS.items():
        rows = references[references["model"] == model]
        axes.scatter(rows[x], rows["recognizability"], clip_on=False, **looks)  # type: ignore[arg-type]
        for _, row in rows.head(1).iterrows():
            labels.add(
                row[x],
                row["recognizability"],
                NAMES[model],
                color=colours.VERMILLION if model == "human" else colours.BLACK,
                bold=True,
            )


def dot_style(count: int) -> dict[str, Any]:
    """The size and edge of dots: the more, the smaller; one bitmap in the SVG when very many.

    Args:
        count: How many dots.

    Returns:
        Arguments of `scatter`.
    """
    if count <= 60:
        return dict(s=34, linewidths=0.4, edgecolors="#222222")
    return dict(s=15 if count <= 500 else 7, linewidths=0, alpha=0.85, rasterized=count > MANY)


def error_bars(axes: Axes, frame: pd.DataFrame, x: str) -> bool:
    """Draw the 95 % intervals of places on the plane, thin and light, under the dots.

    Args:
        axes: The plot.
        frame: The places with their intervals; those without get no bars.
        x: The column that lies across.

    Returns:
        Whether there are any.
    """
    ends = [f"{name}_{end}" for name in (x, "recognizability") for end in ("low", "high")]
    if not set(ends) <= set(frame):
        return False
    rows = frame.dropna(subset=ends)
    if rows.empty:
        return False
    across, up = (
        np.abs(rows[[f"{name}_low", f"{name}_high"]].sub(rows[name], axis=0).to_numpy(float).T)
        for name in (x, "recognizability")
    )
    looks: dict[str, Any] = dict(fmt="none", ecolor=colours.LIGHT, elinewidth=0.6, zorder=1)
    axes.errorbar(rows[x], rows["recognizability"], up, across, **looks)
    return True


def distance_rings(axes: Axes, results: Results, labels: Labels) -> None:
    """Draw curves of equal distance to people, each labelled where there is room.

    Args:
        axes: The plot.
        results: The results.
        labels: The labels of the plot.
    """
    human = human_point(results)
    if human is None:
        return
    units = plane_units(results)
    if not np.isfinite(units).all():
        return
    for radius in RINGS:
        size = (2 * radius * units[0], 2 * radius * units[1])
        axes.add_patch(Ellipse(human, *size, fill=False, ec=colours.PALE, lw=0.7, zorder=0))
        _ring_label(axes, labels, human, radius, np.array(units))


def _ring_label(
    axes: Axes, labels: Labels, human: tuple[float, float], radius: float, units: np.ndarray
) -> None:
    """Write the number of a ring on it, where it covers least; none if it is out of sight."""
    angles = np.radians([-125, -140, -110, -90, -70, -55, -40, -155, -25, -170, -10])
    spots = np.array(human) + radius * units * np.stack([np.cos(angles), np.sin(angles)], 1)
    text = axes.text(
        *human,
        f"{radius:g}",
        fontsize=7,
        color=colours.GREY,
        ha="center",
        va="center",
        path_effects=halo(),
        zorder=2,
    )
    costs = []
    for spot in spots:
        text.set_position(tuple(spot))
        costs.append(labels.cost(text.get_window_extent()))
    best = int(np.argmin(costs))
    text.set_position(tuple(spots[best]))
    if costs[best] >= BAD:
        text.remove()
    else:
        labels.taken.append(text.get_window_extent())
