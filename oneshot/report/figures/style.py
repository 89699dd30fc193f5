"""How every figure looks: fonts, colours, landmarks, labels that keep clear of each other, files
that are the same on every run.

Figures are made by matplotlib's objects alone, so that nothing depends on, or leaves behind, a
global figure or a display.
"""

from __future__ import annotations

import functools
import io
import itertools
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from oneshot.report.results import Results
from oneshot.types import Status

P = ParamSpec("P")

BLACK, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#000000",
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
GREY, PALE, LIGHT = "#666666", "#C8C8C8", "#A6A6A6"
# Okabe and Ito's colours that are told apart in every kind of colour vision. Vermillion is people's
# and black the references' alone; yellow (contrast 1.3 on white) is left out. The marker says the
# same again.
FAMILIES = [(BLUE, "o"), (GREEN, "^"), (PURPLE, "D"), (ORANGE, "v"), (SKY, "P"), (GREY, "h")]
LANDMARKS = {
    "human": dict(
        marker="*", s=190, color=VERMILLION, edgecolors="white", linewidths=0.7, zorder=6
    ),
    "copy": dict(marker="s", s=34, color=BLACK, edgecolors="white", linewidths=0.7, zorder=6),
    "noise": dict(marker="x", s=36, color=BLACK, linewidths=1.4, zorder=6),
}
NAMES = {"human": "people", "copy": "copies", "noise": "noise"}
UNITS = {
    "recognizability": "recognizability (%)",
    "human_distance": "human_distance (sd)",
    "train_seconds": "train_seconds (s)",
}
SINGLE, WIDE = (5.5, 4.2), 7.0  # inches
MANY = 5000  # dots; more are one bitmap inside the SVG
# points
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


class Plot(NamedTuple):
    """A figure, the numbers it shows, and its title: the finding."""

    figure: Figure
    numbers: pd.DataFrame
    title: str


def style() -> Any:
    """matplotlib's settings for all figures: a dict for `rc_context` (Any, because matplotlib types
    its keys one by one).
    """
    return {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.titlesize": 9,
        "figure.titlesize": 10,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.7,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "axes.grid": False,
        "image.interpolation": "nearest",
        "savefig.facecolor": "white",
        "svg.hashsalt": "oneshot",
        "svg.fonttype": "path",
    }


def styled(draw: Callable[P, Plot]) -> Callable[P, Plot]:
    """A figure function that runs under `style`, whatever the caller's settings."""

    @functools.wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Plot:
        with matplotlib.rc_context(style()):
            return draw(*args, **kwargs)

    return inner


def canvas(title: str, foot: str, size: tuple[float, float] = SINGLE) -> Figure:
    """An empty figure with the finding as its title and the foot line below; size in inches."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    heading = "\n".join(textwrap.wrap(title, int(size[0] * 13)))
    figure.suptitle(heading, x=0.012, ha="left", fontweight="bold", fontsize=9.5)
    lines = textwrap.wrap(foot, int(size[0] * 22))
    figure.text(
        0.012, 0.006, "\n".join(lines), fontsize=6, color=GREY, va="bottom", linespacing=1.2
    )
    height = (0.03 + 0.105 * len(lines)) / size[1]
    figure.get_layout_engine().set(rect=(0.005, height, 0.99, 1 - height), w_pad=0.04, h_pad=0.04)  # type: ignore[union-attr, call-arg]
    return figure


def foot(results: Results, *notes: str) -> str:
    """Where a figure comes from: sweep, points, seeds, revision, and what is not on it."""
    models = results.models if len(results.models) else results.evaluated
    counts = results.points["status"].value_counts()
    missing = [
        f"{counts[status]} {status}"
        for status in (Status.FAILED, Status.DIVERGED)
        if counts.get(status)
    ]
    seeds = models["seed"].nunique()
    parts = [
        f"{results.name}: {plural(len(models), 'point')}",
        plural(seeds, "seed"),
        f"revision {results.revision[:8] or 'unknown'}",
    ]
    return ", ".join([*parts, *missing]) + "".join(f"; {note}" for note in notes if note)


def count_text(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return plural(low, "point") if low == high else f"{low} to {high} points"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def settle(figure: Figure) -> None:
    """Fix the layout, so that what is placed next stays where it was measured.

    Places are rounded: the solver's last digits differ from run to run, and ids inside the SVG are
    made of them.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(Bbox(axes.get_position(original=True).get_points().round(6)))


def save(figure: Figure, numbers: pd.DataFrame, folder: str | Path, name: str) -> list[Path]:
    """Write folder/name.png (200 dpi), .svg and .csv (the numbers shown); byte for byte the same
    for the same figure.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context(style()):
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
        figure.savefig(svg, format="svg", dpi=200, metadata={"Date": None})
    parts = {
        "png": png.getvalue(),
        "svg": svg.getvalue(),
        "csv": numbers.to_csv(index=False, lineterminator="\n").encode(),
    }
    for kind, data in parts.items():
        (folder / f"{name}.{kind}").write_bytes(data)
    return [folder / f"{name}.{kind}" for kind in parts]


def series() -> Iterator[tuple[str, str]]:
    """A colour and a marker for each of several series; no two of the first 36 have both in
    common.
    """
    for turn in itertools.count():
        for i, (colour, _) in enumerate(FAMILIES):
            yield colour, FAMILIES[(i + turn) % len(FAMILIES)][1]


# From dark to light: viridis without its pale end, which would fade into the paper, in steps that
# look equally long. Eight are as many as are told apart; cividis, through blues and greys, has
# three quarters of their differences and three blues among its first four.
ORDERED = ["#440154", "#433d84", "#355f8d", "#277e8e", "#1e9d89", "#35b779", "#69cd5b", "#a2da37"]


def ordered_colours() -> Colormap:
    return LinearSegmentedColormap.from_list("ordered", ORDERED)


class Ranks(Normalize):
    """Values of an axis by their rank, so that neighbours differ alike, however near their values:
    0 for the first, 1 for the last.
    """

    def __init__(self, values: np.ndarray):
        super().__init__(float(values[0]), float(values[-1]))
        self.values, self.places = values.astype(float), np.linspace(0, 1, len(values))

    def __call__(self, value: Any, clip: bool | None = None) -> Any:
        return np.ma.masked_invalid(np.interp(np.asarray(value, float), self.values, self.places))

    def inverse(self, value: Any) -> Any:
        return np.interp(np.asarray(value, float), self.places, self.values)


def shades(values: pd.Series) -> Normalize:
    """Where the values of an ordered axis lie between first and last colour: evenly if they are few
    enough to be told apart.
    """
    different = np.sort(values.dropna().astype(float).unique())
    return Ranks(different) if 1 < len(different) <= len(ORDERED) else scale(values)


def scale(values: pd.Series) -> Normalize:
    """Where numbers lie between first and last colour; logarithmic if they span more than two
    decades.
    """
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 100 * low:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1)


def dot(count: int) -> dict[str, Any]:
    """The size and edge of a cloud's dots: the more, the smaller; rasterised in the SVG when very
    many.
    """
    if count <= 60:
        return dict(s=34, linewidths=0.4, edgecolors="#222222")
    return dict(s=15 if count <= 500 else 7, linewidths=0, alpha=0.85, rasterized=count > MANY)


def error_bars(axes: Axes, frame: pd.DataFrame) -> None:
    """The standard errors of places on the plane, thin and light, under the dots; none where there
    is none.
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
            ecolor=LIGHT,
            elinewidth=0.6,
            zorder=1,
        )
        for lines in bars[2]:
            lines.set_rasterized(len(frame) > MANY)


def with_unit(name: str) -> str:
    return UNITS.get(name, name)


def halo(width: float = 2.0) -> list[patheffects.AbstractPathEffect]:
    return [patheffects.withStroke(linewidth=width, foreground="white")]


def landmarks(axes: Axes, references: pd.DataFrame, labels: Labels) -> None:
    """People, copies and noise, the same sign everywhere, each labelled where it is."""
    for model, looks in LANDMARKS.items():
        rows = references[references["model"] == model]
        axes.scatter(rows["diversity"], rows["recognizability"], clip_on=False, **looks)  # type: ignore[arg-type]
        for _, row in rows.head(1).iterrows():
            labels.add(
                row["diversity"],
                row["recognizability"],
                NAMES[model],
                color=VERMILLION if model == "human" else BLACK,
                bold=True,
            )


class Labels:
    """Labels beside the dots of one plot, each where it covers least. Make it after `settle`, when
    axes and limits are final.

    crowd: the dots' places [N, 2] in data units, to be covered as little as possible.
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
        color: str = BLACK,
        bold: bool = False,
        optional: bool = False,
    ) -> bool:
        """Place one label; an `optional` one is left out where it would cover another. Returns
        whether it is there.
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
        if optional and costs[best] >= 1000:
            label.remove()
            return False
        self.taken.append(box)
        return True

    def _move(self, label: Any, spot: tuple[int, int]) -> Bbox:
        sign = [int(np.sign(v)) for v in spot]
        label.set_ha({-1: "right", 0: "center", 1: "left"}[sign[0]])
        label.set_va({-1: "top", 0: "center", 1: "bottom"}[sign[1]])
        label.xyann = spot
        return label.get_window_extent(self.renderer)

    def cost(self, box: Bbox) -> float:
        """Covered labels and leaving the plot count most (1000 and more), then covered dots."""
        hits = sum(box.overlaps(other) for other in self.taken)
        out = (
            box.x0 < self.axes.bbox.x0
            or box.x1 > self.room.x1
            or box.y0 < self.axes.bbox.y0
            or box.y1 > self.axes.bbox.y1 + 2
        )
        inside = (self.crowd >= (box.x0, box.y0)) & (self.crowd <= (box.x1, box.y1))
        return 2000.0 * hits + 1000.0 * out + min(900.0, float(inside.all(axis=1).sum()))
