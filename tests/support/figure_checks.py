"""Helpers of the tests of figures: texts that cover each other, the foot line, the command."""

from __future__ import annotations

import itertools

import numpy as np
import small
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from oneshot.report.figures.style import Plot


def overlaps(plot: Plot) -> list[tuple[str, str]]:
    """The pairs of labels and titles that cover each other.

    Tick labels are left out, as matplotlib keeps those of hidden ticks.
    """
    figure = plot.figure
    figure.draw_without_rendering()
    ticks = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels(which="both")
    }
    texts = [t for t in _written(plot) if t.get_visible() and t not in ticks]
    boxes = [(t.get_text(), t.get_window_extent().shrunk(0.9, 0.9)) for t in texts]
    pairs = itertools.combinations(boxes, 2)
    return [(a, b) for (a, box), (b, other) in pairs if box.overlaps(other)]


def font_sizes(plot: Plot) -> list[float]:
    """The sizes of all texts of a figure, in points."""
    return [float(text.get_fontsize()) for text in _written(plot)]


def foot(plot: Plot) -> str:
    """The foot line, the only text of 6 points, without its line breaks."""
    return next(t.get_text() for t in _written(plot) if t.get_fontsize() == 6).replace("\n", " ")


def error_bars(plot: Plot) -> tuple[np.ndarray, np.ndarray]:
    """Half the lengths of the error bars of a plane: across, up."""
    bars = [c for c in plot.figure.axes[0].collections if isinstance(c, LineCollection)]
    half = [np.array([np.ptp(np.asarray(s), axis=0) / 2 for s in c.get_segments()]) for c in bars]
    # thin, under the dots
    assert len(half) == 2 and all(c.get_linewidth()[0] < 1 and c.get_zorder() < 3 for c in bars)
    return half[0][:, 0], half[1][:, 1]


def analyze(*arguments: object, **environment: str) -> small.Done:
    """Call analyze.py in this process.

    Args:
        arguments: The words of the command line.
        environment: More variables of the environment.

    Returns:
        Its exit status, stdout and stderr.
    """
    return small.main(*arguments, script="analyze.py", **environment)


def _written(plot: Plot) -> list[Text]:
    """The texts of a figure that say something."""
    return [t for t in plot.figure.findobj(Text) if t.get_text().strip()]
