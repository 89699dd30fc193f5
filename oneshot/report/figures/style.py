"""How every figure looks: fonts, sizes, title, foot line; and files that are the same on every run.

Figures are made by matplotlib's objects alone, so that nothing depends on, or leaves behind, a
global figure or a display.
"""

from __future__ import annotations

import functools
import io
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from oneshot.report.figures import colours
from oneshot.report.results import Results
from oneshot.types import Status

P = ParamSpec("P")

UNITS = {
    "diversity_ratio": "diversity / people's",
    "recognizability": "recognizability (%)",
    "human_distance": "human_distance (sd)",
    "train_seconds": "train_seconds (s)",
}
SINGLE, WIDE = (5.5, 4.2), 7.0  # inches


class Plot(NamedTuple):
    """A figure, the numbers it shows, and its title: the finding.

    Attributes:
        figure: The figure.
        numbers: The numbers, written beside it as CSV.
        title: The finding.
    """

    figure: Figure
    numbers: pd.DataFrame
    title: str


def matplotlib_settings() -> Any:
    """matplotlib's settings for all figures: a dict for `rc_context`.

    The type is Any, because matplotlib types its keys one by one.
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
    """Make a figure function run under `matplotlib_settings`, whatever the caller's settings."""

    @functools.wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Plot:
        with matplotlib.rc_context(matplotlib_settings()):
            return draw(*args, **kwargs)

    return inner


def canvas(title: str, foot: str, size: tuple[float, float] = SINGLE) -> Figure:
    """An empty figure with a title and a foot line.

    Args:
        title: The finding.
        foot: Where the figure comes from, see `foot`.
        size: Width and height in inches.

    Returns:
        The figure.
    """
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    whole = re.sub(r"\[[^\]]*\]", lambda part: part[0].replace(" ", "\u00a0"), title)
    heading = "\n".join(textwrap.wrap(whole, int(size[0] * 13))).replace("\u00a0", " ")
    figure.suptitle(heading, x=0.012, ha="left", fontweight="bold", fontsize=9.5)
    lines = textwrap.wrap(foot, int(size[0] * 22))
    figure.text(
        0.012, 0.006, "\n".join(lines), fontsize=6, color=colours.GREY, va="bottom", linespacing=1.2
    )
    height = (0.03 + 0.105 * len(lines)) / size[1]
    rect = (0.005, height, 0.99, 1 - height)
    figure.get_layout_engine().set(rect=rect, w_pad=0.04, h_pad=0.04)  # type: ignore[union-attr, call-arg]
    return figure


def foot(results: Results, *notes: str) -> str:
    """The foot line: where a figure comes from, and what is not on it.

    Args:
        results: The results.
        notes: What else is to be said; empty ones are left out.

    Returns:
        Sweep, points, seeds, revision, failed and diverged points, and the notes.
    """
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


def intervals_text(results: Results) -> str:
    """What intervals are, for a foot line: over classes, and over seeds where there are several."""
    by_class = "classes" if len(results.classes) else ""
    seeds = "seeds" if results.evaluated["seed"].nunique() > 1 else ""
    over = " and ".join(part for part in (by_class, seeds) if part)
    return f"95 % intervals, bootstrap over {over}"


def count_text(counts: pd.Series) -> str:
    """How many points, as `2 points` or `2 to 6 points`."""
    low, high = int(counts.min()), int(counts.max())
    return plural(low, "point") if low == high else f"{low} to {high} points"


def plural(count: int, noun: str) -> str:
    """A count and its noun, as `1 point` or `2 points`.

    Args:
        count: How many.
        noun: In the singular.

    Returns:
        The text.
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def with_unit(name: str) -> str:
    """A column's name with its unit."""
    return UNITS.get(name, name)


def wrapped(text: str, width: int) -> str:
    """A text in lines; a slash stays with the word before it.

    Args:
        text: The text.
        width: The most characters of a line.

    Returns:
        The text with line breaks.
    """
    lines = textwrap.wrap(text.replace(" /", "\u00a0/"), width)
    return "\n".join(lines).replace("\u00a0", " ")


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
    """Write a figure as .png (200 dpi) and .svg, and its numbers as .csv.

    The same figure gives the same bytes.

    Args:
        figure: The figure.
        numbers: The numbers that it shows.
        folder: Made if it is not there.
        name: The files' name without its ending.

    Returns:
        The files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context(matplotlib_settings()):
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
