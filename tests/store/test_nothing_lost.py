"""What is finished stays: late failures, silent and lagging stores, lost leases, odd records,
errors of every kind.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_runs
import numpy as np
import pandas as pd
import pytest
import torch

from oneshot.console import preview, status
from oneshot.engine import driver as runner
from oneshot.engine import sweep_run
from oneshot.engine.local import LocalEngine
from oneshot.engine.options import Options
from oneshot.engine.stop import StopHandler
from oneshot.engine.sweep_run import SweepRun
from oneshot.models import vae_stn
from oneshot.scoring import importance_maps, sample
from oneshot.store import plan, row_check
from oneshot.store import records as rows
from oneshot.store.log import Log
from oneshot.store.records import Record
from oneshot.store.store import DamagedFile, Store, Unavailable, sealed, unsealed, with_checksum
from oneshot.sweep import definition
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import unwatched
from oneshot.trial import trial
from oneshot.trial.draw import draw
from oneshot.trial.train import Trained
from oneshot.types import Drawings


@pytest.fixture
def points(tmp_path: Path) -> list[Point]:
    """The three points of the made sweep."""
    return made_runs.planned(tmp_path).points


def job(folder: Path, **more: Any) -> trial.Job:
    return trial.Job(Store(folder / "results"), "made", **more)


def statuses(folder: Path) -> dict[str, str]:
    log = Log(Store(folder / "results"), "made")
    log.update()
    return {i: r.row["status"] for i, r in log.records.items()}


# ---- done is protected --------------------------------------------------------------------------


def test_a_late_failure_leaves_what_is_done(tmp_path: Path, points: list[Point]) -> None:
    here = job(tmp_path)
    rows.commit(here.store, "made", made_runs.record(points[0]))
    before = here.store.read(rows.key("made", points[0].point_id))
    assert trial.record_failure(points[0], RuntimeError("late"), here) == "done"
    assert here.store.read(rows.key("made", points[0].point_id)) == before


@pytest.mark.parametrize("there", ["", "failed", "diverged", "done", "torn"])
@pytest.mark.parametrize("new", ["failed", "diverged", "done"])
def test_a_record_gives_way_to_better_ones_only(
    there: str, new: str, tmp_path: Path, points: list[Point]
) -> None:
    store, key = Store(tmp_path), rows.key("made", points[0].point_id)
    if there == "torn":
        store.write(key, b'{"row": {"status": "done"')
    elif there:
        rows.commit(store, "made", made_runs.record(points[0], there, error="the first"))
    order = ("", "torn", "failed", "diverged", "done")
    wins = there in ("", "torn") or order.index(new) > order.index(there)
    assert rows.commit(store, "made", made_runs.record(points[0], new, error="the second")) == wins
    row = rows.decode(store.read(key)).row
    assert (row["status"], row["error"]) == ((new, "the second") if wins else (there, "the first"))


def test_a_failure_that_was_tried_again_gives_way_to_the_new_one_unless_it_changed(
    tmp_path: Path, points: list[Point]
) -> None:
    store, point = Store(tmp_path), points[0]
    rows.commit(store, "made", made_runs.record(point, "failed", error="the first"))
    log = Log(store, "made")
    log.update()
    read = log.version(point.point_id)
    assert read and rows.commit(
        store, "made", made_runs.record(point, "failed", error="again"), read
    )
    assert not rows.commit(store, "made", made_runs.record(point, "failed", error="late"), read)
    assert rows.decode(store.read(rows.key("made", point.point_id))).row["error"] == "again"


class Lagging(Store):
    """A store whose listings show nothing that is younger than the store's own start."""

    def versions(self, folder: str, suffix: str = "") -> dict[str, str]:
        return {}


def test_a_listing_that_lags_turns_no_done_record_into_a_failure(
    tmp_path: Path, points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def work(point: Point, job: trial.Job, run: SweepRun) -> None:
        seen.append(point.point_id)
        rows.commit(job.store, job.sweep, made_runs.record(point))

    monkeypatch.setattr(sweep_run, "COMPACT_SECONDS", 0.05)
    outcome = made_runs.run(made_runs.planned(tmp_path, Lagging(tmp_path / "results")), work)
    assert outcome.counts == {"done": 3, "diverged": 0, "failed": 0} and outcome.missing == 0
    assert set(statuses(tmp_path).values()) == {"done"} and len(seen) == 3, "one round was enough"


def test_a_point_that_never_leaves_a_record_fails_after_its_rounds(
    tmp_path: Path, points: list[Point]
) -> None:
    def work(point: Point, job: trial.Job, run: SweepRun) -> None:
        if point.settings["beta"] != 1.0:
            rows.commit(job.store, job.sweep, made_runs.record(point))

    outcome = made_runs.run(made_runs.planned(tmp_path), work)
    assert outcome.counts == {"done": 2, "diverged": 0, "failed": 1} and outcome.missing == 0


def test_a_store_that_does_not_answer_is_no_absent_record(
    tmp_path: Path, points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = job(tmp_path)
    rows.commit(here.store, "made", made_runs.record(points[0]))

    def silent(self: Store, key: str) -> bytes:
        raise Unavailable.during("read", errno.EIO, "no answer", key)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", silent)
        with pytest.raises(Unavailable):
            rows.status(here.store, "made", points[0].point_id)
        with pytest.raises(Unavailable):
            trial.run(points[:1], here)
    assert statuses(tmp_path) == {points[0].point_id: "done"}
    # no file, and no absence either
    (tmp_path / "results/made/records" / f"{points[1].point_id}.json").mkdir()
    with pytest.raises(Unavailable):
        rows.status(here.store, "made", points[1].point_id)


def test_a_driver_that_lost_its_lease_writes_neither_tables_nor_records(
    tmp_path: Path, points: list[Point]
) -> None:
    """The holder's tables, of other settings, stay as they are; the loser's own points get no
    failed row.
    """
    theirs = plan.make(
        definition.override(load_sweep(made_runs.write_sweep(tmp_path)), {"epochs": 3}),
        Store(tmp_path / "results"),
    )
    made_runs.run(theirs)
    tables = {p.name: p.read_bytes() for p in (tmp_path / "results/made").glob("*.parquet")}
    assert len(pd.read_parquet(tmp_path / "results/made/points.parquet")) == 3

    def work(point: Point, job: trial.Job, run: SweepRun) -> None:
        assert run.lease is not None
        run.lease.held = lambda: False  # type: ignore[method-assign]
        run.on_lease_lost("made is now run by process 1 on elsewhere")

    outcome = made_runs.run(made_runs.planned(tmp_path), work)
    assert "elsewhere" in outcome.abort_reason and outcome.missing == 3
    assert {p.name: p.read_bytes() for p in (tmp_path / "results/made").glob("*.parquet")} == tables
    assert len(statuses(tmp_path)) == 3


def test_counts_of_a_run_are_those_of_its_points(tmp_path: Path, points: list[Point]) -> None:
    """Nothing that was not selected counts as finished; a failed point that is tried again does not
    either.
    """
    store = Store(tmp_path / "results")
    rows.commit(store, "made", made_runs.record(points[0], "failed"))
    shown: list[tuple[int, int]] = []

    def work(point: Point, job: trial.Job, run: SweepRun) -> None:
        shown.append((run.state.ended, run.state.total))
        rows.commit(job.store, job.sweep, made_runs.record(point))

    made_runs.run(made_runs.planned(tmp_path, limit=1), work)
    assert shown == [(1, 2)]
    made_runs.run(made_runs.planned(tmp_path, retry_failed=True), work)
    assert shown[1:] == [(1, 3), (1, 3)]


# ---- checkpoints --------------------------------------------------------------------------------


def training(epochs: int) -> Training:
    return Training({"w": torch.ones(3)}, {"w": torch.ones(3)}, epochs_done=epochs)


def test_a_checkpoint_never_gives_way_to_one_of_fewer_epochs(tmp_path: Path) -> None:
    """A worker that was given up saves late, between the saves of the one that took over."""
    store = Store(tmp_path)
    lost, mine = (Checkpoint(store, "c.pt", finished="training.pt") for _ in range(2))
    lost.save(training(2))
    assert (found := mine.load()) is not None and found.epochs_done == 2
    mine.save(training(5))
    lost.save(training(3))
    assert (kept := Checkpoint(store, "c.pt").load()) is not None and kept.epochs_done == 5
    mine.save(training(6))
    lost.save(training(9))  # further by now: it is the same training
    mine.save(training(7))
    assert (kept := Checkpoint(store, "c.pt").load()) is not None and kept.epochs_done == 9
    store.seal("training.pt", training(10).to_bytes(weights_only=True))
    store.delete("c.pt")
    lost.save(training(9))
    assert not store.exists("c.pt"), "the training is finished"


def test_a_damaged_checkpoint_is_set_aside_by_whoever_meets_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = Checkpoint(store, "c.pt")
    mine.save(training(2))
    (tmp_path / "c.pt").write_bytes(b"torn")
    mine.save(training(3))
    assert (kept := Checkpoint(store, "c.pt").load()) is not None and kept.epochs_done == 3
    store.write("old.pt", sealed(b"whole, and no training"))
    with pytest.warns(UserWarning, match="holds no training of this version"):
        assert Checkpoint(store, "old.pt").load() is None
    assert store.exists(next(iter(k for k in store.names("") if k.startswith("old.pt.damaged"))))


# ---- odd records --------------------------------------------------------------------------------


def written(folder: Path, point: Point, **odd: Any) -> None:
    """A record whose row somebody wrote by hand: whole, with these values."""
    one = made_runs.record(point)
    Store(folder / "results").write(
        rows.key("made", point.point_id), rows.encode(Record({**one.row, **odd}, one.classes))
    )


ODD_VALUES: list[dict[str, Any]] = [
    {"finished_at": "yesterday"},
    {"finished_at": "9999-12-31T23:59:59-12:00"},
    {"finished_at": 12},
    {"diversity": "much"},
    {"diversity": [1, 2]},
    {"seed": 2**63},
    {"seed": "44"},
    {"epochs_done": 2.5},
    {"beta": "low"},
    {"annealed": "yes"},
    {"host": {"name": "x"}},
    {"error": 5},
    {"train_seconds": "long"},
]


@pytest.mark.parametrize("odd", ODD_VALUES, ids=str)
def test_an_odd_value_costs_itself_and_no_table(
    odd: dict[str, Any], tmp_path: Path, points: list[Point]
) -> None:
    for point in points:
        rows.commit(Store(tmp_path / "results"), "made", made_runs.record(point))
    written(tmp_path, points[1], **odd)
    (name,) = odd
    known = name in row_check.column_types("vae_stn")
    with pytest.warns(UserWarning, match=f"{name} = ") if known else warnings.catch_warnings():
        made = made_runs.planned(tmp_path)
    outcome = made_runs.run(made)
    frame = pd.read_parquet(tmp_path / "results/made/points.parquet")
    assert outcome.missing == 0 and len(frame) == 3 and set(frame.status) == {"done"}
    assert "3" in status.report(made)
    assert preview.dry_run(made, "") and preview.point_list(made)


def test_records_that_can_be_no_row_are_named_and_passed_over(
    tmp_path: Path, points: list[Point]
) -> None:
    store = Store(tmp_path / "results")
    for point in points:
        rows.commit(store, "made", made_runs.record(point))
    records = tmp_path / "results/made/records"
    shutil.copy(records / f"{points[0].point_id}.json", records / f"{points[0].point_id} (1).json")
    shutil.copy(
        records / f"{points[0].point_id}.json",
        records / f"{points[0].point_id}.sync-conflict-7.json",
    )
    stranger = Record({"point_id": "f" * 16, "status": "done", "model": "my_old_family", "seed": 1})
    store.write(rows.key("made", "f" * 16), rows.encode(stranger))
    written(tmp_path, points[2], status="finished")
    with pytest.warns(UserWarning) as told:
        made = made_runs.planned(tmp_path)
    said = "\n".join(str(w.message) for w in told)
    assert "(1).json is passed over" in said and "sync-conflict-7.json is passed over" in said
    assert (
        "there is no family 'my_old_family' here" in said and "status 'finished' is none of" in said
    )
    assert [p.point_id for p in made.to_run] == [points[2].point_id]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert made_runs.run(made).counts["done"] == 1
    frame = pd.read_parquet(tmp_path / "results/made/points.parquet")
    assert sorted(frame.point_id) == sorted(p.point_id for p in points)
    assert store.exists(rows.key("made", "f" * 16)), "a record of another version stays where it is"


def test_arrays_that_can_be_no_table_cost_that_point_s_array_alone(
    tmp_path: Path, points: list[Point]
) -> None:
    store = Store(tmp_path / "results")
    for point in points:
        rows.commit(store, "made", made_runs.record(point))
    whole = made_runs.record(points[1])
    data = rows.encode(whole).replace(b'"class_name": ["a", "b"]', b'"class_name": ["a"]')
    body = data.rstrip(b"\n").rpartition(b"\n")[0] + b"\n"
    import hashlib

    tail = f'"sha256": "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    store.write(rows.key("made", points[1].point_id), body + tail)
    with pytest.warns(UserWarning, match="its columns differ in length: class_name 1, diversity 2"):
        made = made_runs.planned(tmp_path)
    made.compact()
    classes = pd.read_parquet(tmp_path / "results/made/classes.parquet")
    assert sorted(set(classes.point_id)) == sorted(p.point_id for p in (points[0], points[2]))
    assert len(pd.read_parquet(tmp_path / "results/made/points.parquet")) == 3
    with pytest.raises(ValueError, match="differ in length"):
        rows.encode(Record(whole.row, {"class_name": ["a"], "diversity": [1.0, 2.0]}))


# ---- every exception becomes a row
# -----------------------------------------------------------------------------


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


ERRORS: dict[str, Callable[[], BaseException]] = {
    "a lone surrogate": lambda: RuntimeError("caf\udce9"),
    "a text that raises": Mute,
    "a program that gives up": lambda: SystemExit("no licence"),
    "nothing": lambda: RuntimeError(),
    "much": lambda: RuntimeError("x" * 10**6),
    "bytes": lambda: RuntimeError(b"\xff\x00"),
    "a cycle": lambda: _cycle(),
}


def _cycle() -> Exception:
    error = RuntimeError("round and round")
    error.__cause__ = error
    return error


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("place", ["inputs", "trial"])
def test_whatever_is_raised_becomes_a_row_with_its_traceback(
    kind: str, place: str, tmp_path: Path, points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ERRORS[kind]()

    here = job(tmp_path)
    if place == "inputs":
        monkeypatch.setattr(trial.inputs, "load", broken)
        assert trial.run(points[:1], here) == {points[0].point_id: "failed"}
    else:  # outside all that a trial catches itself
        monkeypatch.setattr(trial, "run", broken)
        made = made_runs.planned(tmp_path, limit=1)
        monkeypatch.setattr(LocalEngine, "prepare", lambda self, points: None)
        assert runner.run(made, Options(), LocalEngine).counts["failed"] == 1
    log = Log(here.store, "made")
    log.update()
    row = log.records[points[0].point_id].row
    assert row["status"] == "failed" and row["error_type"] == type(ERRORS[kind]()).__name__
    assert len(row["error"]) <= 2000 and "broken" in Path(row["log"]).read_text()


# ---- any flipped bit
# -----------------------------------------------------------------------------


def _record_bytes() -> bytes:
    row = {"point_id": "p1", "status": "done", "model": "vae_stn", "seed": 44, "beta": 1.0}
    return rows.encode(
        Record(row, {"class_name": ["a", "b"], "diversity": [1.0, 2.0]}, {"epoch": [0, 1]})
    )


def _drawings() -> Drawings:
    rng = np.random.default_rng(0)
    images = (rng.random((12, 8, 8)) > 0.5).astype(np.uint8)
    return Drawings(images, np.arange(4).repeat(3), images[:4], ("a", "b", "c", "d"), 1)


def _same_drawings(data: bytes) -> bool:
    found, made = sample.from_bytes(data), _drawings()
    return all(
        np.array_equal(getattr(found, n), getattr(made, n))
        for n in ("images", "label", "exemplars")
    ) and (
        found.class_names,
        found.constant,
    ) == (made.class_names, made.constant)


def _old_drawings() -> bytes:
    return sample.to_bytes(_drawings())[:-40]


def _maps() -> importance_maps.Maps:
    rng = np.random.default_rng(0)
    return importance_maps.Maps(
        rng.random((3, 8, 8), dtype=np.float32), np.ones((3, 8, 8), np.uint8), ("a", "b", "c")
    )


def _same_training(data: bytes) -> bool:
    found = Training.from_bytes(unsealed(data, "it"))
    return found.epochs_done == 3 and bool((found.end["w"] == 1).all())


STORED: dict[str, tuple[Callable[[], bytes], Callable[[bytes], bool]]] = {
    "record": (_record_bytes, lambda data: rows.decode(data) == rows.decode(_record_bytes())),
    "drawings": (lambda: sample.to_bytes(_drawings()), _same_drawings),
    "drawings of before": (_old_drawings, _same_drawings),
    "maps": (
        lambda: importance_maps.to_bytes(_maps()),
        lambda data: len(importance_maps.from_bytes(data).maps) == 3,
    ),
    "training": (lambda: sealed(training(3).to_bytes(weights_only=False)), _same_training),
}


@pytest.mark.parametrize("kind", STORED)
def test_any_flipped_bit_and_any_truncation_is_noticed_or_does_not_matter(kind: str) -> None:
    make, same = STORED[kind]
    data, rng = make(), np.random.default_rng(1)
    assert same(data)
    noticed = 0
    flips = [
        (int(at), int(bit))
        for at, bit in zip(rng.integers(0, len(data), 1500), rng.integers(0, 8, 1500))
    ]
    cuts = [int(n) for n in rng.integers(0, len(data), 200)]
    for damaged in [*(_flipped(data, *flip) for flip in flips), *(data[:n] for n in cuts)]:
        try:
            right = same(damaged)
        except (DamagedFile, ValueError, rows.NewerFormat):
            noticed += 1
        else:
            assert right, "read wrong without a word"
    assert noticed > 1000


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def test_readers_of_npz_pass_the_checksum_over(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_bytes(sample.to_bytes(_drawings()))
    with np.load(tmp_path / "d.npz") as file:
        assert file["label"].tolist() == np.arange(4).repeat(3).tolist()
    assert with_checksum(b"abc").startswith(b"abc")


def test_damaged_drawings_are_drawn_again(
    tmp_path: Path, points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, point, drawn = job(tmp_path), points[0], []
    key = f"store/drawings/{point.sample_id}/drawings.npz"

    class Family:
        trained = False
        config = vae_stn.Config()

        def __init__(self, config: Any = None) -> None: ...

        def draw(self, *_: Any) -> Drawings:
            drawn.append(1)
            return _drawings()

    given = type("Given", (), {"data": None, "exemplars": None})()
    trained = Trained(Family(), None)
    for damage in (
        b"",
        b"PK\x03\x04 not really",
        sample.to_bytes(_drawings())[:-100],
        _flipped(sample.to_bytes(_drawings()), 50, 3),
    ):
        here.store.write(key, damage)
        with pytest.warns(UserWarning, match="drawn again"):
            assert _same_drawings(
                sample.to_bytes(draw(point, given, trained, here, unwatched).drawings)
            )
        assert draw(point, given, trained, here, unwatched).seconds == 0.0
    assert (
        len(drawn) == 4
        and len(
            [
                n
                for n in os.listdir(tmp_path / f"results/store/drawings/{point.sample_id}")
                if "damaged" in n
            ]
        )
        >= 1
    )


# ---- a stop
# -----------------------------------------------------------------------------


def test_the_first_word_after_ctrl_c_does_not_wait_for_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    answered, said = threading.Event(), []

    def stuck(self: Store, key: str, data: bytes) -> None:
        answered.wait(30)

    monkeypatch.setattr(Store, "write", stuck)
    stop = StopHandler(job(tmp_path), said.append)
    began = time.monotonic()
    stop._handle(2, None)
    assert time.monotonic() - began < 5 and not answered.is_set()
    assert said[0].startswith("Stopping") and stop.requested() and stop.signal == 2
    answered.set()
    with pytest.raises(KeyboardInterrupt):
        stop._handle(2, None)


def test_a_trial_in_this_process_hears_the_driver_without_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(self: Store, key: str) -> bool:
        raise Unavailable.during("look for", errno.EIO, "no answer", key)

    monkeypatch.setattr(Store, "exists", silent)
    asked: list[bool] = []
    here = job(tmp_path, stop_requested_here=lambda: bool(asked))
    assert not here.stop_requested()
    asked.append(True)
    assert here.stop_requested()


def test_one_stumble_of_a_network_folder_is_no_trouble(
    tmp_path: Path, points: list[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.commit(Store(tmp_path / "results"), "made", made_runs.record(points[0]))
    whole, left = os.stat, [1]

    def stumbling(path: Any, *more: Any, **options: Any) -> os.stat_result:
        if str(path).endswith(f"{points[0].point_id}.json") and left:
            left.pop()
            raise OSError(errno.ESTALE, "Stale file handle")
        return whole(path, *more, **options)

    monkeypatch.setattr(os, "stat", stumbling)
    log = Log(Store(tmp_path / "results"), "made")
    assert len(log.update([points[0].point_id])) == 1 and not left


def test_json_of_a_record_is_plain(tmp_path: Path) -> None:
    row = {
        "point_id": "p",
        "status": "failed",
        "model": "noise",
        "seed": np.int64(3),
        "error": "a\udcffb",
    }
    found = json.loads(rows.encode(Record(row)))
    assert found["row"]["seed"] == 3 and found["row"]["error"] == "a\\udcffb"


def test_results_of_another_file_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    from oneshot.engine import launch

    (tmp_path / "results/made").mkdir(parents=True)
    manifest = {"path": "elsewhere/made.py", "model": "dagan", "axes": ["z"]}
    (tmp_path / "results/made/sweep.json").write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match=r"elsewhere/made\.py"):
        launch.warn_of_another_file(made_runs.planned(tmp_path))
    (tmp_path / "results/made/sweep.json").write_text("[]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        launch.warn_of_another_file(made_runs.planned(tmp_path))
