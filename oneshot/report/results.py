"""The results of a sweep: its tables read, filtered, sorted, averaged over seeds and laid out as
text. No torch, no figures.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from oneshot.store.records import ARRAYS, FORMAT, IMPORTANCE, LIKELIHOODS, WHOLE, column_names
from oneshot.store.records import METRICS as MEASURED
from oneshot.sweep import filter as filters
from oneshot.sweep.definition import REFERENCES

METRICS = (
    "human_distance",
    "diversity",
    "recognizability",
    "originality",
    "generalization_area",
    "generalization_coverage",
)
# of some families only, averaged over seeds where a table has them
EXTRAS = (*LIKELIHOODS, *IMPORTANCE)
# whole numbers in tables made of others
COUNTED = frozenset({*WHOLE, "seeds", "classes", "n", "trained_size"})
# of every row
NAMED, PLACED = ("point_id", "status", "model"), ("diversity", "recognizability", "human_distance")
HELD = {  # what each table beside that of the points is read for: its texts, then its numbers
    "classes": ((), ()),
    "curves": ((), ("epoch",)),
    "generalization": ((), ("bin", "originality", "recognizability")),
    "importance": (("class_name",), ("sparsity",)),
    "likelihood": (
        ("dataset",),
        (
            "set_size",
            "sets",
            "nelbo",
            "nelbo_se",
            "reconstruction",
            "kl_c",
            "kl_z",
            "nll",
            "nll_se",
        ),
    ),
    "layers": (("latent",), ("level", "kl")),
    "attention": (("class_name", "level"), ("set", "head", "member", "weight")),
    "confusion": (("scorer",), ("digit", "predicted", "count")),
}
# a row of those tables without one of them is of nothing
KEYS = frozenset({*WHOLE, "class_name", "dataset", "latent", "scorer"})
REMAKE = "run_sweep.py makes the tables anew from the records: run the sweep's command again."


class AnalysisError(ValueError):
    """A user's mistake about results: the message says what, `help` (may be empty) a line to copy
    or to act on.
    """

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help


def no_rows() -> pd.DataFrame:
    """A table that a sweep did not leave."""
    return pd.DataFrame({"point_id": pd.Series(dtype=str)})


@dataclass(frozen=True, eq=False)
class Results:
    """The tables of one sweep. axes: its axes in the sweep's order, the seed not among them.
    folder: RESULTS/<sweep>.

    likelihood, layers, attention and confusion are those of models of sets. Each table but that of
    the points may be empty. whole, truths: the columns that hold whole numbers and truth values,
    which pandas keeps as something else where one is missing (see `exact`).
    warnings: what was passed over when the tables were read, a sentence each.
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
    whole: frozenset[str] = frozenset()
    truths: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

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
        """The models' rows with any result: a place on the plane, or a bound on the likelihood
        where drawings are not scored.
        """
        return self.points[
            ~self.points["model"].isin(REFERENCES) & (scored(self.points) | bounded(self.points))
        ]


def load(path: str | Path) -> Results:
    """Read the tables of a sweep: `path` is its folder, or a results folder that holds exactly one
    sweep.

    What can be done without is passed over, and named in the warnings of the results: a damaged
    table beside that of the points, an axis that the points lack, a number that is none. Raises
    AnalysisError if there is no such folder, no table, more than one sweep, a table of a newer
    format, or a table of points that is damaged or lacks what every row has.
    """
    folder = _sweep_folder(Path(path))
    table = _read(folder / "points.parquet")
    about = _about(folder, table)
    told: list[str] = []
    points = _points(table, folder / "points.parquet", told)
    tables = {name: _array(folder / f"{name}.parquet", told) for name in ARRAYS}
    axes = [axis for axis in about["axes"] if axis != "seed"]
    for axis in [axis for axis in axes if axis not in points]:
        told.append(f"{folder}/points.parquet has no column of the axis {axis}")
        axes.remove(axis)
    return Results(
        points=points,
        axes=axes,
        folder=folder,
        name=about["sweep"],
        question=about["question"],
        revision=about.get("revision") or "",
        whole=frozenset(f.name for f in table.schema if pyarrow.types.is_integer(f.type)),
        truths=frozenset(f.name for f in table.schema if pyarrow.types.is_boolean(f.type)),
        warnings=tuple(told),
        **tables,
    )


def _about(folder: Path, table: pyarrow.Table) -> dict[str, Any]:
    """What the points table says of its sweep. Raises AnalysisError if it says nothing of the kind,
    or is of a newer format.
    """
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


def _points(table: pyarrow.Table, file: Path, told: list[str]) -> pd.DataFrame:
    """The rows of the points, each with an id, a status, a model and a seed. Raises AnalysisError
    if the table lacks one of these.
    """
    frame = _frame(table, file, told)
    lacking = [name for name in (*NAMED, "seed", *PLACED) if name not in frame]
    if lacking:
        raise AnalysisError(f"{file} lacks {_listed(lacking)}", REMAKE)
    wrong = [name for name in NAMED if not _are_texts(frame[name])]
    wrong += [name for name in ("seed", *PLACED) if not _are_numbers(frame[name])]
    if wrong:
        raise AnalysisError(
            f"{file} holds something else than it should in {_listed(wrong)}", REMAKE
        )
    for name in [name for name in (*MEASURED, *METRICS, *EXTRAS) if name in frame]:
        if _are_numbers(frame[name]):
            frame[name] = frame[name].astype(float)
        else:
            told.append(f"{file}: {name} holds something else than numbers, and counts as empty")
            frame[name] = np.nan
    for name, most in (("diversity", 1e6), ("recognizability", 100 + 1e-6)):
        odd = (frame[name] < 0) | (frame[name] > most)
        if odd.any():
            told.append(
                f"{file}: {name} of {_rows(odd.sum())} cannot be"
                f" ({frame.loc[odd, name].iloc[0]:.6g}), and counts as empty"
            )
            frame[name] = frame[name].mask(odd)
    frame = _with_keys(frame, [*NAMED, "seed"], file, told)
    again = frame["point_id"].duplicated()
    if again.any():
        told.append(f"{file}: {_rows(again.sum())} passed over, as the same points stand in others")
    return frame[~again].reset_index(drop=True)


def _array(file: Path, told: list[str]) -> pd.DataFrame:
    """One of the tables beside that of the points; empty, with a warning, if it is damaged or of
    another make.
    """
    if not file.is_file():
        return no_rows()
    try:
        frame = _frame(_read(file), file, told)
    except AnalysisError as error:
        told.append(f"{error}; done without it")
        return no_rows()
    if frame.empty:
        return no_rows()
    texts, numbers = HELD[file.stem]
    texts = ("point_id", *texts)
    lacking = [name for name in (*texts, *numbers) if name not in frame]
    if lacking:
        told.append(f"{file} lacks {_listed(lacking)}; done without it")
        return no_rows()
    losses = [str(name) for name in frame if file.stem == "curves" and str(name).endswith("_loss")]
    wrong = [name for name in texts if not _are_texts(frame[name])]
    wrong += [name for name in (*numbers, *losses) if not _are_numbers(frame[name])]
    if wrong:
        told.append(
            f"{file} holds something else than it should in {_listed(wrong)}; done without it"
        )
        return no_rows()
    frame = _with_keys(
        frame,
        [name for name in (*texts, *numbers) if name == "point_id" or name in KEYS],
        file,
        told,
    )
    return frame if len(frame) else no_rows()


def _frame(table: pyarrow.Table, file: Path, told: list[str]) -> pd.DataFrame:
    """The columns of a table that a row can be told by: no lists, no bytes, no name twice, and no
    number that is not finite.
    """
    kept: list[int] = []
    for i, column in enumerate(table.schema):
        kind = pyarrow.types
        odd = (
            kind.is_nested(column.type)
            or kind.is_binary(column.type)
            or kind.is_large_binary(column.type)
        )
        if odd or column.name in {table.schema.names[j] for j in kept}:
            told.append(f"{file}: a column {column.name} of another make is passed over")
        else:
            kept.append(i)
    try:
        frame = table.select(kept).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise AnalysisError(f"cannot read {file}: {_first_line(error)}", REMAKE) from None
    for name in frame.select_dtypes("float"):
        infinite = np.isinf(frame[name])
        if infinite.any():
            told.append(
                f"{file}: {name} of {_rows(infinite.sum())} is not finite, and counts as empty"
            )
            frame[name] = frame[name].mask(infinite)
    return frame


def _with_keys(
    frame: pd.DataFrame, names: Sequence[str], file: Path, told: list[str]
) -> pd.DataFrame:
    """The rows in which none of these columns is empty."""
    whole = frame[list(names)].notna().all(axis=1)
    if not whole.all():
        told.append(
            f"{file}: {_rows((~whole).sum())} passed over, as they do not say of what they are"
        )
    return frame[whole]


def _are_texts(values: pd.Series) -> bool:
    return pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty")


def _are_numbers(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) or not values.notna().any()


def _rows(count: Any) -> str:
    count = int(count)
    return f"{count:,} row{'s' * (count != 1)}"


def _listed(names: Sequence[str]) -> str:
    return f"the column{'s' * (len(names) > 1)} {', '.join(names)}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def join(parts: Sequence[Results]) -> Results:
    """Several sweeps on one plane: their rows together, the sweep as first axis. A point or
    reference that is in two of them is taken once.

    Raises AnalysisError if critics differ, as places on the plane would not compare. The folder is
    that of the first.
    """
    if len(parts) == 1:
        return parts[0]
    named = [
        part.points if "sweep" in part.points else part.points.assign(sweep=part.name)
        for part in parts
    ]
    rows = pd.concat(named, ignore_index=True)
    seen = rows[scored(rows)]
    for critic in seen.columns.intersection(["simclr_id", "protonet_id"]):
        used = seen.dropna(subset=critic).groupby("sweep")[critic].unique()
        if len({name for names in used for name in names}) > 1:
            told = "; ".join(
                f"{sweep} by {', '.join(sorted(names))}" for sweep, names in used.items()
            )
            raise AnalysisError(
                f"these sweeps were scored by different critics ({critic[:-3]}): {told}",
                "Give each the same `critics`.",
            )
    tables = {
        name: (
            pd.concat([getattr(part, name) for part in parts], ignore_index=True).drop_duplicates()
        )
        for name in ARRAYS
    }
    axes = list(dict.fromkeys(["sweep", *(axis for part in parts for axis in part.axes)]))
    name, revision = " + ".join(part.name for part in parts), parts[0].revision
    alike = rows[["model", "diversity", "recognizability"]].round(3).duplicated()
    again = rows.duplicated("point_id") | (rows["model"].isin(REFERENCES) & alike)
    kinds = {
        kind: frozenset().union(*(getattr(part, kind) for part in parts))
        for kind in ("whole", "truths")
    }
    warned = tuple(dict.fromkeys(text for part in parts for text in part.warnings))
    known: dict[str, Any] = {
        "name": name,
        "question": "",
        "revision": revision,
        "warnings": warned,
        **kinds,
    }
    return Results(points=rows[~again], axes=axes, folder=parts[0].folder, **known, **tables)


def _sweep_folder(path: Path) -> Path:
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


def _read(file: Path) -> pyarrow.Table:
    """A Parquet file, its checksums compared. Raises AnalysisError if it is damaged."""
    try:
        table = pyarrow.parquet.read_table(file, page_checksum_verification=True)
        table.validate(full=True)
        _ = table.schema.names  # which are decoded now
        return table
    except (OSError, pyarrow.ArrowException, ValueError, MemoryError) as error:
        raise AnalysisError(f"cannot read {file}: {_first_line(error)}", REMAKE) from None


# ---- rows
# -----------------------------------------------------------------------------


def scored(frame: pd.DataFrame) -> pd.Series:
    """Which rows have a place on the plane: bool [rows]."""
    return frame["diversity"].notna() & frame["recognizability"].notna()


def bounded(frame: pd.DataFrame) -> pd.Series:
    """Which rows have a bound on the likelihood of the test sets: bool [rows]."""
    return frame["nelbo"].notna() if "nelbo" in frame else pd.Series(False, index=frame.index)


def mask(frame: pd.DataFrame, text: str, absent: Sequence[str] = ()) -> pd.Series:
    """Which rows fulfil a filter (see `sweep/filter.py`): bool [rows]. Raises FilterError, naming near
    columns for unknown ones.

    absent: columns that say nothing of these rows, so that conditions on them refuse none.
    """
    test = filters.compile(text, known=frame.columns, absent=absent)
    columns = sorted(filters.columns(text))
    cells = [
        frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in columns
    ]
    return pd.Series(
        [test(dict(zip(columns, row))) for row in zip(*cells)] if columns else test({}),
        index=frame.index,
        dtype=bool,
    )


def select(results: Results, text: str, *, keep_references: bool = False) -> Results:
    """The results of the points that fulfil a filter.

    References stay beside what is selected unless the filter refuses them by something that they
    have: people have a status and a diversity, but no beta, and they stand for all seeds and, of
    several sweeps, for all of them. keep_references: they stay whatever the filter says.
    """
    keep = mask(results.points, text)
    references = results.points["model"].isin(REFERENCES)
    if keep_references:
        keep |= references
    elif keep.any():
        keep |= _unrefused(results, results.points[references], text).reindex(
            keep.index, fill_value=False
        )
    points = results.points[keep]
    tables = {name: getattr(results, name) for name in ARRAYS}
    return dataclasses.replace(
        results,
        points=points,
        **{n: t[t["point_id"].isin(points["point_id"])] for n, t in tables.items()},
    )


def _unrefused(results: Results, references: pd.DataFrame, text: str) -> pd.Series:
    """Which of these rows of people, copies and noise a filter does not refuse by a column that
    says something of them: bool [rows].
    """
    named = filters.columns(text)
    shared = named & {"seed", *(["sweep"] if "sweep" in results.axes else [])}
    settings = [name for name in named - column_names() if name in references]
    rows = (references.iloc[[i]] for i in range(len(references)))
    kept = [
        mask(row, text, [*shared, *(name for name in settings if row[name].isna().all())]).all()
        for row in rows
    ]
    return pd.Series(kept, index=references.index, dtype=bool)


def varying(results: Results) -> list[str]:
    """The axes that take more than one value among the models' rows, in the sweep's order; `model`
    first if there are several.
    """
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
    """Means over the seeds: one row per model and assignment of the axes, with `seeds` (n) and, per
    metric, `<metric>_se`.

    The standard error is that of the mean over seeds (empty for one seed), not the one within a
    point. Rows with neither a place on the plane nor a bound on the likelihood are left out.
    """
    frame = results.points if frame is None else frame
    frame = frame[scored(frame) | bounded(frame)]
    keys = list(dict.fromkeys(["model", *(axis for axis in results.axes if axis in frame)]))
    groups = frame.groupby(keys, dropna=False, sort=False)
    out = groups.size().rename("seeds").to_frame()
    measured = [
        *METRICS,
        "human_diversity",
        "human_recognizability",
        *(m for m in EXTRAS if m in frame and frame[m].notna().any()),
    ]
    for metric in measured:
        if metric in frame:
            out[metric] = groups[metric].mean()
            if metric in (*METRICS, *EXTRAS):
                out[f"{metric}_se"] = groups[metric].sem()
    return out.reset_index()


def table(
    results: Results,
    columns: Sequence[str] = (),
    sort: str = "",
    top: int = 0,
    *,
    descending: bool = False,
    seeds_averaged: bool = False,
) -> pd.DataFrame:
    """The rows as a table, sorted by a column (human_distance, nelbo without one; empty cells
    last), `top` of them if top > 0.

    columns: which (default: what varies, then metrics and their standard errors, then the id).
    seeds_averaged: see `over_seeds`. Raises AnalysisError for columns that do not exist.
    """
    frame = over_seeds(results) if seeds_averaged else results.points
    by = column(frame, sort) if sort else ranked_by(frame)
    chosen = [column(frame, name) for name in dict.fromkeys(columns)] or default_columns(
        results, frame
    )
    if by in frame and frame[by].notna().any():
        frame = frame.sort_values(by, ascending=not descending, kind="stable", na_position="last")
    return frame[chosen].head(top) if top > 0 else frame[chosen]


def ranked_by(frame: pd.DataFrame) -> str:
    """What orders rows unless told: the distance to people, or nelbo where no drawings were scored.
    Less is better in both.
    """
    return (
        "nelbo"
        if not frame["human_distance"].notna().any() and bounded(frame).any()
        else "human_distance"
    )


def default_columns(results: Results, frame: pd.DataFrame) -> list[str]:
    """What a table shows unless told: the most useful first, because a narrow terminal drops
    columns from the right.
    """
    seeds = ["seeds"] if "seeds" in frame else ["seed"] if frame["seed"].nunique() > 1 else []
    status = ["status"] if "status" in frame and frame["status"].nunique() > 1 else []
    model = ["model"] if frame["model"].nunique() > 1 else []
    metrics = [
        m for m in (*METRICS, "nelbo", "nll", *IMPORTANCE) if m in frame and frame[m].notna().any()
    ] or METRICS
    errors = [f"{metric}_se" for metric in metrics]
    odd = (
        ["constant_drawings"]
        if frame.get("constant_drawings", pd.Series(dtype=float)).gt(0).any()
        else []
    )
    wanted = [
        *status,
        *model,
        *(a for a in varying(results) if a != "model"),
        *seeds,
        *metrics,
        *errors,
        *odd,
        "point_id",
    ]
    return [name for name in dict.fromkeys(wanted) if name in frame]


def exact(results: Results, frame: pd.DataFrame) -> pd.DataFrame:
    """A table as it is to be written: whole numbers and truth values are such also where some rows
    have none.

    In pandas' own columns 10 would become 10.0 as soon as one value is missing.
    """
    out = frame.copy(deep=False)
    for name in [name for name in frame if name in results.whole | COUNTED]:
        if pd.api.types.is_float_dtype(frame[name]) and not (frame[name].dropna() % 1).any():
            out[name] = frame[name].astype("Int64")
    for name in [name for name in frame if name in results.truths]:
        out[name] = frame[name].astype("boolean")
    return out


# ---- text
# -----------------------------------------------------------------------------


def value_text(value: Any) -> str:
    """A setting's value as people write it: 60, 0.25, weak; an empty one is `-`."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return "-"
    if isinstance(value, (int, float, np.number)):
        number = float(value)
        return f"{number:.0f}" if abs(number) < 1e15 and number.is_integer() else f"{number:.6g}"
    return str(value)


def plus_minus(value: float, error: float, sign: str = "±") -> str:
    """A number and its standard error, with two digits of the error and at least two after the
    point; the number alone without one.
    """
    if not error >= 0 or not math.isfinite(error):
        return f"{value:.2f}"
    places = max(2, 1 - math.floor(math.log10(error))) if error > 0 else 2
    return f"{value:.{places}f} {sign} {error:.{places}f}"


def setting_text(results: Results, row: pd.Series) -> str:
    """What distinguishes a point, in words: `beta 1.75, time_steps 60`."""
    given = [axis for axis in varying(results) if value_text(row[axis]) != "-"]
    parts = [
        str(row[axis]) if axis == "model" else f"{axis} {value_text(row[axis])}" for axis in given
    ]
    return ", ".join(parts) or str(row["model"])


# after the point, by metric
PLACES = {"diversity": 3, "recognizability": 1, "originality": 3, "distance": 2}
PLACES |= {"generalization_area": 2, "generalization_coverage": 2}
PLACES |= {name: 1 if name.startswith("classified") else 2 for name in LIKELIHOODS}
PLACES |= {name: 3 for name in (*IMPORTANCE, "sparsity", "spearman")}


def format_table(frame: pd.DataFrame) -> list[list[str]]:
    """A table as text, column by column: each a list of the header and its cells, padded to one
    width, numbers to the right.
    """
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
    """The table as aligned text of at most `width` characters a line (None: any), and the names of
    the columns left out for it.

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
