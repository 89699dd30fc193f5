"""A Ray cluster of several nodes on this machine, on the loopback address and free ports, with GPUs
that are only counted.

Its processes inherit `tests/witness/sitecustomize.py`, which writes down every epoch that a worker
trains and causes the faults that a test asks for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import small

WITNESS = Path(__file__).parent / "witness"
RAY = {
    "RAY_AUTH_MODE": "disabled",  # whatever token an earlier local run of this user left
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the one switch that keeps Ray on 127.0.0.1
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}


def environment(notes: Path | None = None) -> dict[str, str]:
    """The environment of a cluster, and of whoever talks to it; notes: the folder of the
    witness.
    """
    found = {**small.environment(), **RAY}
    found.pop("RAY_ADDRESS", None)
    if notes is not None:
        found |= {"PYTHONPATH": f"{WITNESS}{os.pathsep}{small.ROOT}", "ONESHOT_WITNESS": str(notes)}
    return found


class Nodes:
    """Nodes of a cluster: node 0 is the head, without processors or GPUs; the others have `slots`
    of each and a name of their own.
    """

    def __init__(self, notes: Path, slots: int = 2):
        from ray.cluster_utils import Cluster

        self.notes, self.slots = notes, slots
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args=dict(num_cpus=0, num_gpus=0, include_dashboard=False),
        )
        self.nodes: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, name: str, **more: Any) -> None:
        """Add a node; its workers see its name in ONESHOT_NODE and keep what they prepare in a
        folder of the node's own.
        """
        cache = self.notes / f"cache-{name}"
        own = {"ONESHOT_NODE": name, "ONESHOT_CACHE": str(cache)}
        given = {"num_cpus": self.slots, "num_gpus": self.slots, **more}
        self.nodes[name] = self.cluster.add_node(
            **given, env_vars={**own, **given.pop("env_vars", {})}
        )

    def kill_raylet(self, name: str) -> int:
        """kill -9 of the process that stands for the machine: its workers are orphans, and nobody
        says goodbye.
        """
        pid: int = self.nodes[name].all_processes["raylet"][0].process.pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def workers(self, name: str | None = None) -> list[int]:
        """The process ids of workers at a trial, on one node or on all of this cluster."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                what, given = (
                    (folder / "cmdline").read_bytes(),
                    (folder / "environ").read_bytes().split(b"\0"),
                )
                mine = f"ONESHOT_WITNESS={self.notes}".encode() in given
                if (
                    b"ray::ImplicitFunc" in what
                    and mine
                    and (name is None or f"ONESHOT_NODE={name}".encode() in given)
                ):
                    found.append(int(folder.name))
        return found

    def shutdown(self) -> None:
        self.cluster.shutdown()


@contextlib.contextmanager
def cluster(
    notes: Path, nodes: int = 2, slots: int = 2, more: dict[str, str] | None = None
) -> Iterator[Nodes]:
    """A head and `nodes` nodes n1, n2, ... with `slots` processors and GPUs each, for the length of
    a with block.

    more: what else stands in the environment of all of its processes.
    Ray keeps its sockets under a short path of its own; everything ends with the block, by the ids
    of its own processes.
    """
    old = dict(os.environ)
    with tempfile.TemporaryDirectory(
        prefix="ray", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        os.environ.clear()
        os.environ.update({**environment(notes), "RAY_TMPDIR": folder, **(more or {})})
        started = None
        try:
            started = Nodes(notes, slots)
            for i in range(nodes):
                started.add(f"n{i + 1}")
            yield started
        finally:
            if started is not None:
                started.shutdown()
            os.environ.clear()
            os.environ.update(old)


def start(nodes: Nodes, *arguments: object) -> subprocess.Popen[str]:
    """Start run_sweep.py on the cluster, in a session of its own."""
    command = [
        sys.executable,
        str(small.ROOT / "run_sweep.py"),
        *map(str, arguments),
        "--address",
        nodes.address,
    ]
    env = {**environment(nodes.notes), "RAY_TMPDIR": os.environ["RAY_TMPDIR"]}
    return subprocess.Popen(
        command,
        cwd=small.ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> str:
    """Wait for the end of a run; returns what it printed, which a failed test shows."""
    try:
        text = process.communicate(timeout=seconds)[0]
        print(text)
        return text
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(
            f"not finished within {seconds} s: {process.communicate()[0][-4000:]}"
        ) from None


def told(notes: Path) -> list[dict[str, Any]]:
    """What the witness wrote down, in the order of time."""
    lines = [
        json.loads(line)
        for path in notes.glob("witness-*.jsonl")
        for line in path.read_text().splitlines()
    ]
    return sorted(lines, key=lambda line: line["time"])


def epochs(notes: Path) -> Counter[tuple[str, int]]:
    """How often each epoch of each training was trained to its end: {(train_id, epoch): times}."""
    return Counter(
        (line["train_id"], line["epoch"]) for line in told(notes) if line["what"] == "epoch"
    )


def in_training(notes: Path, epochs: int) -> list[int]:
    """The processes that have trained some epochs of a training and not all, and are alive."""
    last: dict[int, int] = {}
    for line in told(notes):
        if line["what"] == "epoch":
            last[line["pid"]] = line["epoch"]
    return [pid for pid, epoch in last.items() if epoch < epochs - 1 and _lives(pid)]


def _lives(pid: int) -> bool:
    """Whether a process is there, and is no dead one that its parent has not asked about yet."""
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    return False


def wait_for(
    condition: Any, seconds: float, process: subprocess.Popen[str], pause: float = 0.05
) -> None:
    """Until the condition holds; fails if the process ends or the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(
                f"ended with {process.returncode}:"
                f" {process.stdout.read() if process.stdout else ''}"
            )
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(
                f"did not happen within {seconds} s: {process.communicate()[0][-4000:]}"
            )
        time.sleep(pause)
