"""The whole VAE-STN grid on the machine at hand, extrapolated from a slice of it: the published
way, ours one at a time, ours as stacks.

    python benchmarks/grid.py [--quick] [--stack K]

Trains for one short epoch (batches of 128, evaluation on a tenth as many images included) at z 60
and a few numbers of time steps, takes a line through them, and multiplies: 2,176 points (17 betas,
T 20 to 90, 16 sizes of z), 500 epochs of 29,460 images. On a GPU ours is compiled and graphed, in
stacks of 17; on a CPU in stacks of 4.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import baseline, made, programs
from benchmarks.gpu_grid import BETAS, EPOCHS, LATENTS, POINTS, TIMES, line
from benchmarks.harness import Row, Table, parser, seconds
from oneshot.models.vae_stn import Config, VaeStn
from oneshot.store.store import Store
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.loop import fit
from oneshot.training.pair_batches import PairBatches

IMAGES = 29_460  # of training, as published
BATCH = 128


def main() -> None:
    p = parser(__doc__)
    p.add_argument(
        "--stack", type=int, default=0, metavar="K", help="models in a stack [17 on a GPU, else 4]"
    )
    options = p.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = programs.device()
    gpu = device.type == "cuda"
    times = (2, 4) if options.quick else (20, 40, 90) if gpu else (10, 20)
    size, batches = (20, 2) if options.quick else (50, 40 if gpu else 5)
    stack = options.stack or (BETAS if gpu else 4)
    sizes: dict[str, Any] = (
        dict(z=4, lstm_size=16, glimpse=5, hidden=16) if options.quick else dict(z=60)
    )
    source = programs.images(20 if options.quick else max(batches * BATCH // made.DRAWINGS + 1, 40))
    table, found = Table("grid"), {}
    for way, models in (
        ("the published way", 0),
        ("ours, one at a time", 1),
        (f"ours, stacks of {stack}", stack),
    ):
        found[way] = {
            t: _per_image({**sizes, "time_steps": t}, models, source, size, batches, device)
            for t in times
        }
        hours = whole_grid(found[way])
        base = whole_grid(found["the published way"])
        each = ", ".join(f"{s * 1e3:.3g} ms an image at T {t}" for t, s in found[way].items())
        text, against = (f"{h:,.3g} h, {POINTS / h:.2g} points an hour" for h in (hours, base))
        table.add(
            Row(
                8,
                f"whole grid, {way}, extrapolated",
                text,
                against if models else "",
                base / hours if models else None,
                note=each,
            )
        )
    table.note(seconds_an_image_and_epoch=found, times=times)


def whole_grid(per_image: dict[int, float]) -> float:
    """Hours of the grid, from seconds an image (of one epoch of one model) by time steps; z is left
    out of account.
    """
    an_epoch_image = sum(line(per_image, t) for t in TIMES) * len(LATENTS) * BETAS
    return an_epoch_image * IMAGES * EPOCHS / 3600


def _per_image(
    settings: dict[str, Any],
    models: int,
    source: made.Images,
    size: int,
    batches: int,
    device: torch.device,
) -> float:
    """Seconds an image of one model's epoch, evaluation included. models: 0 for the published way,
    else the size of the stack.
    """
    count = batches * BATCH
    epoch = (
        _published(settings, source, size, batches, device)
        if not models
        else _ours(settings, models, source, size, count, device)
    )
    epoch()  # once to compile, record and warm up
    return min(seconds(epoch) for _ in range(2)) / count / max(models, 1)


def _ours(
    settings: dict[str, Any],
    models: int,
    source: made.Images,
    size: int,
    count: int,
    device: torch.device,
) -> Callable[[], Any]:
    whole = programs.material(source, size, device)
    rows = np.arange(len(whole.images))
    seen = PairBatches(whole.images, whole.exemplar, np.resize(rows, count), rows[: count // 10])

    def epoch() -> None:
        family = [
            VaeStn(Config(**settings, beta=0.25 * k, batch_size=BATCH, epochs=1), size)
            for k in range(models)
        ]
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = [Checkpoint(Store(folder), f"{k}.pt") for k in range(models)]
            ended = fit(
                family, seen, 0, checkpoints, lambda *_: None, accelerated=device.type == "cuda"
            )
        assert all(isinstance(t, Training) for t in ended)

    return epoch


def _published(
    settings: dict[str, Any], source: made.Images, size: int, batches: int, device: torch.device
) -> Callable[[], Any]:
    step = programs.baseline_step({**settings, "batch_size": BATCH}, source, size, device)
    config = Config(**settings)
    model = baseline.VaeStn(
        config.time_steps, config.z, config.lstm_size, config.glimpse, config.hidden, size
    ).to(device)
    loader = baseline.loader(source, batches * BATCH // 10, size)

    @torch.no_grad()
    def evaluate() -> None:
        x, exemplar = next(iter(loader))
        canvas, kl = model(x.to(device), exemplar.to(device))
        (canvas.sum() + kl.sum()).item()

    def epoch() -> None:
        for _ in range(batches):
            step()
        evaluate()

    return epoch


if __name__ == "__main__":
    main()
