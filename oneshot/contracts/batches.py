"""What a model trains on: batches of pairs, sets or labelled items; and what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

Hyper = Mapping[str, Tensor | float]
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Pairs:
    """A batch of one-shot training items.

    Args:
        target: images to learn, float32 [B, 1, H, W] of 0 and 1.
        exemplar: that of each one's class, of the same shape.
    """

    target: Tensor
    exemplar: Tensor


@dataclass(frozen=True)
class Sets:
    """A batch of sets, each of S different images of one class.

    Args:
        images: float32 [B, S, C, H, W] in [0, 1], of 0 and 1 where C is 1.
    """

    images: Tensor


@dataclass(frozen=True)
class Labelled:
    """A batch of images, or points of the plane, with their classes.

    Args:
        images: float32 [B, C, H, W] in [0, 1], or points, [B, 2].
        label: one-hot, float32 [B, classes], over all classes of the data set.
        unlabelled: other images, of classes that nobody says, [B, C, H, W]; None without them.
    """

    images: Tensor
    label: Tensor
    unlabelled: Tensor | None = None


Items = Pairs | Sets | Labelled
Weights = dict[str, Tensor]  # parameters and buffers by name
Features = dict[int, Tensor]
