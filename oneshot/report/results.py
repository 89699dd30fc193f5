"""The results of a sweep: its tables as one object, loaded from its folder."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow

from oneshot.report.columns import NUISANCES
from oneshot.report.errors import AnalysisError
from oneshot.report.read_tables import (
    REMAKE,
    checked_points,
    empty_table,
    read_detail_table,
    read_parquet,
)
from oneshot.store.records import FORMAT
from oneshot.store.tables import DETAILS
from oneshot.sweep.definition import NULLS, REFERENCES


def scored(frame: pd.DataFrame) -> pd.Series:
    """Which rows have a place on the plane: bool [rows]."""
    return frame["diversity"].notna() & frame["recognizability"].notna()


def bounded(frame: pd.DataFrame) -> pd.Series:
    """Which rows have a bound on the likelihood of the test sets: bool [rows]."""
    return frame["nelbo"].notna() if "nelbo" in frame else pd.Series(False, index=frame.index)


def told_apart(frame: pd.DataFrame) -> pd.Series:
    """Which rows say of which class, or near which mode, their drawings are: bool [rows]."""
    known = [name for name in ("class_entropy", "hits_missing") if name in frame]
    return frame[known].notna().any(axis=1)


def compared(frame: pd.DataFrame) -> pd.Series:
    """Which rows were compared with people's drawings in DINOv2 features: bool [rows]."""
    return frame["dino_kid"].notna() if "dino_kid" in frame else pd.Series(False, frame.index)


def in_modes(frame: pd.DataFrame) -> pd.Series:
    """Which rows say how far drawings that are points are from the data's modes: bool [rows]."""
    known = "mode_distance" in frame
    return frame["mode_distance"].notna() if known else pd.Series(False, index=frame.index)


def taught(frame: pd.DataFrame) -> pd.Series:
    """Which rows say what drawings of novel classes are worth to a classifier: bool [rows]."""
    known = "classified_supports" in frame
    return frame["classified_supports"].notna() if known else pd.Series(False, index=frame.index)


def measured(frame: pd.DataFrame) -> pd.Series:
    """Which rows were measured in any of these ways: bool [rows]."""
    ways = (scored, bounded, in_modes, told_apart, compared, taught)
    return pd.concat([way(frame) for way in ways], axis=1).any(axis=1)


@dataclass(frozen=True, eq=False)
class Results:
    """The tables of one sweep; each but that of the points may be empty.

    Attributes:
        points: One row a point.
        classes: One row a point and class.
        curves: One row a point and epoch, with its losses.
        axes: The sweep's axes in its order, without the seeds of models and critics.
        name: The sweep's name.
        question: What the sweep asks.
        folder: RESULTS/<sweep>.
        revision: The revision of the code that made them; may be empty.
        generalization: Originality and recognizability by bin.
        importance: The sparsity of the importance map of each class.
        likelihood: Bounds of models of sets by data set and set size.
        class_nelbo: Bounds of held-out images by class.
        layers: KL of models of sets by level.
        attention: Attention weights of models of sets.
        confusion: How models of sets classified digits.
        predicted: For which class a classifier takes the drawings of greys.
        modes: Which modes drawings fall into, of points of the plane.
        whole: The columns of points that hold whole numbers. Pandas makes them floats where one
            is missing; `table.exact_types` makes them whole again.
        truths: The columns of points that hold truth values, likewise.
        warnings: What was passed over when the tables were read, a sentence each.
        own_metrics: The columns of points that metrics of the user's made.
    """

    points: pd.DataFrame
    classes: pd.DataFrame
    curves: pd.DataFrame
    axes: list[str]
    name: str
    question: str
    folder: Path
    revision: str = ""
    generalization: pd.DataFrame = field(default_factory=empty_table)
    importance: pd.DataFrame = field(default_factory=empty_table)
    likelihood: pd.DataFrame = field(default_factory=empty_table)
    class_nelbo: pd.DataFrame = field(default_factory=empty_table)
    layers: pd.DataFrame = field(default_factory=empty_table)
    attention: pd.DataFrame = field(default_factory=empty_table)
    confusion: pd.DataFrame = field(default_factory=empty_table)
    predicted: pd.DataFrame = field(default_factory=empty_table)
    modes: pd.DataFrame = field(default_factory=empty_table)
    whole: frozenset[str] = frozenset()
    truths: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    own_metrics: tuple[str, ...] = ()

    @property
    def references(self) -> pd.DataFrame:
        """The scored rows of people, copies and noise."""
        return self.points[self.points["model"].isin(REFERENCES) & scored(self.points)]

    @property
    def nulls(self) -> pd.DataFrame:
        """The measured rows of what knows nothing of a class that was left out."""
        return self.points[self.points["model"].isin(NULLS) & measured(self.points)]

    @property
    def requested(self) -> pd.DataFrame:
        """The rows of all points of models, also of those that failed."""
        return self.points[~self.points["model"].isin((*REFERENCES, *NULLS))]

    @property
    def models(self) -> pd.DataFrame:
        """The models' rows with a place on the plane."""
        return self.requested[scored(self.requested)]

    @property
    def evaluated(self) -> pd.DataFrame:
        """The models' rows that were measured in any way."""
        return self.requested[measured(self.requested)]


def load(path: str | Path) -> Results:
    """Read the tables of a sweep.

    What can be done without is passed over, and named in the warnings of the results: a damaged
    table beside that of the points, an axis that the points lack, a number that is none.

    Args:
        path: The sweep's folder, its points.parquet, or a results folder that holds one sweep.

    Returns:
        The results.

    Raises:
        AnalysisError: There is no such folder, no table, more than one sweep, a table of a newer
            format, or a table of points that is damaged or lacks what every row has.
    """
    folder = sweep_folder(Path(path))
    table = read_parquet(folder / "points.parquet")
    about = _sweep_note(folder, table)
    warnings: list[str] = []
    points = checked_points(table, folder / "points.parquet", warnings)
    details = {name: read_detail_table(folder / f"{name}.parquet", warnings) for name in DETAILS}
    if "human_diversity" in points:  # tables of earlier versions have no ratio
        people = points["human_diversity"]
        ratio = points["diversity"] / people.where(people > 0)
        known = points.get("diversity_ratio", ratio).astype(float)
        points["diversity_ratio"] = known.fillna(ratio)
    axes = [axis for axis in about["axes"] if axis not in NUISANCES]
    for axis in [axis for axis in axes if axis not in points]:
        warnings.append(f"{folder}/points.parquet has no column of the axis {axis}")
        axes.remove(axis)
    return Results(
        points=points,
        axes=axes,
        folder=folder,
        name=about["sweep"],
        question=about["question"],
        revision=about.get("revision") or "",
        own_metrics=tuple(name for name in _texts(about.get("metrics")) if name in points),
        whole=frozenset(f.name for f in table.schema if pyarrow.types.is_integer(f.type)),
        truths=frozenset(f.name for f in table.schema if pyarrow.types.is_boolean(f.type)),
        warnings=tuple(warnings),
        **details,
    )


def _texts(given: Any) -> list[str]:
    """The texts of a list; nothing where it is none."""
    return [text for text in given if isinstance(text, str)] if isinstance(given, list) else []


def _sweep_note(folder: Path, table: pyarrow.Table) -> dict[str, Any]:
    """What the table of the points says of its sweep; AnalysisError if it is damaged or newer."""
    file, metadata = folder / "points.parquet", table.schema.metadata or {}
    if b"oneshot" not in metadata:
        raise AnalysisError(
            f"{file} was not written by run_sweep.py: it does not say what was swept"
        )
    try:
        about = json.loads(metadata[b"oneshot"])
        version, axes = about["format"], about["axes"]
        texts = [about["sweep"], about["question"], about.get("revision") or "", *axes]
        if (
            type(version) is not int
            or not isinstance(axes, list)
            or not all(isinstance(text, str) for text in texts)
        ):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AnalysisError(
            f"{file} does not say what was swept: its note on the sweep is damaged", REMAKE
        ) from None
    if version > FORMAT:
        help = "Nothing was changed. Update oneshot, or look at results of this version."
        raise AnalysisError(
            f"{folder} has table format {version}; this oneshot reads 1 .. {FORMAT}", help
        )
    return dict(about)


def join(parts: Sequence[Results]) -> Results:
    """Put several sweeps on one plane: their rows together, the sweep as first axis.

    A point or reference that is in two of them is taken once.

    Args:
        parts: The results; those of one sweep are returned as they are.

    Returns:
        The results of all; the folder is that of the first.

    Raises:
        AnalysisError: The critics differ, and people's diversity is not known by each.
    """
    if len(parts) == 1:
        return parts[0]
    rows = pd.concat(
        [
            part.points if "sweep" in part.points else part.points.assign(sweep=part.name)
            for part in parts
        ],
        ignore_index=True,
    )
    _check_comparable(rows)
    details = {
        name: pd.concat([getattr(part, name) for part in parts], ignore_index=True)
        for name in DETAILS
    }
    same_place = rows[["model", "diversity", "recognizability"]].round(3).duplicated()
    repeated = rows.duplicated("point_id") | (rows["model"].isin(REFERENCES) & same_place)
    return Results(
        points=rows[~repeated],
        axes=list(dict.fromkeys(["sweep", *(axis for part in parts for axis in part.axes)])),
        name=" + ".join(part.name for part in parts),
        question="",
        folder=parts[0].folder,
        revision=parts[0].revision,
        whole=frozenset().union(*(part.whole for part in parts)),
        truths=frozenset().union(*(part.truths for part in parts)),
        warnings=tuple(dict.fromkeys(text for part in parts for text in part.warnings)),
        own_metrics=tuple(dict.fromkeys(name for part in parts for name in part.own_metrics)),
        **{name: table.drop_duplicates() for name, table in details.items()},
    )


def several_critics(results: Results) -> bool:
    """Whether critics that differ scored these points, so that raw diversities do not compare."""
    return len(_critics_used(results.points)) > 0


def _critics_used(rows: pd.DataFrame) -> dict[str, list[str]]:
    """The ids of each kind of critic of which there are several."""
    rows = rows[scored(rows)]
    names = rows.columns.intersection(["simclr_id", "protonet_id"])
    used = {name: sorted(map(str, rows[name].dropna().unique())) for name in names}
    return {name: ids for name, ids in used.items() if len(ids) > 1}


def _check_comparable(rows: pd.DataFrame) -> None:
    """Raise AnalysisError where places on the plane do not compare.

    That is so if they were scored by different versions of the code, or if critics differ and
    people's diversity by one of them is not known.
    """
    rows = rows[scored(rows)]
    if "metric_versions" in rows:
        found = rows["metric_versions"].astype(str).str.extract(r"\bplane (\d+)", expand=False)
        versions = found.fillna("1").astype(int).groupby(rows["sweep"]).unique()
        if versions.explode().nunique() > 1:
            shown = ", ".join(f"{sweep} by {max(n)}" for sweep, n in versions.items())
            raise AnalysisError(
                f"these sweeps were scored by different versions of the plane: {shown}",
                "Run each again: stored drawings are scored anew.",
            )
    if not _critics_used(rows):
        return
    lacking = rows.loc[rows["diversity_ratio"].isna(), "sweep"].unique()
    if len(lacking):
        raise AnalysisError(
            "these sweeps were scored by different critics, and people's diversity, in multiples of"
            f" which they compare, is not known in {', '.join(map(str, lacking))}",
            "Give each the same `critics`, or score people in each.",
        )


def sweep_folder(path: Path) -> Path:
    """The folder of the only sweep at a path; AnalysisError with near names if there is none."""
    if "://" in str(path) or ":/" in str(path):
        raise AnalysisError(
            f"{path} is not a local folder",
            "Copy the tables (and store/drawings, for the sheet) here first.",
        )
    path = path.parent if path.name == "points.parquet" else path
    if (path / "points.parquet").is_file():
        return path
    if not path.is_dir():
        there = (
            [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        )
        near = difflib.get_close_matches(path.name, there, 3, 0.5) or sorted(there)[:8]
        shown = ", ".join(str(path.parent / name) for name in near)
        raise AnalysisError(
            f"there is no folder {path}",
            f"Near it: {shown}" if shown else "A sweep's results are in results/<sweep>.",
        )
    sweeps = sorted(p.parent for p in path.glob("*/points.parquet"))
    if len(sweeps) == 1:
        return sweeps[0]
    if sweeps:
        raise AnalysisError(
            f"{path} holds {len(sweeps)} sweeps; name one", "  ".join(map(str, sweeps))
        )
    if any(path.glob("records/*.json")):
        raise AnalysisError(
            f"{path} has records but no points.parquet yet",
            "run_sweep.py writes it while it runs and when it ends.",
        )
    raise AnalysisError(
        f"{path} holds no results: no points.parquet in it or one folder below",
        "run_sweep.py SWEEP writes them.",
    )
