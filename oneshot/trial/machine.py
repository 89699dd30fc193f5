"""The machine that a trial runs on: its processor, its memory, and how many models fit into it."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import sys
from pathlib import Path

import torch

from oneshot.contracts import TrainedFamily
from oneshot.store.costs import Shape
from oneshot.sweep.point import Point
from oneshot.training.cost import of_shape
from oneshot.trial.job import Job

GPU_SHARE = 0.8  # of the free memory of a GPU that one stack may take
# The most memory of a step to what it keeps for its backward pass: up to 1.13 was measured.
PEAK = 1.3
CPU_SHARE = 0.6  # of the free main memory that all trials of a machine may take together


def most_in_memory(point: Point, family: TrainedFamily, job: Job) -> int:
    """How many models of this size train at once in the memory that is free.

    Args:
        point: one of the points, whose settings give the counted bytes (`training/cost.py`).
        family: its model.
        job: device and threads of the trial.

    Returns:
        At least 1.
    """
    if family.cannot_stack:
        return 1
    if job.device.startswith("cuda"):
        torch.cuda.empty_cache()  # what earlier stacks held
        free = GPU_SHARE * torch.cuda.mem_get_info()[0]
    else:
        trials_at_once = max((os.cpu_count() or 1) // max(job.threads, 1), 1)
        free = CPU_SHARE * _free_main_memory() / trials_at_once
    weights = 4.0 * sum(p.numel() for p in family.parameters())
    state = 8 * weights  # weights, moments, gradient and copies
    shape = Shape.of(point.model, point.settings)
    assert shape is not None, "a trained family has a shape"
    return max(int(free / (PEAK * of_shape(shape).kept + state)), 1)


def _free_main_memory() -> float:
    """Bytes of main memory that are available; 4 GiB where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
        return 1024.0 * int(kibibytes)
    return 4.0 * 2**30


def peak_memory_mb(device: str) -> float:
    """Most memory in MiB that was in use: of the GPU, or of this process on a CPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB on Linux


def device_name(device: str) -> str:
    """The model name of the GPU, or of the processor."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else _processor_name()


@functools.cache
def _processor_name() -> str:
    """The processor's model name, or its architecture where the system does not tell."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
