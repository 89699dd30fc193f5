"""The colours and markers of figures, and how values become colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize

# Okabe and Ito's colours that are told apart in every kind of colour vision. Vermillion is people's
# and black the references' alone; yellow (contrast 1.3 on white) is left out.
BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
GREY, PALE, LIGHT = "#666666", "#C8C8C8", "#A6A6A6"
# the marker says the same as the colour
FAMILIES = [(BLUE, "o"), (GREEN, "^"), (PURPLE, "D"), (ORANGE, "v"), (SKY, "P"), (GREY, "h")]
# From dark to light: viridis without its pale end, which would fade into the paper, in steps that
# look equally long. Eight are as many as are told apart; cividis, through blues and greys, has
# three quarters of their differences and three blues among its first four.
ORDERED = ["#440154", "#433d84", "#355f8d", "#277e8e", "#1e9d89", "#35b779", "#69cd5b", "#a2da37"]
# of cells of which most are nearly 0: these stay white
PAPER_TO_INK = LinearSegmentedColormap.from_list("ink", ["white", BLUE, "#00304D"])


def series() -> Iterator[tuple[str, str]]:
    """A colour and a marker for each of several series; the first 36 pairs differ."""
    for turn in itertools.count():
        for i, (colour, _) in enumerate(FAMILIES):
            yield colour, FAMILIES[(i + turn) % len(FAMILIES)][1]


def ordered_colours() -> Colormap:
    """The colours of ordered values, from dark to light."""
    return LinearSegmentedColormap.from_list("ordered", ORDERED)


class Ranks(Normalize):
    """Values of an axis by their rank: 0 for the first, 1 for the last.

    Neighbours differ alike, however near their values.

    Args:
        values: The different values, ascending.
    """

    def __init__(self, values: np.ndarray):
        super().__init__(float(values[0]), float(values[-1]))
        self.values, self.ranks = values.astype(float), np.linspace(0, 1, len(values))

    def __call__(self, value: Any, clip: bool | None = None) -> Any:
        return np.ma.masked_invalid(np.interp(np.asarray(value, float), self.values, self.ranks))

    def inverse(self, value: Any) -> Any:
        """The value of a rank."""
        return np.interp(np.asarray(value, float), self.ranks, self.values)


def axis_norm(values: pd.Series) -> Normalize:
    """Where the values of an ordered axis lie between first and last colour.

    Args:
        values: The values.

    Returns:
        Their ranks, if they are few enough to be told apart; else see `value_norm`.
    """
    different = np.sort(values.dropna().astype(float).unique())
    return Ranks(different) if 1 < len(different) <= len(ORDERED) else value_norm(values)


def value_norm(values: pd.Series) -> Normalize:
    """Where numbers lie between first and last colour.

    Args:
        values: The numbers.

    Returns:
        Proportional, or logarithmic if they span more than two decades.
    """
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 100 * low:
        return LogNorm(low, high)
    return Normalize(low, high if high > low else low + 1)
