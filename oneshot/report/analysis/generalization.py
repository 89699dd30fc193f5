"""What generalization curves say: recognizability against originality, of people and of the
settings of a sweep. No torch, no figures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from oneshot.metrics.generalization import fit, overlap, sections
from oneshot.report.analysis import plane
from oneshot.report.results import AnalysisError, Results, over_seeds, setting_text, varying

MOST = 8  # settings that are told apart in one figure
FIT = ["fit_2", "fit_1", "fit_0"]  # coefficients of the quadratic, highest power first
PEOPLE = "people"


def curves(results: Results) -> pd.DataFrame:
    """The points of the curves of people (first, if there) and of every setting: a row per setting
    and bin, means over seeds.

    Columns: `setting` (in words), the model and the axes, `seeds`, `bin`, `originality`,
    `recognizability` (per cent), the quadratic through the setting's points (FIT), and the means
    over seeds of `human_distance`, `generalization_area` (with `_se`) and
    `generalization_coverage`, as the scores were written. Raises AnalysisError if no model's
    drawings were enough for a curve.
    """
    rows = results.points[results.points["point_id"].isin(results.generalization["point_id"])]
    models, people = (
        rows[rows["point_id"].isin(results.models["point_id"])],
        rows[rows["model"] == "human"],
    )
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
    made = (
        settings.reindex(columns=["setting", *keys, "seeds", *scores])
        .merge(points, on=keys)
        .sort_values("bin", kind="stable")
    )
    parts = []
    for setting in settings["setting"]:
        part = made[made["setting"] == setting]
        parts.append(
            part.assign(**dict(zip(FIT, fit(part["originality"], part["recognizability"]))))
        )
    return pd.concat(parts, ignore_index=True)[["setting", *keys, "seeds", *bins, *FIT, *scores]]


def _name(results: Results, row: pd.Series, people: int) -> str:
    """A setting in words. People are people, with what differs only where there are several, as of
    two data sets.
    """
    if row["model"] != "human":
        return setting_text(results, row)
    told = setting_text(results, row).removeprefix("human").removeprefix(", ")
    return f"{PEOPLE}, {told}" if people > 1 and told else PEOPLE


def choose(results: Results, table: pd.DataFrame) -> tuple[list[str], str]:
    """The models' settings to show, at most MOST, in the order of the axes, and the note that says
    which ("" for all).

    Of several families each one's nearest to people; of one, evenly spaced values of its first axis
    of numbers, at each the nearest.
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
        kept, how = (
            settings.groupby("model", sort=False).head(1).head(MOST),
            "the nearest to people of each family",
        )
    elif axis:
        values = np.sort(settings[axis].dropna().unique())
        values = values[np.unique(np.linspace(0, len(values) - 1, MOST).round().astype(int))]
        nearest = (
            settings[settings[axis].isin(values)].groupby(axis, sort=True).head(1).sort_values(axis)
        )
        spaced = "evenly spaced values" if len(values) < settings[axis].nunique() else "each value"
        kept, how = (
            nearest,
            f"{spaced} of {axis}"
            + (", at each the nearest to people" if total > settings[axis].nunique() else ""),
        )
    else:
        kept, how = settings.head(MOST), "the nearest to people"
    return list(kept["setting"]), f"{len(kept)} of {total} settings: {how}"


def ordered_axis(results: Results, settings: pd.DataFrame) -> str | None:
    """The first axis of numbers that takes several values among these settings of one family; None
    with several families.
    """
    axes = [
        a
        for a in varying(results)
        if a in settings
        and a != "model"
        and plane.numeric(results, a)
        and settings[a].nunique() > 1
    ]
    return (
        axes[0]
        if axes and settings["model"].nunique() == 1 and settings[axes[0]].notna().all()
        else None
    )


def people_above(table: pd.DataFrame, setting: str) -> bool | None:
    """Whether people's quadratic lies above a setting's wherever both curves are defined; None
    where they nowhere are.
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
