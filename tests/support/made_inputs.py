"""Made images, and sweeps of them, for tests of what the sweeps of a results folder share."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import small
import torch

from oneshot.store.store import Store
from oneshot.sweep.expansion import expand
from oneshot.sweep.files import load_sweep
from oneshot.sweep.point import Point, data_fingerprint
from oneshot.types import DataSet

SIZE, CLASSES, EACH, TEST = 16, 36, 6, 22  # of the made images
CPU = torch.device("cpu")
PARTS = ("simclr", "protonet", "exemplars", "human", "features")


def made(name: str = "quickdraw", split: str = "fixed", size: int = SIZE) -> DataSet:
    """Bars at a place of their class, with a little jitter, in the place of the real drawings."""
    rng = np.random.default_rng(0)
    images = np.zeros((CLASSES, EACH, size, size), np.uint8)
    for c in range(CLASSES):
        y, x = rng.integers(2, size - 5, 2)
        for i in range(EACH):
            dy, dx = rng.integers(-1, 2, 2)
            images[c, i, y + dy : y + dy + 3, 2:-2] = 1
            images[c, i, 3:-2, x + dx : x + dx + 2] = 1
    names = tuple(f"class {c}" for c in range(CLASSES))
    parts = np.split(np.arange(CLASSES), [CLASSES - TEST - 4, CLASSES - TEST])
    fingerprint = data_fingerprint("quickdraw")
    flat = images.reshape(-1, size, size)
    return DataSet(name, split, fingerprint, flat, np.arange(CLASSES).repeat(EACH), names, *parts)


SWEEP = """
from oneshot.sweep import Sweep, grid

sweep = Sweep(
    question="Is it made once?",
    model="copy",
    points=grid({axes}),
    references=(),
    fixed=dict(dataset="quickdraw", split="fixed", image_size={size}),
    critics=dict(
        simclr=dict({simclr}),
        protonet=dict({protonet}),
    ),
)
"""
SIMCLR = "epochs=1, batch_size=16, batches_per_epoch=2"
PROTONET = "epochs=1, episodes_per_epoch=2, train_ways=5, train_queries=2"


def write(path: Path, axes: str = "drawings_per_class=[2]", **changed: Any) -> Path:
    path.write_text(
        SWEEP.format(axes=axes, **dict(size=SIZE, simclr=SIMCLR, protonet=PROTONET) | changed)
    )
    return path


def some_points(folder: Path, axes: str = "drawings_per_class=[2]", **changed: Any) -> list[Point]:
    return expand(load_sweep(write(folder / "q.py", axes, **changed)))


def files(store: Store) -> dict[str, bytes]:
    """Everything stored but leases, by key."""
    root = Path(store.base)
    paths = (p for p in root.rglob("*") if p.is_file() and not p.name.startswith(("driver", ".")))
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in paths}


PROCESS = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import made_inputs
    from oneshot import cli, data as datasets
    from oneshot.critics import simclr, protonet

    datasets.load = made_inputs.made
    folder, name = Path({folder!r}), sys.argv[1]
    for family in (simclr, protonet):
        def spied(*given, real=family.train, what=family.__name__.rpartition(".")[2]):
            with open(folder / "trained", "a") as log:
                log.write(f"{{name}} {{what}}\\n")
            while not (folder / f"go-{{name}}").exists():
                time.sleep(0.05)
            return real(*given)
        family.train = spied
    sys.exit(cli.main([f"{{name}}.py", "--local", "--results", "results", *sys.argv[2:]]))
"""


class Run:
    """run_sweep.py on a sweep of this name, which trains no critic before it is let go."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        write(folder / f"{name}.py", "drawings_per_class=[2, 3]")
        code = textwrap.dedent(
            PROCESS.format(tests=str(small.ROOT / "tests" / "support"), folder=str(folder))
        )
        self.err = (folder / f"{name}.err").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, name],
            cwd=folder,
            env={**small.environment(), "ONESHOT_CACHE": str(folder / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=self.err,
        )

    def let_go(self) -> None:
        (self.folder / f"go-{self.name}").touch()

    def said(self) -> str:
        return (self.folder / f"{self.name}.err").read_text()

    def trained(self) -> list[str]:
        log = self.folder / "trained"
        return (
            [
                line.split()[1]
                for line in log.read_text().splitlines()
                if line.startswith(f"{self.name} ")
            ]
            if log.exists()
            else []
        )

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)

    def ended(self) -> int:
        return self.process.wait(timeout=180)
