"""The results of a sweep: its tables read, filtered, sorted, averaged over seeds and laid out as text. No torch, no figures."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from oneshot import where as filters
from oneshot.rows import ARRAYS, FORMAT, IMPORTANCE, LIKELIHOODS
from oneshot.sweep import REFERENCES

METRICS = ("human_distance", "diversity", "recognizability", "originality", "generalization_area", "generalization_coverage")
EXTRAS = (*LIKELIHOODS, *IMPORTANCE)  # of some families only, averaged over seeds where a table has them


class AnalysisError(ValueError):
    """A user's mistake about results: the message says what, `help` (may be empty) a line to copy or to act on."""

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help


def no_rows() -> pd.DataFrame:
    """A table that a sweep did not leave."""
    return pd.DataFrame({"point_id": pd.Series(dtype=str)})


@dataclass(frozen=True, eq=False)
class Results:
    """The tables of one sweep. axes: its axes in the sweep's order, the seed not among them. folder: RESULTS/<sweep>.

    likelihood, layers, attention and confusion are those of models of sets. Each table but that of the points may be empty.
    """

    points: pd.DataFrame
    classes: pd.DataFrame
    curves: pd.DataFrame
    axes: list[str]
    name: str
    question: str
    folder: Path
    revision: str = ""
    generalization: pd.DataFrame = field(default_factory=no_rows)
    importance: pd.DataFrame = field(default_factory=no_rows)
    likelihood: pd.DataFrame = field(default_factory=no_rows)
    layers: pd.DataFrame = field(default_factory=no_rows)
    attention: pd.DataFrame = field(default_factory=no_rows)
    confusion: pd.DataFrame = field(default_factory=no_rows)

    @property
    def references(self) -> pd.DataFrame:
        """The scored rows of people, copies and noise."""
        return self.points[self.points["model"].isin(REFERENCES) & scored(self.points)]

    @property
    def models(self) -> pd.DataFrame:
        """The scored rows of everything that is not a reference."""
        return self.points[~self.points["model"].isin(REFERENCES) & scored(self.points)]

    @property
    def evaluated(self) -> pd.DataFrame:
        """The models' rows with any result: a place on the plane, or a bound on the likelihood where drawings are not scored."""
        return self.points[~self.points["model"].isin(REFERENCES) & (scored(self.points) | bounded(self.points))]


def load(path: str | Path) -> Results:
    """Read the tables of a sweep: `path` is its folder, or a results folder that holds exactly one sweep.

    Raises AnalysisError if there is no such folder, no table, more than one sweep, or a table of a newer format.
    """
    folder = _sweep_folder(Path(path))
    table = _read(folder / "points.parquet")
    if b"oneshot" not in (table.schema.metadata or {}):
        raise AnalysisError(f"{folder}/points.parquet was not written by run_sweep.py: it does not say what was swept")
    about = json.loads(table.schema.metadata[b"oneshot"])
    if about["format"] > FORMAT:
        help = "Nothing was changed. Update oneshot, or look at results of this version."
        raise AnalysisError(f"{folder} has table format {about['format']}; this oneshot reads 1 .. {FORMAT}", help)
    tables = {name: _read(file).to_pandas() if (file := folder / f"{name}.parquet").is_file() else no_rows() for name in ARRAYS}
    axes = [axis for axis in about["axes"] if axis != "seed"]
    known = {"name": about["sweep"], "question": about["question"], "revision": about.get("revision") or ""}
    return Results(points=table.to_pandas(), axes=axes, folder=folder, **known, **tables)  # type: ignore[arg-type]


def join(parts: Sequence[Results]) -> Results:
    """Several sweeps on one plane: their rows together, the sweep as first axis. A point or reference that is in two of them is taken once.

    Raises AnalysisError if critics differ, as places on the plane would not compare. The folder is that of the first.
    """
    if len(parts) == 1:
        return parts[0]
    rows = pd.concat([part.points for part in parts], ignore_index=True)
    seen = rows[scored(rows)]
    for critic in seen.columns.intersection(["simclr_id", "protonet_id"]):
        used = seen.groupby("sweep")[critic].unique()
        if len({name for names in used for name in names}) > 1:
            told = "; ".join(f"{sweep} by {', '.join(sorted(names))}" for sweep, names in used.items())
            raise AnalysisError(f"these sweeps were scored by different critics ({critic[:-3]}): {told}", "Give each the same `critics`.")
    tables = {name: pd.concat([getattr(part, name) for part in parts], ignore_index=True).drop_duplicates() for name in ARRAYS}
    axes = list(dict.fromkeys(["sweep", *(axis for part in parts for axis in part.axes)]))
    name, revision = " + ".join(part.name for part in parts), parts[0].revision
    alike = rows[["model", "diversity", "recognizability"]].round(3).duplicated()
    again = rows.duplicated("point_id") | (rows["model"].isin(REFERENCES) & alike)
    return Results(points=rows[~again], axes=axes, name=name, question="", folder=parts[0].folder, revision=revision, **tables)


def _sweep_folder(path: Path) -> Path:
    if "://" in str(path) or ":/" in str(path):
        raise AnalysisError(f"{path} is not a local folder", "Copy the tables (and store/drawings, for the sheet) here first.")
    path = path.parent if path.name == "points.parquet" else path
    if (path / "points.parquet").is_file():
        return path
    if not path.is_dir():
        there = [p.name for p in path.parent.iterdir() if p.is_dir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, there, 3, 0.5) or sorted(there)[:8]
        shown = ", ".join(str(path.parent / name) for name in near)
        raise AnalysisError(f"there is no folder {path}", f"Near it: {shown}" if shown else "A sweep's results are in results/<sweep>.")
    sweeps = sorted(p.parent for p in path.glob("*/points.parquet"))
    if len(sweeps) == 1:
        return sweeps[0]
    if sweeps:
        raise AnalysisError(f"{path} holds {len(sweeps)} sweeps; name one", "  ".join(map(str, sweeps)))
    if any(path.glob("records/*.json")):
        raise AnalysisError(f"{path} has records but no points.parquet yet", "run_sweep.py writes it while it runs and when it ends.")
    raise AnalysisError(f"{path} holds no results: no points.parquet in it or one folder below", "run_sweep.py SWEEP writes them.")


def _read(file: Path) -> pyarrow.Table:
    try:
        return pyarrow.parquet.read_table(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise AnalysisError(f"cannot read {file}: {str(error).splitlines()[0]}") from None


# ---- rows -----------------------------------------------------------------------------------------------------------------------------


def scored(frame: pd.DataFrame) -> pd.Series:
    """Which rows have a place on the plane: bool [rows]."""
    return frame["diversity"].notna() & frame["recognizability"].notna()


def bounded(frame: pd.DataFrame) -> pd.Series:
    """Which rows have a bound on the likelihood of the test sets: bool [rows]."""
    return frame["nelbo"].notna() if "nelbo" in frame else pd.Series(False, index=frame.index)


def mask(frame: pd.DataFrame, text: str) -> pd.Series:
    """Which rows fulfil a filter (see `where.py`): bool [rows]. Raises WhereError, naming near columns for unknown ones."""
    test = filters.compile(text, known=frame.columns)
    columns = sorted(filters.names(text))
    cells = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in columns]
    return pd.Series([test(dict(zip(columns, row))) for row in zip(*cells)] if columns else test({}), index=frame.index, dtype=bool)


def select(results: Results, text: str, *, keep_references: bool = False) -> Results:
    """The results of the points that fulfil a filter. keep_references: people, copies and noise stay, whatever the filter says."""
    keep = mask(results.points, text)
    if keep_references:
        keep |= results.points["model"].isin(REFERENCES)
    points = results.points[keep]
    tables = {name: getattr(results, name) for name in ARRAYS}
    return dataclasses.replace(results, points=points, **{n: t[t["point_id"].isin(points["point_id"])] for n, t in tables.items()})


def varying(results: Results) -> list[str]:
    """The axes that take more than one value among the models' rows, in the sweep's order; `model` first if there are several."""
    rows = results.points[~results.points["model"].isin(REFERENCES)]
    candidates = ["model", *(axis for axis in results.axes if axis != "model")]
    return [axis for axis in candidates if axis in rows and rows[axis].nunique() > 1]


def column(frame: pd.DataFrame, name: str) -> str:
    """`name` if it is a column, else AnalysisError with near names."""
    if name in frame:
        return name
    near = difflib.get_close_matches(name, list(frame.columns), 3)
    help = f"Did you mean {' or '.join(near)}?" if near else f"Columns: {', '.join(frame.columns)}"
    raise AnalysisError(f"there is no column {name!r}", help)


def over_seeds(results: Results, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Means over the seeds: one row per model and assignment of the axes, with `seeds` (n) and, per metric, `<metric>_se`.

    The standard error is that of the mean over seeds (empty for one seed), not the one within a point. Rows with neither a place on the
    plane nor a bound on the likelihood are left out.
    """
    frame = results.points if frame is None else frame
    frame = frame[scored(frame) | bounded(frame)]
    keys = list(dict.fromkeys(["model", *(axis for axis in results.axes if axis in frame)]))
    groups = frame.groupby(keys, dropna=False, sort=False)
    out = groups.size().rename("seeds").to_frame()
    measured = [*METRICS, "human_diversity", "human_recognizability", *(m for m in EXTRAS if m in frame and frame[m].notna().any())]
    for metric in measured:
        if metric in frame:
            out[metric] = groups[metric].mean()
            if metric in (*METRICS, *EXTRAS):
                out[f"{metric}_se"] = groups[metric].sem()
    return out.reset_index()


def table(
    results: Results, columns: Sequence[str] = (), sort: str = "", top: int = 0, *, descending: bool = False, seeds_averaged: bool = False
) -> pd.DataFrame:
    """The rows as a table, sorted by a column (human_distance, nelbo without one; empty cells last), `top` of them if top > 0.

    columns: which (default: what varies, then metrics and their standard errors, then the id). seeds_averaged: see `over_seeds`.
    Raises AnalysisError for columns that do not exist.
    """
    frame = over_seeds(results) if seeds_averaged else results.points
    by = column(frame, sort) if sort else ranked_by(frame)
    chosen = [column(frame, name) for name in columns] or default_columns(results, frame)
    if by in frame and frame[by].notna().any():
        frame = frame.sort_values(by, ascending=not descending, kind="stable", na_position="last")
    return frame[chosen].head(top) if top > 0 else frame[chosen]


def ranked_by(frame: pd.DataFrame) -> str:
    """What orders rows unless told: the distance to people, or nelbo where no drawings were scored. Less is better in both."""
    return "nelbo" if not frame["human_distance"].notna().any() and bounded(frame).any() else "human_distance"


def default_columns(results: Results, frame: pd.DataFrame) -> list[str]:
    """What a table shows unless told: the most useful first, because a narrow terminal drops columns from the right."""
    seeds = ["seeds"] if "seeds" in frame else ["seed"] if frame["seed"].nunique() > 1 else []
    status = ["status"] if "status" in frame and frame["status"].nunique() > 1 else []
    model = ["model"] if frame["model"].nunique() > 1 else []
    metrics = [m for m in (*METRICS, "nelbo", "nll", *IMPORTANCE) if m in frame and frame[m].notna().any()] or METRICS
    errors = [f"{metric}_se" for metric in metrics]
    odd = ["constant_drawings"] if frame.get("constant_drawings", pd.Series(dtype=float)).gt(0).any() else []
    wanted = [*status, *model, *(a for a in varying(results) if a != "model"), *seeds, *metrics, *errors, *odd, "point_id"]
    return [name for name in dict.fromkeys(wanted) if name in frame]


# ---- text -----------------------------------------------------------------------------------------------------------------------------


def value_text(value: Any) -> str:
    """A setting's value as people write it: 60, 0.25, weak; an empty one is `-`."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if value is None or value is pd.NaT or value != value:
        return "-"
    return f"{value:.6g}" if isinstance(value, (int, float, np.number)) else str(value)


def setting_text(results: Results, row: pd.Series) -> str:
    """What distinguishes a point, in words: `beta 1.75, time_steps 60`."""
    given = [axis for axis in varying(results) if value_text(row[axis]) != "-"]
    parts = [str(row[axis]) if axis == "model" else f"{axis} {value_text(row[axis])}" for axis in given]
    return ", ".join(parts) or str(row["model"])


PLACES = {"diversity": 3, "recognizability": 1, "originality": 3, "distance": 2}  # after the point, by metric
PLACES |= {"generalization_area": 2, "generalization_coverage": 2}
PLACES |= {name: 1 if name.startswith("classified") else 2 for name in LIKELIHOODS}
PLACES |= {name: 3 for name in (*IMPORTANCE, "sparsity", "spearman")}


def format_table(frame: pd.DataFrame) -> list[list[str]]:
    """A table as text, column by column: each a list of the header and its cells, padded to one width, numbers to the right."""
    return [_format_column(name, frame[name]) for name in frame.columns]


def _format_column(name: str, values: pd.Series) -> list[str]:
    metric = name.removesuffix("_se").removeprefix("human_")
    places = PLACES.get(metric)
    if places is not None and name.endswith("_se"):
        places += 1
    if places is None or not pd.api.types.is_numeric_dtype(values):
        cells = [value_text(value).split("\n")[0][:60] for value in values]
    else:
        cells = ["-" if pd.isna(value) else f"{value:.{places}f}" for value in values]
    width = max(map(len, [name, *cells]))
    numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in [name, *cells]]


def fit_terminal(frame: pd.DataFrame, width: int | None) -> tuple[str, list[str]]:
    """The table as aligned text of at most `width` characters a line (None: any), and the names of the columns left out for it.

    Whole columns go, from the right; the first always stays.
    """
    columns, kept, used = format_table(frame), 0, -2
    for cells in columns:
        used += len(cells[0]) + 2
        if width is not None and kept and used > width:
            break
        kept += 1
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns[:kept])]
    return "\n".join(lines), [str(name) for name in frame.columns[kept:]]
