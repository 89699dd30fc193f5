"""SimCLR, the critic that sees diversity and originality.

In its features two views of one drawing are alike. Chen et al. 2020
(https://arxiv.org/abs/2002.05709), as used by Boutin et al. 2022
(https://arxiv.org/abs/2205.10370): a linear projection, RMSprop, and views by crops, affine warps
and perspective. Scores use the 256 features before the projection. Unlike there, the best epoch is
the one with the lowest loss on the validation classes, not on the test classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneshot.critics.encoder import (
    FEATURES,
    OUTPUTS,
    CriticError,
    Report,
    as_bytes,
    embedding,
    generator,
    held_out_rows,
    initialised,
    snapshot,
)
from oneshot.nn.augment import STRENGTHS, views
from oneshot.sweep.settings import setting
from oneshot.types import DataSet

VERSION = 1
VARIANTS = {"tiny": {"epochs": 1, "batch_size": 32}}


@dataclass(frozen=True)
class Config:
    epochs: int = setting(
        100,
        "train",
        "passes over the training drawings, or parts of one",
        low=1,
        high=10000,
        unit="epochs",
    )
    batch_size: int = setting(
        448,
        "train",
        "drawings in a batch, each against all others; all drawings if fewer",
        low=2,
        high=8192,
    )
    batches_per_epoch: int = setting(
        0,
        "train",
        "batches after which an epoch ends; 0: when all drawings were seen",
        low=0,
        high=100000,
    )
    learning_rate: float = setting(1e-3, "train", "step size of RMSprop", low=1e-7, high=1.0)
    temperature: float = setting(
        0.5, "train", "temperature of the NT-Xent loss", low=1e-3, high=10.0
    )
    strength: str = setting(
        "normal", "train", "how far the views move", choices=("light", "normal", "strong")
    )
    weights: str = setting(
        "", "train", "published weight file to import instead of training; empty: train"
    )


class SimCLR(nn.Module):
    """The shared network and a linear projection; for image_size 50 it has 292,544 parameters."""

    def __init__(self, image_size: int):
        super().__init__()
        self.embedding = embedding(image_size)
        self.projection = nn.Sequential(nn.Linear(FEATURES, OUTPUTS))

    def embed(self, images: Tensor) -> Tensor:
        """Features for scoring: float [B, 1, S, S] of 0 and 1 -> [B, 256]."""
        return self.embedding(images)

    def project(self, images: Tensor) -> Tensor:
        """Features for the loss: [B, 1, S, S] -> [B, 128]."""
        return self.projection(self.embed(images))


FAMILY = SimCLR


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross entropy of N pairs of views.

    Chen et al. 2020 (https://arxiv.org/abs/2002.05709), equation 1. A view has to pick its partner
    out of the 2N - 1 other views by cosine similarity. Views without information give log(2N - 1).

    Args:
        first: [N, d], a view of each image.
        second: [N, d], another view of each image, in the same order.
        temperature: tau of the equation.

    Returns:
        A scalar in nats, the mean over the 2N views.
    """
    z = F.normalize(torch.cat([first, second]), dim=1)
    similarity = z @ z.T / temperature
    similarity = similarity.masked_fill(
        torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf
    )
    partner = torch.arange(len(z), device=z.device).roll(len(first))
    return F.cross_entropy(similarity, partner)


def train(
    config: Config,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
    report: Report,
) -> tuple[SimCLR, dict[str, Any], list[dict[str, Any]]]:
    """Learn from the drawings of the train classes.

    Args:
        config: the settings.
        data: the data set.
        exemplars: not used, any drawing is as good.
        seed: of initial weights, order and views.
        device: where it is computed.
        report: called as report(epoch, losses) after every epoch, counted from 1.

    Returns:
        The critic in evaluation mode, its quality, and one entry an epoch.

    Raises:
        CriticError: a part of the split has no class, there are fewer than 2 drawings, or the loss
            stops being finite.
    """
    drawings = as_bytes(data, data.rows(data.train), device)
    held_out = as_bytes(data, held_out_rows(data, data.validation), device)
    if min(len(drawings), len(held_out)) < 2:
        raise CriticError(
            "SimCLR needs at least 2 drawings in the train and in the validation classes of"
            f" {data.name}"
        )
    module = initialised(lambda: SimCLR(data.image_size), seed, "simclr").to(device)
    optimiser = torch.optim.RMSprop(module.parameters(), lr=config.learning_rate)
    curve: list[dict[str, Any]] = []
    best, lowest, best_epoch = snapshot(module), math.inf, 0
    for epoch in range(1, config.epochs + 1):
        losses = {"train_loss": _epoch(module, optimiser, config, drawings, seed, epoch)}
        losses["validation_loss"] = _held_out_loss(
            module, held_out, config.batch_size, config.temperature, config.strength, seed
        )
        if not all(map(math.isfinite, losses.values())):
            raise CriticError(
                f"SimCLR diverged in epoch {epoch}: {losses}. Lower its learning_rate"
                f" ({config.learning_rate:g})"
            )
        if losses["validation_loss"] < lowest:
            best, lowest, best_epoch = snapshot(module), losses["validation_loss"], epoch
        curve.append({"epoch": epoch, **losses})
        report(epoch, losses)
    module.load_state_dict(best)
    module.eval()
    trained = {
        "best_epoch": best_epoch,
        "best_validation_loss": lowest,
        "train_batch": min(config.batch_size, len(drawings)),
    }
    return module, {**trained, **quality(module, data, exemplars, seed, device)}, curve


def quality(
    module: SimCLR,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
) -> dict[str, Any]:
    """The NT-Xent loss on at most 20 drawings of each test class, under the published settings.

    So critics can be compared. The loss depends on how many drawings it compares.

    Args:
        module: the critic.
        data: the data set.
        exemplars: not used.
        seed: of order and views.
        device: where it is computed.

    Returns:
        `test_loss`; `test_batch`, how many drawings it compares; `chance_loss`, the level of a
        critic that knows nothing; `orthogonal_loss`, that of equal partners among orthogonal
        others.
    """
    published = Config()
    drawings = as_bytes(data, held_out_rows(data, data.test), device)
    n = min(published.batch_size, len(drawings))
    if n < 2:
        raise CriticError(
            f"SimCLR's quality needs at least 2 drawings in the test classes of {data.name},"
            f" given {n}"
        )
    loss = _held_out_loss(module, drawings, n, published.temperature, published.strength, seed)
    floor = math.log(math.exp(1 / published.temperature) + 2 * n - 2) - 1 / published.temperature
    return {
        "test_loss": loss,
        "test_batch": n,
        "chance_loss": math.log(2 * n - 1),
        "orthogonal_loss": floor,
    }


def _epoch(
    module: SimCLR,
    optimiser: torch.optim.Optimizer,
    config: Config,
    drawings: Tensor,
    seed: int,
    epoch: int,
) -> float:
    """Take one pass in random order, or its first batches, and return the mean loss.

    The last incomplete batch is left out.
    """
    module.train()
    rng = generator(seed, "simclr", "epoch", epoch)
    strength, size = STRENGTHS[config.strength], min(config.batch_size, len(drawings))
    order = torch.randperm(len(drawings), generator=rng)
    total, batches = torch.zeros((), device=drawings.device), len(drawings) // size
    batches = min(batches, config.batches_per_epoch or batches)
    for rows in order[: batches * size].split(size):
        images = drawings[rows.to(drawings.device)].float()
        # Two passes, as published: each view is normalised by the statistics of its own batch.
        first, second = (module.project(views(images, strength, rng)) for _ in range(2))
        loss = nt_xent(first, second, config.temperature)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += loss.detach()
    return float(total / batches)


@torch.inference_mode()
def _held_out_loss(
    module: SimCLR, drawings: Tensor, batch_size: int, temperature: float, strength: str, seed: int
) -> float:
    """The mean loss over whole batches of drawings in a fixed random order with fixed views.

    It is the same at every epoch.
    """
    module.eval()
    rng = generator(seed, "simclr", "held out")
    size = min(batch_size, len(drawings))
    order = torch.randperm(len(drawings), generator=rng)[: len(drawings) // size * size]
    total = 0.0
    for rows in order.split(size):
        images = drawings[rows.to(drawings.device)].float()
        first, second = (module.project(views(images, STRENGTHS[strength], rng)) for _ in range(2))
        total += float(nt_xent(first, second, temperature))
    return total / (len(order) // size)
