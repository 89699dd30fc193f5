"""`ray up` of local.yaml and what follows, over a real ssh server and rsync: machines of this one
that have processes, addresses and homes of their own.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import machines
import pandas as pd
import pytest
import small
import yaml

from oneshot.store.lease import holder
from oneshot.store.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.machines]

EPOCHS = 120
FILE = "/mnt/local.yaml"
JOBS = {"RAY_API_SERVER_ADDRESS": "http://127.0.0.1:8265", "RAY_AUTH_MODE": "token"}


class Walk:
    """What a person does at the desk, with machines that are there already."""

    def __init__(self, lab: machines.Lab):
        self.lab, self.results = lab, lab.shared / "results"
        self.head = lab.on("head")

    def write_file(self) -> None:
        """local.yaml, filled in with the machines that are on; pip has nothing to fetch here."""
        text = (small.ROOT / "oneshot/cluster/local.yaml").read_text()
        config = yaml.safe_load(text)
        workers = [m.address for name, m in self.lab.machines.items() if name != "head"]
        config["provider"] |= {"head_ip": self.head.address, "worker_ips": workers}
        config["min_workers"] = config["max_workers"] = len(workers)
        config["auth"] = {"ssh_user": machines.USER, "ssh_private_key": "~/.ssh/id_ed25519"}
        assert "pip install" in config["setup_commands"][0]
        config["setup_commands"][0] = machines.installation("~/oneshot")
        (self.lab.shared / "local.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def do(self, *words: object, seconds: float = 300, **variables: str) -> str:
        """A command at the desk that succeeds; returns what it prints."""
        done = self.lab.run(*words, seconds=seconds, **variables)
        assert done.returncode == 0, (words, done.stdout)
        return done.stdout

    def up(self) -> str:
        """`ray up`, of the file as it must be now."""
        self.write_file()
        return self.do("ray", "up", "-y", FILE)

    @contextlib.contextmanager
    def dashboard(self) -> Iterator[None]:
        """`ray dashboard` for the length of a with block."""
        process = self.lab.start("ray", "dashboard", FILE)
        try:
            small.wait_until(lambda: self.lab.run("ray", "job", "list", **JOBS).returncode == 0, 90)
            yield
        finally:
            machines.end(process)

    def submit(self, name: str, command: str) -> None:
        """`ray job submit`, as the documentation says it."""
        entry = ["bash", "-c", f"cd ~/oneshot && exec {command}"]
        self.do("ray", "job", "submit", "--no-wait", "--submission-id", name, "--", *entry, **JOBS)

    def points(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.results / name / "points.parquet")


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    """A cluster of one machine, started by `ray up` at the desk."""
    if reason := machines.lacking():
        pytest.skip(reason)
    with machines.lab() as lab:
        walk = Walk(lab)
        walk.do("bash", "-c", machines.installation("/opt"))
        walk.do("bash", "-c", "umask 077; ray get-auth-token --generate")
        walk.write_file()
        checked = walk.do("python", "run_sweep.py", "--check-cluster", FILE)
        assert "machine     10.77.0.11 alone" in checked and "error:" not in checked
        walk.up()
        yield walk


def checkpoints(walk: Walk) -> dict[Path, float]:
    """When each checkpoint was written."""
    found = (walk.results / "store/trainings").rglob("checkpoint.pt")
    return {path: path.stat().st_mtime for path in found}


def test_a_job_that_was_stopped_goes_on_after_the_head_was_killed_with_a_second_machine(
    walk: Walk, finished: Path
) -> None:
    command = walk.lab.sweep("long", finished, EPOCHS)
    with walk.dashboard():
        walk.submit("first", command)
        small.wait_until(lambda: bool(checkpoints(walk)), 120)
        walk.do("ray", "job", "stop", "first", **JOBS)
        log = walk.do("ray", "job", "logs", "first", **JOBS)
        assert "Stopped: 3 finished, 2 continue from checkpoints" in log, log
        before = checkpoints(walk)
        walk.submit("second", command)
        small.wait_until(
            lambda: any(t > before.get(p, 0) for p, t in checkpoints(walk).items()), 120
        )
        walk.head.off()
    assert len(list((walk.results / "long/records").glob("*.json"))) == 3
    walk.head = walk.lab.on("head")
    walk.lab.on("worker")
    walk.up()
    status = ["ray", "exec", FILE, "ray status"]
    small.wait_until(lambda: " 2 local.cluster.node" in walk.do(*status), 120)
    small.wait_until(lambda: holder(Store(walk.results), "long") is None, 120)
    said = walk.do("ray", "submit", FILE, "run_sweep.py", "--", *command.split()[2:])
    assert "Finished: 2 done" in said, said
    frame = walk.points("long")
    assert len(frame) == 5 and frame.point_id.is_unique and set(frame.status) == {"done"}
    curves = pd.read_parquet(walk.results / "long/curves.parquet")
    assert curves.groupby("point_id").epoch.apply(list).tolist() == [list(range(EPOCHS))] * 2


def test_a_sweep_goes_to_the_head_by_rsync_and_runs_in_a_tmux_that_can_be_looked_at(
    walk: Walk, finished: Path
) -> None:
    command = walk.lab.sweep("short", finished, 1)
    walk.do("ray", "rsync-up", FILE, "sweeps/quickstart.py", "~/oneshot/sweeps/mine.py")
    listed = walk.do("ray", "exec", FILE, "cd ~/oneshot && python run_sweep.py --list")
    assert "mine" in listed.split()
    run = f"cd ~/oneshot && {command}"
    walk.do("ray", "exec", FILE, "--tmux", run)
    small.wait_until(lambda: (walk.results / "short/points.parquet").exists(), 180)
    attached = walk.lab.start("ray", "attach", FILE, "--tmux")
    assert attached.stdin is not None
    attached.stdin.write("echo seen-$((40 + 2)); tmux kill-server\n")
    attached.stdin.flush()
    with contextlib.suppress(subprocess.TimeoutExpired):
        attached.wait(60)
    assert "seen-42" in machines.end(attached)
    assert set(walk.points("short").status) == {"done"}


def test_tables_come_home_and_the_machines_stay_without_ray(walk: Walk) -> None:
    """`ray down` stops Ray on the head; a worker that misses its head ends by itself."""
    walk.do("ray", "exec", FILE, "mkdir -p ~/tables && echo 1 > ~/tables/a.parquet")
    walk.do("ray", "rsync-down", FILE, "~/tables/", "/mnt/home")
    assert (walk.lab.shared / "home/a.parquet").read_text() == "1\n"
    walk.do("ray", "down", "-y", FILE)
    assert not walk.head.processes("/ray/")
    for machine in walk.lab.machines.values():
        small.wait_until(lambda m=machine: not m.processes("raylet"), 180)  # type: ignore[misc]
    assert walk.head.process.poll() is None
