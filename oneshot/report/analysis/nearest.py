"""The setting nearest to people, and whether it is more than the luckiest of many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from oneshot.report.analysis.chance import (
    Luck,
    alike_to_first,
    beats,
    luck,
    noise_reference,
    seed_noise,
)
from oneshot.report.analysis.intervals import DISTANCE, setting_means
from oneshot.report.averages import over_seeds
from oneshot.report.results import Results
from oneshot.report.text import setting_text, with_interval


@dataclass(frozen=True, eq=False)
class Nearest:
    """The setting nearest to people.

    Attributes:
        setting: Its row of `over_seeds`.
        bounds: The 95 % interval of its distance; NaN where it is unknown.
        settings: How many settings have a distance.
        alike: How many of the others cannot be told from it.
        luck: How near the best of as many equal ones would come; None where no error is known.
        noise: The distance of noise; NaN if noise was not scored.
        beats_noise: Whether it is nearer than noise beyond chance; True if noise was not scored.
    """

    setting: pd.Series
    bounds: tuple[float, float]
    settings: int
    alike: int
    luck: Luck | None
    noise: float
    beats_noise: bool

    @property
    def distance(self) -> float:
        """Its distance to people."""
        return float(self.setting[DISTANCE])


def nearest(results: Results) -> Nearest | None:
    """The models' setting nearest to people, and what tests say of it.

    Args:
        results: The results.

    Returns:
        The setting; None if no distance was scored.
    """
    frame = over_seeds(results, results.models)
    means = setting_means(results, DISTANCE, results.models)
    known = [i for i, mean in enumerate(means) if np.isfinite(mean.value)]
    if not known:
        return None
    order = sorted(known, key=lambda i: means[i].value)
    ranked = [means[i] for i in order]
    trainings, reference = seed_noise(results), noise_reference(results)
    return Nearest(
        setting=frame.iloc[order[0]],
        bounds=ranked[0].bounds(DISTANCE),
        settings=len(order),
        alike=alike_to_first(ranked, trainings),
        luck=luck(results),
        noise=reference.value if reference else float("nan"),
        beats_noise=reference is None or beats(ranked[0], reference, trainings),
    )


def nearest_title(results: Results, found: Nearest | None) -> str:
    """The nearest setting, as far as tests tell it from noise, from luck and from the others.

    Args:
        results: The results.
        found: Their nearest setting; None where there is none.

    Returns:
        A sentence without its full stop.
    """
    if found is None:
        count = len(results.models)
        points = f"{count:,} point{'s' * (count != 1)}"
        return f"{results.name}: {points}; no distance to people was scored"
    if not found.beats_noise:
        return (
            f"No model beats noise: the nearest to people is at distance {found.distance:.2f},"
            f" noise at {found.noise:.2f}"
        )
    distance = f"distance {with_interval(found.distance, found.bounds)}"
    best = setting_text(results, found.setting)
    if found.settings == 1:
        return f"{best}: {distance} to people"
    if found.luck is not None and not found.luck.beaten:
        return (
            f"Not distinguishable: the nearest to people of {found.settings} settings is no nearer"
            " than luck allows"
        )
    if found.alike == found.settings - 1:
        return f"Not distinguishable: {best} is nearest to people, but no other is clearly farther"
    others = f"; {found.alike} of {found.settings - 1} others not distinguishable from it"
    return f"Nearest to people: {best}, {distance}" + others * (found.alike > 0)


def luck_text(chance: Luck | None) -> str:
    """How near to people the best of as many equal models would come by luck.

    Args:
        chance: The comparison; None where there is none.

    Returns:
        A sentence without its full stop; empty where there is none.
    """
    if chance is None:
        return ""
    of = "seeds" if chance.seeds else "drawing alone"
    verdict = "nearer than luck" if chance.beaten else "no nearer than luck"
    return (
        f"nearest of {chance.settings} at {chance.nearest:.2f}; the best of {chance.settings} equal"
        f" models would be at {chance.expected:.2f} by luck, in 1 of 20 cases below"
        f" {chance.limit:.2f} (noise of {of}): {verdict}"
    )
