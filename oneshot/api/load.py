"""load: the table of points of results, joined over sweeps, as analyze.py reads it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from oneshot.paths import user_path
from oneshot.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


def load(results: str | Path | Iterable[str | Path], where: str = "") -> pd.DataFrame:
    """The table of points of one sweep, or of several together.

    What is passed over, as a damaged table, is named in warnings.

    Args:
        results: folder of a sweep, or of results with one sweep in it; or the URI of a sweep; or
            several of them.
        where: only rows for which this holds, as in "beta <= 1"; people, copies and noise stay
            unless it names a column that they have.

    Returns:
        One row a point: its settings, how it ended, and what it scored.

    Raises:
        AnalysisError: there are no results, or they cannot be compared.
        FilterError: a mistake in `where`.
    """
    from oneshot.report import results as report
    from oneshot.report.select import select
    from oneshot.report.table import exact_types, points_table

    given = [results] if isinstance(results, (str, Path)) else list(results)
    with tempfile.TemporaryDirectory() as copies:
        parts = [report.load(_local(one, Path(copies, str(i)))) for i, one in enumerate(given)]
    joined = report.join(parts)
    for text in joined.warnings:
        warnings.warn(text, stacklevel=2)
    chosen = select(joined, where) if where else joined
    table = points_table(chosen, [str(name) for name in chosen.points])
    return exact_types(chosen, table).reset_index(drop=True)


def points_of(store: Store, sweep: str) -> pd.DataFrame:
    """The table of points of a sweep in a store.

    Args:
        store: of the results.
        sweep: its name.

    Returns:
        The table, as `load` gives it.
    """
    folder = store.local(sweep)
    return load(uri_of(store, sweep) if folder is None else folder)


def place_of(results: str | Path) -> tuple[Store, str]:
    """The store that results are in, and the name of the sweep.

    Args:
        results: folder of a sweep, or of results with one sweep in it; or the URI of a sweep.

    Returns:
        Both.

    Raises:
        AnalysisError: there are no results, or those of several sweeps.
    """
    if "://" in str(results):
        address, mark, parameters = str(results).partition("?")
        root, _, sweep = address.rstrip("/").rpartition("/")
        return Store(root + mark + parameters), sweep
    from oneshot.report.results import sweep_folder

    folder = sweep_folder(Path(user_path(str(results)))).absolute()
    return Store(folder.parent), folder.name


def uri_of(store: Store, sweep: str) -> str:
    """The URI of a sweep in an object store.

    Args:
        store: of the results.
        sweep: its name.

    Returns:
        The URI, which `load` reads.
    """
    root, mark, parameters = store.root.partition("?")
    return f"{root.rstrip('/')}/{sweep}{mark}{parameters}"


def _local(results: str | Path, copies: Path) -> Path:
    """The folder of results; of those in an object store a copy of the table, made in `copies`."""
    if "://" not in str(results):
        return Path(user_path(str(results)))
    store, sweep = place_of(results)
    folder = copies / sweep
    folder.mkdir(parents=True)
    (folder / "points.parquet").write_bytes(store.read(f"{sweep}/points.parquet"))
    return folder
