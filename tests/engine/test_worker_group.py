"""A group of workers on Ray: what it raises, how it reports, and how it loses a worker."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import clusters
import pandas as pd
import pytest
import small
from odd_errors import Unpicklable, Unprintable

from oneshot.engine import worker_group
from oneshot.engine.remote_error import as_remote_error
from oneshot.store.store import Unavailable
from oneshot.trial.job import Job


def test_a_group_raises_the_first_cause_under_its_name() -> None:
    """Where one worker raises, the others lose it: the lowest rank is not the cause."""
    follows, cause = (
        as_remote_error(RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer")),
        as_remote_error(Unpicklable("it \ud800 ends")),
    )
    error = SimpleNamespace(
        worker_failures={
            0: SimpleNamespace(_base_exc=pickle.loads(pickle.dumps(follows))),
            1: pickle.loads(pickle.dumps(cause)),
        }
    )
    found = worker_group._root_cause(error)  # type: ignore[arg-type]
    assert (
        type(found).__name__ == "Unpicklable"
        and str(found) == "it \\ud800 ends"
        and "Unpicklable" in found.__notes__[0]
    )
    assert str(worker_group._root_cause(SimpleNamespace(worker_failures={0: follows}))).startswith(
        "[gloo"
    )  # type: ignore[arg-type]
    away = Unavailable.during("read", 5, "gone", "results")
    assert worker_group._root_cause(SimpleNamespace(worker_failures={0: away})) is away  # type: ignore[arg-type]
    assert (
        "cannot be told" in as_remote_error(Unprintable()).text
        and type(worker_group._root_cause(SystemExit(3))).__name__ == "SystemExit"
    )


def test_the_more_groups_there_are_the_less_often_each_polls(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    class Thread(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            pauses.append(timeout or 0.0)
            super().join()

    monkeypatch.setattr(worker_group, "threading", SimpleNamespace(Thread=Thread))
    for seconds in (1.0, 7.0):
        worker_group._run_and_report(
            lambda: None,
            Job(job.store, "small", report_seconds=seconds),
            "none.json",
            lambda *a: None,
        )
    assert set(pauses) <= {1.0, 7.0} and (not pauses or pauses[-1] in (1.0, 7.0))


@pytest.mark.slow
def test_a_group_that_loses_a_worker_starts_again_from_its_checkpoint(
    finished: Path, tmp_path: Path
) -> None:
    """A point on Ray Train, by two workers; kill -9 of one of them in mid training costs the group
    an epoch at most.
    """
    small.copy_prepared(finished, tmp_path)
    notes, epochs = tmp_path / "notes", 4
    notes.mkdir()
    text = small.SWEEP.format(epochs=epochs, batch=512).replace(
        "beta=[0.0, 1.0, 2.0]", "beta=[1.0]"
    )
    small.write_images(tmp_path)
    (tmp_path / "small.py").write_text(text.replace("question=", "references=[], question="))
    arguments = (
        "--results",
        tmp_path / "results",
        "--workers-per-trial",
        "2",
        "--gpus-per-trial",
        "0",
        "--checkpoint-seconds",
        "0",
    )
    with clusters.cluster(notes, nodes=1, slots=2) as nodes:
        run = clusters.start(nodes, tmp_path / "small.py", *arguments)
        clusters.wait_for(lambda: any(epoch >= 1 for _, epoch in clusters.epochs(notes)), 200, run)
        os.kill(clusters.told(notes)[-1]["pid"], signal.SIGKILL)
        out = clusters.finish(run)
    assert run.returncode == 0, out
    frame = pd.read_parquet(tmp_path / "results/small/points.parquet")
    assert (
        len(frame) == 1
        and set(frame.status) == {"done"}
        and set(frame.trained_as) == {"2 workers, eager"}
    )
    curves = pd.read_parquet(tmp_path / "results/small/curves.parquet")
    assert (
        curves.groupby("point_id").epoch.apply(list).map(lambda e: e == list(range(epochs)))
    ).all()
    trained = clusters.epochs(notes)  # each worker notes each epoch
    assert set(trained) == {
        (train_id, epoch) for train_id in frame.train_id for epoch in range(epochs)
    }
    assert 2 * epochs - 1 <= sum(trained.values()) <= 2 * epochs + 2, trained
