"""What a worker reports of a batch, and what becomes of what its trials raise."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from odd_errors import Unpicklable, Unprintable

from oneshot.engine import tune_worker
from oneshot.engine.tune_dispatch import Dispatcher
from oneshot.store import records
from oneshot.store.store import Unavailable
from oneshot.sweep.point import Point
from oneshot.trial.job import Job


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a worker reports, without Ray and Tune."""
    found: list[dict[str, Any]] = []
    context = SimpleNamespace(
        get_assigned_resources=lambda: {"CPU": 1.0},
        get_accelerator_ids=lambda: {"GPU": []},
        get_node_id=lambda: "n1",
    )
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(ray, "get", lambda ref: ref)
    monkeypatch.setattr(tune_worker.tune, "report", found.append)
    return found


def run_batch(points: list[Point], job: Job, body: Callable[..., Any]) -> None:
    """Run a batch of one trial a point; what is no point stands for the pickled one."""
    refs = [[pickle.dumps([p]) if isinstance(p, Point) else p for p in points]]
    tune_worker.run_batch(
        {"trials": list(range(len(points))), "workers": 1, "max_seconds": 60.0, "share": {}},
        refs,
        job,
        body,
    )


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("the lamp went out"), "ValueError", "the lamp went out"),
        (RuntimeError("a text \ud800 that is none"), "RuntimeError", "a text"),
        (Unpicklable("it cannot travel"), "Unpicklable", "it cannot travel"),
        (Unprintable(), "Unprintable", ""),
        (SystemExit("the family has left"), "SystemExit", "the family has left"),
        (StopIteration("an end"), "StopIteration", "an end"),
    ],
)
def test_what_leaves_a_trial_is_a_row_and_the_batch_goes_on(
    dispatcher: Dispatcher,
    points: list[Point],
    job: Job,
    reports: list[dict[str, Any]],
    error: BaseException,
    kind: str,
    words: str,
) -> None:
    """Written by the worker; or, where it cannot, by the driver from what the worker tells."""

    def body(trial: list[Point], job: Job, tick: Any) -> dict[str, str]:
        if trial[0].point_id == points[0].point_id:
            raise error
        return {trial[0].point_id: "done"}

    run_batch(points, job, body)
    assert [index for r in reports for index, *_ in r["ended"]] == [0, 1, 2]
    for report in pickle.loads(pickle.dumps(reports)):
        if "raised" in report:
            dispatcher.next_batch("a")
            dispatcher.process_report("a", report)
    row = records.decode(
        (Path(str(job.store.local("small/records"))) / f"{points[0].point_id}.json").read_bytes()
    ).row
    assert row["status"] == "failed" and row["error_type"] == kind and words in row["error"]
    log = Path(row["log"]).read_text(errors="replace")
    assert kind in log and "in body" in log
    assert all(records.status(job.store, "small", p.point_id) is None for p in points[1:])


def test_an_error_before_the_points_are_known_is_reported_to_the_driver(
    points: list[Point], job: Job, reports: list[dict[str, Any]]
) -> None:
    run_batch([b"no pickle", points[1]], job, lambda *a: {"x": "done"})  # type: ignore[list-item]
    (raised,) = [r["raised"] for r in reports if "raised" in r]
    assert (
        raised[0] == "UnpicklingError"
        and "invalid load key" in raised[1]
        and "pickle.loads" in raised[2]
    )
    assert [index for r in reports for index, *_ in r["ended"]] == [0, 1]


def test_a_store_that_does_not_answer_is_no_failure(
    points: list[Point], job: Job, reports: list[dict[str, Any]]
) -> None:
    def body(*_: Any) -> dict[str, str]:
        raise Unavailable.during("write", 5, "Input/output error", "results")

    run_batch(points, job, body)
    assert "Input/output error" in reports[-1]["unavailable"] and not reports[-1]["unwritable"]
    assert not job.store.names("small/records")


def test_an_end_that_tune_asks_for_is_no_failure(
    points: list[Point], job: Job, reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune ends a trial by an exit out of its report."""

    def report(found: dict[str, Any]) -> None:
        reports.append(found)
        sys.exit(0)

    monkeypatch.setattr(tune_worker.tune, "report", report)
    run_batch(points, job, lambda *a: pytest.fail("began after its end"))
    assert len(reports) == 1 and not job.store.names("small/records")


def test_losses_travel_with_the_reports(
    points: list[Point], job: Job, reports: list[dict[str, Any]]
) -> None:
    quick = Job(job.store, "small", "run", report_seconds=-1.0)

    def body(trial: list[Point], job: Job, tick: Any) -> dict[str, str]:
        tick("epoch", 1, 2, 0.25)
        tick("drawing", 1, 2)
        return {"x": "done"}

    run_batch(points[:1], quick, body)
    assert [r["doing"] for r in reports][1] == ["epoch", 1, 2, 0.25] and reports[2]["doing"][
        :3
    ] == ["drawing", 1, 2]
