"""The classifier of greys: which class of a data set an image is of, and how sure that is.

It learns from images for training of all classes, also of those that models do not see. So it can
tell whether a model drew a class that was left out of its training. The best epoch is the one with
the lowest loss on the images for selection; its quality is measured on those for tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneshot.critics.encoder import CriticError, Report, generator, initialised, snapshot
from oneshot.critics.predictions import accuracy, cross_entropy, predict
from oneshot.sweep.settings import setting
from oneshot.types import DataSet, Kind, Part

VERSION = 1
VARIANTS = {"tiny": {"epochs": 1, "batch_size": 32}}
SIDE = 28  # pixels; larger images are seen as their averages over areas
WIDTHS = (24, 48, 64)  # channels of the three blocks
PLACES = 3  # a side of the last map, over which features are averaged
FEATURES = 128


@dataclass(frozen=True)
class Config:
    epochs: int = setting(
        8, "train", "passes over the training images", low=1, high=10000, unit="epochs"
    )
    batch_size: int = setting(64, "train", "images in a batch", low=2, high=8192)
    learning_rate: float = setting(
        2e-3, "train", "step size of Adam at the start; it falls to 0 as a cosine", low=1e-7, high=1
    )
    dropout: float = setting(
        0.2, "train", "share of the features that a training step leaves out", low=0.0, high=0.9
    )
    augment: int = setting(
        1, "train", "most pixels by which training images are shifted at random", low=0, high=16
    )


class Classifier(nn.Module):
    """Three blocks of convolution, features, and a linear layer; 113,650 parameters of ten classes.

    Args:
        image_size: height and width of the images, in pixels.
        classes: how many there are.
        dropout: share of the features that a training step leaves out.
    """

    def __init__(self, image_size: int, classes: int = 10, dropout: float = 0.0):
        super().__init__()
        self.side = min(image_size, SIDE)
        self.blocks = nn.Sequential(*map(_block, (1, *WIDTHS), WIDTHS))
        self.features = nn.Linear(WIDTHS[-1] * PLACES**2, FEATURES)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(FEATURES, classes)

    def embed(self, images: Tensor) -> Tensor:
        """Features of images: float [B, 1, S, S] in [0, 1] -> [B, 128]."""
        if images.shape[-1] > self.side:
            images = F.adaptive_avg_pool2d(images, self.side)
        maps = self.blocks(images)
        return F.relu(self.features(F.adaptive_avg_pool2d(maps, PLACES).flatten(1)))

    def logits(self, images: Tensor) -> Tensor:
        """Unnormalised log-probabilities of the classes: [B, 1, S, S] -> [B, classes]."""
        return self.of_features(self.embed(images))

    def of_features(self, features: Tensor) -> Tensor:
        """What `logits` makes of features: [B, 128] -> [B, classes]."""
        return self.last(self.dropout(features))


FAMILY = Classifier


def sizes_of(state: dict[str, Tensor]) -> dict[str, int]:
    """The arguments of Classifier beside the image size, by which these weights fit."""
    return {"classes": len(state["last.bias"])}


def train(
    config: Config,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
    report: Report,
) -> tuple[Classifier, dict[str, Any], list[dict[str, Any]]]:
    """Learn from the images for training of all classes.

    Args:
        config: the settings.
        data: greys whose classes are cut into parts.
        exemplars: not used.
        seed: of initial weights, order, shifts and dropout.
        device: where it is computed.
        report: called as report(epoch, losses) after every epoch, counted from 1.

    Returns:
        The classifier in evaluation mode, its quality, and one entry an epoch.

    Raises:
        CriticError: the images are no greys in parts, a part is empty, or the loss stops being
            finite.
    """
    rows, label = _part(data, Part.TRAIN)
    chosen, chosen_label = _part(data, Part.SELECTION)
    images, labels = torch.from_numpy(data.images[rows]).to(device), torch.from_numpy(label)
    labels = labels.to(device)
    classes = len(data.class_names)
    module = initialised(
        lambda: Classifier(data.image_size, classes, config.dropout), seed, "classifier"
    ).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(module.parameters(), lr=config.learning_rate)
    curve: list[dict[str, Any]] = []
    best, lowest, best_epoch = snapshot(module), math.inf, 0
    for epoch in range(1, config.epochs + 1):
        losses = {"train_loss": _epoch(module, optimiser, config, images, labels, seed, epoch)}
        found = predict(module, data.images[chosen], device)
        losses["validation_loss"] = cross_entropy(found, chosen_label)
        if not all(map(math.isfinite, losses.values())):
            raise CriticError(
                f"the classifier diverged in epoch {epoch}: {losses}. Lower its learning_rate"
                f" ({config.learning_rate:g})"
            )
        if losses["validation_loss"] < lowest:
            best, lowest, best_epoch = snapshot(module), losses["validation_loss"], epoch
        curve.append({"epoch": epoch, **losses})
        report(epoch, losses)
    module.load_state_dict(best)
    module.eval()
    trained = {"best_epoch": best_epoch, "best_validation_loss": lowest}
    return module, {**trained, **quality(module, data, exemplars, seed, device)}, curve


def quality(
    module: Classifier,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
) -> dict[str, Any]:
    """How well the classifier knows images for tests, which it never saw.

    Args:
        module: the classifier.
        data: greys whose classes are cut into parts.
        exemplars: not used.
        seed: not used, as nothing is random.
        device: where it is computed.

    Returns:
        `test_accuracy` in per cent, `test_images`, `chance_accuracy`, `calibration_error`, and
        `worst_class` with its `worst_accuracy`. Lists, which no table shows: `class_accuracy`, and
        `confusion`, images by class and by prediction.
    """
    rows, label = _part(data, Part.TEST)
    found = predict(module, data.images[rows], device)
    classes = len(data.class_names)
    confusion = np.bincount(label * classes + found.label, minlength=classes**2)
    return {
        **accuracy(found, label, data.class_names, np.arange(classes)),
        "confusion": confusion.reshape(classes, classes).tolist(),
    }


def _block(inputs: int, outputs: int) -> nn.Sequential:
    # ReLU after pooling equals ReLU before it, and has a quarter of the work
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.MaxPool2d(2),
        nn.ReLU(),
    )


def _epoch(
    module: Classifier,
    optimiser: torch.optim.Optimizer,
    config: Config,
    images: Tensor,
    labels: Tensor,
    seed: int,
    epoch: int,
) -> float:
    """One pass in random order; returns the mean loss. The last incomplete batch is left out."""
    module.train()
    rng = generator(seed, "classifier", "epoch", epoch)
    size = min(config.batch_size, len(images))
    order = torch.randperm(len(images), generator=rng)
    batches = len(order) // size
    total = torch.zeros((), device=images.device)
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # dropout takes torch's own generator
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        for step, rows in enumerate(order[: batches * size].split(size)):
            done = (epoch - 1 + step / batches) / config.epochs
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * (1 + math.cos(math.pi * done)) / 2
            rows = rows.to(images.device)
            batch = _shifted(images[rows].float() / 255, config.augment, rng)
            loss = F.cross_entropy(module.logits(batch), labels[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += loss.detach()
    return float(total / batches)


def _shifted(images: Tensor, most: int, rng: torch.Generator) -> Tensor:
    """Each image [B, 1, S, S] moved by up to `most` pixels down and across; 0 comes in."""
    if not most:
        return images
    count, side = len(images), images.shape[-1]
    move = torch.randint(2 * most + 1, (2, count, 1), generator=rng).to(images.device)
    down, across = move + torch.arange(side, device=images.device)
    padded = F.pad(images[:, 0], (most, most, most, most))
    every = torch.arange(count, device=images.device)[:, None, None]
    return padded[every, down[:, :, None], across[:, None, :]][:, None]


def _part(data: DataSet, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """The image indices of a part of all classes, and their classes."""
    if data.kind != Kind.GREYS or data.part is None:
        raise CriticError(
            f"the classifier needs grey images of classes that are cut into parts; {data.name} has"
            f" {data.kind}" + (" without parts" if data.part is None else "")
        )
    rows = np.flatnonzero(data.part == part)
    if len(rows) < 2:
        raise CriticError(f"{data.name} has fewer than 2 images of the part {part.name}")
    return rows, data.label[rows]
