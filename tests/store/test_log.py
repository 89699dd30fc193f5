"""A log reads each record once, and says which are damaged."""

from __future__ import annotations

import base64
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_records import record

from oneshot.store import records
from oneshot.store.compaction import compact
from oneshot.store.log import Log
from oneshot.store.records import NewerFormat
from oneshot.store.store import Store


def test_a_record_survives_the_round_trip_and_is_plain_json(tmp_path: Path) -> None:
    store = Store(tmp_path)
    records.commit(store, "q", record("p1", diversity=float("inf")))
    data = json.loads((tmp_path / "q/records/p1.json").read_text())
    assert data["row"]["diversity"] is None
    assert np.isnan(
        np.frombuffer(base64.b64decode(data["classes"]["diversity"]["float64"]), "<f8")
    ).tolist() == [False, True]
    log = Log(store, "q")
    assert [r.row["point_id"] for r in log.update()] == ["p1"] and log.update() == []
    store.write("q/records/p1.json", records.encode(record("p1", beta=2.0)))
    assert [r.row["beta"] for r in log.update()] == [2.0]


def test_a_torn_record_is_named_and_counts_as_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(3):
        records.commit(store, "q", record(f"p{i}"))
    (tmp_path / "q/records/p1.json").write_bytes(
        (tmp_path / "q/records/p1.json").read_bytes()[:100]
    )
    (tmp_path / "q/records/.p9.json.1.tmp").write_bytes(b"{")
    log = Log(store, "q")
    with pytest.warns(UserWarning, match=r"p1\.json is damaged"):
        log.update()
    assert set(log.records) == {"p0", "p2"}


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    encoded = records.encode(record("p1")).replace(b'"format": 4', b'"format": 9')
    body = encoded.rstrip(b"\n").rpartition(b"\n")[0] + b"\n"
    import hashlib

    store = Store(tmp_path)
    store.write(
        "q/records/p1.json", body + f'"sha256": "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    )
    with pytest.raises(NewerFormat, match="record format 9"):
        Log(store, "q").update()


def test_a_log_reads_each_record_once_and_rows_alone_where_no_more_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, reads = Store(tmp_path), []
    for i in range(3):
        records.commit(store, "q", record(f"p{i}"))
    whole = Store.fetch
    monkeypatch.setattr(Store, "fetch", lambda self, key: reads.append(key) or whole(self, key))  # type: ignore[func-returns-value]
    log = Log(store, "q")
    assert [r.row["point_id"] for r in log.update(["p1", "p7"])] == ["p1"]
    assert len(log.update()) == 2 and len(reads) == 3
    quick = Log(store, "q", rows_only=True)
    quick.update()
    assert [r.row for _, r in sorted(quick.records.items())] == [
        log.records[f"p{i}"].row for i in range(3)
    ]
    assert not any(r.classes or r.curves for r in quick.records.values())
    assert store.version("q/records/p7.json") is None
    assert (
        store.version("q/records/p1.json")
        == store.versions("q/records")["p1.json"]
        == log.version("p1")
    )


def test_no_warning_for_whole_records(tmp_path: Path) -> None:
    records.commit(Store(tmp_path), "q", record("p1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Log(Store(tmp_path), "q").update()


def test_rows_from_before_a_setting_was_added_have_its_default(tmp_path: Path) -> None:
    """In the log, so that they count as rows of the sweep, and in the table."""
    store = Store(tmp_path)
    old = record("0" * 16)
    assert "critic_seed" not in old.row and "panel" not in old.row
    records.commit(store, "q", old)
    log = Log(store, "q")
    log.update()
    assert log.records["0" * 16].row["critic_seed"] == 0 and log.records["0" * 16].row["panel"]
    compact(store, "q", [old], ["beta"], {})
    frame = pd.read_parquet(tmp_path / "q/points.parquet")
    assert (frame.critic_seed[0], frame.panel[0], frame.human_file[0]) == (0, True, "")
