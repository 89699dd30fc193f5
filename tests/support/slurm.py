"""A Slurm of this machine: a controller and several nodes on free ports of 127.0.0.1, under this
user, with a munge of its own. Everything ends by the ids of its own processes.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import small

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")
SCRIPTS = small.ROOT / "oneshot" / "cluster"
CONF = """
ClusterName=oneshot
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/%n.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=30
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def skip_without_slurm() -> None:
    """Skip where a program of Slurm or munge is absent."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if absent := [name for name in PROGRAMS if not shutil.which(name, path=path)]:
        pytest.skip(f"needs {', '.join(absent)}: apt-get install slurmctld slurmd munge")


class Slurm:
    """A controller and nodes n1, n2, ... of two processors each, which are only counted."""

    def __init__(self, folder: Path, nodes: int = 4):
        self.folder, self.nodes = folder, [f"n{i + 1}" for i in range(nodes)]
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **small.environment(),
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        }
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        ports = _free_ports(nodes + 1)
        host = platform.node()
        lines = [
            f"NodeName={name} NodeHostName={host} NodeAddr=127.0.0.1 Port={port} CPUs=2"
            " RealMemory=64000"
            for name, port in zip(self.nodes, ports[1:])
        ]
        given = dict(host=host, port=ports[0], user=getpass.getuser(), folder=folder)
        (folder / "slurm.conf").write_text(CONF.format(nodes="\n".join(lines), **given))

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        files = ("key", "socket", "pid", "log", "seed")
        names = ("munge.key", "munge.sock", "munge.pid", "munge.log", "munge.seed")
        options = [f"--{f}-file={self.folder}/{n}" for f, n in zip(files, names) if f != "socket"]
        socket_option = f"--socket={self.folder}/munge.sock"
        self._daemon("munged", "munged", "-F", "--force", *options, socket_option)
        small.wait_until(lambda: (self.folder / "munge.sock").exists(), 20)
        self._daemon("slurmctld", "slurmctld", "-D", "-c")
        for node in self.nodes:
            self.start_node(node)
        small.wait_until(lambda: self._states() == {"idle"}, 60)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._daemon(node, "slurmd", "-D", "-N", node)

    def _daemon(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )

    def _states(self) -> set[str]:
        return set(self.run("sinfo", "--noheader", "--Node", "--format=%T").split())

    def run(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True
        )
        return done.stdout

    def submit(self, *words: object, cwd: Path, **variables: str) -> str:
        """Submit a job; its id."""
        done = subprocess.run(
            ["sbatch", "--parsable", *map(str, words)],
            env={**self.environment, **variables},
            cwd=cwd,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def queue(self) -> dict[str, str]:
        """The state of each job, or task of an array as `7_3`, that has not ended."""
        lines = self.run("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def ended(self, name: str) -> list[tuple[str, str]]:
        """State and exit code of each time at which jobs of this name ended, oldest first."""
        path = self.folder / "jobs.txt"
        found = re.findall(
            rf"Name={name} JobState=(\S+).* ExitCode=(\S+)",
            path.read_text() if path.is_file() else "",
        )
        return [(state, code) for state, code in found]

    def processes(self, mark: str, command: str) -> list[int]:
        """The ids of processes of jobs that have a mark in their environment.

        Args:
            mark: as `SLURM_JOB_ID=7`.
            command: a part of their command line.
        """
        found = []
        for pid, line in _command_lines():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                ours = f"SLURM_CONF={self.folder}/slurm.conf".encode() in words
                marked = not mark or mark.encode() in words
                if ours and marked and command in line and pid != os.getpid():
                    found.append(pid)
        return found

    def lose_node(self, node: str) -> None:
        """Kill all that runs on a node, as of a machine without power.

        What watches jobs goes first: nobody is left to say that one has ended.
        """
        self.daemons.pop(node).kill()
        jobs = self.processes(f"SLURMD_NODENAME={node}", "")
        watching = {pid for pid, line in _command_lines() if line.startswith("slurmstepd")}
        _kill(watching & {_parent(pid) for pid in jobs})
        _kill(jobs)

    def stop(self) -> None:
        """End all jobs and daemons."""
        for job in self.queue():
            self.run("scancel", "--signal=KILL", "--full", job)
            self.run("scancel", job)
        _kill(self.processes("", "run_sweep.py"))
        with contextlib.suppress(AssertionError):
            small.wait_until(lambda: not self.queue(), 30)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        _kill(self.processes("", ""))


def script(
    name: str, folder: Path, notes: Path | None = None, shards: int = 8, **changes: str
) -> Path:
    """A script of the package, filled in for this machine.

    Args:
        name: of the file.
        folder: where it is written to, and where the results lie.
        notes: the folder of the witness, see `clusters.environment`.
        shards: of an array.
        changes: texts that replace the values of #SBATCH options, as `time="1"`; "" takes one out.
    """
    text = (SCRIPTS / name).read_text()
    path = f"{small.WITNESS}:{small.ROOT}" if notes else str(small.ROOT)
    seen = f" ONESHOT_WITNESS={notes}" if notes else ""
    load = f'export PATH="{Path(sys.executable).parent}:$PATH" PYTHONPATH={path}{seen}'
    for old, new in {
        '. "$PROJECT/.venv/bin/activate"': load,
        "/YOUR/SHARED/FOLDER/oneshot\n": f"{small.ROOT}\n",
        "/YOUR/SHARED/FOLDER/results\n": f"{folder}/results\n",
        "#SBATCH --partition=YOUR-PARTITION\n": "#SBATCH --partition=low\n",
        "--output=": f"--output={folder}/",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    text = text.replace("SHARDS=8\n", f"SHARDS={shards}\n").replace("=1-8\n", f"=1-{shards}\n")
    for option, value in changes.items():
        line = f"#SBATCH --{option.replace('_', '-')}"
        text, changed = re.subn(rf"(?m)^{line}(=.*)?$", f"{line}={value}" if value else "#", text)
        assert changed == 1, option
    file = folder / name
    file.write_text(text)
    return file


@contextlib.contextmanager
def started(nodes: int = 4) -> Iterator[Slurm]:
    """Slurm for the length of a with block, in a folder with a short path."""
    skip_without_slurm()
    with tempfile.TemporaryDirectory(
        prefix="slurm", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        slurm = Slurm(Path(folder), nodes)
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()


def _command_lines() -> Iterator[tuple[int, str]]:
    """The id and command line of every process of this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            yield int(folder.name), line.decode(errors="replace")


def _parent(pid: int) -> int:
    """The id of the parent of a process; 0 where it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
