"""Stages 6 to 10 of gpu_slot.py: the sampler, precision, whole epochs, drawing, and several
processes on one GPU.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import baseline, harness, made
from benchmarks.gpu_measure import Bench, Steps, graphed, kernels, synchronisations, timed
from benchmarks.gpu_stage import Result, Stage
from benchmarks.gpu_stages import needs, published_step, stacked
from oneshot.nn import spatial
from oneshot.scoring import sample
from oneshot.store.store import Store
from oneshot.training import loop
from oneshot.training.pair_batches import PairBatches
from oneshot.training.stack import matrix_products

EPOCHS = 500  # of a point
SCRIPT = Path(__file__).parent / "gpu_slot.py"


def sampler(stage: Stage, bench: Bench) -> None:
    """Reading and writing windows, 17 models: the library's operators, and compiled ones; each as a
    CUDA graph.
    """
    images = bench.slices(17) * bench.batch
    glimpse = bench.shape()["glimpse"]
    base = {n: spatial.base(n).to(bench.device) for n in (glimpse, bench.side)}
    cases = (
        ("read error, target and exemplar", 3, bench.side, glimpse),
        ("write", 1, glimpse, bench.side),
    )
    for what, channels, size, to in cases:
        run = spatial.write if what == "write" else spatial.read
        for compiled in (False, True):
            if compiled and not bench.compiles:
                stage.say("compiled sampling: left out, nothing is compiled here")
                continue
            name = f"{what}, {'compiled' if compiled else 'as the library has it'}"
            stage.run(
                name,
                partial(_sampled, bench, run, (images, channels, size, size), base[to], compiled),
                20 if compiled else 5,
            )
    stage.say("hand-written kernels: left out, there are none")


def _sampled(
    bench: Bench, run: Callable[..., Tensor], shape: tuple[int, ...], base: Tensor, compiled: bool
) -> Result:
    """Forward and backward of one call."""
    theta = torch.tensor(spatial.IDENTITY, device=bench.device) + 0.1 * torch.randn(
        shape[0], 6, device=bench.device
    )
    given = (torch.rand(shape, device=bench.device).requires_grad_(), theta.requires_grad_())
    called = torch.compile(run, dynamic=False) if compiled else run

    def both() -> Any:
        return torch.autograd.grad(called(*given, base).sum(), given)

    return timed(graphed(both, bench), bench, 0.5)


def precision(stage: Stage, bench: Bench) -> None:
    """17 models in other precisions, and where the time goes."""
    for kind in ("bfloat16", "float32"):
        predicted = (0.029, 0.038) if kind == "float32" else None
        stage.run(
            f"K 17, {kind}", partial(stacked, bench, 17, precision=kind), needs(bench), predicted
        )
    result = stage.run("K 17, tf32: kernels by time", partial(_top, bench), needs(bench))
    for name, seconds in result.get("top", []):
        print(f"      {1e3 * seconds:8.3f} ms  {name}")
    stage.say(
        "bfloat16 storage of what the backward pass needs: left out, the code has no such form"
    )


def _top(bench: Bench) -> Result:
    steps = Steps(bench, bench.slices(17))
    with matrix_products("tf32"):
        for _ in range(3):
            steps()
        result = kernels(steps, bench, top=15)
    return {"value": result["kernels_a_step"], "unit": "kernels a step", **result}


def truth(stage: Stage, bench: Bench) -> None:
    """Whole epochs of the training loop: as many images as Omniglot has, evaluation, checkpoints,
    and what waits for the GPU.
    """
    stage.say("made stroke images stand in for Omniglot: as many, and as large")
    images: list[made.Images] = []

    def material() -> PairBatches:
        classes, test = (16, 4) if bench.quick else (1473, 150)
        if not images:
            images.append(made.strokes(classes + test))
        return bench.material(images[0], test)

    for k in (17,) if bench.cut else (17, 1):
        stage.run(
            f"K {k}, one epoch", lambda k=k: _epoch(bench, material(), k), 2 if bench.quick else 75
        )  # type: ignore[misc]


def _epoch(bench: Bench, material: PairBatches, k: int) -> Result:
    """Seconds of the second epoch; the first one compiles and captures, the third saves
    checkpoints, and in a fourth waiting is counted.
    """
    models, ends, waits = (
        bench.models(bench.slices(k), epochs=4 if bench.cuda else 3),
        [time.perf_counter()],
        Counter[str](),
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as watch:
        checkpoints = [loop.Checkpoint(Store(folder), f"{i}.pt", 1e9) for i in range(len(models))]

        def report(*_: Any) -> None:
            nonlocal waits
            bench.wait()
            ends.append(time.perf_counter())
            for one in checkpoints:
                one.every_seconds = 0.0 if len(ends) == 3 else 1e9
            if bench.cuda and len(ends) == 4:
                waits = watch.enter_context(synchronisations())

        trained = loop.fit(models, material, 0, checkpoints, report, accelerated=bench.compiles)
    first, epoch, saving = (b - a for a, b in itertools.pairwise(ends[:4]))
    how = sorted({t.how for t in trained if isinstance(t, loop.Training)})
    result = dict(
        value=epoch,
        unit="s",
        steps=-(-len(material.train) // bench.batch),
        slices=len(models),
        trained_as=how,
    )
    result |= dict(
        points_an_hour=3600 * len(models) / (EPOCHS * epoch),
        first_epoch_s=first,
        checkpoint_s=saving - epoch,
    )
    return {**result, "waits": dict(waits.most_common(12))}


def drawing(stage: Stage, bench: Bench) -> None:
    """Drawings of one model, in seconds each: several batch sizes, with and without a graph, and
    with noise, transfer and binarisation.
    """
    model = bench.models(1)[0].to(bench.device).eval()
    for size in (512, 3000):
        for graph in (False, True):
            batch = 10 if bench.quick else size
            stage.run(
                f"batches of {size}, {'graph' if graph else 'eager'}",
                partial(_drawn, bench, model, batch, graph),
                8,
            )
    plain = baseline.VaeStn(**bench.shape(), image_size=bench.side).to(bench.device)
    stage.run(
        "published style, batches of 40",
        partial(_drawn, bench, plain, 10 if bench.quick else 40, False),
        8,
    )
    stage.run("3,000 as a trial draws them", partial(_drawn_whole, bench, model), 10)


def _drawn(bench: Bench, model: Any, batch: int, graph: bool) -> Result:
    exemplars = bench.few.batch(
        {"index": torch.arange(batch, device=bench.device) % len(bench.few.images)}
    ).exemplar
    given = torch.randn(batch, *bench.models(1)[0].noise_shape, device=bench.device)

    @torch.no_grad()
    def draw() -> Tensor:
        drawn: Tensor = model.sample(exemplars, given)
        return drawn

    return _each(timed(graphed(draw, bench) if graph else draw, bench, 1.0), batch)


def _drawn_whole(bench: Bench, model: Any) -> Result:
    test, n = (6, 2) if bench.quick else (75, 40)
    data, exemplars = made.data_set(bench.images, bench.side, test), bench.images.exemplar
    sample.draw(model, data, exemplars, 1, 0, bench.device)
    took = harness.seconds(lambda: sample.draw(model, data, exemplars, n, 0, bench.device))
    return {"value": took / (test * n), "unit": "s", "drawings": test * n}


def _each(result: Result, count: int) -> Result:
    return {**result, **{n: result[n] / count for n in ("value", "low", "high")}}


def processes(stage: Stage, bench: Bench) -> None:
    """Models trained a second, all processes together."""
    cases: Sequence[tuple[str, str, int]] = [
        ("published style", "published", 4),
        ("stack of 8", "8", 2),
    ]
    if not bench.quick:
        cases = [("published style", "published", 1), *cases, ("stack of 17", "17", 1)]
    for what, kind, count in cases:
        count = min(count, 2) if bench.quick else count
        name = f"{what}, {count} process{'es' if count > 1 else ''}"
        stage.run(
            name,
            partial(_together, bench, kind, count, stage.end),
            2 if bench.quick else 60 if kind != "published" else 25,
        )
    stage.say("several processes under MPS: left out, its daemon changes a setting of the machine")


def _together(bench: Bench, kind: str, count: int, end: float) -> Result:
    """Start workers, let them begin at once when all are ready, and add up what they did."""
    command = [
        sys.executable,
        str(SCRIPT),
        "--device",
        str(bench.device),
        "--worker",
        kind,
        *(["--quick"] if bench.quick else []),
    ]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    guard = threading.Timer(max(end - time.monotonic(), 1.0), _end, [workers])
    guard.start()
    try:
        for one in workers:
            assert one.stdout is not None
            if one.stdout.readline().strip() != "ready":
                raise RuntimeError("a worker was not ready in time")
        answers = [json.loads(out) for out, _ in _finish(workers)]
    finally:
        guard.cancel()
        _end(workers)
    return {
        "value": sum(a["models"] / a["seconds"] for a in answers),
        "unit": "model steps a second",
        "workers": answers,
    }


def _end(workers: Sequence[subprocess.Popen[str]]) -> None:
    for one in workers:
        one.kill()
        one.wait()


def _finish(workers: Sequence[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    for one in workers:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return [one.communicate() for one in workers]


def work(bench: Bench, kind: str) -> None:
    """What a worker does: get ready, wait for a line, train for some seconds, say how much. kind:
    "published", or the size of a stack.
    """
    if kind == "published":
        slices, program = 1, published_step(bench)
    else:
        program = Steps(bench, slices := bench.slices(int(kind)))
    with matrix_products("float32" if kind == "published" else "tf32"):
        for _ in range(3):
            program()
        bench.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < (0.3 if bench.quick else 8):
            for _ in range(4):
                program()
            bench.wait()
            count += 4
    print(
        json.dumps({"models": count * slices, "seconds": time.perf_counter() - begun}), flush=True
    )
