"""The store writes whole files or none; records are checked; tables keep one schema."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from oneshot.store import compaction
from oneshot.store import records as rows
from oneshot.store.compaction import check_format, compact
from oneshot.store.log import Log
from oneshot.store.records import NewerFormat, Record
from oneshot.store.store import DamagedFile, Store


def record(point_id: str, status: str = "done", **more: object) -> Record:
    row = (
        dict(point_id=point_id, status=status, model="vae_stn", beta=1.0, seed=44, z=3, sweep="q")
        | more
    )
    classes = (
        {"class_name": ["a", "b"], "diversity": [1.0, float("nan")]} if status == "done" else {}
    )
    return Record(row, classes, {"epoch": [0, 1], "loss": [2.0, 1.0]})


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.write("a/b.json", b"old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.write("a/b.json", b"new and longer")
    assert store.read("a/b.json") == b"old"
    assert store.names("a") == ["b.json"] and len(list((tmp_path / "a").iterdir())) == 1


def test_a_store_by_uri_is_the_same_store(tmp_path: Path) -> None:
    remote, local = Store(f"file://{tmp_path}"), Store(tmp_path)
    remote.write("a/x.json", b"1")
    assert (
        local.read("a/x.json") == b"1"
        and remote.exists("a/x.json")
        and not remote.exists("a/y.json")
    )
    assert set(remote.names("a", ".json")) == set(local.names("a", ".json")) == {"x.json"}
    assert remote.names("nowhere") == [] == local.names("nowhere")
    remote.delete("a/x.json")
    assert not local.exists("a/x.json")


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:20], lambda d: b"", lambda d: d[:50] + b"?" + d[51:]]
)
def test_a_damaged_file_is_noticed_named_and_set_aside(tmp_path: Path, damage: object) -> None:
    store = Store(tmp_path)
    store.seal("w.pt", b"weights " * 10)
    assert store.unseal("w.pt") == b"weights " * 10
    (tmp_path / "w.pt").write_bytes(damage((tmp_path / "w.pt").read_bytes()))  # type: ignore[operator]
    with pytest.raises(DamagedFile, match=r"w\.pt is damaged"):
        store.unseal("w.pt")
    assert store.exists(store.set_aside("w.pt")) and not store.exists("w.pt")


def test_a_record_survives_the_round_trip_and_is_plain_json(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows.commit(store, "q", record("p1", diversity=float("inf")))
    data = json.loads((tmp_path / "q/records/p1.json").read_text())
    assert data["row"]["diversity"] is None
    assert np.isnan(
        np.frombuffer(base64.b64decode(data["classes"]["diversity"]["float64"]), "<f8")
    ).tolist() == [False, True]
    log = Log(store, "q")
    assert [r.row["point_id"] for r in log.update()] == ["p1"] and log.update() == []
    store.write("q/records/p1.json", rows.encode(record("p1", beta=2.0)))
    assert [r.row["beta"] for r in log.update()] == [2.0]


def test_a_torn_record_is_named_and_counts_as_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(3):
        rows.commit(store, "q", record(f"p{i}"))
    (tmp_path / "q/records/p1.json").write_bytes(
        (tmp_path / "q/records/p1.json").read_bytes()[:100]
    )
    (tmp_path / "q/records/.p9.json.1.tmp").write_bytes(b"{")
    log = Log(store, "q")
    with pytest.warns(UserWarning, match=r"p1\.json is damaged"):
        log.update()
    assert set(log.records) == {"p0", "p2"}


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    encoded = rows.encode(record("p1")).replace(b'"format": 4', b'"format": 9')
    body = encoded.rstrip(b"\n").rpartition(b"\n")[0] + b"\n"
    import hashlib

    store = Store(tmp_path)
    store.write(
        "q/records/p1.json", body + f'"sha256": "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    )
    with pytest.raises(NewerFormat, match="record format 9"):
        Log(store, "q").update()


def test_a_generalization_curve_survives_the_round_trip_and_makes_a_table_only_where_there_is_one(
    tmp_path: Path,
) -> None:
    store, made = Store(tmp_path), record("p1", generalization_area=0.76)
    made.generalization.update(bin=[1, 2], originality=[0.25, 0.5], recognizability=[99.0, 91.5])
    rows.commit(store, "q", made)
    rows.commit(store, "q", record("p2"))
    log = Log(store, "q")
    log.update()
    compact(store, "q", [log.records[i] for i in ("p1", "p2")], ["beta"], {})
    table = pd.read_parquet(tmp_path / "q/generalization.parquet")
    assert (
        table.to_dict("list") == {"point_id": ["p1"] * 2, **made.generalization}
        and table["bin"].dtype == "int64"
    )
    points = pd.read_parquet(tmp_path / "q/points.parquet")
    assert points.generalization_area[0] == 0.76 and points.generalization_coverage.isna().all()
    compact(store, "without", [log.records["p2"]], ["beta"], {})
    assert not (tmp_path / "without/generalization.parquet").exists()


def test_tables_have_one_schema_axes_first_and_failed_rows_with_nulls(tmp_path: Path) -> None:
    store = Store(tmp_path)
    done = record("p1", diversity=1.5, finished_at="2026-01-02T03:04:05+00:00", epochs=3)
    records = [
        record("p0", "failed", error="E"),
        done,
        Record(dict(point_id="p2", status="done", model="human", seed=44)),
    ]
    compact(store, "q", records, ["z", "beta"], {"question": "?"})
    frame = pd.read_parquet(tmp_path / "q/points.parquet")
    assert list(frame.columns[:6]) == ["point_id", "status", "model", "z", "beta", "seed"]
    assert frame.status.tolist() == [
        "failed",
        "done",
        "done",
    ] and frame.diversity.isna().tolist() == [True, False, True]
    assert frame.finished_at.dt.year[1] == 2026 and str(frame.finished_at.dt.tz) == "UTC"
    meta = json.loads(pq.read_schema(tmp_path / "q/points.parquet").metadata[b"oneshot"])
    assert meta == {"format": rows.FORMAT, "axes": ["z", "beta"], "sweep": "q", "question": "?"}
    classes = pd.read_parquet(tmp_path / "q/classes.parquet")
    assert classes.point_id.tolist() == ["p1", "p1"] and classes.diversity.isna().tolist() == [
        False,
        True,
    ]
    assert len(pd.read_parquet(tmp_path / "q/curves.parquet")) == 4


def test_records_with_other_columns_and_more_than_one_row_group_make_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records as a log keeps them, with a column that some lack; the same as records made of
    lists.
    """
    monkeypatch.setattr(compaction, "ROW_GROUP", 2)
    store = Store(tmp_path)
    made = [record(f"p{i}") for i in range(4)] + [record("p4", "failed")]
    made[2].curves["gap"] = [0.5, float("inf")]
    for one in made:
        rows.commit(store, "q", one)
    log = Log(store, "q")
    log.update()
    assert sorted(log.records) == [f"p{i}" for i in range(5)]
    compact(store, "q", [log.records[f"p{i}"] for i in range(5)], ["beta"], {})
    curves = pd.read_parquet(tmp_path / "q/curves.parquet")
    assert pq.ParquetFile(tmp_path / "q/curves.parquet").num_row_groups == 3
    assert (
        curves.point_id.tolist() == [f"p{i}" for i in range(5) for _ in range(2)]
        and curves.epoch.tolist() == [0, 1] * 5
    )
    assert curves.gap[4] == 0.5 and curves.gap.notna().sum() == 1
    assert pd.read_parquet(tmp_path / "q/classes.parquet").groupby("point_id").size().to_dict() == {
        f"p{i}": 2 for i in range(4)
    }
    made[2].curves["gap"][1] = None
    compact(store, "lists", made, ["beta"], {})
    for name in ("points", "classes", "curves"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / f"lists/{name}.parquet"),
            pd.read_parquet(tmp_path / f"q/{name}.parquet"),
        )


def test_a_log_reads_each_record_once_and_rows_alone_where_no_more_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, reads = Store(tmp_path), []
    for i in range(3):
        rows.commit(store, "q", record(f"p{i}"))
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


def test_tables_of_nothing_can_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    compact(store, "q", [], ["beta"], {})
    assert len(pd.read_parquet(tmp_path / "q/points.parquet")) == 0


def test_a_table_of_a_newer_version_is_refused_and_a_damaged_one_is_not_in_the_way(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    compact(store, "q", [record("p1")], ["beta"], {})
    check_format(store, "q")
    table = pq.read_table(tmp_path / "q/points.parquet").replace_schema_metadata(
        {b"oneshot": b'{"format": 5}'}
    )
    pq.write_table(table, tmp_path / "q/points.parquet")
    with pytest.raises(NewerFormat, match="table format 5"):
        check_format(store, "q")
    (tmp_path / "q/points.parquet").write_bytes(b"PAR1 not really")
    check_format(store, "q")


def test_no_warning_for_whole_records(tmp_path: Path) -> None:
    rows.commit(Store(tmp_path), "q", record("p1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Log(Store(tmp_path), "q").update()


def test_records_of_the_first_format_are_still_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    body = (
        '{"row": {"format": 1, "point_id": "p1", "status": "done", "model": "vae_stn", "beta": 1.0,'
        ' "seed": 44, "z": 3, "sweep": "q"},\n'
    )
    body += (
        '"classes": {"class_name": ["a"], "diversity": [0.5]},\n"curves": {"epoch": [0, 1],'
        ' "train_loss": [2.5, null]},\n'
    )
    store.write(
        "q/records/p1.json",
        f'{body}"sha256": "{hashlib.sha256(body.encode()).hexdigest()}"}}\n'.encode(),
    )
    log = Log(store, "q")
    rows.commit(store, "q", record("p2"))
    log.update()
    compact(store, "q", [log.records["p1"], log.records["p2"]], ["z"], {})
    curves = pd.read_parquet(tmp_path / "q/curves.parquet")
    assert (
        curves.point_id.tolist()[:2] == ["p1", "p1"]
        and curves.train_loss.tolist()[0] == 2.5
        and np.isnan(curves.train_loss[1])
    )
