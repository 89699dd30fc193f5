"""Tables keep one schema, and are made of records of any age."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import s3
from made_records import record

from oneshot.store import compaction
from oneshot.store import records as rows
from oneshot.store.compaction import check_format, compact
from oneshot.store.log import Log
from oneshot.store.records import NewerFormat, Record
from oneshot.store.store import Store


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


def test_a_newer_table_is_noticed_by_its_end_alone(remote: Store, server: s3.Server) -> None:
    check_format(remote, "q")
    assert dict(server.count()) == {"HEAD": 1}
    compact(
        remote,
        "q",
        [Record(dict(point_id=f"p{i}", status="done", model="vae_stn", seed=i)) for i in range(2)],
        ["beta"],
        {},
    )
    check_format(remote, "q")
    table = pq.read_table(io.BytesIO(remote.read("q/points.parquet")))
    buffer, many = io.BytesIO(), table.take(np.arange(100_000) % 2)
    many = many.set_column(0, "point_id", [[f"{i:08x}" for i in range(100_000)]])
    pq.write_table(many.replace_schema_metadata({b"oneshot": b'{"format": 99}'}), buffer)
    remote.write("q/points.parquet", buffer.getvalue())
    server.log()
    with pytest.raises(NewerFormat, match=r"s3://bucket/.*/q has table format 99"):
        check_format(remote, "q")
    read = sum(int(line.split()[2]) for line in server.log() if line.startswith("GET"))
    assert 0 < read < len(buffer.getvalue()) / 3
    remote.write("q/points.parquet", b"PAR1 not really")
    check_format(remote, "q")
    with server.faults(dict(what="500", times=2, method="GET")):
        remote.write("q/points.parquet", buffer.getvalue())
        with pytest.raises(NewerFormat):
            check_format(remote, "q")
