"""Machines on this one: each has processes, a network address, a home, a /tmp and an ssh server of
its own, by namespaces of the kernel. The desk is the one at which a person sits.

Nothing outside of them changes: users, addresses and files of ssh are theirs alone. When the first
process of a machine ends, the kernel ends all others of it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import small

USER = "somebody"
UID = 4242
NETWORK = "10.77.0"  # known in the namespaces alone
MISSED = "RAY_gcs_rpc_server_reconnect_timeout_s=10"  # Ray's own minute is a minute of this test
LAST = ("setpriv", "--pdeathsig", "KILL")  # a machine does not outlive the test
NEEDED = ("setpriv", "sshd", "ssh", "ssh-keygen", "rsync", "tmux", "unshare", "nsenter", "ip")

START = """\
set -eu
cd {folder}
mkdir -p opt/packages opt/project opt/python opt/bin home shared
[ -z "{hidden}" ] || mount --bind {python} opt/python
mount --bind {packages} opt/packages
mount --bind {project} opt/project
mount -t tmpfs -o mode=755 none /root
[ -z "{hidden}" ] || {{ mkdir -p {python}; mount --bind opt/python {python}; }}
mount --bind passwd /etc/passwd
mount --bind {shared} /mnt
mount --bind home /home
mount --bind opt/bin /usr/local/bin
mount --rbind opt /opt
mount -t tmpfs -o mode=1777 none /dev/shm
mount -t tmpfs -o mode=755 none /run
mkdir -m 755 /run/sshd
hostname {name}
cp -r root/. /root
mount -t tmpfs -o mode=1777 none /tmp
exec {command}
"""

SSHD = """\
HostKey /opt/key
PidFile none
UsePAM no
PasswordAuthentication no
AuthorizedKeysFile /opt/authorized
StrictModes no
Subsystem sftp internal-sftp
SetEnv RAY_USAGE_STATS_ENABLED=0 RAY_memory_monitor_refresh_ms=0 {more}
"""


def lacking() -> str:
    """Why there can be no machines here; empty where there can."""
    missing = [name for name in NEEDED if _path_of(name) is None]
    if missing:
        return f"needs {', '.join(missing)} (openssh-server, rsync, tmux, iproute2, util-linux)"
    tried = "ip link add net type bridge && mount -t tmpfs none /mnt"
    command = ["unshare", "--mount", "--pid", "--net", "--uts", "--fork", "--mount-proc"]
    done = subprocess.run([*command, "sh", "-c", tried], capture_output=True, text=True)
    return f"needs the right to make namespaces: {done.stderr.strip()}" if done.returncode else ""


def _path_of(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Machine:
    """A machine that is on.

    folder: what it keeps when it is off, as a disk does; home: that of its user, seen from here.
    """

    def __init__(self, folder: Path, name: str, number: int, shared: Path, command: str):
        self.folder, self.name, self.address = folder, name, f"{NETWORK}.{10 + number}"
        self.home = folder / "home" / USER
        for part in ("root", "opt/bin"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        if not self.home.exists():
            self.home.mkdir(parents=True)
            os.chown(self.home, UID, UID)
        passwd = Path("/etc/passwd").read_text()
        (folder / "passwd").write_text(
            f"{passwd.rstrip()}\n{USER}:*:{UID}:{UID}::/home/{USER}:/bin/bash\n"
        )
        python = Path(sys.base_prefix)
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        for called in ("python3", version):
            link = folder / "opt/bin" / called
            # no link: Python looks for its library beside the name that it was called by
            link.write_text(f'#!/bin/sh\nexec {python}/bin/{version} "$@"\n')
            link.chmod(0o755)
        hidden = any(not parent.stat().st_mode & 0o001 for parent in python.parents)
        script = START.format(
            folder=folder,
            hidden="yes" * hidden,
            python=python,
            packages=sysconfig.get_path("purelib"),
            project=small.ROOT,
            shared=shared,
            name=name,
            command=command,
        )
        self.log = folder / "log.txt"
        given = ["--mount", "--pid", "--net", "--uts", "--fork", "--kill-child", "--mount-proc"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*LAST, "unshare", *given, "bash", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        small.wait_until(lambda: bool(self._children()) or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.log.read_text()
        self.first = int(self._children()[0])

    def _children(self) -> list[str]:
        """The process ids of the children of `unshare`: the first process of the machine."""
        pid = self.process.pid
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return []

    def inside(self, *words: object) -> list[str]:
        """A command that runs there, as root."""
        enter = ["nsenter", "-t", str(self.first), "-m", "-p", "-n", "-u"]
        return [*enter, *map(str, words)]

    def network(self, *words: object) -> None:
        """A command `ip` in its network."""
        command = ["nsenter", "-t", str(self.process.pid), "-n", _path_of("ip") or "ip"]
        subprocess.run([*command, *map(str, words)], check=True)

    def processes(self, what: str = "ray") -> list[str]:
        """The command lines there that contain a word."""
        done = subprocess.run(
            self.inside("ps", "-eo", "args"), capture_output=True, text=True, check=True
        )
        return [line for line in done.stdout.splitlines() if what in line and "ps -eo" not in line]

    def off(self) -> None:
        """As if the plug were pulled: nothing there gets a signal that it could handle."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first, signal.SIGKILL)
        self.process.wait(30)


class Lab:
    """The desk and the machines that it reaches by ssh. shared: a folder that all see as /mnt."""

    def __init__(self, folder: Path):
        self.folder, self.shared = folder, folder / "shared"
        self.shared.mkdir()
        os.chown(self.shared, UID, UID)
        self.machines: dict[str, Machine] = {}
        self.key = folder / "key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)]
        subprocess.run(command, check=True)
        ssh = folder / "desk/root/.ssh"
        ssh.mkdir(parents=True, mode=0o700)
        shutil.copy2(self.key, ssh / "id_ed25519")
        self.desk = Machine(folder / "desk", "desk", 0, self.shared, "sleep infinity")
        self.desk.network("link", "set", "lo", "up")
        self.desk.network("link", "add", "net", "type", "bridge")
        self.desk.network("addr", "add", f"{NETWORK}.1/24", "dev", "net")
        self.desk.network("link", "set", "net", "up")

    def on(self, name: str) -> Machine:
        """Switch a machine on: a new one, or one that was off, with its disk and address."""
        known = self.machines.get(name)
        number = int(known.address.split(".")[-1]) - 10 if known else len(self.machines) + 1
        folder = self.folder / name
        (folder / "opt").mkdir(parents=True, exist_ok=True)
        for source, target in ((self.key, "key"), (self.key.with_suffix(".pub"), "authorized")):
            shutil.copy2(source, folder / "opt" / target)
        (folder / "opt/sshd.conf").write_text(SSHD.format(more=MISSED))
        wait = "while ! ip addr show eth0 2>/dev/null | grep -q 'inet '; do sleep .1; done"
        (folder / "opt/start").write_text(
            f"{wait}\nexec {_path_of('sshd')} -D -e -f /opt/sshd.conf\n"
        )
        machine = Machine(folder, name, number, self.shared, "bash /opt/start")
        self.machines[name] = machine
        add = ["link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0"]
        self.desk.network(*add, "netns", machine.process.pid)
        self.desk.network("link", "set", f"to{number}", "master", "net", "up")
        machine.network("link", "set", "lo", "up")
        machine.network("link", "set", "eth0", "up")
        machine.network("addr", "add", f"{machine.address}/24", "dev", "eth0")
        machine.network("route", "add", "default", "via", f"{NETWORK}.1")
        return machine

    def sweep(self, name: str, finished: Path, epochs: int) -> str:
        """A small sweep in the shared folder, its critics ready, and the command that runs it."""
        if not (self.shared / "results").exists():
            small.copy_prepared(finished, self.shared)
        path = small.write_sweep(self.shared, epochs=epochs, batch=128)
        path.rename(self.shared / f"{name}.py")
        for part in [self.shared, *self.shared.rglob("*")]:
            os.chown(part, UID, UID)
        return (
            f".venv/bin/python run_sweep.py /mnt/{name}.py --address auto --results /mnt/results"
            " --limit 2 --max-stack 1 --checkpoint-seconds 1"
        )

    def command(self, *words: object) -> list[str]:
        """A command of the person at the desk, who is in the project's folder."""
        line = f"cd /opt/project && exec {shlex.join(map(str, words))}"
        return self.desk.inside("bash", "-c", line)

    def environment(self, **more: str) -> dict[str, str]:
        """The person's variables: few, and none of this process's."""
        path = "/opt/.venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        given = {"HOME": "/root", "USER": "root", "LANG": "C.UTF-8", "COLUMNS": "80"}
        given |= {"RAY_USAGE_STATS_ENABLED": "0", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        return {**given, "PATH": path, "TERM": "xterm", **more}

    def run(
        self, *words: object, seconds: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """A command at the desk, to its end, both streams in one."""
        return subprocess.run(
            self.command(*words),
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )

    def start(self, *words: object, **variables: str) -> subprocess.Popen[str]:
        """A command at the desk that goes on until `end`."""
        return subprocess.Popen(
            self.command(*words),
            env=self.environment(**variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def end(process: subprocess.Popen[str]) -> str:
    """End what `Lab.start` started, with all that it started itself; returns what it printed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """A desk for the length of a with block."""
    with tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        made = Lab(Path(folder))
        try:
            yield made
        finally:
            for machine in [*made.machines.values(), made.desk]:
                machine.off()


def installation(folder: str) -> str:
    """A line of shell that makes an environment in a folder's .venv of the packages that are there
    already, in place of pip.
    """
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    site = f".venv/lib/python{version}/site-packages"
    return (
        f"cd {folder} && python3 -m venv --without-pip .venv"
        f" && printf '%s\\n' /opt/packages \"$PWD\" > {site}/there.pth"
        " && printf '#!%s/.venv/bin/python\\nfrom ray.scripts.scripts import main\\nmain()\\n'"
        ' "$PWD" > .venv/bin/ray && chmod +x .venv/bin/ray'
    )
