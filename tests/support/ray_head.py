"""A head of a Ray cluster with its dashboard and job server, as `ray start --head` leaves it, on
the loopback address and free ports.

For Ray's cluster launcher: a folder that stands for the home of the head's user, and executables
`ssh` and `rsync` that know it. All that the launcher does is Ray's own; only what would travel over
a network stays on this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clusters
import small

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"

SSH = """\
#!{python}
# ssh -tt -o NAME=VALUE ... user@host COMMAND ...
# As sshd does: a terminal, the user's home and few variables.
import os, pty, sys

words, options = sys.argv[1:], []
while words and words[0].startswith("-"):
    options.append(words.pop(0))
    if options[-1] == "-o":
        words.pop(0)
as_ray_asks = options.count("-tt") == 1 and set(options) == {{"-tt", "-o"}}
if not as_ray_asks or words.pop(0) != "{user}@127.0.0.1":
    sys.exit(f"ssh: not understood: {{sys.argv[1:]}}")
with open("{log}", "a") as log:
    print("ssh", " ".join(words), file=log)
os.chdir("{home}")
for name in set(os.environ) - {{"PATH", "LANG"}}:
    del os.environ[name]
path = os.environ["PATH"].removeprefix("{shims}:")
os.environ.update(HOME="{home}", USER="{user}", TERM="xterm", PATH=path)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(["/bin/sh", "-c", " ".join(words)])))
"""

RSYNC = """\
#!{python}
# rsync --rsh SSH -avz FILE user@host:~/TARGET
import os, shutil, sys

words = sys.argv[1:]
where, _, target = words[-1].partition(":")
known = len(words) == 5 and words[0] == "--rsh" and words[2] == "-avz"
known = known and words[1].startswith("ssh ") and where == "{user}@127.0.0.1"
if not known or not os.path.isfile(words[3]):
    sys.exit(f"rsync: not understood: {{words}}")
with open("{log}", "a") as log:
    print("rsync", words[3], target, file=log)
shutil.copy2(words[3], os.path.join("{home}", target.removeprefix("~/")))
"""

CLUSTER = """\
cluster_name: {name}
provider: {{type: local, head_ip: 127.0.0.1, worker_ips: []}}
auth: {{ssh_user: {user}}}
min_workers: 0
max_workers: 0
file_mounts: {{}}
"""


def free_ports(number: int) -> list[int]:
    """Ports of the loopback address that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Head:
    """A head with two processors. folder: where Ray keeps all that is its own; the same path marks
    its processes. notes: the witness's.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        gcs, self.dashboard, agent, client = free_ports(4)
        self.address = f"127.0.0.1:{gcs}"
        self.env = {
            **clusters.environment(),
            "RAY_TMPDIR": str(folder),
            "TMPDIR": str(folder),
            "NO_COLOR": "1",
        }
        self.notes = folder / "notes"
        self.notes.mkdir()
        # Without the project in PYTHONPATH: a node knows it by what its driver tells it.
        self.env |= {"PYTHONPATH": str(clusters.WITNESS), "ONESHOT_WITNESS": str(self.notes)}
        self.token = folder / "auth_token"
        self.token.write_text(secrets.token_hex(32))
        self.env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}
        given = [
            "--node-ip-address",
            "127.0.0.1",
            "--port",
            gcs,
            "--dashboard-host",
            "127.0.0.1",
            "--dashboard-port",
            self.dashboard,
        ]
        given += [
            "--dashboard-agent-listen-port",
            agent,
            "--ray-client-server-port",
            client,
            "--num-cpus",
            2,
            "--num-gpus",
            0,
        ]
        given += ["--object-store-memory", 200_000_000, "--disable-usage-stats"]
        self.log = folder / "head.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*RAY, "start", "--head", "--block", *map(str, given)],
                env={**self.env, STOP_WAIT: "60"},  # as in cluster.yaml
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    def wait(self, seconds: float = 180) -> None:
        """Until the job server answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.ask("jobs/")
                return
            except OSError as error:
                assert self.process.poll() is None and time.monotonic() < end, (
                    f"{error}\n{self.log.read_text()}"
                )
                time.sleep(0.2)

    def ask(self, what: str) -> Any:
        """What the job server says of `what`."""
        request = urllib.request.Request(
            f"{self.url}/api/{what}", headers={"Authorization": f"Bearer {self.token.read_text()}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def cli(
        self, *arguments: object, seconds: float = 300, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The command `ray`, to its end, both streams in one."""
        return subprocess.run(
            [*RAY, *map(str, arguments)],
            cwd=small.ROOT,
            env=env or self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            start_new_session=True,
        )

    def submit(
        self, name: str, *entry: object, wait: bool = True, env_vars: dict[str, str] | None = None
    ) -> str:
        """`ray job submit` of a command under this name; returns what was printed. With wait the
        job's end decides the exit status.
        """
        flags = [] if wait else ["--no-wait"]
        flags += ["--runtime-env-json", json.dumps({"env_vars": env_vars})] if env_vars else []
        done = self.cli(
            "job", "submit", "--address", self.url, "--submission-id", name, *flags, "--", *entry
        )
        succeeded = not wait or self.status(name) == "SUCCEEDED"
        assert done.returncode == (0 if succeeded else 1), done.stdout
        return done.stdout

    def status_of_all(self) -> dict[str, str]:
        """Of every job that was submitted, its status by its name."""
        return {str(job["submission_id"]): str(job["status"]) for job in self.ask("jobs/")}

    def status(self, name: str) -> str:
        return str(self.ask(f"jobs/{name}")["status"])

    def logs(self, name: str) -> str:
        """`ray job logs`: what the job wrote."""
        done = self.cli("job", "logs", "--address", self.url, name)
        assert done.returncode == 0, done.stdout
        return done.stdout.partition("Running entrypoint for job")[2].partition("\n")[2]

    def wait_for(self, condition: Callable[[], bool], name: str, seconds: float) -> None:
        """Until the condition holds while a job runs."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.status(name) in ("PENDING", "RUNNING"), self.logs(name)
            assert time.monotonic() < end, f"did not happen within {seconds} s: {self.logs(name)}"
            time.sleep(0.2)

    def processes(self, what: bytes = b"") -> dict[int, str]:
        """The command lines of all processes of this head (and of who talks to it) that contain
        `what`, by process id.
        """
        found, mark = {}, str(self.folder).encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line, given = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
                if what in line and (mark in line or b"RAY_TMPDIR=" + mark in given.split(b"\0")):
                    found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace")
        return found

    def stop(self) -> None:
        """End the head by its process id, then whatever it left, each by its own; fails if anything
        of it stays.
        """
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        end = time.monotonic() + 20
        while (left := self.processes()) and time.monotonic() < end:
            if time.monotonic() > end - 10:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
        assert not left, left


@contextlib.contextmanager
def started() -> Iterator[Head]:
    """A head for the length of a with block. Its folder has a short path of its own, for the sake
    of sockets.
    """
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        head = Head(Path(folder))
        try:
            head.wait()
            yield head
        finally:
            head.stop()


class Launched:
    """A head that Ray's cluster launcher takes for one that it has launched, on a machine that it
    reaches by ssh.

    home: the folder of the user there; file: the cluster file; log: what went over ssh and rsync, a
    line each.
    """

    user = "somebody"

    def __init__(self, head: Head, folder: Path):
        self.head, self.file, self.home, self.log = (
            head,
            folder / "cluster.yaml",
            folder / "home",
            folder / "sent.txt",
        )
        shims, name = folder / "shims", f"test-{os.getpid()}-{time.time_ns()}"
        shims.mkdir()
        self.home.mkdir()
        self.log.touch()
        given = dict(
            python=sys.executable, user=self.user, home=self.home, shims=shims, log=self.log
        )
        for command, text in (("ssh", SSH), ("rsync", RSYNC)):
            (shims / command).write_text(text.format(**given))
            (shims / command).chmod(0o755)
        self.file.write_text(CLUSTER.format(name=name, user=self.user))
        (self.home / ".ray").mkdir()
        shutil.copy2(head.token, self.home / ".ray/auth_token")  # as file_mounts leave it
        variables = {
            **clusters.RAY,
            "RAY_AUTH_MODE": "token",
            "RAY_TMPDIR": str(head.folder),
            "OMP_NUM_THREADS": "1",
        }
        lines = [f"export {key}={value}" for key, value in variables.items()]
        # as setup_commands leave it, and where this head differs from one of its own machine
        self.bashrc = self.home / ".bashrc"
        self.bashrc.write_text(
            "\n".join([*lines, "export PATH=$HOME/oneshot/.venv/bin:$PATH"]) + "\n"
        )
        self.env = {
            **head.env,
            "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
        }
        tags = {
            "ray-node-type": "head",
            "ray-user-node-type": "local.cluster.node",
            "ray-node-status": "up-to-date",
        }
        state = head.folder / "ray" / f"cluster-{name}.state"
        state.write_text(json.dumps({"127.0.0.1": {"tags": tags, "state": "running"}}))

    def send_project(self) -> None:
        """What file_mounts and setup_commands do: the project in ~/oneshot, and there an
        environment with this Python's packages.
        """
        project = self.home / "oneshot"
        project.mkdir()
        for name in ("oneshot", "sweeps", "run_sweep.py", "analyze.py"):
            (project / name).symlink_to(small.ROOT / name)
        (project / ".venv" / "bin").mkdir(parents=True)
        (project / ".venv" / "bin" / "python").write_text(
            f'#!/bin/sh\nexec {sys.executable} "$@"\n'
        )
        (project / ".venv" / "bin" / "python").chmod(0o755)

    def ray(
        self, command: str, *arguments: object, seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """A command of the launcher, as `ray submit`, with the cluster file."""
        return self.head.cli(command, self.file, *arguments, seconds=seconds, env=self.env)

    def sent(self) -> list[str]:
        return self.log.read_text().splitlines()


@contextlib.contextmanager
def launched(head: Head) -> Iterator[Launched]:
    """A launched cluster for the length of a with block; Ray leaves a folder for ssh's sockets,
    which goes with it.
    """
    before = set(Path("/tmp").glob("ray_ssh_*/*"))
    with tempfile.TemporaryDirectory(prefix="ray-home-", ignore_cleanup_errors=True) as folder:
        yield Launched(head, Path(folder))
    for path in set(Path("/tmp").glob("ray_ssh_*/*")) - before:
        shutil.rmtree(path, ignore_errors=True)
