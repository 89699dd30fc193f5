"""A sweep small enough for tests, run through the command as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent

SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does it work?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[0.0, 1.0, 2.0]),
    fixed=dict(dataset="quickdraw", split="fixed", image_size=16, epochs={epochs}, batch_size={batch}, drawings_per_class=4),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=15, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=15, train_ways=20, train_queries=2),
    ),
)
"""


def write_sweep(folder: Path, epochs: int = 2, batch: int = 512) -> Path:
    """The sweep file; about half a second an epoch."""
    path = folder / "small.py"
    path.write_text(SWEEP.format(epochs=epochs, batch=batch))
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


def run(*arguments: object, cwd: Path = ROOT, script: str = "run_sweep.py", timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """Run a command of the project to its end."""
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout)


def start(*arguments: object, mark: str = "") -> subprocess.Popen[str]:
    """Start run_sweep.py in a session of its own, so that a signal reaches it alone; its workers inherit the mark."""
    command = [sys.executable, str(ROOT / "run_sweep.py"), *map(str, arguments)]
    env = {**environment(), "ONESHOT_TEST_MARK": mark}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def workers(mark: str) -> list[int]:
    """The process ids of the Ray workers at a trial in the run that was started with this mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::ImplicitFunc" in (folder / "cmdline").read_bytes() and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], bool], seconds: float, process: subprocess.Popen[str]) -> None:
    """Until the condition holds; fails if the process ends or the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.stdout.read() if process.stdout else ''}")
        if time.monotonic() > end:
            process.send_signal(signal.SIGKILL)
            raise AssertionError(f"did not happen within {seconds} s: {process.stdout.read() if process.stdout else ''}")
        time.sleep(0.05)
