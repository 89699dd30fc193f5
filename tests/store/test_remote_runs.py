"""Whole runs on an S3 server that fails, and one that is killed."""

from __future__ import annotations

import io
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import s3
import small

from oneshot.store.store import Store
from oneshot.training.checkpoint import Training


def write_sweep(folder: Path, epochs: int, batch: int) -> Path:
    """The small sweep, with critics of a few steps."""
    path = small.write_sweep(folder, epochs, batch)
    path.write_text(path.read_text().replace("epoch=15", "epoch=3"))
    return path


@pytest.fixture(scope="module")
def swept(
    server: s3.Server, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """The small sweep on a server that fails at every twelfth request, and answers slowly now and
    then.
    """
    server.log()
    with server.faults(dict(what="500", share=0.08), dict(what="slow", share=0.05, seconds=0.4)):
        return small.run(
            write_sweep(tmp_path_factory.mktemp("swept"), 2, 512),
            "--local",
            "--results",
            server.uri,
            "--where",
            "beta <= 1",
        )


@pytest.mark.slow
def test_a_run_on_a_failing_server_is_whole_and_keeps_its_secrets(
    swept: Any, server: s3.Server, tmp_path: Path
) -> None:
    assert swept.returncode == 0 and "5 done" in swept.stdout, swept.stdout + swept.stderr
    log, objects = server.log(), server.objects()
    assert sum(line.split()[1] == "500" for line in log) >= 3, (
        "too few failures for this test to mean anything"
    )
    frame = pd.read_parquet(io.BytesIO(objects["results/small/points.parquet"]))
    assert len(frame) == 5 and set(frame.status) == {"done"} and frame.point_id.is_unique
    assert len(pd.read_parquet(io.BytesIO(objects["results/small/curves.parquet"]))) == 4
    assert (
        len(
            [
                key
                for key in objects
                if key.startswith("results/small/records/") and key.endswith(".json")
            ]
        )
        == 5
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        secret = s3.CREDENTIALS[name]
        assert not [
            key for key, data in objects.items() if secret.encode() in data or secret in key
        ]
        assert secret not in swept.stdout + swept.stderr
    again = small.run(
        write_sweep(tmp_path, 2, 512), "--results", server.uri, "--where", "beta <= 1"
    )
    assert again.returncode == 0 and "Nothing to run: all 5 points have a result" in again.stderr
    kept = {
        key: data
        for key, data in objects.items()
        if "/records/" in key or key.startswith("results/store")
    }
    assert kept.items() <= server.objects().items() and not [
        line for line in server.log() if re.search("PUT .*(records|store)/", line)
    ]


@pytest.mark.slow
def test_a_run_killed_in_mid_training_continues_from_its_checkpoint(
    swept: Any, server: s3.Server, tmp_path: Path
) -> None:
    sweep = write_sweep(tmp_path, 8, 512)
    arguments = (
        sweep,
        "--local",
        "--results",
        server.uri,
        "--checkpoint-seconds",
        "0",
        "--where",
        "beta == 1",
    )
    made = Store(server.uri)
    found: list[str] = []

    def saved() -> bool:
        found[:] = [
            key.removeprefix("results/")
            for key in server.objects("results/store/trainings")
            if key.endswith("checkpoint.pt")
        ]
        return bool(found) and Training.from_bytes(made.unseal(found[0])).epochs_done >= 2

    process = small.start(*arguments)
    small.wait_for(saved, 100, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    epochs = Training.from_bytes(made.unseal(found[0])).epochs_done
    assert 2 <= epochs < 8, "killed too late for this test to mean anything"
    server.log()
    done = small.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    saves = [line for line in server.log() if re.search("PUT 200 .*checkpoint.pt", line)]
    assert 0 < len(saves) <= 8 - epochs, "epochs were computed again"
    curves = pd.read_parquet(io.BytesIO(server.objects()["results/small/curves.parquet"]))
    assert 8 in [len(e) for _, e in curves.groupby("point_id").epoch if e.tolist() == [*range(8)]]
