"""Is anything drawn where nothing was shown? Drawings that are points, beside the modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle

from oneshot.report.analysis.drawings import Drawings, read_drawings
from oneshot.report.analysis.modes import (
    Cell,
    modes_of_point,
    null_hits,
    other_axes,
    panel_points,
    require_modes,
)
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import colours, style
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results
from oneshot.report.text import value_text

ROWS, COLUMNS = 5, 8  # panels at most, references aside
DOTS = 2000  # drawings of a panel
NEAR = 3.0  # sigma within which a drawing hits a mode
LEFT, BELOW = 0.75, 0.34  # inches for the names of the lines, and for the text below a panel
MARGIN = 1.35  # of the farthest mode; what lies farther is not shown


@styled
def draw(results: Results) -> Plot:
    """Draw the drawings of one seed of each setting, a row an axis, a column a removed mode.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No drawing is a point of the plane, or no drawings are kept.
    """
    require_modes(results)
    cells = panel_points(results, ROWS, COLUMNS)
    read = [read_drawings(results, cell.point.get("sample_id", "")) for cell in cells]
    shown = [(cell, drawings) for cell, drawings in zip(cells, read) if drawings is not None]
    if not shown:
        folder = results.folder.parent / "store" / "drawings"
        raise AnalysisError(f"no drawings are kept in {folder}")
    rows = list(dict.fromkeys(cell.row for cell, _ in shown))
    columns = list(dict.fromkeys(cell.column for cell, _ in shown))
    side = min(1.3, (style.WIDE - LEFT) / len(columns))
    size = (style.WIDE, 1.1 + (side + BELOW) * len(rows))
    title = finding(results)
    figure = style.canvas(title, style.foot(results, *_notes(results, len(cells), shown)), size)
    _leave_room(figure)
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for panel in grid.flat:
        panel.set_axis_off()
    numbers = []
    for cell, drawings in shown:
        panel = grid[rows.index(cell.row), columns.index(cell.column)]
        modes = modes_of_point(results, cell.point["point_id"])
        outside = _panel(panel, drawings, modes)
        caption = _caption(cell.point, outside / len(drawings.images))
        _beside(panel, 0.5, -0.03, caption, ha="center", va="top", fontsize=6.5)
        numbers.append(_numbers(cell, outside))
    for panel, name in zip(grid[:, 0], rows):
        _beside(panel, -0.08, 0.5, style.wrapped(name, 12), ha="right", va="center", fontsize=7.5)
    for panel, name in zip(grid[0], columns):
        panel.set_title(name.replace("without ", "without\n"), fontsize=7.5, pad=3)
    style.settle(figure)
    return Plot(figure, pd.DataFrame(numbers), title)


def _leave_room(figure: Figure) -> None:
    """Keep the left margin for the names of the lines, and a strip below each panel for a text.

    These texts have no part in the layout, which would give them the room of the panels.
    """
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    x, y, width, height = engine.get()["rect"]
    left, below = LEFT / style.WIDE, BELOW / 2 / figure.get_size_inches()[1]
    rect = (x + left, y + below, width - left, height - below)
    engine.set(rect=rect, h_pad=BELOW / 2, w_pad=0.03)


def _beside(panel: Axes, x: float, y: float, text: str, **looks: Any) -> None:
    """Write a text beside a panel, at a place in units of the panel."""
    looks |= dict(transform=panel.transAxes, color=colours.GREY, in_layout=False)
    panel.text(x, y, text, **looks)


def finding(results: Results) -> str:
    """Whether drawings of the models hit the removed mode oftener than what knows nothing of it.

    Args:
        results: The results.

    Returns:
        The title of figures of modes.
    """
    models = results.evaluated
    if "hits_missing" not in models or models["hits_missing"].isna().all():
        off = models["off_modes"].mean()
        return f"No mode was left out: {100 * off:.1f} % of the drawings lie off all modes"
    hits = models["hits_missing"].dropna()
    nulls = null_hits(results)
    beside = ", ".join(f"{name} {100 * share:.1f} %" for name, share in nulls.items())
    beside = f" ({beside})" if beside else ""
    chance = nulls.get("ring", 0.0)
    above = int((hits > chance).sum())
    models_text = style.plural(len(hits), "model")
    if not hits.any():
        return f"No drawing of {models_text} hits the removed mode{beside}"
    most = f"{100 * hits.max():.1f} %"
    if not above:
        return (
            f"At most {most} of the drawings of {models_text} hit the removed mode, no more than of"
            f" a ring{beside}"
        )
    than = ", more than of a ring" if "ring" in nulls else ""
    return (
        f"Up to {most} of the drawings of {above} of {models_text} hit the removed mode{than}"
        f"{beside}"
    )


def _panel(panel: Axes, drawings: Drawings, modes: pd.DataFrame) -> int:
    """Draw drawings and modes; returns how many drawings lie outside of the panel."""
    panel.set_axis_on()
    panel.set(xticks=[], yticks=[], aspect="equal")
    panel.spines[:].set_visible(True)
    panel.spines[:].set(color=colours.PALE, linewidth=0.5)
    lengths = np.hypot(modes["x"], modes["y"])
    limit = MARGIN * float(lengths.max())
    panel.set(xlim=(-limit, limit), ylim=(-limit, limit))
    if np.ptp(lengths) < 1e-6:
        looks: dict[str, Any] = dict(fill=False, ec=colours.PALE, lw=0.5, zorder=1)
        panel.add_patch(Circle((0, 0), float(lengths.mean()), **looks))
    points, asked = drawings.images[:DOTS], drawings.label[:DOTS]
    if len(drawings.images) > DOTS:  # drawings are sorted by what they were asked for
        chosen = np.linspace(0, len(drawings.images) - 1, DOTS).astype(int)
        points, asked = drawings.images[chosen], drawings.label[chosen]
    removed = set(modes.loc[modes["removed"] == 1, "mode"])
    of_removed = np.isin(np.array(drawings.class_names)[asked], list(removed))
    for mask, colour in ((~of_removed, colours.BLUE), (of_removed, colours.ORANGE)):
        x, y = points[mask].T
        panel.scatter(x, y, s=1.2, c=colour, lw=0, alpha=0.5, zorder=2, rasterized=True)
    for x, y, sigma, gone in modes[["x", "y", "sigma", "removed"]].to_numpy(float):
        colour, width = (colours.ORANGE, 0.9) if gone else (colours.GREY, 0.4)
        looks = dict(fill=False, ec=colour, lw=width, zorder=3)
        panel.add_patch(Circle((x, y), NEAR * sigma * (2 if gone else 1), **looks))
    return int((np.abs(drawings.images) > limit).any(axis=1).sum())


def _caption(point: pd.Series, outside: float) -> str:
    """Hits of the removed mode, modes covered, and what lies outside, if much does."""
    hits = point.get("hits_missing")
    parts = [] if hits is None or pd.isna(hits) else [f"{100 * hits:.1f} % hit"]
    parts.append(style.plural(int(point["modes_covered"]), "mode"))
    parts += [f"{100 * outside:.0f} % outside"] if outside >= 0.005 else []
    return "\n".join(parts)


def _numbers(cell: Cell, outside: int) -> dict[str, Any]:
    """The line of a panel in the CSV file."""
    names = (
        "mode_distance",
        "hits_missing",
        "modes_covered",
        "off_modes",
        "radius_error",
        "nearest_ratio",
    )
    metrics = {name: cell.point.get(name) for name in names}
    keys = {name: cell.point[name] for name in ("point_id", "model", "seed")}
    return {"row": cell.row, "column": cell.column, **keys, **metrics, "outside": outside}


def _notes(results: Results, cells: int, shown: list[tuple[Cell, Drawings]]) -> list[str]:
    """How to read the panels, and what is not on them."""
    first = shown[0][0].point
    others = other_axes(results, ROWS)
    fixed = ", ".join(f"{axis} {value_text(first[axis])}" for axis in others)
    return [
        "circles: modes, the removed one larger and in orange, as drawings asked for it",
        "one seed each" if results.evaluated["seed"].nunique() > 1 else "",
        f"all at {fixed}" if fixed else "",
        f"no drawings kept of {cells - len(shown)} of {cells} panels" if len(shown) < cells else "",
    ]
