"""What do latents, categories and codes do? Sheets of a few settings."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.sheets import sheets_to_show
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import setting_text

SETTINGS = 3  # shown at most


@styled
def draw(results: Results) -> Plot:
    """Draw the sheets of a few settings, a line each, evenly spaced in the order of the table.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No sheets are kept.
    """
    shown = sheets_to_show(results, SETTINGS)
    if not shown:
        raise AnalysisError(f"no sheets are kept in {results.folder.parent / 'store' / 'sheets'}")
    names = list(dict.fromkeys(name for _, sheets in shown for name in sheets))
    words = " and ".join([", ".join(map(_words, names[:-1])), _words(names[-1])]).removeprefix(
        " and "
    )
    title = f"{words[0].upper()}{words[1:]} of {style.plural(len(shown), 'setting')}"
    note = "settings evenly spaced in the order of the table"
    side = min(style.WIDE / len(names), 3.5)
    size = (max(side * len(names), 3.5), 0.5 + (side + 0.25) * len(shown))
    figure = style.canvas(title, style.foot(results, note), size)
    grid = figure.subplots(len(shown), len(names), squeeze=False)
    for panel in grid.flat:
        panel.set_axis_off()
    for line, (row, sheets) in zip(grid, shown):
        for i, (panel, name) in enumerate(zip(line, names)):
            caption = f"{setting_text(results, row)}\n" if i == 0 else "\n"
            text = textwrap.shorten(caption, 58, placeholder=" ..") + f"\n{_words(name)}"
            panel.set_title(text, fontsize=7.5, loc="left", pad=3)
            if name in sheets:
                _sheet(panel, sheets[name])
    style.settle(figure)
    numbers = pd.DataFrame(
        [
            {**row, "sheet": name, "rows": images.shape[0], "columns": images.shape[1]}
            for row, sheets in shown
            for name, images in sheets.items()
        ]
    )
    return Plot(figure, numbers, title)


def _words(name: str) -> str:
    """The name of a sheet in words."""
    return name.replace("_", " ")


def _sheet(panel: Axes, images: np.ndarray) -> None:
    """Draw the images of a sheet [rows, columns, H, W, C] with a white pixel between them."""
    rows, columns, height, width, channels = images.shape
    spaced = np.ones((rows, height + 1, columns, width + 1, channels))
    spaced[:, :height, :, :width] = images.transpose(0, 2, 1, 3, 4) / 255
    picture = spaced.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    panel.imshow(
        picture[..., 0] if channels == 1 else picture,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="antialiased",
    )
