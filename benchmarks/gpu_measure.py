"""What the stages of gpu_slot.py measure with: a stack of models at work, timing, counting kernels
and waits, and CUDA graphs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import statistics
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import harness, made
from benchmarks.gpu_stage import Result
from oneshot.models.vae_stn import Config, VaeStn
from oneshot.training import loop
from oneshot.training.cuda_graph import StepRunner
from oneshot.training.pair_batches import PairBatches
from oneshot.training.stack import Stack, matrix_products

Work = Callable[[], Any]


@dataclass
class Bench:
    """The machine and the sizes: full, or tiny ones with the same names."""

    device: torch.device
    quick: bool
    cut: bool = False

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def batch(self) -> int:
        return 8 if self.quick else 128

    @property
    def side(self) -> int:
        return 16 if self.quick else 50

    def shape(self, time_steps: int = 40, z: int = 60) -> dict[str, int]:
        """Sizes of the model, as both programs name them."""
        if self.quick:
            return dict(
                time_steps=time_steps // 20 + 1, z=z // 30 + 2, lstm_size=16, glimpse=5, hidden=16
            )
        return dict(time_steps=time_steps, z=z, lstm_size=400, glimpse=15, hidden=512)

    def slices(self, count: int) -> int:
        return min(count, 4) if self.quick else count

    def models(
        self,
        slices: int,
        precision: str = "tf32",
        time_steps: int = 40,
        z: int = 60,
        epochs: int = 1,
    ) -> list[VaeStn]:
        """Equal models but for beta."""
        betas = np.linspace(0.25, 4, slices).tolist() if slices > 1 else [1.0]
        shape: dict[str, Any] = dict(
            **self.shape(time_steps, z),
            batch_size=self.batch,
            epochs=epochs,
            schedule_classes="test",
        )
        found = []
        for beta in betas:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                found.append(VaeStn(Config(**shape, beta=beta, precision=precision), self.side))
        return found

    @cached_property
    def images(self) -> made.Images:
        return made.strokes(12 if self.quick else 100)

    def material(self, images: made.Images, test: int) -> PairBatches:
        return PairBatches.of(
            made.data_set(images, self.side, test), images.exemplar, "test", self.device
        )

    @cached_property
    def few(self) -> PairBatches:
        """Enough images for single steps."""
        return self.material(self.images, 0)

    @cached_property
    def compiles(self) -> bool:
        """Whether torch.compile works here; tried on a small function. Compiling is left out on
        processors, where it pays little.
        """
        if not self.cuda:
            return False
        try:
            torch.compile(lambda x: torch.sigmoid(x) * 2)(torch.ones(64, device=self.device))
        except Exception as error:
            print(f"torch.compile does not work here, nothing will be compiled: {error}"[:600])
            return False
        return True

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


class Steps:
    """A stack of models at work on made images, one training step a call, as the training loop
    calls it. Off a GPU, plain and eager.
    """

    def __init__(
        self,
        bench: Bench,
        slices: int = 1,
        time_steps: int = 40,
        z: int = 60,
        precision: str = "tf32",
        compiled: bool = True,
        graph: bool = True,
    ):
        models = bench.models(slices, precision, time_steps, z)
        self.compiled = compiled and bench.compiles
        self.bench, self.precision, self.graph, self.material = (
            bench,
            precision,
            graph and bench.cuda,
            bench.few,
        )
        self.stack = Stack(models, bench.device, self.compiled)
        self.rounds = StepRunner(self.stack, self.material.batch, self.graph)
        self.hyper = {"beta": torch.tensor([m.config.beta for m in models], device=bench.device)}
        order = np.random.default_rng(0).permutation(self.material.train)
        self.batches = [
            b
            for b in torch.from_numpy(order).to(bench.device).split(bench.batch)
            if len(b) == bench.batch
        ]
        self.count = 0

    def by_vmap(self) -> Steps:
        """The same through the family's plain form under vmap."""
        for side in self.stack.players:
            side.player = dataclasses.replace(side.player, stacked=None)
        return self

    def __call__(self) -> Tensor:
        """The losses [K] of one step."""
        index = self.batches[self.count % len(self.batches)]
        shape = self.stack.template.noise_shape
        given = loop.noise(0, ("noise", 0, self.count), len(index), shape, self.bench.device)
        self.count += 1
        return self.rounds.step({"index": index}, given, self.hyper)["loss"]

    def measure(self, seconds: float = 3.0, count: bool = True) -> Result:
        """Step time, kernels a step, memory, and the seconds until the first step was done
        (compilation and capture).
        """
        with matrix_products(self.precision):
            prepare = harness.seconds(self)
            result = timed(self, self.bench, seconds)
            result |= kernels(self, self.bench) if count else {}
        if self.graph and not self.rounds.by_graph:
            raise RuntimeError("the step could not be captured as a CUDA graph")
        slices = self.stack.size
        memory = torch.cuda.max_memory_allocated() / 1e9 if self.bench.cuda else None
        return {
            **result,
            "slices": slices,
            "prepare_s": prepare,
            "memory_gb": memory,
            "way": self.way(),
        }

    def way(self) -> str:
        return ("compiled, " if self.compiled else "") + (
            "graph" if self.rounds.by_graph else "eager"
        )


def timed(program: Work, bench: Bench, seconds: float = 3.0, warmup: int = 3) -> Result:
    """Median and quartiles of 5 to 50 runs, about so many seconds of them in all; device events on
    a GPU.
    """
    for _ in range(warmup):
        program()
    first = harness.seconds(program)
    repeats = 5 if bench.quick else max(5, min(50, int(seconds / max(first, 1e-6))))
    times = (
        _device_times(program, repeats)
        if bench.cuda
        else [harness.seconds(program) for _ in range(repeats)]
    )
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return {"value": middle, "low": low, "high": high, "unit": "s", "repeats": repeats}


def _device_times(program: Work, repeats: int) -> list[float]:
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    torch.cuda.synchronize()
    marks[0].record()
    for mark in marks[1:]:
        program()
        mark.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) / 1000 for a, b in itertools.pairwise(marks)]


def kernels(program: Work, bench: Bench, runs: int = 2, top: int = 0) -> Result:
    """Kernels of a run (off a GPU: operators without parts), the share of time in which one is at
    work, and the `top` by time.
    """
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(
        activities=[ProfilerActivity.CUDA if bench.cuda else ProfilerActivity.CPU]
    ) as profiled:
        for _ in range(runs):
            program()
        bench.wait()
    events = list(profiled.events() or [])
    if bench.cuda:
        mine = [e for e in events if e.device_type == DeviceType.CUDA and not e.is_user_annotation]
    else:
        mine = [e for e in events if e.name.startswith("aten::") and not e.cpu_children]
    if not mine:
        return {"kernels_a_step": None}
    busy: Counter[str] = Counter()
    for event in mine:
        busy[event.name[:120]] += event.time_range.elapsed_us()
    span = max(e.time_range.end for e in mine) - min(e.time_range.start for e in mine)
    found: Result = {
        "kernels_a_step": len(mine) / runs,
        "busy": sum(busy.values()) / span if span > 0 else None,
    }
    return (
        {**found, "top": [[n, t / runs / 1e6] for n, t in busy.most_common(top)]} if top else found
    )


def graphed(program: Work, bench: Bench) -> Work:
    """The program as a CUDA graph; itself off a GPU."""
    if not bench.cuda:
        return program
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            program()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = program()

    def replay() -> Any:
        graph.replay()
        return kept  # held, so that its memory is not given to another

    return replay


@contextlib.contextmanager
def synchronisations() -> Iterator[Counter[str]]:
    """Counts, by file and line, what makes the processor wait for the GPU inside."""
    found: Counter[str] = Counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
            for warning in said:
                if "synchronizing CUDA operation" in str(warning.message):
                    found[f"{Path(warning.filename).name}:{warning.lineno}"] += 1


def gpu(bench: Bench) -> dict[str, Any]:
    """Clocks, driver and memory of the GPU, where its tool tells."""
    if not bench.cuda:
        return {}
    asked = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit,memory.total"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        return dict(
            zip(asked.split(","), [v.strip() for v in done.stdout.splitlines()[0].split(",")])
        )
    return {}
