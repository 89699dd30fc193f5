"""What drawings are worth to a classifier that has seen few examples of novel classes.

The task of Beckham et al. 2022 (https://arxiv.org/abs/2203.16662): the classifier of base classes
is tuned to the shots of novel classes, once alone and once with drawings of these classes, and
asked about images of them that it never saw. Both start from the same weights and take the same
number of steps; the last step counts, none is selected. Batch normalisation keeps its running
statistics.

With frozen features, which are computed once, this is multinomial logistic regression.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneshot import rng
from oneshot.critics.base_classifier import MOST, ResNet
from oneshot.critics.predictions import batches

LEARNING_RATE, BATCH = 2e-4, 32  # as published, like the betas of AdamW
MOST_KEPT = 2**29  # numbers of the frozen part's output that are kept: 2 GiB


@dataclass(frozen=True)
class Task:
    """How the classifier learns novel classes.

    Args:
        unfreeze: what it learns with: "head", or "last_stage" for the head and the last stage.
        mixup: a of the Beta(a, a) by which images of a batch, and their labels, are mixed; 0: none.
        head_steps: steps of the optimiser.
    """

    unfreeze: str = "head"
    mixup: float = 0.0
    head_steps: int = 1000


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with their classes.

    Args:
        images: as a data set has them, uint8 [N, C, S, S].
        label: int64 [N].
        features: of the images in the classifier, float32 [N, D]; None where they are not at hand.
    """

    images: np.ndarray
    label: np.ndarray
    features: np.ndarray | None = None

    def with_others(self, others: Examples) -> Examples:
        """These images and others behind them."""
        images, label = (
            np.concatenate(pair)
            for pair in ((self.images, others.images), (self.label, others.label))
        )
        if self.features is None or others.features is None:
            return Examples(images, label)
        return Examples(images, label, np.concatenate([self.features, others.features]))


class Learner:
    """A classifier of base classes, of which a part will be tuned and the rest is frozen.

    Args:
        network: the classifier, which stays as it is.
        task: how it learns.
        device: where the network is.
    """

    def __init__(self, network: ResNet, task: Task, device: torch.device):
        self.network, self.task, self.device = network, task, device
        self.head_only = task.unfreeze == "head"

    def frozen(self, images: Tensor) -> Tensor:
        """What the frozen part makes of images, float [B, C, S, S] in [0, 1]."""
        return self.network.embed(images) if self.head_only else self.network.maps(images)

    def trainable(self) -> nn.Sequential:
        """A copy of the part that is tuned, in evaluation mode: logits of `frozen`'s output."""
        network, layers = self.network, list[nn.Module]()
        if not self.head_only:
            layers = [network.stages[-1], nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        part = copy.deepcopy(nn.Sequential(*layers, network.last))
        return part.requires_grad_(True).eval()

    def seen(self, examples: Examples) -> Tensor:
        """What `tuned` takes of training images, for any number of trainings.

        Args:
            examples: N of them.

        Returns:
            What the frozen part makes of them, [N, ...]; the bytes themselves where images are
            mixed, or where that would be too much to keep.
        """
        if self.head_only and not self.task.mixup and examples.features is not None:
            return torch.from_numpy(examples.features).to(self.device)
        as_bytes = torch.from_numpy(np.array(examples.images)).to(self.device)
        if self.task.mixup or not len(as_bytes):
            return as_bytes
        with torch.no_grad():
            each = self.frozen(as_bytes[:1].float() / 255).numel()
            if each * len(as_bytes) > MOST_KEPT:
                return as_bytes
            return torch.cat([self.frozen(b) for b in batches(examples.images, self.device, MOST)])

    def tuned(self, seen: Tensor, label: np.ndarray, seed: int) -> nn.Sequential:
        """Learn classes from images, by cross entropy over all classes.

        Args:
            seen: what `seen` made of N images.
            label: their classes, int64 [N].
            seed: of the batches and of mixing.

        Returns:
            The tuned part: logits of `frozen`'s output.
        """
        part = self.trainable()
        labels = torch.from_numpy(np.asarray(label, np.int64)).to(self.device)
        optimiser = torch.optim.AdamW(
            part.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), weight_decay=0.0
        )
        for step, rows in enumerate(_order(len(labels), self.task.head_steps, seed)):
            chosen = torch.from_numpy(rows).to(self.device)
            loss = self._loss(part, seen[chosen], labels[chosen], seed, step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return part.requires_grad_(False)

    def _loss(self, part: nn.Module, batch: Tensor, label: Tensor, seed: int, step: int) -> Tensor:
        """The cross entropy of a batch of what `seen` gives, mixed if the task says so."""
        if batch.dtype != torch.uint8:
            return F.cross_entropy(part(batch), label)
        images = batch.float() / 255
        share, other = 1.0, torch.arange(len(label))
        if self.task.mixup:
            random = rng.generator(seed, "augmentation", "mixup", step)
            share = float(random.beta(self.task.mixup, self.task.mixup))
            other = torch.from_numpy(random.permutation(len(label)))
            images = share * images + (1 - share) * images[other.to(self.device)]
        with torch.no_grad():
            given = self.frozen(images)
        logits = part(given)
        loss = share * F.cross_entropy(logits, label)
        if share < 1:
            loss = loss + (1 - share) * F.cross_entropy(logits, label[other.to(self.device)])
        return loss

    def accuracies(self, parts: Sequence[nn.Module], examples: Examples) -> list[float]:
        """The share of images that tuned parts know, by the largest of all logits.

        Args:
            parts: of `tuned`.
            examples: which nobody learned from.

        Returns:
            Of each part, in per cent.
        """
        right, label = np.zeros(len(parts)), examples.label
        with torch.no_grad():
            for i, given in enumerate(self._frozen_parts(examples)):
                wanted = label[i * MOST : (i + 1) * MOST]
                for k, part in enumerate(parts):
                    right[k] += (part(given).argmax(1).cpu().numpy() == wanted).sum()
        found: list[float] = (100 * right / len(label)).tolist()
        return found

    def _frozen_parts(self, examples: Examples) -> Iterator[Tensor]:
        """What the frozen part makes of images, `MOST` of them at a time."""
        if self.head_only and examples.features is not None:
            yield from torch.from_numpy(examples.features).to(self.device).split(MOST)
            return
        for batch in batches(examples.images, self.device, MOST):
            yield self.frozen(batch)


def _order(count: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """The rows of each step's batch: passes in random order, the last batch of one may be small."""
    done, passes = 0, 0
    while done < steps:
        order = rng.generator(seed, "augmentation", "order", passes).permutation(count)
        passes += 1
        for start in range(0, count, BATCH):
            if done == steps:
                return
            yield order[start : start + BATCH]
            done += 1


def worth(
    learner: Learner, supports: Examples, drawn: Examples, test: Examples, seed: int
) -> dict[str, float]:
    """What drawings add to the accuracy of a classifier that learned from supports.

    Args:
        learner: the classifier, and how it learns.
        supports: the shots of novel classes.
        drawn: drawings of novel classes; none gives a gain of 0.
        test: images of novel classes that nobody learned from.
        seed: of the point.

    Returns:
        `classified_supports` and `classified_augmented` in per cent, and their difference
        `classified_gain`.
    """
    learned = [supports]
    if len(drawn.label):
        learned.append(supports.with_others(drawn))
    parts = [learner.tuned(learner.seen(one), one.label, seed) for one in learned]
    found = learner.accuracies(parts, test)
    return {
        "classified_supports": found[0],
        "classified_augmented": found[-1],
        "classified_gain": found[-1] - found[0],
    }
