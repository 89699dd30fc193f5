"""Who does what: batches, and how they end. Ray is neither started nor joined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray
from fake_run import FakeRun
from ray.tune.search import Searcher

from oneshot.engine import tune_dispatch
from oneshot.engine.tune import RayEngine
from oneshot.engine.tune_dispatch import BatchState, Dispatcher
from oneshot.engine.tune_hooks import BatchSearcher, NoReport
from oneshot.store import records
from oneshot.sweep.point import Point
from oneshot.trial.job import Job

REPORT = {"node": "n1", "host": "h", "at": -1}
DIED = ray.exceptions.RayActorError(error_msg="The actor died unexpectedly")


def start_batch(dispatcher: Dispatcher, name: str) -> int:
    """Hand out a batch, whose worker starts and reports; returns its first trial."""
    batch = dispatcher.next_batch(name)
    assert batch is not None
    dispatcher.start(name)
    index: int = batch["trials"][0]
    dispatcher.process_report(name, REPORT | {"at": index, "doing": ["epoch", 1, 2, 0.5]})
    return index


def test_a_cluster_on_which_no_trial_starts_is_said_to_be_busy(dispatcher: Dispatcher) -> None:
    state = dispatcher.engine.state
    dispatcher.next_batch("a")
    dispatcher._last_busy -= tune_dispatch.BUSY_SECONDS + 1
    dispatcher.show_shortage()
    assert "waiting for a free worker with 1 processor since" in state.phase
    dispatcher.start("a")
    dispatcher.show_shortage()
    assert state.phase == ""


def test_batches_are_shown_ended_and_counted(dispatcher: Dispatcher) -> None:
    searcher, state = BatchSearcher(dispatcher), dispatcher.engine.state
    for name in ("a", "b", "c"):
        index = start_batch(dispatcher, name)
        running = state.running[f"{name}/{index}"]
        assert (running.done, running.total, running.loss) == (1, 2, 0.5)
        assert dispatcher.engine.sweep_run.hosts == {name: "h"}
        searcher.on_trial_complete(name, REPORT | {"ended": [(index, True, 0.1)]})
        assert not state.running and not dispatcher.engine.sweep_run.hosts
    assert searcher.suggest("d") == Searcher.FINISHED and state.trials_ended == 3


def test_nothing_is_handed_out_after_a_stop_was_requested(dispatcher: Dispatcher) -> None:
    index = start_batch(dispatcher, "a")
    dispatcher.engine.sweep_run.stop_requested = True  # type: ignore[attr-defined]
    searcher = BatchSearcher(dispatcher)
    assert searcher.suggest("b") is None and not dispatcher.should_stop(), "a trial is at work"
    searcher.on_trial_complete("a", REPORT | {"ended": [(index, False, 0.1)]})
    assert searcher.suggest("b") == Searcher.FINISHED and dispatcher.should_stop()


def test_what_is_raised_outside_of_a_trial_is_the_row_of_the_trial_that_it_kept(
    dispatcher: Dispatcher, points: list[Point], job: Job
) -> None:
    """As a job that cannot be unpickled on the worker: no death, and no three rounds."""
    dispatcher.queue.measured.extend([(0.1, 1e12)] * 8)
    index = start_batch(dispatcher, "a")
    trace = "Traceback ... ModuleNotFoundError: no attic"
    error = ray.exceptions.RayTaskError("f", trace, ModuleNotFoundError("no attic"))
    dispatcher.fail("a", error)
    assert records.status(job.store, "small", points[index].point_id) == "failed"
    row = records.decode(job.store.read(f"small/records/{points[index].point_id}.json")).row
    assert row["error_type"] == "ModuleNotFoundError" and "no attic" in Path(row["log"]).read_text()
    assert not dispatcher.lost_workers.open and not dispatcher.batches
    others = [i for i in range(len(points)) if i != index]
    assert sorted(dispatcher.queue.pending) == others, "the others are handed out again"


def test_points_that_did_not_arrive_are_no_row(dispatcher: Dispatcher, job: Job) -> None:
    start_batch(dispatcher, "a")
    lost = ray.exceptions.ObjectLostError("id", "", "")
    dispatcher.fail("a", ray.exceptions.RayTaskError("f", "", lost))
    assert dispatcher.batches["a"].state is BatchState.WORKER_LOST
    assert "its points did not reach it" in dispatcher.lost_workers.open[0].cause
    assert not job.store.names("small/records")


def test_a_broken_device_is_no_fault_of_a_trial(dispatcher: Dispatcher) -> None:
    index = start_batch(dispatcher, "a")
    ended = {"ended": [(index, True, 0.1)], "broken": "CUDA error"}
    dispatcher.process_report("a", REPORT | ended)
    dispatcher.fail("a", RuntimeError("CUDA error"))
    assert not dispatcher.lost_workers.open and not dispatcher.batches
    assert index not in dispatcher.queue.pending


@pytest.mark.parametrize("machine_lost", [True, False])
def test_a_trial_runs_again_at_once_only_if_its_machine_was_lost(
    dispatcher: Dispatcher, machine_lost: bool
) -> None:
    index = start_batch(dispatcher, "a")
    silent = ray.exceptions.ActorUnavailableError("Socket closed", None)
    dispatcher.fail("a", silent if machine_lost else DIED)
    if machine_lost:
        assert dispatcher.lost_workers.pop_settled() == [], "it may answer again"
        dispatcher.lost_workers.alive_nodes = lambda: {"n2"}
    again = dispatcher.next_batch("b")
    assert again is not None and (index in again["trials"]) is machine_lost
    (said,) = dispatcher.engine.sweep_run.said  # type: ignore[attr-defined]
    assert ("'h', 1" in said) if machine_lost else ("was killed" in said)
    assert "a" not in dispatcher.batches and f"a/{index}" not in dispatcher.engine.state.running


def test_a_trial_without_the_store_waits_for_the_next_round(dispatcher: Dispatcher) -> None:
    index = start_batch(dispatcher, "a")
    away = {"at": index, "doing": ["epoch", 0, 0], "unavailable": "gone", "unwritable": False}
    dispatcher.process_report("a", REPORT | away)
    assert dispatcher.engine.sweep_run.said == ["('gone', False, 'h')"]  # type: ignore[attr-defined]
    assert not dispatcher.batches and index not in dispatcher.queue.pending
    dispatcher.finish("a")  # its worker returns
    assert not dispatcher.engine.state.running


def test_a_group_of_workers_is_handed_out_only_where_it_finds_room(
    points: list[Point], job: Job, nodes: list[Any]
) -> None:
    """A trial that waits for its group takes next to nothing, so that Tune would start them all."""
    job = Job(job.store, "small", "run", workers=2)
    with RayEngine(FakeRun(points, job, workers_per_trial=2)) as engine:  # type: ignore[arg-type]
        requests = [engine.resources.request(["vae_stn"]) for _ in points]
        trials = [[p] for p in points]
        dispatcher = Dispatcher(engine, engine.resources, trials, requests, share_batches=False)
        batch = dispatcher.next_batch("a")
        assert batch is not None and batch["workers"] == 2
        assert dispatcher.next_batch("b") is None and not dispatcher.done()


def test_tune_reports_nothing_of_its_own() -> None:
    quiet = NoReport()
    assert not quiet.should_report([], done=True)
    quiet.report([], True, "")
