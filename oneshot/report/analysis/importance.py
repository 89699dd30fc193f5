"""What importance maps say: on how few pixels drawings rest, and whether people rest on the same.

No torch: the maps of models are those that the store keeps.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from oneshot.metrics.importance import sparsity, spearman
from oneshot.report.analysis.people_maps import PeopleMaps
from oneshot.report.errors import AnalysisError
from oneshot.report.results import Results
from oneshot.scoring import importance_maps
from oneshot.scoring.importance_maps import Maps

PEOPLE = "human"  # the model of the row about people
SUMMARY_COLUMNS = ("seeds", "classes", "spearman", "spearman_se", "sparsity", "sparsity_se")


def read_maps(results: Results, point_id: str) -> Maps | None:
    """The importance maps of a point, from the store beside the sweep's folder.

    Args:
        results: The results.
        point_id: The point.

    Returns:
        The maps; None if they are not, no longer or not wholly there.
    """
    try:
        file = Path(results.folder).parent / importance_maps.key(point_id)
        return importance_maps.from_bytes(file.read_bytes())
    except Exception:  # a damaged archive raises whatever its bytes lead to
        return None


def _importance_table(results: Results) -> pd.DataFrame:
    """The table `importance`, or AnalysisError where no point has maps."""
    if results.importance.empty:
        help = (
            "Ask for them in the sweep, of a family that explains itself:"
            " fixed=dict(importance_seeds=25). Trained models are kept."
        )
        raise AnalysisError(f"no importance maps in {results.folder}", help)
    return results.importance


def _shared_classes(results: Results, people: PeopleMaps) -> list[str]:
    """The classes, sorted, of which both have a map; AnalysisError if there is none."""
    known = sorted(set(_importance_table(results)["class_name"]))
    shared = sorted(set(known) & set(people.class_names))
    if shared:
        return shared
    lower = {name.lower(): name for name in known}
    near = [
        (name, lower[match])
        for name in people.class_names
        for match in difflib.get_close_matches(name.lower(), lower, 1)
    ]
    examples = "; ".join(f"{name!r} there is like {match!r} here" for name, match in near[:3])
    help = (
        examples
        or f"Classes there: {', '.join(people.class_names[:4])} ..; here: {', '.join(known[:4])} .."
    )
    raise AnalysisError(
        f"{people.file} has none of the {len(known)} classes of these results", help
    )


def importance_by_class(results: Results, people: PeopleMaps | None = None) -> pd.DataFrame:
    """The importance maps of each point and class in numbers.

    Args:
        results: The results.
        people: Maps of people; with them only the classes that they share count.

    Returns:
        One row a point and class: model, axes and seed, `class_name`, `sparsity` and, with people,
        `spearman`: the rank correlation with their map.

    Raises:
        AnalysisError: No point has maps; with people: no class is shared, or no maps are kept.
    """
    table = _importance_table(results)
    if people is not None:
        shared = table[table["class_name"].isin(_shared_classes(results, people))]
        points = shared.groupby("point_id", sort=False)
        parts = [
            _compared(part, kept, people)
            for i, part in points
            if (kept := read_maps(results, str(i)))
        ]
        if not parts:
            raise no_maps_kept(results)
        table = pd.concat(parts, ignore_index=True)
    return table.merge(results.points[["point_id", "seed", *_setting_keys(results)]], on="point_id")


def no_maps_kept(results: Results) -> AnalysisError:
    """The error that says which folder of importance maps is missing."""
    where = results.folder.parent / "store" / "importance"
    return AnalysisError(
        f"no importance maps are kept in {where}", "Copy that folder here beside the tables."
    )


def _setting_keys(results: Results) -> list[str]:
    """The columns of the points that tell settings apart."""
    return ["model", *(axis for axis in results.axes if axis in results.points and axis != "model")]


def _compared(part: pd.DataFrame, kept: Maps, people: PeopleMaps) -> pd.DataFrame:
    """The rows of one point that have a kept map, with its rank correlations to people."""
    part = part[part["class_name"].isin(kept.class_names)]
    classes = list(part["class_name"])
    own = kept.maps[[kept.class_names.index(name) for name in classes]]
    return part.assign(spearman=spearman(own, people.of(classes, own.shape[1:])))


def importance_by_setting(
    results: Results, table: pd.DataFrame, people: PeopleMaps | None = None
) -> pd.DataFrame:
    """The importance maps of each setting in numbers.

    Args:
        results: The results.
        table: The table of `importance_by_class`.
        people: The maps of people that it was made with.

    Returns:
        One row a setting: the model, the axes, `seeds`, `classes`, `sparsity` and its standard
        error over seeds (empty for one) and, with people, `spearman` and its standard error over
        classes, each class a mean over seeds. The best setting comes first: the highest
        correlation, or without people the fewest pixels. With people the last row is their own.
    """
    keys = _setting_keys(results)

    def per_setting(part: str, name: str) -> Any:
        """Means over each `part` of a setting, grouped by setting."""
        return (
            table.groupby([*keys, part], dropna=False, sort=False)[name]
            .mean()
            .groupby(keys, dropna=False, sort=False)
        )

    groups = table.groupby(keys, dropna=False, sort=False)
    sparse = per_setting("seed", "sparsity")
    out = pd.DataFrame(
        {"seeds": groups["seed"].nunique(), "classes": groups["class_name"].nunique()}
    )
    if people is not None:
        agreement = per_setting("class_name", "spearman")
        out["classes"] = agreement.count()
        out["spearman"], out["spearman_se"] = agreement.mean(), agreement.sem()
    out["sparsity"], out["sparsity_se"] = sparse.mean(), sparse.sem()
    out = out.reset_index()
    if people is None:
        return out.sort_values("sparsity", kind="stable", ignore_index=True)
    out = out.sort_values("spearman", ascending=False, kind="stable")
    return pd.concat([out, _people_row(results, people)], ignore_index=True)


def difference_error(
    results: Results, table: pd.DataFrame, one: pd.Series, other: pd.Series, measure: str
) -> float:
    """The standard error over classes of the difference of two settings.

    Args:
        results: The results.
        table: The table of `importance_by_class`.
        one: A row of `importance_by_setting`.
        other: Another row of it.
        measure: The column of `importance_by_class`.

    Returns:
        The error; 0 for one class.
    """
    means = [
        table[_same(results, table, row)].groupby("class_name")[measure].mean()
        for row in (one, other)
    ]
    gaps = (means[0] - means[1]).dropna().to_numpy(float)
    return float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else 0.0


def _same(results: Results, frame: pd.DataFrame, row: pd.Series) -> pd.Series:
    """Which rows of a frame are of the setting of this one: bool [rows]."""
    same = pd.Series(True, index=frame.index)
    for name in _setting_keys(results):
        same &= frame[name].isna() if pd.isna(row[name]) else frame[name] == row[name]
    return same


def _people_row(results: Results, people: PeopleMaps) -> pd.DataFrame:
    """The sparsity of people's own maps of the shared classes, at the size of the first model's."""
    shared = _shared_classes(results, people)
    shape = next(
        kept.maps.shape[1:]
        for i in results.importance["point_id"].unique()
        if (kept := read_maps(results, i))
    )
    value = pd.Series(sparsity(people.of(shared, shape))).mean()
    return pd.DataFrame([{"model": PEOPLE, "classes": len(shared), "sparsity": value}])


def mean_maps(results: Results, row: pd.Series) -> Maps | None:
    """The importance maps of a setting, each a mean over its seeds.

    Seeds that were given other classes than the first are left out.

    Args:
        results: The results.
        row: A row of `importance_by_setting`.

    Returns:
        The maps, each in units of its mean; None if none are kept.
    """
    points = results.points.loc[_same(results, results.points, row), "point_id"]
    explained = set(results.importance["point_id"])
    kept = [maps for i in points if i in explained and (maps := read_maps(results, i))]
    if not kept:
        return None
    alike = [
        importance_maps.even(maps.maps) for maps in kept if maps.class_names == kept[0].class_names
    ]
    return Maps(np.mean(alike, axis=0), kept[0].exemplars, kept[0].class_names)
