"""What tests of figures share: labels that cover each other."""

from __future__ import annotations

import itertools

from matplotlib.text import Text

from oneshot.report.figures import catalog


def overlaps(plot: catalog.Plot) -> list[tuple[str, str]]:
    """The pairs of labels and titles that cover each other (tick labels aside: matplotlib keeps
    those of hidden ticks).
    """
    figure = plot.figure
    figure.draw_without_rendering()
    numbers = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels(which="both")
    }
    texts = [
        t
        for t in figure.findobj(Text)
        if t.get_text().strip() and t.get_visible() and t not in numbers
    ]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    pairs = itertools.combinations(boxes, 2)
    return [
        (a, b)
        for (a, box), (b, other) in pairs
        if box.shrunk(0.9, 0.9).overlaps(other.shrunk(0.9, 0.9))
    ]
