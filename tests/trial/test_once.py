"""Of processes that need the same input at once, one makes it; the others wait, and use it."""

from __future__ import annotations

import io
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from made_inputs import CPU, SIZE, Run, made, some_points

from oneshot.critics import simclr
from oneshot.store import notes
from oneshot.store.store import Store
from oneshot.trial import inputs, prepare


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Run, Run]]:
    """A sweep that trains SimCLR, held up in it, and one that came later and waits for it."""
    first = Run(tmp_path, "first")
    second = None
    try:
        first.until(lambda: first.trained() == ["simclr"])
        second = Run(tmp_path, "second")
        waits = f"waiting for SimCLR, which process {first.process.pid} on "
        second.until(lambda: waits in second.said())
        yield first, second
    finally:
        for run in filter(None, (first, second)):
            run.process.kill()
            run.process.wait()
            run.err.close()


def rows_of(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / name / "points.parquet")


HUMAN = [
    "human_diversity",
    "human_recognizability",
    "human_originality",
    "simclr_id",
    "protonet_id",
]


@pytest.mark.slow
def test_of_two_sweeps_at_once_one_makes_the_critics_and_both_use_them(
    two: tuple[Run, Run], tmp_path: Path
) -> None:
    first, second = two
    second.let_go()
    first.let_go()
    assert first.ended() == 0 and second.ended() == 0, first.said() + second.said()
    assert Counter(first.trained() + second.trained()) == {"simclr": 1, "protonet": 1}
    mine, theirs = (rows_of(tmp_path, run.name) for run in two)
    assert len(mine) == len(theirs) == 2 and set(mine.status) | set(theirs.status) == {"done"}
    assert len(pd.concat([mine[HUMAN], theirs[HUMAN]]).drop_duplicates()) == 1
    for run in two:
        assert len(pd.read_parquet(tmp_path / "results" / run.name / "critics.parquet")) == 2
    assert not list((tmp_path / "results").rglob("*.damaged-*"))


@pytest.mark.slow
def test_where_the_maker_is_killed_the_next_one_takes_over(
    two: tuple[Run, Run], tmp_path: Path
) -> None:
    first, second = two
    second.let_go()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    assert second.ended() == 0, second.said()
    assert first.trained() == ["simclr"] and second.trained() == ["simclr", "protonet"]
    rows = rows_of(tmp_path, "second")
    assert set(rows.status) == {"done"} and len(rows) == 2


def test_what_another_one_has_stored_is_used_and_not_replaced(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A maker that was taken for dead, and ends after the one that took its work over."""
    (point,) = some_points(tmp_path)
    other = simclr.SimCLR(SIZE)
    real = simclr.train

    def late(*given: Any) -> Any:
        buffer = io.BytesIO()
        torch.save(other.state_dict(), buffer)
        store.seal(point.critics["simclr"].weights_key, buffer.getvalue())
        return real(*given)

    monkeypatch.setattr(simclr, "train", late)
    prepare.prepare(point, store, CPU)
    used = inputs.load(point, store, CPU).critics
    assert used is not None
    for name, value in used.simclr.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    quality = notes.stored(store, point.critics["simclr"].quality_key)
    assert (
        quality is not None
        and quality["test_loss"] == simclr.quality(other.eval(), made(), None, 0, CPU)["test_loss"]
    )


def test_weights_without_their_quality_are_judged_and_not_trained_again(
    tmp_path: Path, store: Store, trained: list[str]
) -> None:
    (point,) = some_points(tmp_path)
    prepare.prepare(point, store, CPU)
    before = {spec.id: notes.stored(store, spec.quality_key) for spec in point.critics.values()}
    for spec in point.critics.values():
        store.delete(spec.quality_key)
    assert prepare.missing(point, store) == ["simclr", "protonet"]
    trained.clear()
    prepare.prepare(point, store, CPU)
    for spec in point.critics.values():
        old, new = before[spec.id], notes.stored(store, spec.quality_key)
        assert (
            old is not None
            and new is not None
            and all(old[n] == v for n, v in new.items() if n != "curve")
        )
    assert not trained and prepare.missing(point, store) == []


def test_a_quality_is_not_written_before_its_weights(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (point,) = some_points(tmp_path)
    created: list[str] = []
    real = Store.create

    def create(self: Store, key: str, data: bytes) -> bool:
        created.append(key)
        return real(self, key, data)

    monkeypatch.setattr(Store, "create", create)
    prepare.prepare(point, store, CPU)
    keys = [key for key in created if "/driver" not in key]
    assert keys.index(point.critics["simclr"].weights_key) < keys.index(
        point.critics["simclr"].quality_key
    )
    assert keys.index(point.critics["protonet"].weights_key) < keys.index(
        point.critics["protonet"].quality_key
    )
    assert len(keys) == len(set(keys)) == 7
