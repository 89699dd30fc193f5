"""Many records: parts, what is read again and what is not, tables in the middle of a run, and the
requests to an object store.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import s3

from oneshot.store import compaction, parts
from oneshot.store import records as rows
from oneshot.store.compaction import compact
from oneshot.store.log import Log
from oneshot.store.records import Record
from oneshot.store.row_check import later_settings
from oneshot.store.store import Store


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "KEPT", 6)
    monkeypatch.setattr(parts, "PART", 4)
    monkeypatch.setattr(compaction, "ROW_GROUP", 3)


def made(index: int, value: float = 0.5, **curves: list[float]) -> Record:
    row = dict(
        point_id=f"p{index:03d}",
        status="done",
        model="vae_stn",
        beta=index / 4,
        seed=44,
        z=3,
        sweep="q",
        error=None,
        note="é",
    )
    classes = {"class_name": ["a", "b"], "drawings": [3, 3], "diversity": [value, index + 0.125]}
    return Record(row, classes, {"epoch": [0, 1], "train_loss": [2.0, float("nan")], **curves})


def write(store: Store, *records: Record) -> None:
    for one in records:
        store.write(rows.key("q", one.row["point_id"]), rows.encode(one))


def compacted(log: Log, whole: bool = True) -> None:
    compact(
        log.store,
        "q",
        [r for _, r in sorted(log.records.items())],
        ["beta"],
        {"question": "?"},
        whole,
        log.parts,
    )


def opened(store: Store, rows_only: bool = False) -> Log:
    log = Log(store, "q", rows_only)
    log.update()
    return log


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a sweep, in an order that does not depend on parts."""
    found = {
        kind: pd.read_parquet(folder / f"{kind}.parquet")
        for kind in ("points", "classes", "curves")
    }
    return {
        kind: t.sort_values("point_id", kind="stable").reset_index(drop=True)
        for kind, t in found.items()
    }


def assert_as_from_memory(store: Store, records: list[Record], folder: Path) -> None:
    """The tables are those that the same records make without a log."""
    compact(store, "memory", records, ["beta"], {"question": "?"})
    for kind, expected in tables(folder / "memory").items():
        found = tables(folder / "q")[kind]
        pd.testing.assert_frame_equal(found[expected.columns], expected)
        assert set(found) == set(expected)


class Counting(Store):
    """A store that counts what is read."""

    def __init__(self, root: str | Path):
        super().__init__(root)
        self.reads: list[str] = []

    def fetch(self, key: str) -> tuple[bytes, str]:
        self.reads.append(key)
        return super().fetch(key)

    def records_read(self) -> list[str]:
        found = sorted(Path(k).stem for k in self.reads if "/records/" in k)
        self.reads.clear()
        return found


def test_parts_make_the_same_tables_as_memory(tmp_path: Path) -> None:
    store, records = Store(tmp_path), [made(i) for i in range(18)] + [made(18, gap=[1.0, 2.0])]
    records[3] = Record({**records[3].row, "status": "failed"})
    write(store, *records)
    compacted(opened(store))
    names = {p.name for p in (tmp_path / "q/parts").iterdir()}
    assert names == {
        f"{i:05d}-{kind}.parquet" for i in range(4) for kind in ("classes", "curves", "rows")
    }
    assert_as_from_memory(store, records, tmp_path)
    again = opened(store)
    later = later_settings("vae_stn")
    assert {i: r.row for i, r in again.records.items()} == {
        r.row["point_id"]: later | rows.decode(rows.encode(r)).row for r in records
    }
    compacted(again)
    assert_as_from_memory(store, records, tmp_path)
    assert [str(t) for t in pq.read_schema(tmp_path / "q/classes.parquet").types] == [
        "string",
        "string",
        "int64",
        "double",
    ]


def test_few_records_make_no_parts_and_arrays_of_many_leave_memory(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write(store, *(made(i) for i in range(6)))
    log = opened(store)
    compacted(log)
    assert not (tmp_path / "q/parts").exists()
    write(store, *(made(i) for i in range(6, 30)))
    log.update()
    assert sum(bool(r.classes) for r in log.records.values()) == 6
    compacted(log)
    assert len(pd.read_parquet(tmp_path / "q/classes.parquet")) == 60


def test_a_command_that_starts_reads_only_records_that_are_in_no_part(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    write(store, *(made(i) for i in range(18)))
    compacted(opened(store))
    store.reads.clear()
    again = opened(store)
    assert store.records_read() == ["p016", "p017"] and len(again.records) == 18
    compacted(again)
    assert store.records_read() == [] and again.update() == []
    assert len(opened(store, rows_only=True).records) == 18 and len(store.records_read()) == 2


def test_a_record_that_changed_is_read_again_and_its_old_arrays_are_gone(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    records = [made(i) for i in range(18)]
    write(store, *records)
    compacted(opened(store))
    same_size, longer = made(2, 0.25), made(5, 0.75, gap=[1.0, 2.0])
    before = os.stat(tmp_path / "q/records/p002.json")
    write(store, same_size, longer)
    assert os.stat(tmp_path / "q/records/p002.json").st_size == before.st_size
    records[2], records[5] = same_size, longer
    store.reads.clear()
    log = opened(store)
    assert store.records_read() == ["p002", "p005", "p016", "p017"]
    compacted(log)
    assert_as_from_memory(store, records, tmp_path)
    # the same log, while it runs; these make a part that replaces others
    write(store, *(made(i, 9.0) for i in range(2, 9)))
    records[2:9] = [made(i, 9.0) for i in range(2, 9)]
    assert len(log.update()) == 7
    compacted(log)
    assert_as_from_memory(store, records, tmp_path)
    (tmp_path / "q/records/p003.json").unlink()  # a point that somebody wants anew
    compacted(opened(store))
    assert_as_from_memory(store, [r for r in records if r.row["point_id"] != "p003"], tmp_path)


def test_damaged_records_and_parts_are_noticed_and_mended(tmp_path: Path) -> None:
    store, records = Store(tmp_path), [made(i) for i in range(18)]
    write(store, *records)
    compacted(opened(store))
    torn = tmp_path / "q/records/p001.json"
    torn.write_bytes(torn.read_bytes()[:300])
    with pytest.warns(UserWarning, match=r"p001\.json is damaged"):
        log = opened(store)
    assert "p001" not in log.records and len(log.records) == 17
    write(store, records[1])
    for name in ("00000-rows", "00001-classes"):
        path = tmp_path / f"q/parts/{name}.parquet"
        data = bytearray(path.read_bytes())
        data[40:60] = bytes(20)
        path.write_bytes(data)
    with pytest.warns(UserWarning, match="00000-rows.parquet is damaged"):
        log = opened(store)
    assert len(log.records) == 18
    with pytest.warns(UserWarning, match="00001-classes.parquet is damaged"):
        compacted(log)
    assert_as_from_memory(store, records, tmp_path)
    (tmp_path / "q/parts/00000-rows.parquet").unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compacted(opened(store))
    assert_as_from_memory(store, records, tmp_path)


def test_tables_of_arrays_lag_in_the_middle_of_a_run_and_are_mended_by_the_next_whole_fold(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)

    def counts() -> tuple[int, int]:
        return tuple(len(t) for t in list(tables(tmp_path / "q").values())[:2])  # type: ignore[return-value]

    write(store, *(made(i) for i in range(40)))
    log = opened(store)
    compacted(log, whole=False)
    assert counts() == (40, 80)  # the first fold of a process is whole
    write(store, *(made(i) for i in range(40, 43)))
    log.update()
    compacted(log, whole=False)
    assert counts() == (43, 80)
    again = opened(store)  # as after a driver that was killed
    compacted(again, whole=False)
    assert counts() == (43, 86)
    write(store, *(made(i) for i in range(43, 48)))
    again.update()
    compacted(again, whole=False)
    assert counts() == (48, 96)  # a tenth more
    write(store, made(48))
    again.update()
    compacted(again, whole=False)
    assert counts() == (49, 96)
    compacted(again)
    assert counts() == (49, 98)


def test_a_table_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    write(store, *(made(i) for i in range(10)))
    log = opened(store)
    compacted(log)
    before = {p.name: p.read_bytes() for p in (tmp_path / "q").glob("*.parquet")}
    write(store, *(made(i) for i in range(10, 30)))
    log.update()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space"):
            compacted(log)
    assert {p.name: p.read_bytes() for p in (tmp_path / "q").glob("*.parquet")} == before
    assert not list((tmp_path / "q").rglob(".*tmp"))
    compacted(log)
    assert_as_from_memory(store, [made(i) for i in range(30)], tmp_path)


def test_requests_to_an_object_store(remote: Store, server: s3.Server, tmp_path: Path) -> None:
    store, records = remote, [made(i) for i in range(18)]
    write(store, *records)

    def asked() -> Counter[str]:
        lines = server.log()
        return Counter("LIST" if "list-type" in line else line.split()[0] for line in lines)

    asked()
    log = opened(store)
    assert asked() == {"LIST": 2, "GET": 18}  # records and parts are listed
    compacted(log)
    assert asked()["LIST"] == 0
    assert log.update() == [] and asked() == {"LIST": 1}
    again = opened(store)
    assert asked() == {"LIST": 2, "GET": 6}  # the rows of 4 parts, 2 records
    write(store, made(18), made(19))
    asked()
    assert len(again.update(["p018", "p017", "p050"])) == 1 and asked() == {"GET": 3}
    assert again.update(["p018"]) == [] and asked() == {"GET": 1}
    assert len(again.update()) == 1 and asked() == {"LIST": 1, "GET": 1}  # p018 was read already
    compacted(again)
    for kind in ("points", "classes", "curves"):
        path = tmp_path / f"q/{kind}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(store.read(f"q/{kind}.parquet"))
    assert_as_from_memory(Store(tmp_path), [made(i) for i in range(20)], tmp_path)
    assert np.isfinite(tables(tmp_path / "q")["classes"]["diversity"]).all()
