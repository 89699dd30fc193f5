"""A whole training step of a stack as one CUDA graph, replayed for every batch.

Launching thousands of small kernels takes longer than running them. A step is recorded once for
each batch size and set of moving players. Everything it reads lies at fixed addresses: the images,
and the inputs that are copied in before each replay.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oneshot.training.batch_source import BatchSpec
from oneshot.training.stack import Stack

WARMUPS = 3


@dataclass
class _Graph:
    """A recorded step, the tensors it reads, and the losses it leaves."""

    graph: torch.cuda.CUDAGraph
    spec: BatchSpec
    noise: Tensor
    hyper: dict[str, Tensor]
    means: dict[str, Tensor]


class StepRunner:
    """Runs the training steps of a stack: by graph on a GPU, directly elsewhere.

    Where recording fails, it warns once and runs directly from then on; `by_graph` is False then.

    Args:
        stack: that trains.
        batch: `Batches.batch`, from a batch's specification to its images.
        by_graph: whether to record and replay.
    """

    def __init__(self, stack: Stack, batch: Callable[[BatchSpec], Any], by_graph: bool):
        self.stack, self.batch, self.by_graph = stack, batch, by_graph
        self._graphs: dict[tuple[int, tuple[int, ...]], _Graph] = {}

    def step(
        self, spec: BatchSpec, noise: Tensor, hyper: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """One training step on one batch, of which processes that train together take a part each.

        Args:
            spec: of the batch.
            noise: of the batch, [B, *noise_shape].
            hyper: hyperparameters by name, each [K].

        Returns:
            The batch means of the losses, each [K]; on a GPU the next step overwrites them.
        """
        moving = self.stack.next_players()
        spec, noise, share = self.stack.peers.shard(spec, noise)
        if self.by_graph:
            key = (len(noise), moving)
            try:
                if key not in self._graphs:
                    self._graphs[key] = self._record(spec, noise, hyper, moving)
                return self._replay(self._graphs[key], spec, noise, hyper)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # slower, but right; the row says how it was trained
                warnings.warn(
                    f"training without a CUDA graph: {error} {error.__context__ or ''}",
                    stacklevel=2,
                )
                self.by_graph = False
                self._graphs.clear()
                # it may have been the compilation that failed
                self.stack.template.accelerate(lambda function: function)
        return self.stack.train_step(self.batch(spec), noise, hyper, moving, share)

    def _record(
        self, spec: BatchSpec, noise: Tensor, hyper: Mapping[str, Tensor], moving: tuple[int, ...]
    ) -> _Graph:
        """Warm up on a side stream, undo the steps of the warm-up, and record."""
        held = (
            {n: v.clone() for n, v in spec.items()},
            noise.clone(),
            {n: v.clone() for n, v in hyper.items()},
        )
        before, here, side = self.stack.snapshot(), torch.cuda.current_stream(), _side_stream()
        try:
            side.wait_stream(here)
            with torch.cuda.stream(side):
                for _ in range(WARMUPS):
                    self.stack.train_step(self.batch(held[0]), held[1], held[2], moving)
            here.wait_stream(side)
        finally:
            self.stack.rewind(before)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                means = self.stack.train_step(self.batch(held[0]), held[1], held[2], moving)
        except RuntimeError:
            torch.cuda.set_stream(here)  # which a failed capture leaves behind
            raise
        return _Graph(graph, *held, means)

    def _replay(
        self, recorded: _Graph, spec: BatchSpec, noise: Tensor, hyper: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        recorded.noise.copy_(noise, non_blocking=True)
        for held, new in ((recorded.spec, spec), (recorded.hyper, hyper)):
            for name, value in new.items():
                held[name].copy_(value, non_blocking=True)
        recorded.graph.replay()
        return recorded.means


@functools.cache
def _side_stream() -> torch.cuda.Stream:
    """The stream on which this process warms up and records; each stream of a GPU keeps workspace
    of its own for good.
    """
    return torch.cuda.Stream()
