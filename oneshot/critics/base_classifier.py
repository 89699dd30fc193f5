"""The classifier of base classes: a residual network whose features judge drawings of novel ones.

The topology is ResNet-18 (He et al. 2016, https://arxiv.org/abs/1512.03385) with the stem for
small images: one 3x3 convolution of stride 1 and no pooling. It learns base classes alone, from
random weights, by the settings of Beckham et al. 2022 (https://arxiv.org/abs/2203.16662). Its head
has a logit for every class of the data set, so that novel classes can be learned later.
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
from oneshot.nn.augment import Strength, random_affines, random_crops, warp
from oneshot.sweep.settings import setting
from oneshot.types import DataSet, Kind, Part

VERSION = 1
VARIANTS = {"tiny": {"epochs": 1, "batch_size": 32, "width": 4, "images_per_class": 20}}
BLOCKS = 2  # of a stage
MOST = 256  # images at a time, where no gradient is needed


@dataclass(frozen=True)
class Config:
    epochs: int = setting(
        200, "train", "passes over the training images", low=1, high=10000, unit="epochs"
    )
    batch_size: int = setting(64, "train", "images in a batch", low=2, high=8192)
    learning_rate: float = setting(2e-4, "train", "step size of AdamW", low=1e-7, high=1)
    width: int = setting(
        64,
        "model",
        "channels of the first stage; features are eight times as many",
        low=1,
        high=256,
    )
    images_per_class: int = setting(
        0, "train", "most training images of a base class; 0 for all", low=0, high=1_000_000
    )
    rotation: float = setting(
        0.0,
        "train",
        "largest angle by which training images are turned",
        low=0,
        high=180,
        unit="degrees",
    )
    min_scale: float = setting(
        1.0,
        "train",
        "smallest share of a training image that a random crop keeps; 1 for all of it",
        low=0.05,
        high=1,
    )


class _Block(nn.Module):
    """Two 3x3 convolutions with batch normalisation, around which the input is added."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _convolution(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.skip = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.skip = nn.Sequential(
                _convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps)))))
        return F.relu(inner + self.skip(maps))


class ResNet(nn.Module):
    """ResNet-18 for small images; 11,168,832 parameters before the head at width 64.

    Args:
        image_size: height and width of the images, in pixels; any of at least 8 will do.
        classes: how many the data set has, base and novel.
        width: channels of the first of four stages, each of twice as many as the one before.
    """

    def __init__(self, image_size: int, classes: int = 47, width: int = 64):
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        widths = [width * 2**i for i in range(4)]
        self.stages = nn.ModuleList(
            _stage(inputs, outputs, 1 if i == 0 else 2)
            for i, (inputs, outputs) in enumerate(zip([width, *widths], widths))
        )
        self.last = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, images: Tensor) -> Tensor:
        """What the last stage is given.

        Args:
            images: float [B, 1 or 3, S, S] in [0, 1].

        Returns:
            [B, 4 * width, S / 4, S / 4], sides rounded up.
        """
        maps = self.stem(images.expand(-1, 3, -1, -1) * 2 - 1)
        for stage in list(self.stages)[:-1]:
            maps = stage(maps)
        return maps

    def embed(self, images: Tensor) -> Tensor:
        """Features of images: float [B, 1 or 3, S, S] in [0, 1] -> [B, 8 * width]."""
        return self.stages[-1](self.maps(images)).mean((2, 3))

    def logits(self, images: Tensor) -> Tensor:
        """Unnormalised log-probabilities of all classes: [B, 1 or 3, S, S] -> [B, classes]."""
        return self.of_features(self.embed(images))

    def of_features(self, features: Tensor) -> Tensor:
        """What `logits` makes of features: [B, 8 * width] -> [B, classes]."""
        return self.last(features)


FAMILY = ResNet


def sizes_of(state: dict[str, Tensor]) -> dict[str, int]:
    """The arguments of ResNet beside the image size, by which these weights fit."""
    return {"classes": len(state["last.bias"]), "width": len(state["stem.0.weight"])}


def train(
    config: Config,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
    report: Report,
) -> tuple[ResNet, dict[str, Any], list[dict[str, Any]]]:
    """Learn the base classes from their images for training.

    The epoch that knows most of the images for selection is kept, of equals the last.

    Args:
        config: the settings.
        data: greys or colour whose classes are cut into parts; base are the classes `train`.
        exemplars: not used.
        seed: of initial weights, order and views.
        device: where it is computed.
        report: called as report(epoch, losses) after every epoch, counted from 1.

    Returns:
        The classifier in evaluation mode, its quality, and one entry an epoch.

    Raises:
        CriticError: the images are no greys or colour in parts, a part is empty, or the loss stops
            being finite.
    """
    rows = _first_of_each(data, _part(data, Part.TRAIN), config.images_per_class)
    chosen = _part(data, Part.SELECTION)
    images = torch.from_numpy(data.images[rows]).to(device)
    labels = torch.from_numpy(data.label[rows]).to(device)
    module = initialised(
        lambda: ResNet(data.image_size, len(data.class_names), config.width),
        seed,
        "base_classifier",
    ).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=config.learning_rate, betas=(0.9, 0.999), weight_decay=0.0
    )
    curve: list[dict[str, Any]] = []
    best, most, kept = snapshot(module), -1.0, {"best_epoch": 0, "best_validation_loss": math.inf}
    for epoch in range(1, config.epochs + 1):
        rng = generator(seed, "base_classifier", "epoch", epoch)
        losses = {"train_loss": _epoch(module, optimiser, config, images, labels, rng)}
        found = predict(module, data.images[chosen], device, MOST)
        losses["validation_loss"] = cross_entropy(found, data.label[chosen])
        if not all(map(math.isfinite, losses.values())):
            raise CriticError(
                f"the classifier of base classes diverged in epoch {epoch}: {losses}. Lower its"
                f" learning_rate ({config.learning_rate:g})"
            )
        right = float((found.label == data.label[chosen]).mean())
        if right >= most:
            best, most = snapshot(module), right
            kept = {"best_epoch": epoch, "best_validation_loss": losses["validation_loss"]}
        curve.append({"epoch": epoch, **losses, "validation_accuracy": 100 * right})
        report(epoch, losses)
    module.load_state_dict(best)
    module.eval()
    return module, {**kept, **quality(module, data, exemplars, seed, device)}, curve


def quality(
    module: ResNet,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
) -> dict[str, Any]:
    """How well the classifier knows the images of base classes that chose its epoch.

    Args:
        module: the classifier.
        data: greys or colour whose classes are cut into parts; base are the classes `train`.
        exemplars: not used.
        seed: not used, as nothing is random.
        device: where it is computed.

    Returns:
        See `predictions.accuracy`; its `test_images` are those for selection, chance is that among
        base classes.
    """
    rows = _part(data, Part.SELECTION)
    found, label = predict(module, data.images[rows], device, MOST), data.label[rows]
    return accuracy(found, label, data.class_names, np.unique(label))


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps height and width, but for its stride."""
    return nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Blocks of one resolution; the first of them makes it."""
    rest = [_Block(outputs, outputs, 1) for _ in range(BLOCKS - 1)]
    return nn.Sequential(_Block(inputs, outputs, stride), *rest)


def _epoch(
    module: ResNet,
    optimiser: torch.optim.Optimizer,
    config: Config,
    images: Tensor,
    labels: Tensor,
    rng: torch.Generator,
) -> float:
    """One pass in random order; returns the mean loss of an image."""
    module.train()
    total = torch.zeros((), device=images.device)
    for rows in torch.randperm(len(images), generator=rng).split(config.batch_size):
        rows = rows.to(images.device)
        batch = _seen(images[rows].float() / 255, config, rng)
        loss = F.cross_entropy(module.logits(batch), labels[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(rows)
    return float(total / len(images))


def _seen(images: Tensor, config: Config, rng: torch.Generator) -> Tensor:
    """Training images [B, C, S, S] turned at random, then cropped and enlarged, if asked for."""
    strength = Strength(
        crop_area=(config.min_scale, 1.0),
        crop_ratio=(3 / 4, 4 / 3),
        rotation=config.rotation,
        zoom=(1.0, 1.0),
        translation=0.0,
        shear=0.0,
        perspective=0.0,
    )
    if config.rotation:
        images = warp(images, random_affines(len(images), images.shape[-1], strength, rng))
    if config.min_scale < 1:
        images = warp(images, random_crops(len(images), images.shape[-1], strength, rng))
    return images


def _first_of_each(data: DataSet, rows: np.ndarray, most: int) -> np.ndarray:
    """Of rows that are sorted by class, the first so many of each class; 0 for all."""
    label = data.label[rows]
    place = np.arange(len(rows)) - np.searchsorted(label, label)
    return rows[place < most] if most else rows


def _part(data: DataSet, part: Part) -> np.ndarray:
    """The image indices of a part of the base classes, class after class."""
    if data.kind not in (Kind.GREYS, Kind.COLOUR) or data.part is None:
        raise CriticError(
            "the classifier of base classes needs grey or colour images of classes that are cut"
            f" into parts; {data.name} has {data.kind}"
            + (" without parts" if data.part is None else "")
        )
    rows = data.rows_of_part(data.train, part)
    if len(rows) < 2:
        raise CriticError(
            f"{data.name} has fewer than 2 images of the part {part.name} in base classes"
        )
    return rows
