"""Training 17 betas as one stack, against 17 trainings alone: ours, and the published way.

    python benchmarks/stacking.py [--quick]

On a GPU at full size (T 40, z 60, batches of 128). On a CPU, where at full size the products alone
fill the cores and stacking brings little, at a small size: hidden layers of 64, batches of 16, T 8,
28x28 pixels; full width is measured beside it with 4 betas.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import made, programs
from benchmarks.harness import Paired, Row, Table, paired, parser

BETAS = tuple(0.25 * i for i in range(17))


def main() -> None:
    options = parser(__doc__).parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device, source = programs.device(), programs.images(8 if options.quick else programs.CLASSES)
    small: dict[str, Any] = {**programs.SMALL, "batch_size": 16}
    full: dict[str, Any] = dict(time_steps=40, z=60, batch_size=128)
    table = Table("stacking")
    if options.quick:
        tiny = dict(time_steps=3, z=4, lstm_size=16, glimpse=5, hidden=16, batch_size=8)
        table.add(*case("quick", tiny, 20, source, BETAS[:3], (None, None), 2))
        table.add(toy_case(2, 16, 2, 1))
    elif device.type == "cuda":
        table.add(*case("full size", full, 50, source, BETAS, (5.0, 40.0), 11))
    else:
        table.add(toy_case(8, 128, 9))
        table.add(
            *case("small size (hidden 64, batch 16)", small, 28, source, BETAS, (1.5, 1.5), 9)
        )
        table.add(
            *case(
                "full width (hidden 512, batch 16)",
                {**full, "batch_size": 16},
                50,
                source,
                BETAS[:4],
                (None, None),
                5,
            )
        )


def case(
    name: str,
    settings: dict[str, Any],
    size: int,
    source: made.Images,
    betas: tuple[float, ...],
    least: tuple[float | None, float | None],
    repeats: int,
) -> list[Row]:
    """Time of a step a model: in the stack, against ours alone and against the published way, which
    run once and count K times.
    """
    device, count = programs.device(), len(betas)
    seen = programs.material(source, size, device)
    stack = programs.our_step(settings, seen, betas)
    alone = programs.our_step(settings, seen)
    published = programs.baseline_step(settings, source, size, device)
    rows = []
    for what, other, target in (
        ("ours alone", alone, least[0]),
        ("the published way", published, least[1]),
    ):
        result = per_model(paired(stack, other, repeats), count)
        rows.append(
            result.row(
                2,
                f"{count} betas as a stack, {name}, against {what}",
                target,
                "ms a model and step",
                1e3,
            )
        )
    return rows


def toy_case(count: int, batch_size: int, repeats: int, steps: int = 20) -> Row:
    """Time of 1,500 steps of a toy GAN, a point of `creativity_small`: in a stack, and alone."""
    weights = [0.5 * k / (count - 1) for k in range(count)]
    stack = programs.toy_step(weights, batch_size, programs.device())
    alone = programs.toy_step(weights[:1], batch_size, programs.device())

    def several(step: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: [step() for _ in range(steps)]

    result = per_model(paired(several(stack), several(alone), repeats), count)
    what = f"1,500 steps of {count} toy GANs as a stack (batch {batch_size}), against one alone"
    return result.row(2, what, 1.5, "s a point", 1500 / steps)


def per_model(result: Paired, count: int) -> Paired:
    """One step of `count` stacked models against one step of one."""
    return Paired(
        result.ours / count,
        result.baseline,
        result.ratio * count,
        result.low * count,
        result.high * count,
    )


if __name__ == "__main__":
    main()
