"""oneshot.load: the table of the command, from folders and from an object store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import s3
import small

import oneshot
from oneshot.api.load import uri_of
from oneshot.report.errors import AnalysisError
from oneshot.store.store import Store


def test_the_table_is_that_of_the_command(folder: Path, tmp_path: Path) -> None:
    written = tmp_path / "points.parquet"
    words = [folder, "--no-figures", "--parquet", written, "--top", "0"]
    assert small.main(*words, script="analyze.py").returncode == 0
    table = oneshot.load(folder)
    pd.testing.assert_frame_equal(table, pd.read_parquet(written).reset_index(drop=True))
    assert len(table) == 6 and str(table["epochs"].dtype) in ("int64", "Int64")
    chosen = oneshot.load(str(folder.parent), where="beta >= 1")
    assert set(chosen["model"]) == {"vae_stn", "human", "copy", "noise"}
    assert sorted(chosen["beta"].dropna()) == [1.0, 2.0]
    assert len(oneshot.load([folder, folder])) == 6, "points of both are taken once"


def test_tables_of_an_object_store_are_read(folder: Path, s3_server: s3.Server) -> None:
    store = Store(s3_server.uri)
    store.write("small/points.parquet", (folder / "points.parquet").read_bytes())
    assert "?" in s3_server.uri, "the address of the server stands behind the folder"
    there = oneshot.load(uri_of(store, "small"))
    pd.testing.assert_frame_equal(there, oneshot.load(folder))


def test_results_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="there is no folder"):
        oneshot.load(tmp_path / "nothing")
    with pytest.raises(AnalysisError, match="there is no folder"):
        oneshot.model(tmp_path / "nothing", "1")
