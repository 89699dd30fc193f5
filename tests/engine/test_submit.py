"""Sweeps submitted to a Ray cluster: `ray job submit`, `ray job stop`, `ray submit` and `ray exec`,
with a head of this machine.
"""

from __future__ import annotations

import json
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clusters
import pandas as pd
import pytest
import ray_head
import small

from oneshot.store.lease import holder
from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.training.checkpoint import Training

pytestmark = pytest.mark.slow

EPOCHS = 6  # of the sweep that is stopped

STUBBORN = """
import signal, sys, time
def save(*_):
    print("saving", flush=True)
    time.sleep(5)
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def head() -> Iterator[ray_head.Head]:
    with ray_head.started() as head:
        yield head


@pytest.fixture
def prepared(finished: Path, tmp_path: Path) -> Path:
    """A fresh folder where the critics are there already, and nothing else."""
    small.copy_prepared(finished, tmp_path)
    return tmp_path


def entry(sweep: Path | str, folder: Path, *more: object) -> list[object]:
    """The command of a job, as a user writes it after `--`."""
    words = [
        sys.executable,
        "run_sweep.py",
        sweep,
        "--address",
        "auto",
        "--results",
        folder / "results",
        *more,
    ]
    return ["sh", "-c", f"cd {small.ROOT} && {' '.join(map(str, words))}"]


def points(folder: Path, name: str = "small") -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / name / "points.parquet")


def without_numbers(text: str) -> str:
    """Lines of a run in one form: hours, seconds and measured numbers differ from run to run."""
    return re.sub(r" +", " ", re.sub(r"\d+(\.\d+)?", "#", text))


def echo(text: str) -> str:
    """What a run says of itself before it starts, without the engine and the inputs."""
    settings = text[text.index("  settings ") : text.index("  inputs ")]
    return " ".join(re.sub(r"/\S+/", "", settings).split())


def test_a_submitted_sweep_says_and_leaves_what_a_plain_run_does(
    head: ray_head.Head, prepared: Path, finished: Path
) -> None:
    sweep = small.write_sweep(prepared)
    shown = head.submit("whole", *entry(sweep, prepared), env_vars={ray_head.STOP_WAIT: "60"})
    log = head.logs("whole")
    assert head.ask("jobs/whole")["driver_exit_code"] == 0, shown
    err, out = (finished / "stderr.txt").read_text(), (finished / "stdout.txt").read_text()
    assert (
        "Finished: 6 done, 0 diverged, 0 failed" in log
        and "engine      Ray at auto" in log
        and echo(log) == echo(err)
    )
    mine = [without_numbers(line) for line in log.splitlines()]
    critics, table = re.findall(r".*(?:has test NT-Xent|recognises).*", err), out.splitlines()[1:6]
    assert (
        len(critics) == 2
        and table[-1].startswith("noise")
        and {without_numbers(line) for line in critics + table} <= set(mine)
    ), log
    assert (
        f"next        python analyze.py {prepared}" in log
        and "\x1b" not in log
        and "Traceback" not in log
    )
    frame, expected = points(prepared).set_index("point_id"), points(finished).set_index("point_id")
    assert list(frame.index) == list(expected.index) and set(frame.status) == {"done"}
    pd.testing.assert_series_equal(frame.diversity, expected.diversity, rtol=1e-4)
    for table in ("classes", "curves", "critics", "generalization"):
        assert (prepared / f"results/small/{table}.parquet").exists()


def test_a_sweep_submitted_again_has_nothing_to_run(head: ray_head.Head, finished: Path) -> None:
    head.submit("again", *entry(finished / "small.py", finished))
    assert head.ask("jobs/again")[
        "driver_exit_code"
    ] == 0 and "Nothing to run: all 6 points have a result" in head.logs("again")


def test_without_the_token_or_with_another_nobody_submits_or_asks(
    head: ray_head.Head, tmp_path: Path
) -> None:
    """Over HTTP as over Ray's own protocol; `ray status` and `ray job list` with the token are
    answered.
    """
    (tmp_path / "other").write_text("b" * 64)
    none = {k: v for k, v in head.env.items() if k != "RAY_AUTH_TOKEN_PATH"} | {
        "HOME": str(tmp_path),
        "RAY_AUTH_MODE": "disabled",
    }
    other = {**head.env, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "other")}
    for env, words in ((none, "Authentication required"), (other, "Authentication failed")):
        done = head.cli(
            "job",
            "submit",
            "--address",
            head.url,
            "--submission-id",
            "stranger",
            "--",
            "touch",
            tmp_path / "been",
            env=env,
        )
        assert done.returncode != 0 and words in done.stdout, done.stdout
    assert head.status_of_all().keys().isdisjoint({"stranger"}) and not (tmp_path / "been").exists()
    # a young cluster has no status yet
    small.wait_until(
        lambda: "Resources" in head.cli("status", "--address", head.address).stdout, 60
    )
    with pytest.raises(OSError, match="401"):
        urllib.request.urlopen(f"{head.url}/api/jobs/", timeout=30)


def test_a_wrong_sweep_is_a_failed_job_that_says_why(head: ray_head.Head, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        small.write_sweep(tmp_path).read_text().replace("beta=", "bata=")
    )
    shown = head.submit("wrong", *entry(tmp_path / "wrong.py", tmp_path))
    job, log = head.ask("jobs/wrong"), head.logs("wrong")
    assert (job["status"], job["driver_exit_code"]) == ("FAILED", 2)
    for text in (shown, job["message"], log):
        assert (
            "vae_stn has no setting 'bata'. Did you mean 'beta'?" in text
            and "Traceback" not in text
        )
    assert not (tmp_path / "results").exists()


def test_a_stopped_job_saves_and_continues_when_submitted_again(
    head: ray_head.Head, prepared: Path
) -> None:
    sweep, results = small.write_sweep(prepared, epochs=EPOCHS, batch=128), prepared / "results"
    command = entry(sweep, prepared, "--limit", 2, "--max-stack", 1, "--checkpoint-seconds", 600)
    trainings = {
        p.train_id
        for p in expand(load_sweep(str(sweep)))
        if p.model == "vae_stn" and p.settings["beta"] < 2
    }

    def trained() -> Counter[tuple[str, int]]:
        return Counter(
            {key: n for key, n in clusters.epochs(head.notes).items() if key[0] in trainings}
        )

    # both trainings stand still after their first epoch until the stop has been asked for
    held = head.notes / "faults.json"
    held.write_text(json.dumps([{"where": {}, "do": "wait"}]))
    try:
        head.submit("stopped", *command, wait=False)
        head.wait_for(
            lambda: (
                len(trained()) == 2 and len(list((results / "small/records").glob("*.json"))) == 3
            ),
            "stopped",
            200,
        )
        assert not list((results / "store/trainings").rglob("checkpoint.pt")), (
            "only the stop saves, here"
        )
        with ThreadPoolExecutor(1) as beside:
            stopping = beside.submit(head.cli, "job", "stop", "--address", head.url, "stopped")
            head.wait_for(lambda: bool(list((results / "small").glob("stop-*"))), "stopped", 60)
            held.unlink()
            done = stopping.result()
    finally:
        held.unlink(missing_ok=True)
    log = head.logs("stopped")
    assert done.returncode == 0 and head.status("stopped") == "STOPPED", done.stdout
    assert (
        "Stopping: no new trials" in log
        and "Stopped: 3 finished, 2 continue from checkpoints" in log
    ), log
    assert (
        f"Continue: python run_sweep.py {sweep}" in log and holder(Store(results), "small") is None
    )
    saved = {
        path.parent.name: epochs_done(path)
        for path in (results / "store/trainings").rglob("checkpoint.pt")
    }
    assert set(saved) == trainings and all(1 <= n <= 2 for n in saved.values()), saved
    assert len(points(prepared)) == 3, "the tables are whole after a stop"
    end = time.monotonic() + 30
    while (
        left := head.processes(b"ray::ImplicitFunc") | head.processes(b"run_sweep.py")
    ) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left
    head.submit("continued", *command)
    assert "Finished: 2 done" in head.logs("continued")
    frame = points(prepared)
    assert len(frame) == 5 and frame.point_id.is_unique and set(frame.status) == {"done"}
    curves = pd.read_parquet(results / "small/curves.parquet")
    assert curves.groupby("point_id").epoch.apply(list).tolist() == [list(range(EPOCHS))] * 2
    assert trained() == Counter({(i, epoch): 1 for i in trainings for epoch in range(EPOCHS)}), (
        "an epoch was trained twice"
    )


def epochs_done(path: Path) -> int:
    return int(Training.from_bytes(Store(path.parent).unseal(path.name)).epochs_done)


def test_how_long_a_stop_waits_is_up_to_the_head_and_to_the_job(
    head: ray_head.Head, tmp_path: Path
) -> None:
    """Ray's three seconds are too short to save; the head's environment counts (as in
    cluster.yaml), and a job's own before it.
    """
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    for name, more in (("patient", {}), ("hasty", {ray_head.STOP_WAIT: "1"})):
        head.submit(name, sys.executable, tmp_path / "stubborn.py", wait=False, env_vars=more)
    for name in ("patient", "hasty"):
        head.wait_for(lambda name=name: "ready" in head.logs(name), name, 120)  # type: ignore[misc]
        assert (
            head.cli("job", "stop", "--address", head.url, name).returncode == 0
            and head.status(name) == "STOPPED"
        )
    logs: dict[str, Any] = {name: head.logs(name).split()[-2:] for name in ("patient", "hasty")}
    assert logs == {"patient": ["saving", "saved"], "hasty": ["ready", "saving"]}


def test_ray_submit_and_ray_exec_run_sweeps_on_a_launched_cluster(
    head: ray_head.Head, prepared: Path, finished: Path
) -> None:
    """`ray submit` copies run_sweep.py alone into the home of the head and runs it there: it finds
    the project and its sweeps.
    """
    sweep = small.write_sweep(prepared)
    with ray_head.launched(head) as cluster:
        cluster.send_project()
        done = cluster.ray(
            "submit",
            "run_sweep.py",
            "--",
            sweep,
            "--address",
            "auto",
            "--results",
            prepared / "results",
        )
        assert done.returncode == 0 and "Finished: 6 done, 0 diverged, 0 failed" in done.stdout, (
            done.stdout
        )
        assert (
            cluster.sent()[0] == "rsync run_sweep.py ~/run_sweep.py"
            and (cluster.home / "run_sweep.py").is_file()
        )
        assert "python ~/run_sweep.py" in cluster.sent()[1]
        by_name = cluster.ray(
            "submit",
            "run_sweep.py",
            "--",
            "quickstart",
            "--check",
            "--results",
            prepared / "results",
        )
        assert by_name.returncode == 0 and "quickstart: What does beta do" in by_name.stdout, (
            by_name.stdout
        )
        again = cluster.ray(
            "exec",
            f"cd ~/oneshot && python run_sweep.py {sweep} --status --results"
            f" {prepared / 'results'}",
        )
        assert again.returncode == 0 and "no driver running" in again.stdout, again.stdout
        refused = cluster.ray("submit", "run_sweep.py", "--", "quickstort", "--check")
        assert (
            refused.returncode == 1
            and "there is no sweep 'quickstort'. Did you mean 'quickstart'?" in refused.stdout
        ), refused.stdout
        assert sorted(p.name for p in cluster.home.iterdir()) == [
            ".bashrc",
            ".cache",  # counted costs of models
            ".ray",
            "oneshot",
            "run_sweep.py",
        ]
    frame, expected = points(prepared).set_index("point_id"), points(finished).set_index("point_id")
    assert list(frame.index) == list(expected.index) and set(frame.status) == {"done"}
    pd.testing.assert_series_equal(frame.diversity, expected.diversity, rtol=1e-4)
