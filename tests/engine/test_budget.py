"""A budget ends a run as a stop does: trainings are saved, and the next run has a budget anew."""

from __future__ import annotations

import re
import shlex
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_runs
import pandas as pd
import pytest
import small
from fake_run import FakeRun

from oneshot.engine import budget, driver
from oneshot.engine.budget import Budget
from oneshot.engine.local import LocalEngine
from oneshot.engine.options import Options
from oneshot.engine.tune_resources import ClusterResources
from oneshot.store import records


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.hours = 0.0

    def __call__(self) -> float:
        return 3600.0 * self.hours


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the budgets of all runs of a test."""
    made = Clock()
    monkeypatch.setattr(driver, "Budget", lambda options: Budget(options, made))
    monkeypatch.setattr(budget, "LOOK_SECONDS", 0.01)
    return made


def test_hours_and_costs_are_counted_by_what_is_held_at_the_time(clock: Clock) -> None:
    spent = Budget(Options(max_hours=4.0, max_cost=10.0, price_per_gpu_hour=2.0), clock)
    assert spent.limited and spent.count(8.0) == ""
    for hours, held, reason in ((1.0, 2.0, ""), (1.5, 4.0, ""), (2.0, 1.0, ""), (2.5, 0.5, "")):
        clock.hours = hours
        assert spent.count(held) == reason
    assert spent.gpu_hours == pytest.approx(2.0 + 2.0 + 0.5 + 0.25)
    clock.hours = 2.75
    assert spent.count(1.0) == "the budget of 10 is spent (5 GPU hours)"
    few = Budget(Options(max_hours=0.5), clock)
    assert few.count(100.0) == ""
    clock.hours += 0.5
    assert few.count(0.0) == "the budget of 0.5 hours is spent"
    assert not Budget(Options(price_per_gpu_hour=2.0), clock).limited


def test_a_cluster_that_does_not_answer_costs_what_it_did(clock: Clock) -> None:
    spent = Budget(Options(max_cost=3.0, price_per_gpu_hour=1.0), clock)
    answers, asked, over = [4.0], threading.Event(), threading.Event()
    found: list[str] = []

    def held() -> float:
        if not answers:
            asked.set()
            raise ConnectionError
        return answers.pop()

    def on_spent(reason: str) -> None:
        found.append(reason)
        over.set()

    with budget.kept(spent, held, on_spent):
        assert asked.wait(30)
        clock.hours = 1.0
        assert over.wait(30)
    assert found == ["the budget of 3 is spent (4 GPU hours)"]


def test_a_run_ends_when_its_budget_is_spent_and_the_next_one_goes_on(
    tmp_path: Path, clock: Clock
) -> None:
    def work(point: Any, job: Any, sweep_run: Any) -> None:
        records.commit(job.store, job.sweep, made_runs.record(point))
        sweep_run.fetch_records()
        clock.hours += 1.0
        if clock.hours == 2.0:
            small.wait_until(sweep_run.stop.requested, 30)

    first = made_runs.run(made_runs.planned(tmp_path), work, max_hours=1.5)
    assert (first.spent, first.missing) == ("the budget of 1.5 hours is spent", 1)
    assert not first.abort_reason and not first.signal
    clock.hours = 10.0
    second = made_runs.run(made_runs.planned(tmp_path), work, max_hours=1.5)
    assert (second.spent, second.missing) == ("", 0) and len(second.new_rows) == 1


def test_a_budget_that_is_spent_while_inputs_are_prepared_ends_that(
    tmp_path: Path, clock: Clock
) -> None:
    class Preparing(made_runs.MadeEngine):
        def prepare(self, points: Any) -> None:
            clock.hours = 2.0
            threading.Event().wait(30)
            raise AssertionError("it was not interrupted")

    made = made_runs.planned(tmp_path)
    outcome = driver.run(made, Options(max_hours=1.0), Preparing)
    assert outcome.spent == "the budget of 1 hours is spent" and outcome.missing == 3


def test_what_is_held_is_gpus_and_slots_where_there_are_none(
    points: list[Any], job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0}, {"CPU": 8.0, "GPU": 4.0}]
    monkeypatch.setattr(ClusterResources, "alive", lambda self: alive)
    run = FakeRun(points, job, cpus_per_trial=2.0)
    resources = ClusterResources(run.options, SimpleNamespace())  # type: ignore[arg-type]
    resources.to_come = [(9, {"CPU": 64.0, "GPU": 8.0})]
    assert resources.held() == 6.0  # and not what may come
    alive[:] = [{"CPU": 8.0}, {"CPU": 5.0}]
    resources.to_come = []
    assert resources.held() == 6.0


def test_a_cost_needs_a_price(tmp_path: Path) -> None:
    sweep = made_runs.write_sweep(tmp_path)
    done = small.main(sweep, "--local", "--max-cost", "5", "--results", tmp_path / "results")
    assert done.returncode == 2 and "error: --max-cost needs a price" in done.stderr
    assert "help: add --price-per-gpu-hour X" in done.stderr


@pytest.mark.slow
def test_a_real_training_is_saved_at_the_end_of_a_budget_and_goes_on(
    finished: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.copy_prepared(finished, tmp_path)
    sweep, show = small.write_sweep(tmp_path), LocalEngine.show_progress

    def show_and_pass_an_hour(self: Any, name: str, points: Any, *what: Any, **more: Any) -> None:
        show(self, name, points, *what, **more)
        if what[0] == "epoch" and what[1] >= 2:
            clock.hours = 1.0
            small.wait_until(self.sweep_run.stop.requested, 30)

    words = [sweep, "--local", "--results", tmp_path / "results", "--set", "epochs=6"]
    words += ["--checkpoint-seconds", "1000", "--max-cost", "1", "--price-per-gpu-hour", "2"]
    with monkeypatch.context() as patched:
        patched.setattr(LocalEngine, "show_progress", show_and_pass_an_hour)
        done = small.main(*words)
    assert done.returncode == 3, done
    assert "Stopping: the budget of 1 is spent (1 GPU hours); running trials save" in done.stderr
    words_of_it = r"Stopped, as the budget of 1 is spent .*continue from checkpoints"
    text = re.search(words_of_it, done.stderr)
    assert text and ": 3 finished, 3 continue" in text[0]
    command = re.search(r"^Continue: python run_sweep.py (.*)$", done.stderr, re.M)
    assert command and "--max-cost 1 --price-per-gpu-hour 2" in command[1]
    clock.hours = 50.0
    again = small.main(*shlex.split(command[1]))
    assert again.returncode == 0, again
    curves = pd.read_parquet(tmp_path / "results/small/curves.parquet")
    epochs = curves.groupby("point_id").epoch.apply(list)
    assert epochs.tolist() == [[0, 1, 2, 3, 4, 5]] * 3
