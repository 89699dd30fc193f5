"""The sheets of points, as the store keeps them, and which of them to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from oneshot.report.results import Results
from oneshot.report.select import evenly_spaced
from oneshot.scoring import sheet_files
from oneshot.types import Status

Sheets = dict[str, np.ndarray]  # by name: uint8 [rows, columns, H, W, C]


def has_sheets(results: Results) -> bool:
    """Whether the store keeps a sheet of any point."""
    return len(_kept(results)) > 0


def read_sheets(results: Results, sample_id: str) -> Sheets:
    """The sheets of a point, from the store beside the sweep's folder.

    Args:
        results: The results.
        sample_id: The `sample_id` of the point.

    Returns:
        Sorted by name; without those that are not, no longer or not wholly there.
    """
    sheets: Sheets = {}
    for file in sorted((_folder(results) / sample_id).glob("*.npz")):
        try:
            sheets[file.stem] = sheet_files.from_bytes(file.read_bytes(), str(file))
        except Exception:  # a damaged archive raises whatever its bytes lead to
            continue
    return sheets


def sheets_to_show(results: Results, most: int) -> list[tuple[pd.Series, Sheets]]:
    """The sheets of a few points, evenly spaced in the order of the table, so not chosen.

    Args:
        results: The results.
        most: How many points at most.

    Returns:
        Rows of points with their sheets; each set of drawings once.
    """
    kept = [row for _, row in _kept(results).drop_duplicates("sample_id").iterrows()]
    read = [(row, read_sheets(results, row["sample_id"])) for row in evenly_spaced(kept, most)]
    return [(row, sheets) for row, sheets in read if sheets]


def _kept(results: Results) -> pd.DataFrame:
    """The points of models that are done, and of whose drawings sheets are kept."""
    rows, folder = results.requested, _folder(results)
    if "sample_id" not in rows or not folder.is_dir():
        return rows[:0]
    there = {path.name for path in folder.iterdir()}
    return rows[(rows["status"] == Status.DONE) & rows["sample_id"].isin(there)]


def _folder(results: Results) -> Path:
    """Where the sheets of all points lie."""
    return Path(results.folder).parent / sheet_files.FOLDER
