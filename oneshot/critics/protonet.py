"""ProtoNet, the critic that sees recognizability.

In its features a drawing is nearest to the exemplar of its own class. Snell et al. 2017
(https://arxiv.org/abs/1703.05175), as used by Boutin et al. 2022
(https://arxiv.org/abs/2205.10370): 60-way episodes with one support image, which is the exemplar of
the class, and squared Euclidean distances. Scores use the 128 features of the metric layer. Unlike
there, the best epoch is the one that recognises most on the validation classes, not on the test
classes, and a query is never the support image itself.
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
    embed_all,
    embedding,
    generator,
    held_out_rows,
    initialised,
    snapshot,
)
from oneshot.metrics import recognizability
from oneshot.sweep.settings import setting
from oneshot.types import DataSet

VERSION = 1
VARIANTS = {"tiny": {"epochs": 1, "episodes_per_epoch": 5, "train_ways": 10, "train_queries": 2}}
TEST_WAYS = 20


@dataclass(frozen=True)
class Config:
    epochs: int = setting(80, "train", "epochs", low=1, high=10000, unit="epochs")
    episodes_per_epoch: int = setting(
        100, "train", "episodes, each one step of Adam", low=1, high=100000
    )
    train_ways: int = setting(
        60, "train", "classes in a training episode; all train classes if fewer", low=2, high=1000
    )
    train_queries: int = setting(
        5, "train", "queries of each class in a training episode", low=1, high=1000
    )
    learning_rate: float = setting(
        1e-3, "train", "step size of Adam at the start", low=1e-7, high=1.0
    )
    halve_every: int = setting(
        20, "train", "the step size halves after so many epochs", low=1, high=10000, unit="epochs"
    )
    weights: str = setting(
        "", "train", "published weight file to import instead of training; empty: train"
    )


class ProtoNet(nn.Module):
    """The shared network and a linear metric layer; for image_size 50 it has 292,544 parameters."""

    def __init__(self, image_size: int):
        super().__init__()
        self.embedding = embedding(image_size)
        self.metric_layer = nn.Linear(FEATURES, OUTPUTS)

    def embed(self, images: Tensor) -> Tensor:
        """Features in which nearest is alike: float [B, 1, S, S] of 0 and 1 -> [B, 128]."""
        return self.metric_layer(self.embedding(images))


FAMILY = ProtoNet


def train(
    config: Config,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
    report: Report,
) -> tuple[ProtoNet, dict[str, Any], list[dict[str, Any]]]:
    """Learn from episodes of the train classes.

    Args:
        config: the settings.
        data: the data set.
        exemplars: int64 [classes], the image index of each class's exemplar, which is its support;
            None: a random drawing, each time another.
        seed: of initial weights and episodes.
        device: where it is computed.
        report: called as report(epoch, losses) after every epoch, counted from 1;
            `validation_recognizability` is in per cent.

    Returns:
        The critic in evaluation mode, its quality, and one entry an epoch.

    Raises:
        CriticError: a part of the split has fewer than 2 classes, a train class has too few
            drawings for its queries, or the loss stops being finite.
    """
    sampler = _Episodes(config, data, exemplars, device)
    module = initialised(lambda: ProtoNet(data.image_size), seed, "protonet").to(device)
    optimiser = torch.optim.Adam(module.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, config.halve_every, 0.5)
    curve: list[dict[str, Any]] = []
    best, highest, best_epoch = snapshot(module), -math.inf, 0
    for epoch in range(1, config.epochs + 1):
        loss = _epoch(
            module,
            optimiser,
            sampler,
            config.episodes_per_epoch,
            generator(seed, "protonet", "epoch", epoch),
        )
        schedule.step()
        if not math.isfinite(loss):
            raise CriticError(
                f"ProtoNet diverged in epoch {epoch}. Lower its learning_rate"
                f" ({config.learning_rate:g})"
            )
        percent, _ = recognised(
            module, data, data.validation, held_out_rows(data, data.validation), exemplars, device
        )
        if percent > highest:
            best, highest, best_epoch = snapshot(module), percent, epoch
        losses = {"train_loss": loss, "validation_recognizability": percent}
        curve.append({"epoch": epoch, **losses})
        report(epoch, losses)
    module.load_state_dict(best)
    module.eval()
    trained = {
        "best_epoch": best_epoch,
        "best_validation_recognizability": highest,
        "train_ways": sampler.ways,
    }
    return module, {**trained, **quality(module, data, exemplars, seed, device)}, curve


def quality(
    module: ProtoNet,
    data: DataSet,
    exemplars: np.ndarray | None,
    seed: int,
    device: torch.device | str,
) -> dict[str, Any]:
    """How many real drawings of the test classes a critic recognises, 20-way and one-shot.

    Fewer ways if there are fewer classes.

    Args:
        module: the critic.
        data: the data set.
        exemplars: int64 [classes], the supports; None: the first drawing of each class. The queries
            are all other drawings.
        seed: not used, as nothing is random.
        device: where it is computed.

    Returns:
        `test_recognizability` and its chance level, both in per cent, and the number of ways.
    """
    percent, ways = recognised(module, data, data.test, data.rows(data.test), exemplars, device)
    return {
        "test_recognizability": percent,
        "test_ways": ways,
        "chance_recognizability": 100.0 / ways,
    }


def recognised(
    module: ProtoNet,
    data: DataSet,
    classes: np.ndarray,
    rows: np.ndarray,
    exemplars: np.ndarray | None,
    device: torch.device | str,
) -> tuple[float, int]:
    """The share of drawings that a critic recognises.

    Args:
        module: the critic.
        data: the data set.
        classes: int64 [C], class ids.
        rows: int64 [n], image indices of the queries.
        exemplars: the supports, as of `quality`.
        device: where it is computed.

    Returns:
        Per cent of the drawings that are recognised, and the number of ways.
    """
    if len(classes) < 2:
        raise CriticError(
            f"recognition needs at least 2 classes in each part of the split of {data.name}, given"
            f" {len(classes)}"
        )
    support = np.searchsorted(data.label, classes) if exemplars is None else exemplars[classes]
    rows = np.setdiff1d(rows, support)
    features = embed_all(module, data.images[np.concatenate([support, rows])], device)
    if not np.isfinite(features).all():
        raise CriticError(
            f"ProtoNet gives features that are not finite for {data.name}: it diverged, lower its"
            " learning_rate"
        )
    label, ways = np.searchsorted(classes, data.label[rows]), min(TEST_WAYS, len(classes))
    p = recognizability.expected(features[len(classes) :], label, features[: len(classes)], ways)
    return float(recognizability.per_class(p, label).mean()), ways


def loss_of(features: Tensor, ways: int) -> Tensor:
    """Cross entropy of queries against supports by squared Euclidean distance.

    Snell et al. 2017, equation 2 and algorithm 1.

    Args:
        features: [ways * (1 + queries), d], class after class, the support of a class first.
        ways: number of classes.

    Returns:
        A scalar in nats, the mean over the queries.
    """
    each = features.reshape(ways, -1, features.shape[1])
    support, queries = each[:, 0], each[:, 1:].flatten(0, 1)
    # The term |query|^2 is the same for all supports of a query and cancels in the softmax.
    logits = 2 * queries @ support.T - support.square().sum(1)
    return F.cross_entropy(
        logits, torch.arange(ways, device=features.device).repeat_interleave(each.shape[1] - 1)
    )


def _epoch(
    module: ProtoNet,
    optimiser: torch.optim.Optimizer,
    sampler: _Episodes,
    episodes: int,
    rng: torch.Generator,
) -> float:
    """So many episodes, one optimiser step each. Returns the mean loss."""
    module.train()
    total = torch.zeros((), device=sampler.images.device)
    for _ in range(episodes):
        loss = loss_of(module.embed(sampler.draw(rng)), sampler.ways)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += loss.detach()
    return float(total / episodes)


class _Episodes:
    """Draws training episodes. images: uint8 [n, 1, H, W] of the train classes on the device."""

    def __init__(
        self,
        config: Config,
        data: DataSet,
        exemplars: np.ndarray | None,
        device: torch.device | str,
    ):
        rows = data.rows(data.train)
        counts = np.bincount(
            np.searchsorted(data.train, data.label[rows]), minlength=len(data.train)
        )
        if len(counts) < 2 or counts.min() < config.train_queries + 1:
            raise CriticError(
                f"ProtoNet with train_queries = {config.train_queries} needs at least 2 train"
                f" classes, each with {config.train_queries + 1} drawings; {data.name} has"
                f" {len(counts)}, the smallest with {min(counts, default=0)}"
            )
        self.ways, self.queries = min(config.train_ways, len(counts)), config.train_queries
        self.images = torch.from_numpy(data.images[rows]).to(device)[:, None]
        self.count = torch.from_numpy(counts)
        self.start = self.count.cumsum(0) - self.count
        self.support = (
            None
            if exemplars is None
            else torch.from_numpy(np.searchsorted(rows, exemplars[data.train])) - self.start
        )

    def draw(self, rng: torch.Generator) -> Tensor:
        """The images of one episode, float [ways * (1 + queries), 1, H, W]: for each class its
        support, then its queries.
        """
        classes = torch.randperm(len(self.count), generator=rng)[: self.ways]
        score = torch.rand(self.ways, int(self.count.max()), generator=rng)
        # beyond the last drawing of the class
        score[torch.arange(score.shape[1]) >= self.count[classes, None]] = 2.0
        if self.support is not None:
            score[torch.arange(self.ways), self.support[classes]] = -1.0
        picked = score.topk(1 + self.queries, dim=1, largest=False, sorted=True).indices
        rows = (self.start[classes, None] + picked).flatten()
        return self.images[rows.to(self.images.device)].float()
