"""Runs of the campaign of `chaos.py`: processes of their own, forked or new interpreters."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="What survives?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[0.0, 0.5, 1.0, 2.0]),
    seeds=2,
    fixed=dict(
        dataset="folder", data_path="images.npz", split="fixed", image_size=16, time_steps=1,
        epochs=8, batch_size=256, drawings_per_class=3,
    ),
    references=("human", "noise"),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=5, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=5, train_ways=20, train_queries=2),
    ),
)
"""
POLL_SECONDS = 0.03


def write_sweep(folder: Path) -> Path:
    """The sweep of the campaign, with its images beside it; returns its file."""
    import small

    small.write_images(folder)
    path = folder / "chaos.py"
    path.write_text(SWEEP)
    return path


def as_driver(arguments: list[str], mischief: str) -> int:
    """What a run does in its own process: the command, with short leases and what `mischief` says
    of its store and clock.
    """
    from oneshot import cli
    from oneshot.engine import driver
    from oneshot.store import lease, store

    lease.RENEW_SECONDS, lease.EXPIRY_SECONDS = 0.3, 2.0
    driver.FOLD_SECONDS = 0.3
    if mischief:
        _mischief(Path(mischief), store)
    return cli.main(arguments)


def leave(status: int) -> None:
    """End this process as run_sweep.py does."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _mischief(flags: Path, store: Any) -> None:
    """A full disk, a listing that lags and a clock that jumps, each while a file of its name lies
    in this folder.
    """
    fsync, now, versions = os.fsync, time.time, store.Store.versions
    lately: dict[str, list[tuple[float, dict[str, str]]]] = {}

    def full_disk(handle: int) -> None:
        if (flags / "full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    def lagging(self: Any, folder: str, suffix: str = "") -> dict[str, str]:
        found = versions(self, folder, suffix)
        kept = lately.setdefault(folder + suffix, [])
        kept.append((time.monotonic(), found))
        if not (flags / "lag").exists():
            return dict(found)
        old = [names for at, names in kept if at < time.monotonic() - 3]
        return dict(old[-1]) if old else {}

    def clock() -> float:
        with contextlib.suppress(OSError, ValueError):
            return now() + float((flags / "clock").read_text())
        return now()

    os.fsync, time.time, store.Store.versions = full_disk, clock, lagging


@dataclasses.dataclass
class Run:
    """A driver at work: its process, and what was done to it."""

    pid: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    status: int | None = None

    def ended(self) -> bool:
        """Whether it has ended; its exit status is known then, negative for a signal."""
        if self.status is not None:
            return True
        if self.process is not None:
            self.status = self.process.poll()
        else:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def send(self, number: int) -> None:
        """A signal, to the driver alone."""
        if not self.ended():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def text(self) -> str:
        """What it printed."""
        return self.log.read_text(errors="replace")


def start(
    arguments: list[str], log: Path, mischief: str, fork: bool, environment: dict[str, str]
) -> Run:
    """Start the command, forked or as a new interpreter."""
    if not fork:
        code = (
            f"import sys; sys.path[:0] = {sys.path[:2]!r}; import chaos_run;"
            f" chaos_run.leave(chaos_run.as_driver({arguments!r}, {mischief!r}))"
        )
        env = {
            **os.environ,
            **environment,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}",
            "OMP_NUM_THREADS": "1",
        }
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=env,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return Run(process.pid, log, process)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Run(pid, log)
    status = 70
    try:
        os.setsid()
        warnings.resetwarnings()  # those of whoever started the campaign are not a user's
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: RUF100, SIM115
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = as_driver(arguments, mischief)
        sys.stdout.flush()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
