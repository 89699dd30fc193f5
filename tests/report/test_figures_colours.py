"""Colours of figures are told apart in every kind of colour vision."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from synthetic_results import grid, write_results

from oneshot.report.analysis.generalization import MOST
from oneshot.report.figures import all_figures, cardinality, colours
from oneshot.report.results import load

TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


VISION = {  # linear RGB as the eye without one kind of cone sees it (Machado et al. 2009)
    "three cones": np.eye(3),
    "no long": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no medium": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def lab(colour: Any, eye: str = "three cones") -> np.ndarray:
    """A colour in CIE Lab (D65)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(VISION[eye] @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least(colours: list[Any], eye: str = "three cones") -> float:
    """The least distance (delta E of 1976) of two of these colours; 2 is just seen, 10 at a
    glance.
    """
    return min(
        float(np.linalg.norm(lab(a, eye) - lab(b, eye)))
        for a, b in itertools.combinations(colours, 2)
    )


def test_the_distance_of_colours_is_that_of_the_standard() -> None:
    assert lab("white") == pytest.approx([100, 0, 0], abs=0.01) and lab("#FF0000") == pytest.approx(
        [53.24, 80.09, 67.20], abs=0.02
    )
    assert least(["white", "black"]) == pytest.approx(100, abs=0.01) and least(["#0072B2"] * 2) == 0


@pytest.mark.parametrize(
    ("eye", "families", "shades"),
    [("three cones", 20, 20), ("no long", 12, 12), ("no medium", 12, 12)],
)
def test_no_two_colours_of_a_figure_are_alike(eye: str, families: float, shades: float) -> None:
    assert (
        least([*(colour for colour, _ in colours.FAMILIES), colours.VERMILLION, colours.BLACK], eye)
        > families
    )
    for count in range(2, len(colours.ORDERED) + 1):
        norm = colours.axis_norm(pd.Series(2.0 ** np.arange(count)))  # however unevenly they lie
        shown = [colours.ordered_colours()(float(norm(value))) for value in 2.0 ** np.arange(count)]
        assert least([*shown, colours.VERMILLION], eye) > shades, count
        # never lost on paper
        assert (np.diff([lab(colour, eye)[0] for colour in shown]) > 0).all() and lab(shown[-1])[
            0
        ] < 82
    assert len({*itertools.islice(colours.series(), 36)}) == 36
    assert cardinality.LINES <= 8 and len(colours.ORDERED) >= MOST


def test_colours_that_tell_settings_apart_come_from_figures_as_drawn(tmp_path: Path) -> None:
    results = load(write_results(tmp_path, grid(beta=[0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 4.0])))
    for name, count in (("generalization", 8), ("plane", 8), ("trajectory", 8)):
        axes = all_figures.FIGURES[name](results).figure.axes[0]
        lines = {to_hex(line.get_color()) for line in axes.lines if len(line.get_xdata()) == 100}
        clouds = [
            c
            for c in axes.collections
            if isinstance(c, PathCollection) and c.get_array() is not None
        ]
        dots = {to_hex(colour) for c in clouds for colour in c.to_rgba(c.get_array())}
        shown = (lines - {to_hex(colours.VERMILLION)}) if name == "generalization" else dots
        assert len(shown) == count and least(sorted(shown)) > 20, name


def test_shades_of_many_values_follow_the_values() -> None:
    many = pd.Series(np.arange(20.0))
    assert (
        float(colours.axis_norm(many)(9.5)) == pytest.approx(0.5)
        and float(colours.axis_norm(pd.Series([1.0, 2.0, 100.0]))(2.0)) == 0.5
    )
    assert colours.Ranks(np.array([1.0, 2.0, 100.0])).inverse(0.5) == 2.0
