"""One training step of VAE-STN, data access included, as a function without arguments: ours, alone
or stacked, and the published way.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import baseline, made
from oneshot import data as datasets
from oneshot.models import toy_gan
from oneshot.models.toy_gan import FAMILY as ToyGan
from oneshot.models.vae_stn import Config, VaeStn
from oneshot.training.cuda_graph import StepRunner
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.loop import noise
from oneshot.training.pair_batches import PairBatches
from oneshot.training.stack import Stack, matrix_products

CLASSES = 60  # of made data: 1,200 images
SMALL = dict(
    time_steps=8, z=20, lstm_size=64, glimpse=9, hidden=64
)  # with batches of 16 at 28x28, the small size of the stacking benchmark


def images(classes: int = CLASSES) -> made.Images:
    return made.strokes(classes)


def material(source: made.Images, size: int, device: torch.device) -> PairBatches:
    """The images on the device, each with the exemplar of its class."""
    prepared = torch.from_numpy(made.data_set(source, size).images).to(device)
    exemplar = torch.from_numpy(source.exemplar[source.label]).to(device)
    rows = np.arange(len(prepared))
    return PairBatches(prepared, exemplar, rows, rows)


def our_step(
    settings: dict[str, Any],
    seen: PairBatches,
    betas: Sequence[float] = (1.0,),
    accelerated: bool | None = None,
) -> Callable[[], Any]:
    """One step of a stack with these betas (one beta: a solo training). accelerated: compiled and
    as a CUDA graph [on a GPU].
    """
    device, config = seen.images.device, Config(**settings)
    models = []
    for beta in betas:
        torch.manual_seed(0)
        models.append(VaeStn(Config(**{**settings, "beta": beta}), seen.images.shape[-1]))
    fast = device.type == "cuda" if accelerated is None else accelerated
    rounds = StepRunner(Stack(models, device, fast), seen.batch, fast)
    hyper = {"beta": torch.tensor(betas, dtype=torch.float32, device=device)}
    order = torch.arange(len(seen.images), device=device)
    batches = itertools.cycle(
        [b for b in order.split(config.batch_size) if len(b) == config.batch_size]
    )
    count = itertools.count()

    def step() -> Any:
        index = next(batches)
        with matrix_products(config.precision):
            return rounds.step(
                {"index": index},
                noise(0, ("noise", next(count)), len(index), models[0].noise_shape, device),
                hyper,
            )

    return step


def toy_step(lambda_g: Sequence[float], batch_size: int, device: torch.device) -> Callable[[], Any]:
    """One step of a stack of toy GANs with these weights of creativity, on eight Gaussians."""
    given = dict(creativity="mce", lambda_d=0.5, batch_size=batch_size)
    models = []
    for weight in lambda_g:
        torch.manual_seed(0)
        models.append(ToyGan(toy_gan.Config(**given, lambda_g=weight), 28))
    data = datasets.load("gaussians", "without_0", 28)
    points = LabelledBatches.of(data, models[0].config, device)
    for model in models:
        model.set_trained_classes(points.trained_classes)
    rounds = StepRunner(Stack(models, device), points.batch, device.type == "cuda")
    columns = [model.hyper(0) for model in models]
    hyper = {n: torch.tensor([c[n] for c in columns], device=device) for n in columns[0]}
    batches = itertools.cycle(points.epoch(0, 0, batch_size))
    count = itertools.count()

    def step() -> Any:
        size = (batch_size, models[0].noise_shape, device)
        return rounds.step(next(batches), noise(0, ("noise", next(count)), *size), hyper)

    return step


def baseline_step(
    settings: dict[str, Any], source: made.Images, size: int, device: torch.device
) -> Callable[[], Any]:
    """One step the published way, in batches of config.batch_size."""
    config = Config(**settings)
    torch.manual_seed(0)
    model = baseline.VaeStn(
        config.time_steps, config.z, config.lstm_size, config.glimpse, config.hidden, size
    ).to(device)
    optimiser = baseline.optimiser_of(model)
    batches = _forever(source, config.batch_size, size)

    def step() -> Any:
        x, exemplar = next(batches)
        return baseline.train_step(model, optimiser, x.to(device), exemplar.to(device), beta=1.0)

    return step


def _forever(source: made.Images, batch_size: int, size: int) -> Any:
    while True:
        for x, exemplar in baseline.loader(source, batch_size, size):
            if len(x) == batch_size:
                yield x, exemplar


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
