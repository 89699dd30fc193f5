"""Labels of dots and lines that keep clear of each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from oneshot.report.figures import colours

# where a label may be beside its dot, in points; the first is preferred
SPOTS = [
    (0, 7),
    (7, 0),
    (0, -7),
    (-7, 0),
    (6, 6),
    (6, -6),
    (-6, 6),
    (-6, -6),
    (0, 14),
    (14, 0),
    (0, -14),
    (-14, 0),
]
# from this cost on a label covers another or leaves the plot
BAD = 1000.0


def halo(width: float = 2.0) -> list[patheffects.AbstractPathEffect]:
    """A white edge around a text, so that it is read above lines."""
    return [patheffects.withStroke(linewidth=width, foreground="white")]


class Labels:
    """Labels beside the dots of one plot, each where it covers least.

    Make it after `settle`, when axes and limits are final.

    Args:
        axes: The plot.
        crowd: The dots' places [N, 2] in data units, to be covered as little as possible.
    """

    def __init__(self, axes: Axes, crowd: np.ndarray):
        self.axes = axes
        self.renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
        self.crowd = axes.transData.transform(crowd) if len(crowd) else np.empty((0, 2))
        self.taken: list[Bbox] = []
        self.room = axes.get_tightbbox(self.renderer) or axes.bbox

    def add(
        self,
        x: float,
        y: float,
        text: str,
        *,
        color: str = colours.BLACK,
        bold: bool = False,
        optional: bool = False,
    ) -> bool:
        """Place one label beside a dot.

        Args:
            x: The dot's place across, in data units.
            y: The dot's place upwards.
            text: The label.
            color: Its colour.
            bold: Whether it is bold.
            optional: Leave it out where it would cover another or leave the plot.

        Returns:
            Whether it is there.
        """
        label = self.axes.annotate(
            text,
            (x, y),
            (0, 0),
            textcoords="offset points",
            fontsize=8,
            color=color,
            fontweight="bold" if bold else "normal",
            path_effects=halo(),
            zorder=8,
            annotation_clip=False,
        )
        costs = [self.cost(self._move(label, spot)) + 0.2 * i for i, spot in enumerate(SPOTS)]
        best = int(np.argmin(costs))
        box = self._move(label, SPOTS[best])
        if optional and costs[best] >= BAD:
            label.remove()
            return False
        self.taken.append(box)
        return True

    def _move(self, label: Any, spot: tuple[int, int]) -> Bbox:
        """Move a label to a spot beside its dot; returns its box."""
        sign = [int(np.sign(v)) for v in spot]
        label.set_ha({-1: "right", 0: "center", 1: "left"}[sign[0]])
        label.set_va({-1: "top", 0: "center", 1: "bottom"}[sign[1]])
        label.xyann = spot
        return label.get_window_extent(self.renderer)

    def cost(self, box: Bbox) -> float:
        """What a label in a box would cost: BAD and more if it covers others or leaves the plot."""
        hits = sum(box.overlaps(other) for other in self.taken)
        outside = (
            box.x0 < self.axes.bbox.x0
            or box.x1 > self.room.x1
            or box.y0 < self.axes.bbox.y0
            or box.y1 > self.axes.bbox.y1 + 2
        )
        dots = (self.crowd >= (box.x0, box.y0)) & (self.crowd <= (box.x1, box.y1))
        return 2 * BAD * hits + BAD * outside + min(900.0, float(dots.all(axis=1).sum()))


def spread_labels(
    figure: Figure,
    panel: Axes,
    labels: list[tuple[Annotation, str]],
    gap: float = 1.0,
    inside: bool = False,
) -> None:
    """Move labels that cover each other apart, as little as needed, and tie each to its line.

    Call it after `settle`.

    Args:
        figure: The figure.
        panel: The plot.
        labels: Annotations at the ends of lines, with the colours of the lines.
        gap: The least distance of two labels, in points.
        inside: Keep them between the bottom and the top of the panel, if there is room.
    """
    labels = sorted(labels, key=lambda pair: -pair[0].xy[1])  # the uppermost first
    pixels = figure.dpi / 72
    heights = [label.get_window_extent().height + gap * pixels for label, _ in labels]
    wanted = [panel.transData.transform(label.xy)[1] for label, _ in labels]
    places = list(wanted)
    for _ in range(500):
        if inside:
            places[0] = min(places[0], panel.bbox.y1 - heights[0] / 2)
            places[-1] = max(places[-1], panel.bbox.y0 + heights[-1] / 2)
        for i, j in itertools.pairwise(range(len(labels))):
            if (overlap := (heights[i] + heights[j]) / 2 - (places[i] - places[j])) > 0:
                places[i], places[j] = places[i] + overlap / 2, places[j] - overlap / 2
    for (label, colour), place, want in zip(labels, places, wanted):
        label.xyann = (9, round((place - want) / pixels, 3))
        panel.annotate(
            "",
            label.xy,
            (8, label.xyann[1]),
            textcoords="offset points",
            annotation_clip=False,
            arrowprops=dict(arrowstyle="-", color=colour, lw=0.6, shrinkA=0, shrinkB=3),
        )
