"""What figures on the plane share: people, copies and noise, error bars, rings of distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from oneshot.metrics.distance import UNIT_DIVERSITY, UNIT_RECOGNIZABILITY
from oneshot.report.analysis.plane import human_point
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


def landmarks(axes: Axes, references: pd.DataFrame, labels: Labels) -> None:
    """Draw people, copies and noise, the same sign everywhere, each labelled where it is.

    Args:
        axes: The plot.
        references: Their rows.
        labels: The labels of the plot.
    """
    for model, looks in LANDMARKS.items():
        rows = references[references["model"] == model]
        axes.scatter(rows["diversity"], rows["recognizability"], clip_on=False, **looks)  # type: ignore[arg-type]
        for _, row in rows.head(1).iterrows():
            labels.add(
                row["diversity"],
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


def error_bars(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw the standard errors of places on the plane, thin and light, under the dots.

    Args:
        axes: The plot.
        frame: The places; those without errors get no bars.
    """
    errors = [
        frame[f"{name}_se"].astype(float)
        for name in ("recognizability", "diversity")
        if f"{name}_se" in frame
    ]
    known = [error.notna() for error in errors]
    if len(errors) == 2 and (rows := known[0] & known[1]).any():
        up, across = (error[rows] for error in errors)
        bars = axes.errorbar(
            frame.loc[rows, "diversity"],
            frame.loc[rows, "recognizability"],
            up,
            across,
            fmt="none",
            ecolor=colours.LIGHT,
            elinewidth=0.6,
            zorder=1,
        )
        for lines in bars[2]:
            lines.set_rasterized(len(frame) > MANY)


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
    for radius in RINGS:
        across, up = _ring_units(human)
        size = (2 * radius * across, 2 * radius * up)
        axes.add_patch(Ellipse(human, *size, fill=False, ec=colours.PALE, lw=0.7, zorder=0))
        _ring_label(axes, labels, human, radius)


def _ring_units(human: tuple[float, float]) -> tuple[float, float]:
    """The units of human_distance in diversity and recognizability, about people's point."""
    return UNIT_DIVERSITY * human[0], UNIT_RECOGNIZABILITY


def _ring_label(axes: Axes, labels: Labels, human: tuple[float, float], radius: float) -> None:
    """Write the number of a ring on it, where it covers least; none if it is out of sight."""
    angles = np.radians([-125, -140, -110, -90, -70, -55, -40, -155, -25, -170, -10])
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    spots = np.array(human) + radius * np.array(_ring_units(human)) * directions
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
