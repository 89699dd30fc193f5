"""Read the tables of a sweep from Parquet and check them.

What can be done without is passed over, with a warning. What cannot raises AnalysisError.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from oneshot.report.columns import (
    DETAIL_COLUMNS,
    EXTRA_METRICS,
    KEYS,
    METRICS,
    POINT_NUMBERS,
    POINT_TEXTS,
)
from oneshot.report.errors import AnalysisError
from oneshot.store.tables import METRICS as STORED_METRICS

REMAKE = "run_sweep.py makes the tables anew from the records: run the sweep's command again."
# the largest value that a metric of the plane can have
LARGEST = {"diversity": 1e6, "recognizability": 100 + 1e-6}


def empty_table() -> pd.DataFrame:
    """The table that a sweep did not leave."""
    return pd.DataFrame({"point_id": pd.Series(dtype=str)})


def read_parquet(file: Path) -> pyarrow.Table:
    """Read a Parquet file and compare its checksums.

    Args:
        file: The file.

    Returns:
        The table, every value of it decoded and validated.

    Raises:
        AnalysisError: The file is damaged.
    """
    try:
        table = pyarrow.parquet.read_table(file, page_checksum_verification=True)
        table.validate(full=True)
        _ = table.schema.names  # decodes the names, which may raise too
        return table
    except (OSError, pyarrow.ArrowException, ValueError, MemoryError) as error:
        raise AnalysisError(f"cannot read {file}: {_first_line(error)}", REMAKE) from None


def checked_points(table: pyarrow.Table, file: Path, warnings: list[str]) -> pd.DataFrame:
    """Check the table of the points.

    Numbers that cannot be count as empty; rows without a key and repeated points are left out.

    Args:
        table: The table as read.
        file: Its file, named in messages.
        warnings: What was passed over is appended, a sentence each.

    Returns:
        One row a point, each with an id, a status, a model and a seed.

    Raises:
        AnalysisError: The table lacks a column that every row needs, or one holds another type.
    """
    frame = _scalar_columns(table, file, warnings)
    lacking = [name for name in (*POINT_TEXTS, "seed", *POINT_NUMBERS) if name not in frame]
    if lacking:
        raise AnalysisError(f"{file} lacks {_column_names(lacking)}", REMAKE)
    wrong = [name for name in POINT_TEXTS if not _are_texts(frame[name])]
    wrong += [name for name in ("seed", *POINT_NUMBERS) if not _are_numbers(frame[name])]
    if wrong:
        raise AnalysisError(
            f"{file} holds something else than it should in {_column_names(wrong)}", REMAKE
        )
    for name in [name for name in (*STORED_METRICS, *METRICS, *EXTRA_METRICS) if name in frame]:
        if _are_numbers(frame[name]):
            frame[name] = frame[name].astype(float)
        else:
            warnings.append(
                f"{file}: {name} holds something else than numbers, and counts as empty"
            )
            frame[name] = np.nan
    for name, most in LARGEST.items():
        odd = (frame[name] < 0) | (frame[name] > most)
        if odd.any():
            warnings.append(
                f"{file}: {name} of {_row_count(odd.sum())} cannot be"
                f" ({frame.loc[odd, name].iloc[0]:.6g}), and counts as empty"
            )
            frame[name] = frame[name].mask(odd)
    frame = _rows_with_keys(frame, [*POINT_TEXTS, "seed"], file, warnings)
    again = frame["point_id"].duplicated()
    if again.any():
        warnings.append(
            f"{file}: {_row_count(again.sum())} passed over, as the same points stand in others"
        )
    return frame[~again].reset_index(drop=True)


def read_detail_table(file: Path, warnings: list[str]) -> pd.DataFrame:
    """Read one of the tables beside that of the points.

    Args:
        file: The Parquet file; its name says which table it is.
        warnings: What was passed over is appended, a sentence each.

    Returns:
        The table; empty if there is none, and, with a warning, if it is damaged or of another make.
    """
    if not file.is_file():
        return empty_table()
    try:
        frame = _scalar_columns(read_parquet(file), file, warnings)
    except AnalysisError as error:
        warnings.append(f"{error}; done without it")
        return empty_table()
    if frame.empty:
        return empty_table()
    texts, numbers = DETAIL_COLUMNS[file.stem]
    texts = ("point_id", *texts)
    lacking = [name for name in (*texts, *numbers) if name not in frame]
    if lacking:
        warnings.append(f"{file} lacks {_column_names(lacking)}; done without it")
        return empty_table()
    losses = [str(name) for name in frame if file.stem == "curves" and str(name).endswith("_loss")]
    wrong = [name for name in texts if not _are_texts(frame[name])]
    wrong += [name for name in (*numbers, *losses) if not _are_numbers(frame[name])]
    if wrong:
        warnings.append(
            f"{file} holds something else than it should in {_column_names(wrong)}; done without it"
        )
        return empty_table()
    frame = _rows_with_keys(
        frame,
        [name for name in (*texts, *numbers) if name == "point_id" or name in KEYS],
        file,
        warnings,
    )
    return frame if len(frame) else empty_table()


def _scalar_columns(table: pyarrow.Table, file: Path, warnings: list[str]) -> pd.DataFrame:
    """The columns that hold one text or finite number a row; lists, bytes and repeated names go."""
    kept: list[int] = []
    for i, column in enumerate(table.schema):
        kind = pyarrow.types
        odd = (
            kind.is_nested(column.type)
            or kind.is_binary(column.type)
            or kind.is_large_binary(column.type)
        )
        if odd or column.name in {table.schema.names[j] for j in kept}:
            warnings.append(f"{file}: a column {column.name} of another make is passed over")
        else:
            kept.append(i)
    try:
        frame = table.select(kept).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise AnalysisError(f"cannot read {file}: {_first_line(error)}", REMAKE) from None
    for name in frame.select_dtypes("float"):
        infinite = np.isinf(frame[name])
        if infinite.any():
            warnings.append(
                f"{file}: {name} of {_row_count(infinite.sum())} is not finite, and counts as empty"
            )
            frame[name] = frame[name].mask(infinite)
    return frame


def _rows_with_keys(
    frame: pd.DataFrame, names: Sequence[str], file: Path, warnings: list[str]
) -> pd.DataFrame:
    """The rows in which none of these columns is empty."""
    whole = frame[list(names)].notna().all(axis=1)
    if not whole.all():
        warnings.append(
            f"{file}: {_row_count((~whole).sum())} passed over, as they do not say of what they are"
        )
    return frame[whole]


def _are_texts(values: pd.Series) -> bool:
    """Whether all values are texts or empty."""
    return pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty")


def _are_numbers(values: pd.Series) -> bool:
    """Whether all values are numbers or empty."""
    return pd.api.types.is_numeric_dtype(values) or not values.notna().any()


def _row_count(count: Any) -> str:
    """`3 rows`."""
    count = int(count)
    return f"{count:,} row{'s' * (count != 1)}"


def _column_names(names: Sequence[str]) -> str:
    """`the columns a, b`."""
    return f"the column{'s' * (len(names) > 1)} {', '.join(names)}"


def _first_line(error: BaseException) -> str:
    """The first line of an error's message, else its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]
