"""The sheet: exemplars and what was drawn for them, so that nobody has to believe the numbers."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oneshot.report.analysis import plane
from oneshot.report.figures import style as fs
from oneshot.report.figures.style import Plot, styled
from oneshot.report.results import AnalysisError, Results, bounded, ranked_by, setting_text
from oneshot.store.store import without_checksum

CLASSES, DRAWINGS = 12, 10


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the store keeps of one point. images: uint8 [N, H, W] of 0 and 1, sorted by label [N];
    exemplars: uint8 [C, H, W].

    Drawings in colour are uint8 [N, H, W, 3] and [C, H, W, 3] of 0 .. 255.
    """

    images: np.ndarray
    label: np.ndarray
    exemplars: np.ndarray
    class_names: list[str]


def read_drawings(results: Results, sample_id: str) -> Drawn | None:
    """The drawings of a point, from the store beside the sweep's folder; None if they are not (or
    no longer, or not wholly) there.
    """
    file = Path(results.folder).parent / "store" / "drawings" / str(sample_id) / "drawings.npz"
    try:
        data = without_checksum(file.read_bytes(), str(file))
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            names = [str(name) for name in kept["class_names"]]
            if "images" in kept:
                drawn = Drawn(kept["images"], kept["label"], kept["exemplars"], names)
            else:
                height, width = (int(v) for v in kept["shape"])
                images, exemplars = (
                    np.unpackbits(kept[name], axis=1)[:, : height * width].reshape(
                        -1, height, width
                    )
                    for name in ("packed", "exemplars")
                )
                drawn = Drawn(images, kept["label"], exemplars, names)
            fits = (
                drawn.images.shape[1:] == drawn.exemplars.shape[1:]
                and drawn.label.shape == drawn.images.shape[:1]
            )
            fits = (
                fits
                and len(drawn.exemplars) == len(names)
                and drawn.images.ndim in (3, 4)
                and drawn.images.size > 0
            )
            return drawn if fits and drawn.images.dtype == np.uint8 else None
    except Exception:
        # a damaged archive raises whatever its bytes lead to: errors of zip, zlib, of the
        # tokenizer, of memory
        return None


@styled
def sheet(results: Results) -> Plot:
    """Can I believe the numbers? For the points nearest to people, median and farthest, and for
    people themselves: the same 12 classes.

    Where drawings were not scored, for the points of lowest, median and highest NELBO. Each line is
    a class: its exemplar, then the first 10 drawings. The classes are evenly spaced in the list of
    names, so not chosen.
    """
    by = ranked_by(results.evaluated)
    words = (
        {"nearest": "lowest NELBO", "median": "median NELBO", "farthest": "highest NELBO"}
        if by == "nelbo"
        else {}
    )
    rows = {words.get(name, name): row for name, row in plane.extremes(results, by).items()}
    people = results.references.query("model == 'human'")
    rows |= {"people": people.iloc[0]} if len(people) else {}
    drawn = {
        name: kept
        for name, row in rows.items()
        if (kept := read_drawings(results, row.get("sample_id", ""))) is not None
    }
    if not drawn:
        raise AnalysisError(
            f"no drawings are kept in {results.folder.parent / 'store' / 'drawings'}"
        )
    classes = shared_classes(list(drawn.values()))
    missing = [name for name in rows if name not in drawn]
    columns = min(2, len(drawn))
    lines = -(-len(drawn) // columns)
    notes = [
        "left: exemplar; right: its first drawings",
        f"no drawings kept of: {', '.join(missing)}" if missing else "",
    ]
    size = (
        fs.WIDE if columns == 2 else fs.WIDE / 2 + 0.2,
        0.42 + lines * (0.36 + 0.97 * fs.WIDE / 2 * len(classes) / (DRAWINGS + 1.6)),
    )
    title = sheet_title(rows, by)
    figure = fs.canvas(title, fs.foot(results, *notes), size)
    grid = figure.subplots(lines, columns, squeeze=False)
    for panel in grid.flat:
        panel.set_axis_off()
    for panel, (name, kept) in zip(grid.flat, drawn.items()):
        block(panel, kept, classes)
        panel.set_title(caption(results, name, rows[name]), fontsize=7.5, loc="left", pad=3)
    fs.settle(figure)
    shown = pd.DataFrame([{"block": name, **rows[name]} for name in drawn])
    shown["classes"] = " ".join(classes)
    return Plot(figure, shown, title)


def shared_classes(drawn: list[Drawn]) -> list[str]:
    """Twelve (or all, if fewer) of the classes that every block has, evenly spaced in order of
    name.
    """
    common = sorted(set.intersection(*(set(kept.class_names) for kept in drawn)))
    if not common:
        raise AnalysisError("the points were drawn for different classes")
    return [
        common[i]
        for i in np.linspace(0, len(common) - 1, min(CLASSES, len(common))).round().astype(int)
    ]


def sheet_title(rows: dict[str, pd.Series], by: str) -> str:
    if by == "nelbo":
        return "NELBO: " + ", ".join(
            f"{name.split()[0]} {row[by]:.2f}" for name, row in rows.items() if name != "people"
        )
    named = [
        f"{name} {row['human_distance']:.2f}" for name, row in rows.items() if name != "people"
    ]
    return "Distance to people: " + ", ".join(named) if named else "Drawings by people"


def caption(results: Results, name: str, row: pd.Series) -> str:
    """Two lines: who, and where on the plane."""
    who = name if name == "people" else f"{name}: {setting_text(results, row)}"
    who = textwrap.shorten(who, 58, placeholder=" ..")
    if pd.isna(row["diversity"]):
        return f"{who}\n" + (
            f"NELBO {row['nelbo']:.2f} nats per image"
            if bounded(row.to_frame().T).all()
            else "not scored"
        )
    return (
        f"{who}\ndiversity {row['diversity']:.2f}, recognizability {row['recognizability']:.1f} %"
    )


def block(panel: Axes, kept: Drawn, classes: list[str]) -> None:
    """One picture of len(classes) lines: exemplar (on grey), a gap, ten drawings; ink is dark,
    colours are themselves.
    """
    _, height, width, *channels = kept.images.shape
    gap, left = max(1, height // 14), max(2, width // 3)
    picture = np.ones(
        ((height + gap) * len(classes) - gap, (width + gap) * (DRAWINGS + 1) + left, *channels)
    )
    for line, name in enumerate(classes):
        label, top = kept.class_names.index(name), line * (height + gap)
        picture[top : top + height, :width] = shades(kept.exemplars[label], 0.86)
        for i, image in enumerate(kept.images[kept.label == label][:DRAWINGS]):
            start = width + left + i * (width + gap)
            picture[top : top + height, start : start + width] = shades(image, 0.97)
    panel.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")


def shades(image: np.ndarray, paper: float) -> np.ndarray:
    """Pixels to be shown, in [0, 1]: dark ink on paper of this grey, or the image's own colours."""
    return image / 255 if image.ndim == 3 else np.where(image, 0.0, paper)
