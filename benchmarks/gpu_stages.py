"""Stages 1 to 5 of gpu_slot.py: ceilings, correctness, one model, stacks, scaling. Each takes the
stage that keeps its
results and what it works on; `cut` leaves the least important out.

What a GPU was predicted to do comes from a cost model of one H200 for 50x50 images, glimpses of 15
and batches of 128.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import baseline, programs
from benchmarks.gpu_measure import Bench, Steps, graphed, kernels, timed
from benchmarks.gpu_stage import Range, Result, Stage
from oneshot.contracts import Pairs
from oneshot.training.stack import Stack, by_vmap, matrix_products

PRECISIONS = ("bfloat16", "tf32", "float32")
# published style, one model: seconds a step
EAGER = {20: (0.025, 0.029), 40: (0.049, 0.059), 90: (0.110, 0.132)}
# compiled and graphed, one model
SOLO = {20: (0.0020, 0.0026), 40: (0.004, 0.005), 90: (0.009, 0.012)}
STACKED = {20: (0.0048, 0.0076), 40: (0.0096, 0.0151), 90: (0.021, 0.033)}  # the same, 17 models
STEPS_A_POINT = 115_500  # 500 epochs of 231 batches


def ceilings(stage: Stage, bench: Bench) -> None:
    """What the machine does at best: copies, matrix products, and kernels that do nothing."""
    size = 1 << 16 if bench.quick else 1 << 30

    def copy() -> Result:
        a, b = (torch.zeros(size, device=bench.device) for _ in range(2))
        return _rate(timed(lambda: b.copy_(a), bench, 0.5), 8 * size / 1e12, "TB/s")

    stage.run("copy of 4 GB", copy, predicted=(4.3, 4.3))
    side = 64 if bench.quick else 8192
    for precision, most in zip(PRECISIONS, (450, 250, 45)):
        stage.run(
            f"product of 8192, {precision}",
            partial(_product, bench, precision, (side,) * 2, (side,) * 2),
            predicted=(most, most),
        )
    for graph, each in ((False, (5e-6, 6e-6)), (True, (2.5e-6, 2.5e-6))):
        name = f"empty kernel, {'in a graph of 10,000' if graph else 'eager'}"
        stage.run(name, partial(_empty_kernels, bench, graph), predicted=each)
    for slices in (1, 17) if bench.cut or bench.quick else (1, 17, 4, 8, 34):
        # 1,075 and 685 inputs are the model's; rows of 1,088 and 704 numbers start at addresses
        # that every kernel may use
        for inner, outer in ((1075, 1024), (1088, 1024), (685, 1600), (704, 1600)):
            for precision in PRECISIONS[1:] if bench.cut else PRECISIONS:
                k, i, o = (slices, inner, outer) if not bench.quick else (2, 9, 8)
                name = f"products of {slices} models, {inner} to {outer}, {precision}"
                stage.run(
                    name,
                    partial(_product, bench, precision, (k, bench.batch, i), (k, i, o)),
                    needs=1,
                )


def _rate(result: Result, amount: float, unit: str) -> Result:
    """Seconds as amount a second."""
    return {
        **result,
        "value": amount / result["value"],
        "low": amount / result["high"],
        "high": amount / result["low"],
        "unit": unit,
    }


def _product(bench: Bench, precision: str, left: tuple[int, ...], right: tuple[int, ...]) -> Result:
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    # laid out as the model has them: the weight [outputs, inputs] transposed
    a = torch.randn(left, device=bench.device).to(kind)
    b = (
        torch.randn((*right[:-2], right[-1], right[-2]), device=bench.device)
        .to(kind)
        .transpose(-1, -2)
    )
    # small ones take less time than starting a graph
    count = 1 if bench.quick or a.dim() == 2 else 20

    def products() -> Tensor:
        for _ in range(count):
            c = torch.matmul(a, b)
        return c

    with matrix_products(precision):
        result = timed(graphed(products, bench), bench, 0.1)
    return _rate(result, 2 * count * a.numel() * right[-1] / 1e12, "TFLOP/s")


def _empty_kernels(bench: Bench, graph: bool) -> Result:
    count, x = 100 if bench.quick else 10_000, torch.zeros(1, device=bench.device)

    def many() -> None:
        for _ in range(count):
            x.add_(1)

    result = timed(graphed(many, bench) if graph else many, bench, 0.3, warmup=1)
    return {**result, **{n: result[n] / count for n in ("value", "low", "high")}}


def correctness(stage: Stage, bench: Bench) -> None:
    """Go or no go: the same numbers as the plain form on a processor, by graph as eager, in a stack
    as alone, and beside a NaN.
    """
    for precision, loss, gradient in (("float32", 1e-5, 1e-3), ("tf32", 2e-3, 5e-2)):
        stage.check(
            f"loss against the plain form on a processor, {precision}",
            partial(_against_processor, bench, precision, 0, loss),
        )
        stage.check(
            f"its gradient, {precision}", partial(_against_processor, bench, precision, 1, gradient)
        )
    plain: list[Tensor] = []
    few = partial(_losses, bench, steps=20, compiled=False, graph=False)

    def floor() -> Result:
        plain.extend((few(1), few(1)))
        # repeated on a GPU, whose sampler adds in no fixed order
        return {"value": _apart(*plain), "unit": "relative"}

    noise = stage.run("20 eager steps, twice", floor).get("value", 0.0)
    limit = max(1e-4, 3 * noise)
    stage.check(
        "20 steps by graph against eager",
        lambda: (_apart(few(1, graph=True), plain[0] if plain else few(1)), limit),
        10,
    )
    both = lambda: (  # noqa: E731
        _apart(few(1, compiled=True, graph=True), plain[0] if plain else few(1)),
        limit,
    )
    stage.check("20 compiled steps by graph against eager", both, 60 if bench.compiles else 10)
    stage.check(
        "50 steps of a stack of 4 against each alone",
        lambda: (_stack_against_solo(bench), 2 * limit),
        30,
    )
    stage.check(
        "a stack of 4 whose third slice is NaN from step 10 on: the others",
        lambda: (_beside_a_nan(bench), limit),
        20,
    )


def _against_processor(
    bench: Bench, precision: str, which: int, limit: float
) -> tuple[float, float]:
    """Relative difference of loss (0) or gradient (1) between the stacked form here and the plain
    one on a processor.
    """
    found = []
    for device, fast in ((bench.device, True), (torch.device("cpu"), False)):
        stack = Stack(bench.models(1, precision), device)
        side, beta = stack.players[0], {"beta": torch.ones(1, device=device)}
        index = torch.arange(0, min(32, len(bench.few.images)))
        images, exemplars = (
            bench.few.images.cpu()[i].unsqueeze(1).float().to(device)
            for i in (index, bench.few.exemplar.cpu()[index])
        )
        given = torch.randn(
            (len(index), *stack.template.noise_shape), generator=torch.Generator().manual_seed(1)
        ).to(device)
        pairs, stacked = Pairs(images, exemplars), side.player.stacked
        assert stacked is not None
        # untrained windows are the whole image: off it, so that reading and writing are put to the
        # test
        with torch.no_grad():
            side.flat.add_(
                0.02
                * torch.randn(side.flat.shape, generator=torch.Generator().manual_seed(2)).to(
                    device
                )
            )
        with matrix_products(precision):
            losses = (stacked if fast else partial(by_vmap, stack.template, 0))(
                side.weights(), pairs, given, beta
            )["loss"].mean(1)
            gradient = torch.autograd.grad(losses.sum(), side.flat)[0]
        found.append((losses.detach().cpu(), gradient.cpu()))
    return _apart(found[0][which], found[1][which]), limit


def _apart(a: Tensor, b: Tensor) -> float:
    """Relative difference in the L2 norm; infinite where a number is not finite."""
    off = float((a.double() - b.double()).norm() / b.double().norm())
    return off if off == off else float("inf")


def _losses(
    bench: Bench,
    slices: int,
    steps: int,
    compiled: bool = False,
    graph: bool = False,
    only: int | None = None,
    poison: int | None = None,
) -> Tensor:
    """The losses [steps, K] in float32; only: of this slice trained alone; poison: this slice's
    beta is NaN from step 10 on.
    """
    work = Steps(
        bench,
        1 if only is not None else slices,
        precision="float32",
        compiled=compiled,
        graph=graph,
    )
    if only is not None:
        work.hyper = {
            "beta": torch.tensor([bench.models(slices)[only].config.beta], device=bench.device)
        }
    found = []
    with matrix_products("float32"):
        for step in range(steps):
            if poison is not None and step == 10:
                work.hyper = {"beta": work.hyper["beta"].clone()}
                work.hyper["beta"][poison] = float("nan")
            found.append(work().clone())
    if graph and not work.rounds.by_graph and bench.cuda:
        raise RuntimeError("the step could not be captured as a CUDA graph")
    if poison is not None:
        alive, sound = (
            work.stack.alive.tolist(),
            bool(torch.isfinite(work.stack.players[0].flat).all()),
        )
        if alive != [k != poison for k in range(slices)] or not sound:
            raise RuntimeError(f"alive: {alive}, finite parameters: {sound}")
    return torch.stack(found).cpu()


def _stack_against_solo(bench: Bench) -> float:
    together = _losses(bench, 4, 50, graph=True)
    return max(
        _apart(_losses(bench, 4, 50, graph=True, only=k)[:, 0], together[:, k]) for k in range(4)
    )


def _beside_a_nan(bench: Bench) -> float:
    rest = [0, 1, 3]
    return _apart(
        _losses(bench, 4, 20, graph=True, poison=2)[:, rest],
        _losses(bench, 4, 20, graph=True)[:, rest],
    )


def solo(stage: Stage, bench: Bench) -> None:
    """One model: the published style, and ours with and without each acceleration."""
    stage.run("published style, images prepared by its loader", partial(published, bench, True), 15)
    stage.run("published style", partial(published, bench, False), 15, EAGER[40])
    ways: list[tuple[str, dict[str, Any], Range | None]] = [
        ("compiled, graph, tf32", dict(), SOLO[40])
    ]
    if not bench.cut:
        ways += [
            # 155 kernels a time step
            ("eager, tf32", dict(compiled=False, graph=False), (0.031, 0.037)),
            ("graph, tf32", dict(compiled=False), (0.0155, 0.0155)),
            ("graph, float32", dict(compiled=False, precision="float32"), (0.0155, 0.0155)),
            ("compiled, graph, float32", dict(precision="float32"), SOLO[40]),
        ]
        stage.say(
            "without deferred weight gradients: left out, the stacked form has no such variant"
        )
    for name, how, predicted in ways:
        stage.run(
            name, lambda how=how: Steps(bench, **how).measure(), needs(bench, **how), predicted
        )  # type: ignore[misc]


def needs(bench: Bench, compiled: bool = True, **_: Any) -> float:
    """Seconds to prepare and time a step."""
    return 3 if bench.quick else 45 if compiled and bench.compiles else 12


def published(bench: Bench, loader: bool = False) -> Result:
    """A step of the baseline; loader: its images are decoded and prepared one by one, else they lie
    on the device.
    """
    if loader:
        settings = dict(**bench.shape(), batch_size=bench.batch)
        return timed(
            programs.baseline_step(settings, bench.images, bench.side, bench.device), bench
        )
    step = published_step(bench)
    return timed(step, bench) | kernels(step, bench)


def published_step(bench: Bench) -> Callable[[], Any]:
    """A step of the baseline on a batch that lies on the device."""
    model = baseline.VaeStn(**bench.shape(), image_size=bench.side).to(bench.device)
    optimiser = baseline.optimiser_of(model)
    pairs = bench.few.batch({"index": torch.arange(bench.batch, device=bench.device)})
    return lambda: baseline.train_step(model, optimiser, pairs.target, pairs.exemplar)


def stacks(stage: Stage, bench: Bench) -> None:
    """Where stacking stops to pay: compiled and graphed at growing K, and what it takes at 17
    without compiling and by vmap.
    """
    for k in (1, 8, 17) if bench.cut else (1, 17, 8, 4, 34, 2):
        predicted = {1: SOLO[40], 17: STACKED[40]}.get(k)
        stage.run(f"K {k}", partial(stacked, bench, k), needs(bench), predicted)
    if not bench.cut:
        stage.run(
            "K 17, not compiled", partial(stacked, bench, 17, compiled=False), 15, (0.029, 0.029)
        )
        stage.run(
            "K 17, plain form by vmap",
            lambda: _timed_points(Steps(bench, bench.slices(17), compiled=False).by_vmap()),
            20,
        )
    alone, full = (stage.results.get(f"K {k}", {}).get("points_an_hour") for k in (1, 17))
    if alone and full:
        ratio = {"value": full / alone, "unit": "times"}
        stage.run("17 stacked against one, both compiled and graphed", lambda: ratio, 0, (5, 8))


def stacked(bench: Bench, k: int, time_steps: int = 40, z: int = 60, **how: Any) -> Result:
    return _timed_points(Steps(bench, bench.slices(k), time_steps, z, **how))


def _timed_points(steps: Steps) -> Result:
    """A step's measures and the points an hour that follow, without evaluation."""
    result = steps.measure()
    return {**result, "points_an_hour": 3600 * result["slices"] / (STEPS_A_POINT * result["value"])}


def scaling(stage: Stage, bench: Bench) -> None:
    """Other numbers of time steps and latents."""
    for k, predicted in ((17, STACKED), (1, SOLO)):
        for t in (90, 20):
            stage.run(f"K {k}, T {t}", partial(stacked, bench, k, t), needs(bench), predicted[t])
    for z in (385, 10):
        stage.run(f"K 17, z {z}", partial(stacked, bench, 17, 40, z), needs(bench), STACKED[40])
