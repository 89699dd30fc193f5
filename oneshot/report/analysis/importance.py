"""What importance maps say: on how few pixels a model's drawings rest, and whether they are the
pixels that people rest on.

Maps of people come in a file of the user's. No torch: the maps of models are those that the store
keeps.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from oneshot.metrics.importance import checked_maps, sparsity, spearman
from oneshot.report.results import AnalysisError, Results
from oneshot.scoring import importance_maps as files
from oneshot.scoring.importance_maps import Maps

FORM = (
    "It must be an .npz with `maps` [N, H, W], finite and at least 0, and `class_names` [N], texts."
)
PEOPLE = "human"  # the model of the row about people
MEASURED = ("seeds", "classes", "spearman", "spearman_se", "sparsity", "sparsity_se")


@dataclass(frozen=True, eq=False)
class People:
    """The maps of people: float64 [N, H, W], in units of their means, one of each of these classes;
    file: where they are from.
    """

    maps: np.ndarray
    class_names: list[str]
    file: str

    def of(self, classes: list[str], shape: tuple[int, ...]) -> np.ndarray:
        """The maps of these classes, as large as a model's: float64 [len(classes), *shape]."""
        return np.stack(
            [resized(self.maps[self.class_names.index(name)], shape) for name in classes]
        )


def read_people(file: str | Path) -> People:
    """Raises AnalysisError if the file cannot be read or does not hold what `FORM` says."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            lacking = [name for name in ("maps", "class_names") if name not in kept]
            if lacking:
                there = ", ".join(kept.files) or "nothing"
                raise AnalysisError(
                    f"{file} holds {there}, and no {' and no '.join(lacking)}", FORM
                )
            maps, names = (
                kept["maps"],
                [str(name) for name in np.atleast_1d(kept["class_names"]).ravel()],
            )
    except AnalysisError:
        raise
    except FileNotFoundError as error:
        raise AnalysisError(f"there is no file {file}", FORM) from error
    except Exception as error:  # a damaged archive raises whatever its bytes lead to
        raise AnalysisError(f"cannot read {file}: {error}".split("\n")[0], FORM) from error
    return People(files.even(_checked(maps, names, file)), names, str(file))


def _checked(maps: np.ndarray, names: list[str], file: str | Path) -> np.ndarray:
    """The maps as float64, or AnalysisError where they are not a map of each class."""
    try:
        maps = checked_maps(maps)
    except (ValueError, TypeError) as error:
        raise AnalysisError(f"{file}: {error}", FORM) from error
    if len(maps) != len(names):
        raise AnalysisError(f"{file} has {len(maps)} maps and {len(names)} class names", FORM)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnalysisError(
            f"{file} names a class twice: {', '.join(twice[:3])}",
            "Give one map a class, such as the mean over people.",
        )
    return maps


def resized(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A map [H, W] at another size, float64 [*shape]: PIL's bilinear filter, which averages over
    the area when it shrinks.
    """
    if image.shape == tuple(shape):
        return image
    return np.asarray(
        Image.fromarray(image.astype(np.float32)).resize(
            (shape[1], shape[0]), Image.Resampling.BILINEAR
        ),
        np.float64,
    )


def read_maps(results: Results, point_id: str) -> Maps | None:
    """The maps of a point, from the store beside the sweep's folder; None if they are not (or no
    longer, or not wholly) there.
    """
    try:
        return files.from_bytes((Path(results.folder).parent / files.key(point_id)).read_bytes())
    except Exception:  # a damaged archive raises whatever its bytes lead to
        return None


def need(results: Results) -> pd.DataFrame:
    """The table `importance`, or AnalysisError where no point has maps."""
    if results.importance.empty:
        help = (
            "Ask for them in the sweep, of a family that explains itself:"
            " fixed=dict(importance_seeds=25). Trained models are kept."
        )
        raise AnalysisError(f"no importance maps in {results.folder}", help)
    return results.importance


def shared_classes(results: Results, people: People) -> list[str]:
    """The classes, sorted, of which both have a map; AnalysisError with near names if there is
    none.
    """
    known = sorted(set(need(results)["class_name"]))
    shared = sorted(set(known) & set(people.class_names))
    if shared:
        return shared
    lower = {name.lower(): name for name in known}
    near = [
        (name, lower[found])
        for name in people.class_names
        for found in difflib.get_close_matches(name.lower(), lower, 1)
    ]
    examples = "; ".join(f"{name!r} there is like {found!r} here" for name, found in near[:3])
    help = (
        examples
        or f"Classes there: {', '.join(people.class_names[:4])} ..; here: {', '.join(known[:4])} .."
    )
    raise AnalysisError(
        f"{people.file} has none of the {len(known)} classes of these results", help
    )


def by_class(results: Results, people: People | None = None) -> pd.DataFrame:
    """A row a point and class: setting and seed, `class_name`, `sparsity` and, with the maps of
    people, `spearman`, their classes alone.

    Raises AnalysisError where no point has maps, where no class is shared, and where people are
    given and no maps are kept.
    """
    table = need(results)
    if people is not None:
        shared = table[table["class_name"].isin(shared_classes(results, people))]
        points = shared.groupby("point_id", sort=False)
        parts = [
            _compared(part, kept, people)
            for i, part in points
            if (kept := read_maps(results, str(i)))
        ]
        if not parts:
            raise nothing_kept(results)
        table = pd.concat(parts, ignore_index=True)
    return table.merge(results.points[["point_id", "seed", *_keys(results)]], on="point_id")


def nothing_kept(results: Results) -> AnalysisError:
    where = results.folder.parent / "store" / "importance"
    return AnalysisError(
        f"no importance maps are kept in {where}", "Copy that folder here beside the tables."
    )


def _keys(results: Results) -> list[str]:
    """The columns of the points that tell settings apart."""
    return ["model", *(axis for axis in results.axes if axis in results.points and axis != "model")]


def _compared(part: pd.DataFrame, kept: Maps, people: People) -> pd.DataFrame:
    """The rows of one point with its rank correlations to people; rows without a map kept are left
    out.
    """
    part = part[part["class_name"].isin(kept.class_names)]
    classes = list(part["class_name"])
    own = kept.maps[[kept.class_names.index(name) for name in classes]]
    return part.assign(spearman=spearman(own, people.of(classes, own.shape[1:])))


def summary(results: Results, table: pd.DataFrame, people: People | None = None) -> pd.DataFrame:
    """A row a setting of `by_class`: the axes, `seeds`, `classes`, `sparsity` and its standard
    error, with people `spearman` and its own.

    `sparsity_se` is that over seeds (empty for one seed); `spearman_se` that over classes, each a
    mean over seeds. The best comes first: the highest correlation, or without people the fewest
    pixels. With people, all of this rests on the shared classes, and the last row is people's own.
    """
    keys = _keys(results)

    def per_setting(part: str, name: str) -> Any:
        """Means over each `part` of a setting, grouped by setting."""
        return (
            table.groupby([*keys, part], dropna=False, sort=False)[name]
            .mean()
            .groupby(keys, dropna=False, sort=False)
        )

    groups, sparse = table.groupby(keys, dropna=False, sort=False), per_setting("seed", "sparsity")
    out = pd.DataFrame(
        {"seeds": groups["seed"].nunique(), "classes": groups["class_name"].nunique()}
    )
    if people is not None:
        agreement = per_setting("class_name", "spearman")
        out["classes"], out["spearman"], out["spearman_se"] = (
            agreement.count(),
            agreement.mean(),
            agreement.sem(),
        )
    out["sparsity"], out["sparsity_se"] = sparse.mean(), sparse.sem()
    out = out.reset_index().sort_values(
        "sparsity" if people is None else "spearman", ascending=people is None, kind="stable"
    )
    return (
        out.reset_index(drop=True)
        if people is None
        else pd.concat([out, _people_row(results, people)], ignore_index=True)
    )


def difference_error(
    results: Results, table: pd.DataFrame, one: pd.Series, other: pd.Series, measure: str
) -> float:
    """The standard error over classes of the difference of two settings, rows of `summary`, in a
    column of `by_class`; 0 for one class.
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
    for name in _keys(results):
        same &= frame[name].isna() if pd.isna(row[name]) else frame[name] == row[name]
    return same


def _people_row(results: Results, people: People) -> pd.DataFrame:
    """The sparsity of people's own maps of the shared classes, at the size of the first model's."""
    shared = shared_classes(results, people)
    shape = next(
        kept.maps.shape[1:]
        for i in results.importance["point_id"].unique()
        if (kept := read_maps(results, i))
    )
    value = pd.Series(sparsity(people.of(shared, shape))).mean()
    return pd.DataFrame([{"model": PEOPLE, "classes": len(shared), "sparsity": value}])


def mean_maps(results: Results, row: pd.Series) -> Maps | None:
    """The maps of a setting, a row of `summary`, each a mean over its seeds in units of its mean;
    None if none are kept.

    Seeds that were given other classes than the first are left out.
    """
    points = results.points.loc[_same(results, results.points, row), "point_id"]
    explained = set(results.importance["point_id"])
    kept = [maps for i in points if i in explained and (maps := read_maps(results, i))]
    alike = [files.even(maps.maps) for maps in kept if maps.class_names == kept[0].class_names]
    return Maps(np.mean(alike, axis=0), kept[0].exemplars, kept[0].class_names) if kept else None
