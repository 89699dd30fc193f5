"""What a run publishes of itself while it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import made_runs

from oneshot.console.running import from_heartbeat
from oneshot.engine.sweep_run import SweepRun
from oneshot.store import records
from oneshot.sweep.point import Point
from oneshot.trial.job import Job


def test_a_heartbeat_names_the_trials_at_work_with_stage_and_loss(tmp_path: Path) -> None:
    told: list[dict[str, object]] = []

    def work(point: Point, job: Job, sweep_run: SweepRun) -> None:
        engine = made_runs.MadeEngine(sweep_run)
        engine.show_trial("t", [point])
        engine.show_progress("t", [point], "epoch", 3, 10, 1.23456)
        told.append(json.loads(json.dumps(sweep_run.heartbeat(), allow_nan=False)))
        sweep_run.state.end_trial("t")
        told.append(sweep_run.heartbeat())
        records.commit(job.store, job.sweep, made_runs.record(point))

    made_runs.run(made_runs.planned(tmp_path), work)
    assert len(told) == 6
    (trial,) = from_heartbeat(told[2]["at"])
    assert trial.line() == "beta=1.0 seed=44 epoch 3/10 loss 1.235"
    assert told[2]["trials"] == 1 and told[3]["at"] == []
