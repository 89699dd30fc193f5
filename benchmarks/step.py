"""One training step of a single VAE-STN against the published way of doing it, data access
included, and operators per time step.

    python benchmarks/step.py [--quick]

Full-size network on 50x50 images: batches of 128 and of 16, products in float32 and in bfloat16. On
a GPU ours is compiled and one CUDA graph.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import baseline, programs
from benchmarks.harness import Row, Table, paired, parser
from oneshot.contracts import Pairs
from oneshot.models.vae_stn import Config, VaeStn
from oneshot.training.stack import Stack

# a time step, of the estimate that this was planned with
PUBLISHED_OPERATORS, PROTOTYPE_OPERATORS = 245, 155


def main() -> None:
    options = parser(__doc__).parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = programs.device()
    size, settings = (
        (20, dict(time_steps=3, z=4, lstm_size=16, glimpse=5, hidden=16))
        if options.quick
        else (50, dict(time_steps=40, z=60))
    )
    source = programs.images(8 if options.quick else programs.CLASSES)
    seen = programs.material(source, size, device)
    gpu = device.type == "cuda"
    cases = [
        (128, "float32", 8.0 if gpu else 1.1),
        (16, "float32", None if gpu else 1.4),
        (128, "bfloat16", None if gpu else 1.5),
    ]
    cases += [(128, "tf32", 8.0)] if gpu else [(16, "bfloat16", None)]
    table = Table("step")
    for batch, precision, target in cases:
        given: dict[str, Any] = {
            **settings,
            "batch_size": 16 if options.quick else batch,
            "precision": precision,
        }
        ours = programs.our_step(given, seen)
        theirs = programs.baseline_step(given, source, size, device)
        repeats = 2 if options.quick else 7 if batch == 128 else 15
        result = paired(ours, theirs, repeats)
        target = None if options.quick else target
        table.add(
            result.row(
                3,
                f"solo step, T {given['time_steps']}, z {given['z']}, batch {batch}, {precision}",
                target,
                "ms",
                1e3,
            )
        )
    table.add(*counted(size, settings))


def counted(size: int, settings: dict[str, Any]) -> list[Row]:
    """Operators that compute something (no views), forward and backward, that one time step
    adds.
    """
    rows = []
    for what, program in (
        ("readable form", readable),
        ("stacked form", stacked),
        ("published way", published),
    ):
        few, many = (program({**settings, "time_steps": t}, size) for t in (4, 8))
        rows.append(((many[0] - few[0]) / 4, (many[1] - few[1]) / 4, what))
    theirs = rows[-1]
    table = []
    for forward, backward, what in rows[:-1]:
        ours, base = (
            f"{sum(x):.0f} ({x[0]:.0f} + {x[1]:.0f})" for x in ((forward, backward), theirs[:2])
        )
        note = (
            f"planned with {PROTOTYPE_OPERATORS} against {PUBLISHED_OPERATORS}"
            if what == "stacked form"
            else ""
        )
        table.append(
            Row(
                3,
                f"operators a time step, {what}",
                ours,
                base,
                sum(theirs[:2]) / (forward + backward),
                note=note,
            )
        )
    return table


class Counter(TorchDispatchMode):
    """Counts the operators that return something new or write, not those that only look at a tensor
    in another way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        schema = function._schema
        looks = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
        self.count += not looks and function.__name__.split(".")[0] not in (
            "detach",
            "_unsafe_view",
        )
        return function(*args, **(kwargs or {}))


def _count(forward: Any, backward: Any) -> tuple[int, int]:
    with Counter() as there:
        loss = forward()
    with Counter() as back:
        backward(loss)
    return there.count, back.count


def _inputs(settings: dict[str, Any], size: int) -> tuple[Pairs, torch.Tensor]:
    config = Config(**settings)
    x = (torch.rand(4, 1, size, size) > 0.9).float()
    return Pairs(x, x.flip(0)), torch.randn(4, config.time_steps, config.z)


def readable(settings: dict[str, Any], size: int) -> tuple[int, int]:
    pairs, noise = _inputs(settings, size)
    model = VaeStn(Config(**settings), size)
    return _count(
        lambda: model.players()[0].loss(pairs, noise, {"beta": 1.0})["loss"].mean(),
        lambda loss: loss.backward(),
    )


def stacked(settings: dict[str, Any], size: int) -> tuple[int, int]:
    pairs, noise = _inputs(settings, size)
    stack = Stack([VaeStn(Config(**settings), size)], torch.device("cpu"))
    hyper = {"beta": torch.ones(1)}
    return _count(
        lambda: stack.losses_of(0, pairs, noise, hyper)["loss"].mean(), lambda loss: loss.backward()
    )


def published(settings: dict[str, Any], size: int) -> tuple[int, int]:
    pairs, noise = _inputs(settings, size)
    config = Config(**settings)
    model = baseline.VaeStn(
        config.time_steps, config.z, config.lstm_size, config.glimpse, config.hidden, size
    )

    def forward() -> torch.Tensor:
        canvas, kl = model(pairs.target, pairs.exemplar, noise)
        pixels = torch.nn.functional.binary_cross_entropy(
            torch.sigmoid(canvas), pairs.target, reduction="none"
        )
        return (pixels.flatten(1).sum(1) + kl).mean()

    return _count(forward, lambda loss: loss.backward())


if __name__ == "__main__":
    main()
