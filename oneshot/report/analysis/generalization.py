"""Generalization curves: recognizability against originality, of people and of settings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from oneshot.metrics.generalization import fit, overlap, sections
from oneshot.report.analysis.effects import is_numeric_axis
from oneshot.report.averages import over_seeds
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced, varying_axes
from oneshot.report.text import setting_text

MOST = 8  # settings that are told apart in one figure
FIT = ["fit_2", "fit_1", "fit_0"]  # coefficients of the quadratic, highest power first
PEOPLE = "people"


def generalization_curves(results: Results) -> pd.DataFrame:
    """The points of the curves of people (first, if there) and of every setting.

    Args:
        results: The results.

    Returns:
        One row a setting and bin, means over seeds: `setting` (in words), the model and the axes,
        `seeds`, `bin`, `originality`, `recognizability` (per cent), the quadratic through the
        setting's points (FIT), and the means over seeds of `human_distance`,
        `generalization_area` (with `_se`) and `generalization_coverage`, as they were scored.

    Raises:
        AnalysisError: No model's drawings were enough for a curve.
    """
    rows = results.points[results.points["point_id"].isin(results.generalization["point_id"])]
    models = rows[rows["point_id"].isin(results.models["point_id"])]
    people = rows[rows["model"] == "human"]
    if models.empty:
        raise AnalysisError(
            "no point has a generalization curve; it takes ten scored drawings of each class"
        )
    settings = over_seeds(results, pd.concat([people, models]))
    settings.insert(
        0, "setting", [_name(results, row, len(people)) for _, row in settings.iterrows()]
    )
    keys = ["model", *(axis for axis in results.axes if axis in settings)]
    bins = ["bin", "originality", "recognizability"]
    points = rows[[*keys, "point_id"]].merge(
        results.generalization[["point_id", *bins]], on="point_id"
    )
    points = points.groupby([*keys, "bin"], dropna=False, sort=False)[bins[1:]].mean().reset_index()
    scores = [
        "human_distance",
        "generalization_area",
        "generalization_area_se",
        "generalization_coverage",
    ]
    curves = (
        settings.reindex(columns=["setting", *keys, "seeds", *scores])
        .merge(points, on=keys)
        .sort_values("bin", kind="stable")
    )
    parts = []
    for setting in settings["setting"]:
        part = curves[curves["setting"] == setting]
        coefficients = fit(part["originality"], part["recognizability"])
        parts.append(part.assign(**dict(zip(FIT, coefficients))))
    return pd.concat(parts, ignore_index=True)[["setting", *keys, "seeds", *bins, *FIT, *scores]]


def _name(results: Results, row: pd.Series, people: int) -> str:
    """A setting in words; people are `people`, with what differs where there are several."""
    if row["model"] != "human":
        return setting_text(results, row)
    rest = setting_text(results, row).removeprefix("human").removeprefix(", ")
    return f"{PEOPLE}, {rest}" if people > 1 and rest else PEOPLE


def settings_to_show(results: Results, table: pd.DataFrame) -> tuple[list[str], str]:
    """The models' settings to show, at most MOST.

    Of several families each one's nearest to people; of one, evenly spaced values of its first axis
    of numbers, at each the nearest.

    Args:
        results: The results.
        table: The table of `generalization_curves`.

    Returns:
        The settings in the order of the axes, and the note that says which ("" for all).
    """
    settings = (
        table[table["model"] != "human"]
        .drop_duplicates("setting")
        .sort_values("human_distance", kind="stable")
    )
    axis = ordered_axis(results, settings)
    total = len(settings)
    if total <= MOST:
        return list(settings.sort_values(axis or "model", kind="stable")["setting"]), ""
    if settings["model"].nunique() > 1:
        kept = settings.groupby("model", sort=False).head(1).head(MOST)
        how = "the nearest to people of each family"
    elif axis:
        values = evenly_spaced(np.sort(settings[axis].dropna().unique()).tolist(), MOST)
        kept = settings[settings[axis].isin(values)].groupby(axis).head(1).sort_values(axis)
        spaced = "evenly spaced values" if len(values) < settings[axis].nunique() else "each value"
        how = f"{spaced} of {axis}"
        how += ", at each the nearest to people" * bool(total > settings[axis].nunique())
    else:
        kept, how = settings.head(MOST), "the nearest to people"
    return list(kept["setting"]), f"{len(kept)} of {total} settings: {how}"


def ordered_axis(results: Results, settings: pd.DataFrame) -> str | None:
    """The first axis of numbers that takes several values among settings of one family.

    Args:
        results: The results.
        settings: Rows with the model and the axes.

    Returns:
        The axis; None with several families, or where a setting has no value of it.
    """
    axes = [
        axis
        for axis in varying_axes(results)
        if axis != "model"
        and axis in settings
        and is_numeric_axis(results, axis)
        and settings[axis].nunique() > 1
    ]
    if not axes or settings["model"].nunique() > 1 or settings[axes[0]].isna().any():
        return None
    return axes[0]


def people_lie_above(table: pd.DataFrame, setting: str) -> bool | None:
    """Whether people's quadratic lies above a setting's wherever both curves are defined.

    Args:
        table: The table of `generalization_curves`.
        setting: The setting.

    Returns:
        Whether it does; None where they nowhere are both defined.
    """
    people, model = table[table["setting"] == PEOPLE], table[table["setting"] == setting]
    if people.empty or model.empty:
        return None
    low, high = overlap(model["originality"].to_numpy(float), people["originality"].to_numpy(float))
    if not high > low:
        return None
    difference = people[FIT].to_numpy(float)[0] - model[FIT].to_numpy(float)[0]
    cuts = sections(difference, low, high)
    return bool((np.polyval(difference, (cuts[1:] + cuts[:-1]) / 2) > 0).all())
