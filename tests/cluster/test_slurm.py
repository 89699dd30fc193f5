"""The scripts of Slurm on a real Slurm of this machine: each point ends as one record, and none is
computed twice, whatever happens to jobs and nodes.

Nodes are daemons of one machine. What several machines alone can show is not shown here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clusters
import pandas as pd
import pytest
import slurm
import small

from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep

pytestmark = [pytest.mark.slow, pytest.mark.machines, pytest.mark.timeout(600)]

EPOCHS = 3
SWEEP = f"""
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does it run on Slurm?",
    model="toy_gan",
    variant="tiny",
    points=grid(lambda_g=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], z=[2, 3]),
    fixed=dict(dataset="gaussians", split="without_0", drawings_per_class=20, epochs={EPOCHS}),
    references=("ring", "kept"),
)
"""
HELD = {"lambda_g": 0.4, "z": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[slurm.Slurm]:
    with slurm.started() as started:
        yield started


class Work:
    """A sweep in a folder of its own, whose runs note every epoch that they train."""

    def __init__(self, folder: Path, cluster: slurm.Slurm):
        self.folder, self.cluster, self.notes = folder, cluster, folder / "notes"
        self.sweep, self.name = folder / "q.py", folder.name[-12:].replace("_", "")
        self.sweep.write_text(SWEEP)
        self.notes.mkdir()

    def hold(self, **where: float) -> None:
        """Let the stack of this training wait after its first epoch."""
        fault = {"where": where or HELD, "do": "wait", "after": 1}
        (self.notes / "faults.json").write_text(json.dumps([fault]))

    def release(self) -> None:
        (self.notes / "faults.json").unlink()

    def submit(self, script: str, *words: object, **changes: Any) -> str:
        """Submit a script of the package for the sweep; the id of the job."""
        file = slurm.script(script, self.folder, self.notes, **changes)
        given = (f"--job-name={self.name}", *words, file, self.sweep, "--checkpoint-seconds", 0)
        return self.cluster.submit(*given, cwd=self.folder)

    def wait(self, condition: object, seconds: float = 120) -> None:
        """Wait, and show what the jobs said if it does not happen."""
        try:
            small.wait_until(condition, seconds)  # type: ignore[arg-type]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.cluster.queue()}\n{self.said()}") from None

    def wait_for_the_held_one(self) -> None:
        self.wait(lambda: bool(clusters.epochs(self.notes)) and self.running() != [])
        point = next(
            p
            for p in expand(load_sweep(self.sweep))
            if all(p.settings.get(n) == v for n, v in HELD.items())
        )
        self.wait(lambda: clusters.epochs(self.notes)[point.train_id, 0] == 1)

    def running(self) -> list[int]:
        return self.cluster.processes(f"SLURM_JOB_NAME={self.name}", "run_sweep.py")

    def wait_for_the_end(self, seconds: float = 180) -> None:
        self.wait(lambda: not self.cluster.queue(), seconds)

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def check_all_once(self) -> None:
        """Every point one record, one row, and no epoch of any training twice."""
        points = expand(load_sweep(self.sweep))
        records = sorted(p.stem for p in (self.folder / "results/q/records").glob("*.json"))
        assert records == sorted(p.point_id for p in points) and len(records) == 18, self.said()
        table = pd.read_parquet(self.folder / "results/q/points.parquet")
        assert sorted(table["point_id"]) == records and set(table["status"]) == {"done"}
        trained = {p.train_id for p in points if p.model == "toy_gan"}
        expected = {(i, epoch): 1 for i in trained for epoch in range(EPOCHS)}
        assert clusters.epochs(self.notes) == expected


@pytest.fixture
def work(tmp_path: Path, cluster: slurm.Slurm) -> Work:
    return Work(tmp_path, cluster)


def test_a_job_runs_a_sweep_on_its_node(work: Work) -> None:
    """One node, shared with other jobs, on a Ray of the job's own."""
    changes = {"nodes": "1", "exclusive": "", "mem": "", "time": "5"}
    work.submit("slurm.sh", "--cpus-per-task=2", **changes)
    work.wait_for_the_end()
    assert work.cluster.ended(work.name) == [("COMPLETED", "0:0")], work.said()
    assert "Ray on this machine, 2 cores" in work.said()
    work.check_all_once()


def test_a_job_saves_ahead_of_its_time_limit_and_goes_on(work: Work) -> None:
    """Slurm tells the job to stop some seconds before its minute is over."""
    work.hold()
    given = ("slurm_array.sh", "--cpus-per-task=1")
    work.submit(*given, shards=1, time="1", signal="B:TERM@40")
    work.wait(lambda: "Stopping: " in work.said())
    work.release()
    work.wait_for_the_end(240)
    states = work.cluster.ended(work.name)
    assert states[-1] == ("COMPLETED", "0:0") and len(states) > 1, (states, work.said())
    assert {state for state, _ in states[:-1]} == {"PENDING"}, "put back into the queue"
    assert work.said().count("Saved; back into the queue.") == len(states) - 1
    work.check_all_once()


def test_a_job_that_is_cancelled_saves_and_stays_out_of_the_queue(work: Work) -> None:
    work.hold()
    job = work.submit("slurm_array.sh", "--cpus-per-task=1", shards=1)
    work.wait_for_the_held_one()
    work.cluster.run("scancel", job)
    work.wait(lambda: "Stopping: " in work.said())
    work.release()
    work.wait_for_the_end()
    assert [state for state, _ in work.cluster.ended(work.name)] == ["CANCELLED"]
    assert "back into the queue" not in work.said() and "Continue: " in work.said()
    work.submit("slurm_array.sh", "--cpus-per-task=1", shards=1)
    work.wait_for_the_end()
    work.check_all_once()


def test_a_preempted_task_goes_on_later(work: Work) -> None:
    work.hold()
    work.submit("slurm_array.sh", "--cpus-per-task=2", shards=2)
    work.wait_for_the_held_one()
    high = (f"--job-name=high{work.name}", "--partition=high", "--nodes=4", "--exclusive")
    work.cluster.submit(*high, "--wrap=sleep 1", "--output=/dev/null", cwd=work.folder)
    work.wait(lambda: "Stopping: " in work.said())
    work.release()
    work.wait_for_the_end()
    states = work.cluster.ended(work.name)
    assert states.count(("COMPLETED", "0:0")) == 2 and len(states) > 2, states
    assert {state for state, _ in states} == {"COMPLETED", "PREEMPTED"}, states
    assert work.cluster.ended(f"high{work.name}") == [("COMPLETED", "0:0")]
    work.check_all_once()


def test_a_node_that_goes_down_loses_nothing(work: Work) -> None:
    """All processes of a node die at once, its daemon too; Slurm finds out by itself."""
    work.hold()
    work.submit("slurm_array.sh", "--cpus-per-task=2", shards=2)
    work.wait_for_the_held_one()
    work.wait(lambda: len(work.cluster.queue()) == 1)
    (task,) = work.cluster.queue()
    node = work.cluster.run("squeue", "--noheader", "--format=%N").strip()
    work.cluster.lose_node(node)
    work.wait(lambda: work.running() == [])
    work.release()
    work.wait_for_the_end(240)
    states = work.cluster.ended(work.name)
    assert states.count(("COMPLETED", "0:0")) == 2 and len(states) == 3, (task, states)
    assert {state for state, _ in states} == {"COMPLETED", "NODE_FAIL"}, states
    assert "down" in work.cluster._states() or "down*" in work.cluster._states()
    work.cluster.start_node(node)
    small.wait_until(lambda: work.cluster._states() == {"idle"}, 60)
    work.check_all_once()


def test_an_array_of_eight_of_which_two_are_killed(work: Work) -> None:
    """One of them is put back by hand; the other part is run by a process outside of Slurm."""
    other = {"lambda_g": 0.1, "z": 3}
    faults = [{"where": where, "do": "wait", "after": 1} for where in (HELD, other)]
    (work.notes / "faults.json").write_text(json.dumps(faults))
    work.submit("slurm_array.sh", "--cpus-per-task=1")
    work.wait(lambda: len(work.cluster.ended(work.name)) == 6)
    work.wait_for_the_held_one()
    held = dict(work.cluster.queue())
    assert len(held) == 2 and set(held.values()) == {"RUNNING"}
    for pid in work.running():
        if "--shard" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)
    work.wait_for_the_end()
    states = work.cluster.ended(work.name)
    assert sorted(states) == [("COMPLETED", "0:0")] * 6 + [("FAILED", "137:0")] * 2, states
    results = work.folder / "results"
    shown = small.main(work.sweep, "--status", "--results", results).stdout
    assert "none of its 8 shards is running" in shown and shown.count("nobody runs it") == 2
    work.release()

    first, second = (name.partition("_")[2] for name in held)
    work.cluster.run("scontrol", "requeue", next(iter(held)))
    given = (work.sweep, "--local", "--results", results, "--checkpoint-seconds", 0)
    anybody = small.start(*given, "--shard", f"{second}/8", notes=work.notes)
    said = anybody.communicate(timeout=120)[0]
    assert anybody.returncode == 0, said
    work.wait_for_the_end()
    states = work.cluster.ended(work.name)
    assert states[-1] == ("COMPLETED", "0:0") and states.count(states[-1]) == 7, (first, states)
    work.check_all_once()


def test_two_nodes_form_one_ray_and_the_job_goes_on_where_it_was_stopped(work: Work) -> None:
    """Ray's own symmetric-run, in a namespace of process ids (see `slurm_two_nodes.py`)."""
    alone = ("unshare", "--pid", "--fork", "--mount-proc")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"]).returncode:
        pytest.skip("needs the right to make a namespace of process ids (unshare --pid)")
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as way:
        if way.connect_ex(("192.0.2.1", 9)):
            pytest.skip("needs an address of this machine besides the loopback")
    work.hold()
    program = small.ROOT / "tests" / "support" / "slurm_two_nodes.py"
    done = subprocess.run(
        [*alone, sys.executable, str(program), str(work.folder)],
        env=small.environment(),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr + work.said()
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ended"] == [["PENDING", "0:0"], ["COMPLETED", "0:0"]], told["said"]
    assert told["said"].count("2/2 nodes") == 0 and "Saved; back into the queue." in told["said"]
    assert "On head node. Starting Ray cluster head" in told["said"]
    work.check_all_once()
