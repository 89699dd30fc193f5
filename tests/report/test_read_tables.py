"""Damaged tables, and tables of another make: an error, a warning, or not a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies
import numpy as np
import pyarrow.parquet
import pytest
import small
from figure_checks import analyze
from synthetic_results import grid, write_results
from synthetic_sets import write_sets

from oneshot.report.columns import DETAIL_COLUMNS
from oneshot.report.errors import AnalysisError
from oneshot.report.results import load
from oneshot.report.table import exact_types, points_table


def rewritten(file: Path, change: Callable[[pyarrow.Table], pyarrow.Table]) -> None:
    """Replace a table by a changed one."""
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(file)), file)


def with_column(
    name: str, values: Callable[[int], pyarrow.Array | list]
) -> Callable[[pyarrow.Table], pyarrow.Table]:
    """A change: this column has other values."""

    def change(table: pyarrow.Table) -> pyarrow.Table:
        made = values(len(table))
        made = made if isinstance(made, pyarrow.Array) else pyarrow.array(made)
        return table.set_column(table.schema.get_field_index(name), name, made)

    return change


def with_note(**about: object) -> Callable[[pyarrow.Table], pyarrow.Table]:
    """A change: the note on the sweep says something else; None drops a word of it."""

    def change(table: pyarrow.Table) -> pyarrow.Table:
        known = json.loads(table.schema.metadata[b"oneshot"]) | about
        return table.replace_schema_metadata(
            {b"oneshot": json.dumps({k: v for k, v in known.items() if v is not None})}
        )

    return change


ERRORS: dict[str, tuple[Callable[[pyarrow.Table], pyarrow.Table], str]] = {
    "no id": (lambda t: t.drop_columns(["point_id"]), "points.parquet lacks the column point_id"),
    "no places": (
        lambda t: t.drop_columns(["diversity", "recognizability"]),
        "lacks the columns diversity, recognizability",
    ),
    "texts for numbers": (
        with_column("diversity", lambda n: ["high"] * n),
        "something else than it should in the column diversity",
    ),
    "numbers for texts": (
        with_column("model", lambda n: list(range(n))),
        "something else than it should in the column model",
    ),
    "note of a list": (
        lambda t: t.replace_schema_metadata({b"oneshot": b"[]"}),
        "its note on the sweep is damaged",
    ),
    "note cut": (
        lambda t: t.replace_schema_metadata({b"oneshot": b'{"format": 4'}),
        "its note on the sweep is damaged",
    ),
    "note not of text": (
        lambda t: t.replace_schema_metadata({b"oneshot": b"\xff\xfe"}),
        "its note on the sweep is damaged",
    ),
    "no axes": (with_note(axes=None), "its note on the sweep is damaged"),
    "axes of numbers": (with_note(axes=[1, 2]), "its note on the sweep is damaged"),
    "format of text": (with_note(format="4"), "its note on the sweep is damaged"),
    "newer": (with_note(format=99), "has table format 99"),
}


WARNINGS: dict[str, tuple[Callable[[pyarrow.Table], pyarrow.Table], str]] = {
    "an axis less": (lambda t: t.drop_columns(["z"]), "has no column of the axis z"),
    "rows of nobody": (
        with_column("point_id", lambda n: [None, *(f"p{i}" for i in range(n - 1))]),
        "1 row passed over",
    ),
    "the same point twice": (
        with_column("point_id", lambda n: ["p0", *(f"p{i}" for i in range(n - 1))]),
        "1 row passed over, as the same",
    ),
    "infinite": (
        with_column("recognizability", lambda n: [np.inf] * 4 + [80.0] * (n - 4)),
        "recognizability of 4 rows is not finite",
    ),
    "beyond all bounds": (
        with_column("recognizability", lambda n: [1e300] * 4 + [80.0] * (n - 4)),
        "recognizability of 4 rows cannot be",
    ),
    "below zero": (
        with_column("diversity", lambda n: [-1.0] * 4 + [2.0] * (n - 4)),
        "diversity of 4 rows cannot be (-1)",
    ),
    "lists": (
        with_column("learning_rate", lambda n: [[1.0]] * n),
        "a column learning_rate of another make",
    ),
    "bytes": (
        with_column("error", lambda n: pyarrow.array([b"\xff"] * n, pyarrow.binary())),
        "a column error of another make",
    ),
    "texts in a metric": (
        with_column("originality", lambda n: ["high"] * n),
        "originality holds something else than numbers",
    ),
}


UNKNOWN: dict[str, Callable[[pyarrow.Table], pyarrow.Table]] = {
    "an unknown family": with_column("model", lambda n: ["human"] + ["my_old_family"] * (n - 1)),
    "an unknown status": with_column("status", lambda n: ["sleeping"] * n),
    "no row at all": lambda t: t.slice(0, 0),
    "people alone": lambda t: t.slice(0, 1),
    "an older format": with_note(format=1),
    "no drawings": lambda t: t.drop_columns(["sample_id"]),
    "no sweep": lambda t: t.drop_columns(["sweep"]),
    "columns of a later day": lambda t: t.append_column("charm", pyarrow.array(["x"] * len(t))),
}


def checked_table(folder: Path, *flags: object) -> small.Done:
    """The table of a folder as the command prints it.

    There is never a traceback, and each line on stderr begins with what kind it is of.
    """
    done = analyze(folder, "--json", *(flags or ["--no-figures"]))
    others = [
        line
        for line in done.stderr.splitlines()
        if not line.startswith(("warning: ", "error: ", "  help: ", "no row", "the table has no"))
    ]
    assert flags or not others, others
    assert "Traceback" not in done.stderr and done.returncode == (
        2 if "error: " in done.stderr else 0
    ), done.stderr
    return done


@pytest.mark.parametrize("case", ERRORS)
def test_a_points_table_that_cannot_be_used_is_one_error(tmp_path: Path, case: str) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0], z=[10, 20]))
    change, expected = ERRORS[case]
    rewritten(folder / "points.parquet", change)
    done = checked_table(folder)
    assert (
        done.returncode == 2
        and expected in done.stderr
        and len(done.stderr.splitlines()) <= 2
        and done.stdout == ""
    )


@pytest.mark.parametrize("case", WARNINGS)
def test_what_can_be_done_without_is_named_in_a_warning(tmp_path: Path, case: str) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0], z=[10, 20]))
    change, expected = WARNINGS[case]
    rewritten(folder / "points.parquet", change)
    done = checked_table(folder)
    assert done.returncode == 0 and done.stderr.startswith("warning: ") and expected in done.stderr
    assert len(json.loads(done.stdout)) in (6, 7)  # of seven rows one at most is lost


@pytest.mark.parametrize("case", UNKNOWN)
def test_tables_of_another_day_are_read_without_a_word(tmp_path: Path, case: str) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0, 2.0], z=[10, 20]))
    before = len(load(folder).points)
    rewritten(folder / "points.parquet", UNKNOWN[case])
    done = checked_table(folder)
    rows = {"no row at all": 0, "people alone": 1}.get(case, before)
    assert (
        done.returncode == 0
        and "warning" not in done.stderr
        and len(json.loads(done.stdout)) == rows
    )


@pytest.mark.parametrize("kind", sorted(DETAIL_COLUMNS))
def test_a_damaged_table_beside_the_points_is_done_without(tmp_path: Path, kind: str) -> None:
    folder = write_sets(tmp_path, models=2, datasets=1)
    texts, numbers = DETAIL_COLUMNS[kind]
    file = folder / f"{kind}.parquet"
    if not file.exists():  # of other families alone
        made = {"point_id": ["a"]} | {name: ["c"] for name in texts}
        values = {name: [0.5] for name in numbers}
        pyarrow.parquet.write_table(pyarrow.table({**made, **values}), file)
    whole = file.read_bytes()
    assert load(folder).warnings == () and len(getattr(load(folder), kind)) > 0
    damages: list[Callable[[], object]] = [
        lambda: file.write_bytes(b""),
        lambda: file.write_bytes(whole[: len(whole) // 2]),
        lambda: file.write_bytes(whole[:-10]),
        lambda: rewritten(file, lambda t: t.drop_columns(["point_id"])),
        *(lambda n=n: rewritten(file, lambda t: t.drop_columns([n])) for n in (*texts, *numbers)),
        *(
            lambda n=n: rewritten(file, with_column(n, lambda count: ["x"] * count))
            for n in numbers
        ),
        *(lambda n=n: rewritten(file, with_column(n, lambda count: [1] * count)) for n in texts),
    ]
    for damage in damages:
        file.write_bytes(whole)
        damage()
        loaded = load(folder)
        assert (
            len(loaded.warnings) == 1
            and str(file) in loaded.warnings[0]
            and getattr(loaded, kind).empty
        )
        assert len(loaded.points) == 5


def test_an_empty_cut_or_missing_points_table_is_one_error(tmp_path: Path) -> None:
    folder = write_results(tmp_path, grid(beta=[1.0]))
    file = folder / "points.parquet"
    whole = file.read_bytes()
    for length in (0, 4, 11, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert "cannot read" in checked_table(folder).stderr
    file.unlink()
    assert "holds no results" in checked_table(folder).stderr
    file.mkdir()
    assert "holds no results" in checked_table(folder).stderr


@pytest.fixture(scope="module")
def flippable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("flipped"), grid(beta=[1.0, 2.0], z=[10, 20]))


@pytest.mark.slow
@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(
    name=hypothesis.strategies.sampled_from(
        ["points.parquet", "curves.parquet", "generalization.parquet"]
    ),
    place=hypothesis.strategies.floats(0, 1, exclude_max=True),
    bit=hypothesis.strategies.integers(0, 7) | hypothesis.strategies.none(),
)
def test_no_flipped_bit_or_cut_of_a_table_ends_in_a_traceback(
    flippable: Path, name: str, place: float, bit: int | None
) -> None:
    """Read, refused with an error of one line, or done without with a warning. bit: which is
    flipped; None cuts the file there.
    """
    file = flippable / name
    good = file.read_bytes()
    at = int(place * len(good))
    file.write_bytes(
        good[:at] if bit is None else good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    )
    try:
        loaded = load(flippable)
        exact_types(loaded, points_table(loaded)).to_csv()
        points_table(loaded, seeds_averaged=True)
    except AnalysisError as error:
        assert name == "points.parquet" and "\n" not in str(error)
    finally:
        file.write_bytes(good)
