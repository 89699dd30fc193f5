"""fit: the one training loop. Batches and noise come from (seed, epoch, step), so a resumed training equals an unbroken one."""

from __future__ import annotations

import io
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot import streams
from oneshot.contracts import Pairs, TrainedFamily
from oneshot.episodes import DataSet
from oneshot.game import Game
from oneshot.store import DamagedFile, Store

EVALUATION_BATCH = 512
Report = Callable[[int, int, dict[str, float]], None]


class Diverged(RuntimeError):
    """The loss, the weights or the drawings became non-finite. A result, not a failure; `training` is what went before."""

    def __init__(self, message: str, training: Training | None = None):
        super().__init__(message)
        self.training = training


class Stopped(RuntimeError):
    """The training was asked to stop; its checkpoint is written."""


@dataclass
class Training:
    """The state of a training: weights at the end and at the lowest validation loss, and the curve, one value a column and epoch."""

    end: dict[str, Tensor]
    best: dict[str, Tensor]
    best_epoch: int = -1
    best_loss: float = math.inf
    epochs_done: int = 0
    seconds: float = 0.0
    curve: dict[str, list[float]] = field(default_factory=dict)
    game: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self, weights_only: bool) -> bytes:
        """The file of a checkpoint, or of a finished training, which needs no optimiser state."""
        state = {k: v for k, v in vars(self).items() if not (weights_only and k == "game")}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> Training:
        return Training(**torch.load(io.BytesIO(data), weights_only=True, map_location="cpu"))


@dataclass(frozen=True)
class Material:
    """The images a training sees, on its device: uint8 [N, H, W]; `exemplar` [N] gives each image's exemplar as an image index."""

    images: Tensor
    exemplar: Tensor
    train: np.ndarray
    schedule: np.ndarray

    @staticmethod
    def of(data: DataSet, exemplars: np.ndarray, schedule_classes: str, device: torch.device) -> Material:
        """With `test` driving the schedule, as published, no validation classes are held out of training."""
        published = schedule_classes == "test"
        train = np.sort(np.concatenate([data.train, data.validation])) if published else data.train
        schedule = data.test if published else data.validation
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # a read-only map; we never write to it
            images = torch.from_numpy(data.images).to(device)
        return Material(images, torch.from_numpy(exemplars[data.label]).to(device), data.rows(train), data.rows(schedule))

    def pairs(self, rows: np.ndarray) -> Pairs:
        index = torch.from_numpy(rows).to(self.images.device)
        images = self.images[torch.stack([index, self.exemplar[index]])].unsqueeze(2).float()
        return Pairs(images[0], images[1])


def noise(seed: int, purpose: tuple[object, ...], count: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Standard normal [count, *shape], drawn on the CPU so that every device sees the same numbers."""
    generator = torch.Generator().manual_seed(streams.key(seed, *purpose))
    return torch.randn((count, *shape), generator=generator).to(device)


class Checkpoint:
    """Where an unfinished training lies in the store. A damaged file is set aside with a warning and training starts afresh."""

    def __init__(self, store: Store, key: str, every_seconds: float = 60.0):
        self.store, self.key, self.every_seconds = store, key, every_seconds
        self._last = time.monotonic()

    def load(self) -> Training | None:
        try:
            return Training.from_bytes(self.store.unseal(self.key))
        except FileNotFoundError:
            return None
        except DamagedFile as error:
            aside = self.store.set_aside(self.key)
            warnings.warn(f"{error}; kept as {aside}, this training starts from its beginning", stacklevel=2)
            return None

    def due(self) -> bool:
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, training: Training) -> None:
        self.store.seal(self.key, training.to_bytes(weights_only=False))
        self._last = time.monotonic()


def fit(
    model: TrainedFamily, material: Material, seed: int, checkpoint: Checkpoint, report: Report, stop: Callable[[], bool] = lambda: False
) -> Training:
    """Train `model` in place for config.epochs epochs, continuing from its checkpoint if there is one.

    report(epoch, epochs, curve row) is called after every epoch; stop() is asked after every epoch and at most every second within one.
    Raises Diverged on a non-finite loss, Stopped (checkpoint saved) when asked to stop.
    """
    config = model.config
    game = Game(model.players(), config.plateau)
    training = checkpoint.load()
    if training is None:
        training = Training(_copy(model), _copy(model))
    else:
        model.load_state_dict(training.end)
        game.restore(training.game)
    for epoch in range(training.epochs_done, config.epochs):
        start = time.monotonic()
        row = _epoch(model, game, material, seed, epoch, stop)
        if row is None:  # a broken-off epoch is repeated on resume: the checkpoint holds the end of the one before
            if training.epochs_done:
                checkpoint.save(training)
            raise Stopped(f"after epoch {training.epochs_done} of {config.epochs}")
        row |= evaluate(model, material, seed)
        row["learning_rate"] = game.end_epoch(row["validation_loss"])
        if not math.isfinite(row["train_loss"]):
            raise Diverged(f"the loss is {row['train_loss']} in epoch {epoch}", training)
        training.seconds += time.monotonic() - start
        _record(training, model, game, epoch, row)
        report(epoch + 1, config.epochs, row)
        if epoch + 1 < config.epochs and (checkpoint.due() or stop()):
            checkpoint.save(training)
            if stop():
                raise Stopped(f"after epoch {epoch + 1} of {config.epochs}")
    return training


def _record(training: Training, model: TrainedFamily, game: Game, epoch: int, row: dict[str, float]) -> None:
    """Take the end of an epoch into the state of the training."""
    for name, value in {"epoch": epoch, **row}.items():
        training.curve.setdefault(name, []).append(value)
    training.end, training.game, training.epochs_done = _copy(model), game.state(), epoch + 1
    if row["validation_loss"] < training.best_loss:
        training.best, training.best_loss, training.best_epoch = training.end, row["validation_loss"], epoch


def _epoch(
    model: TrainedFamily, game: Game, material: Material, seed: int, epoch: int, stop: Callable[[], bool]
) -> dict[str, float] | None:
    """One pass over the training images; the image-weighted means of its losses, or None if it was broken off."""
    config, device = model.config, material.images.device
    order = streams.generator(seed, "batches", epoch).permutation(material.train)
    hyper = model.hyper(epoch)
    model.train()
    sums: dict[str, Tensor] = {}
    asked = time.monotonic()
    for step, start in enumerate(range(0, len(order), config.batch_size)):
        rows = order[start : start + config.batch_size]
        means = game.play(material.pairs(rows), noise(seed, ("noise", epoch, step), len(rows), model.noise_shape, device), hyper)
        for name, value in means.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + value * len(rows)
        if time.monotonic() - asked > 1:
            asked = time.monotonic()
            if stop():
                return None
    return {f"train_{name}": float(value) / len(order) for name, value in sums.items()}


@torch.inference_mode()
def evaluate(model: TrainedFamily, material: Material, seed: int) -> dict[str, float]:
    """Losses on the classes that drive the schedule, with every train-stage weight at 1 and the same noise at each epoch."""
    device = material.images.device
    model.eval()
    ones = dict.fromkeys(model.hyper(0), 1.0)
    sums: dict[str, float] = {}
    for step, start in enumerate(range(0, len(material.schedule), EVALUATION_BATCH)):
        rows = material.schedule[start : start + EVALUATION_BATCH]
        player = model.players()[0]
        losses = player.loss(material.pairs(rows), noise(seed, ("validation", step), len(rows), model.noise_shape, device), ones)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.sum())
    return {f"validation_{name}": value / len(material.schedule) for name, value in sums.items()}


def _copy(model: TrainedFamily) -> dict[str, Tensor]:
    return {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
