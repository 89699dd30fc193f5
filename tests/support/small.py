"""A sweep small enough for tests, run through the command as a user does."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from unittest import mock

import numpy as np

from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.trial.images import load_images
from oneshot.types import DataSet

ROOT = Path(__file__).parents[2]
WITNESS = Path(__file__).parent / "witness"

TEST_CLASSES = 66  # of the small sweep
SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Does it work?",
    model="vae_stn",
    variant="tiny",
    points=grid(beta=[0.0, 1.0, 2.0]),
    fixed=dict(
        dataset="folder", data_path="images.npz", split="fixed", image_size=16,
        epochs={epochs}, batch_size={batch}, drawings_per_class=4,
    ),
    critics=dict(
        simclr=dict(epochs=1, batch_size=64, batches_per_epoch=15, strength="light"),
        protonet=dict(epochs=1, episodes_per_epoch=15, train_ways=20, train_queries=2),
    ),
)
"""


def write_sweep(folder: Path, epochs: int = 2, batch: int = 512) -> Path:
    """The sweep file, with its images beside it."""
    write_images(folder)
    path = folder / "small.py"
    path.write_text(SWEEP.format(epochs=epochs, batch=batch))
    return path


def write_images(folder: Path, classes: int = 330, drawings: int = 12) -> None:
    """images.npz with embedded drawings of some classes; all of them would take a run many times as
    long.
    """
    with np.load(ROOT / "oneshot/data/quickdraw_345x80.npz") as file:
        packed = file["packed"].reshape(-1, 80, 98)[:classes, :drawings].reshape(-1, 98)
        names = file["class_names"][:classes]
    np.savez(
        folder / "images.npz",
        images=np.unpackbits(packed, axis=1).reshape(-1, 28, 28),
        label=np.arange(classes).repeat(drawings),
        class_names=names,
    )


def embedded(sweep: Path) -> Path:
    """Let a small sweep be one of the embedded drawings; for what trains nothing."""
    text, images = sweep.read_text(), 'dataset="folder", data_path="images.npz"'
    assert images in text
    sweep.write_text(text.replace(images, 'dataset="quickdraw"'))
    return sweep


def data() -> DataSet:
    """The images of the small sweep, as its critics see them."""
    with tempfile.TemporaryDirectory() as folder:
        point = expand(load_sweep(write_sweep(Path(folder))))[0]
        return load_images(point, Store(folder))


def copy_prepared(finished: Path, folder: Path) -> None:
    """Put the images, critics and references of the finished small sweep into a folder."""
    shutil.copyfile(finished / "images.npz", folder / "images.npz")
    for part in ("images", "critics", "exemplars", "humans", "features"):
        shutil.copytree(finished / "results/store" / part, folder / "results/store" / part)


def environment() -> dict[str, str]:
    """The variables of a command in a process of its own."""
    # Ray would end workers for the memory that others of this machine use
    unwatched = {"RAY_memory_monitor_refresh_ms": "0"}
    return {
        **os.environ,
        **unwatched,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
    }


class Done(NamedTuple):
    """How a command ended, under the names that `subprocess.run` gives."""

    returncode: int
    stdout: str
    stderr: str


def main(
    *arguments: object, cwd: str | Path = ROOT, script: str = "run_sweep.py", **variables: str
) -> Done:
    """Call a command of the project in this process, as a new process would find things; far
    cheaper than `run`.

    The command sees no cached inputs, prints its warnings, and what it changes of the process
    (folder, variables, signal handlers, warning filters, threads) is put back.

    Args:
        arguments: The words of the command line.
        cwd: The folder in which it is called.
        script: `run_sweep.py` or `analyze.py`.
        variables: More variables of the environment.

    Returns:
        Its exit status, stdout and stderr.
    """
    command = _entry(script)
    out, err = io.StringIO(), io.StringIO()
    with (
        _as_a_new_process(cwd, {"COLUMNS": "80", **variables}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status: Any = command([str(word) for word in arguments])
        except SystemExit as end:
            status = end.code
            if isinstance(status, str):
                print(status, file=sys.stderr)
                status = 1
    return Done(int(status or 0), out.getvalue(), err.getvalue())


def _entry(script: str) -> Callable[[Sequence[str]], int]:
    """The main function of a command."""
    if script == "run_sweep.py":
        from oneshot import cli

        return cli.main
    from oneshot.report import command

    return command.main


@contextlib.contextmanager
def _as_a_new_process(cwd: str | Path, variables: dict[str, str]) -> Iterator[None]:
    """Hide what this process has read before, and put back what a command changes of it."""
    import torch

    from oneshot.trial import inputs

    heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers, threads, path = (
        [signal.getsignal(s) for s in heard],
        torch.get_num_threads(),
        list(sys.path),
    )
    inputs._cache.clear()
    try:
        with (
            mock.patch.dict(os.environ, variables),
            contextlib.chdir(cwd),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("default")
            warnings.showwarning = _print_warning
            yield
    finally:
        inputs._cache.clear()
        torch.set_num_threads(threads)
        sys.path[:] = path
        for number, handler in zip(heard, handlers):
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(
        warnings.formatwarning(message, category, filename, lineno, line),
        file=file or sys.stderr,
        end="",
    )


@contextlib.contextmanager
def ray_here() -> Iterator[None]:
    """Ray with two processors started by this process, which runs in it join, for the length of a
    with block.

    Where a block is open already, the same Ray serves both.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with mock.patch.dict(os.environ, environment()):
            given: dict[str, Any] = dict(
                log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
            )
            ray.init(address="local", num_cpus=2, object_store_memory=200_000_000, **given)
        signal.signal(signal.SIGTERM, handler)  # Ray's own would end the process
        yield
    finally:
        ray.shutdown()


def run(
    *arguments: object, cwd: Path = ROOT, script: str = "run_sweep.py", timeout: float = 280
) -> subprocess.CompletedProcess[str]:
    """Run a command of the project to its end in a process of its own, for what `main` cannot show:
    imports, pipes, the script itself.
    """
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout
    )


def status(sweep: Path, results: Path) -> dict[str, Any]:
    """What `--status --json` says."""
    found: dict[str, Any] = json.loads(
        main(sweep, "--status", "--json", "--results", results).stdout
    )
    return found


def start(*arguments: object, mark: str = "", notes: Path | None = None) -> subprocess.Popen[str]:
    """Start run_sweep.py in a session of its own, so that a signal reaches it alone.

    Args:
        arguments: The words of the command line.
        mark: A text that its workers inherit, by which `workers` finds them.
        notes: A folder in which every epoch is noted that it trains, see `witness/` and
            `clusters.epochs`.
    """
    command = [sys.executable, str(ROOT / "run_sweep.py"), *map(str, arguments)]
    env = {**environment(), "ONESHOT_TEST_MARK": mark}
    if notes is not None:
        env |= {"PYTHONPATH": f"{WITNESS}{os.pathsep}{ROOT}", "ONESHOT_WITNESS": str(notes)}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def workers(mark: str) -> list[int]:
    """The process ids of the Ray workers at a trial in the run that was started with this mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                b"ray::ImplicitFunc" in (folder / "cmdline").read_bytes()
                and mark.encode() in (folder / "environ").read_bytes()
            ):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], bool], seconds: float, process: subprocess.Popen[str]) -> None:
    """Until the condition holds; fails if the process ends or the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(
                f"ended with {process.returncode}:"
                f" {process.stdout.read() if process.stdout else ''}"
            )
        if time.monotonic() > end:
            process.send_signal(signal.SIGKILL)
            raise AssertionError(
                f"did not happen within {seconds} s:"
                f" {process.stdout.read() if process.stdout else ''}"
            )
        time.sleep(0.05)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Until the condition holds; fails when the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.05)
