"""Can I believe the numbers? Exemplars, and what was drawn for them."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis.drawings import Drawings, read_drawings
from oneshot.report.analysis.plane import extremes
from oneshot.report.averages import ranking_metric
from oneshot.report.errors import AnalysisError
from oneshot.report.figures import style
from oneshot.report.figures.images import on_paper
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import Results, bounded
from oneshot.report.select import evenly_spaced
from oneshot.report.text import setting_text

CLASSES, DRAWINGS = 12, 10
# what blocks are called by the metric that ranks them
BLOCKS = {
    "nelbo": {"nearest": "lowest NELBO", "median": "median NELBO", "farthest": "highest NELBO"},
    "hits_missing": {"nearest": "most hits", "median": "median hits", "farthest": "fewest hits"},
    "classified_gain": {
        "nearest": "largest gain",
        "median": "median gain",
        "farthest": "smallest gain",
    },
}
# what the title says of these metrics, and the digits of their values
TITLES = {
    "nelbo": ("NELBO", 2),
    "hits_missing": ("Drawings in what was left out", 3),
    "classified_gain": ("Gain of a classifier", 1),
}
NO_CLASS = [""]  # the class names of drawings that were asked by nothing


@styled
def draw(results: Results) -> Plot:
    """Draw drawings of the points nearest to people, median and farthest, and of people.

    Where drawings have no place on the plane, of the points of lowest, median and highest NELBO, of
    most, median and fewest hits of a class that was left out, or of largest, median and smallest
    gain of a classifier. All show the same classes, evenly
    spaced in the list of names, so not chosen. Each line is a class: its exemplar, then its first
    drawings. Drawings for no class fill the lines in the order in which they were made.

    Args:
        results: The results.

    Returns:
        The plot.

    Raises:
        AnalysisError: No drawings are kept, or the points were drawn for different classes.
    """
    by = ranking_metric(results.evaluated)
    names = BLOCKS.get(by, {})
    rows = {names.get(name, name): row for name, row in extremes(results, by).items()}
    people = results.references.query("model == 'human'")
    if len(people):
        rows["people"] = people.iloc[0]
    read = {name: read_drawings(results, row.get("sample_id", "")) for name, row in rows.items()}
    found = {name: drawings for name, drawings in read.items() if drawings is not None}
    drawn = {name: in_lines(drawings) for name, drawings in found.items()}
    if not drawn:
        folder = results.folder.parent / "store" / "drawings"
        raise AnalysisError(f"no drawings are kept in {folder}")
    if any(drawings.images.ndim == 2 for drawings in drawn.values()):
        raise AnalysisError("these drawings are points of the plane, and no images")
    classes = classes_to_show(list(drawn.values()))
    missing = [name for name in rows if name not in drawn]
    columns = min(2, len(drawn))
    lines = -(-len(drawn) // columns)
    notes = [
        "left: exemplar; right: its first drawings"
        if any(len(drawings.exemplars) for drawings in drawn.values())
        else "the first drawings, for no class",
        f"no drawings kept of: {', '.join(missing)}" if missing else "",
    ]
    block_height = 0.36 + 0.97 * style.WIDE / 2 * len(classes) / (DRAWINGS + 1.6)
    size = (style.WIDE if columns == 2 else style.WIDE / 2 + 0.2, 0.42 + lines * block_height)
    title = _title(rows, by)
    figure = style.canvas(title, style.foot(results, *notes), size)
    grid = figure.subplots(lines, columns, squeeze=False)
    for panel in grid.flat:
        panel.set_axis_off()
    for panel, (name, drawings) in zip(grid.flat, drawn.items()):
        _block(panel, drawings, classes)
        panel.set_title(_caption(results, name, rows[name]), fontsize=7.5, loc="left", pad=3)
    style.settle(figure)
    numbers = pd.DataFrame([{"block": name, **rows[name]} for name in drawn])
    numbers["classes"] = " ".join(classes)
    return Plot(figure, numbers, title)


def in_lines(drawings: Drawings) -> Drawings:
    """Drawings for no class cut into lines, without exemplars; others as they are.

    Args:
        drawings: Of a point.

    Returns:
        Drawings whose classes are the lines of the sheet.
    """
    if drawings.class_names != NO_CLASS:
        return drawings
    lines = min(CLASSES, max(len(drawings.images) // DRAWINGS, 1))
    images = drawings.images[: lines * DRAWINGS]
    label = np.arange(len(images)) // DRAWINGS
    names = [f"line {line + 1:02}" for line in range(lines)]
    return Drawings(images, label, drawings.exemplars[:0], names)


def classes_to_show(drawn: list[Drawings]) -> list[str]:
    """Twelve (or all, if fewer) of the classes that all have, evenly spaced in order of name."""
    common = set.intersection(*(set(drawings.class_names) for drawings in drawn))
    if not common:
        raise AnalysisError("the points were drawn for different classes")
    return evenly_spaced(sorted(common), CLASSES)


def _title(rows: dict[str, pd.Series], by: str) -> str:
    """The metric of each block, people aside."""
    if by in TITLES:
        what, digits = TITLES[by]
        return f"{what}: " + ", ".join(
            f"{name.split()[0]} {row[by]:.{digits}f}"
            for name, row in rows.items()
            if name != "people"
        )
    named = [
        f"{name} {row['human_distance']:.2f}" for name, row in rows.items() if name != "people"
    ]
    return "Distance to people: " + ", ".join(named) if named else "Drawings by people"


def _caption(results: Results, name: str, row: pd.Series) -> str:
    """Who, and where on the plane: two lines."""
    who = name if name == "people" else f"{name}: {setting_text(results, row)}"
    who = textwrap.shorten(who, 58, placeholder=" ..")
    if pd.isna(row["diversity"]):
        return f"{who}\n{_other_score(row)}"
    return (
        f"{who}\ndiversity {row['diversity']:.2f}, recognizability {row['recognizability']:.1f} %"
    )


def _other_score(row: pd.Series) -> str:
    """What is known of a row without a place on the plane."""
    if bounded(row.to_frame().T).all():
        return f"NELBO {row['nelbo']:.2f} nats per image"
    if pd.notna(row.get("classified_gain")):
        gain, fid = row["classified_gain"], row.get("fid")
        beside = "" if pd.isna(fid) else f", FID {fid:.3g}"
        return f"gain {gain:+.1f} points of accuracy{beside}"
    if pd.isna(row.get("hits_missing")):
        return "not scored"
    null = row.get("false_hits")
    beside = "" if pd.isna(null) else f", of other real images {null:.3f}"
    return f"hits {row['hits_missing']:.3f}{beside}"


def _block(panel: Axes, drawings: Drawings, classes: list[str]) -> None:
    """Draw lines of exemplar (on grey), a gap and drawings; ink of bits is dark."""
    _, height, width, *channels = drawings.images.shape
    gap, asked = max(1, height // 14), len(drawings.exemplars) > 0
    first = width + max(2, width // 3) if asked else 0  # column of the first drawing
    picture = np.ones(
        ((height + gap) * len(classes) - gap, first + (width + gap) * DRAWINGS + gap, *channels)
    )
    for line, name in enumerate(classes):
        label, top = drawings.class_names.index(name), line * (height + gap)
        if asked:
            picture[top : top + height, :width] = on_paper(drawings.exemplars[label], 0.86)
        for i, image in enumerate(drawings.images[drawings.label == label][:DRAWINGS]):
            start = first + i * (width + gap)
            picture[top : top + height, start : start + width] = on_paper(image, 0.97)
    panel.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
