"""Who writes the tables of a sweep that runs in shards, and that no record is left out of them."""

from __future__ import annotations

from pathlib import Path

import made_runs
import pandas as pd
import pytest

from oneshot.engine.sweep_tables import SweepTables
from oneshot.store import lease, records
from oneshot.store.lease import Lease, Taken
from oneshot.store.shards import TABLES_ONLY, check_others, folder
from oneshot.store.store import Store
from oneshot.sweep.shards import Shard


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats every tenth of a second, so that a living driver is soon seen to live."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)


def test_one_writes_and_the_next_takes_over(tmp_path: Path) -> None:
    first, second = (SweepTables(Store(tmp_path), "q") for _ in range(2))
    assert first.take() and first.take() and not second.take()
    note = lease.last_note(Store(tmp_path), "q")
    assert note and note[TABLES_ONLY]
    first.release()
    assert second.take() and not first.take()
    second.release()


def test_records_that_come_while_the_last_one_writes_are_in_the_tables(tmp_path: Path) -> None:
    """The other shard ends after the records were read and before the lease is given back."""
    made = made_runs.planned(tmp_path)
    store, (early, late, _) = made.store, made.points
    records.commit(store, "made", made_runs.record(early))
    mine, other = SweepTables(store, "made"), SweepTables(store, "made")
    written = []

    def write() -> None:
        made.compact()
        if not written:
            records.commit(store, "made", made_runs.record(late))
            other.write_last(lambda: False, lambda: written.append("other"))
        written.append("mine")

    mine.write_last(lambda: bool(made.log.update()), write)
    assert written == ["mine", "mine"], "the other left its record to the one that wrote"
    table = pd.read_parquet(tmp_path / "results" / "made" / "points.parquet")
    assert set(table["point_id"]) == {early.point_id, late.point_id}


def test_shards_of_the_same_parts_go_together(tmp_path: Path) -> None:
    made = made_runs.planned(tmp_path)
    with (
        Lease(made.store, folder("made", made.all_points, Shard(1, 2))),
        Lease(made.store, folder("made", made.all_points, Shard(2, 2))),
        Lease(made.store, "made", lambda: {TABLES_ONLY: True}),
    ):
        check_others(made.store, "made", made.all_points, Shard(1, 2), print)


@pytest.mark.parametrize("shard", [None, Shard(1, 3)])
def test_a_run_of_other_parts_or_of_the_whole_is_refused(
    shard: Shard | None, tmp_path: Path
) -> None:
    made = made_runs.planned(tmp_path)
    theirs = folder("made", made.all_points, Shard(2, 2))
    with Lease(made.store, theirs), pytest.raises(Taken, match=r"made, shard 2/2, is being run"):
        check_others(made.store, "made", made.all_points, shard, print)
    check_others(made.store, "made", made.all_points, shard, print)


def test_a_shard_is_refused_beside_a_run_of_the_whole(tmp_path: Path) -> None:
    made = made_runs.planned(tmp_path)
    with Lease(made.store, "made"), pytest.raises(Taken, match="made is being run by"):
        check_others(made.store, "made", made.all_points, Shard(1, 2), print)
    check_others(made.store, "made", made.all_points, Shard(1, 2), print)


def test_a_run_of_each_shard_leaves_the_table_of_all(tmp_path: Path) -> None:
    for index in (1, 2, 3):
        made = made_runs.planned(tmp_path, shard=Shard(index, 3))
        assert len(made.points) == 1 and len(made.all_points) == 3
        outcome = made_runs.run(made)
        assert outcome.counts["done"] == 1 and not outcome.missing
        table = pd.read_parquet(tmp_path / "results" / "made" / "points.parquet")
        assert len(table) == index
