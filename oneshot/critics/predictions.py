"""What classifiers say of images, and how good they are: shared by all critics that classify."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.critics.encoder import CriticError
from oneshot.metrics.calibration import calibration_error

MOST = 512  # images at a time, where no gradient is needed


class Classifies(Protocol):
    """A module that maps images, float [B, C, S, S] in [0, 1], to features and to logits.

    Attributes:
        last: the linear layer behind the features.
    """

    last: nn.Linear
    training: bool

    def embed(self, images: Tensor) -> Tensor:
        """Compute the features of images."""
        ...

    def of_features(self, features: Tensor) -> Tensor:
        """Compute the logits of features."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Choose training or evaluation mode."""
        ...


class Predictions(NamedTuple):
    """What a classifier says of N images.

    Args:
        features: float32 [N, D].
        probability: of each class, float64 [N, classes]; rows sum to 1.
    """

    features: np.ndarray
    probability: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """The most probable class of each image, int64 [N]."""
        return self.probability.argmax(1)

    @property
    def confidence(self) -> np.ndarray:
        """The probability of that class, [N]."""
        return self.probability.max(1)


def predict(
    module: Classifies, images: np.ndarray, device: torch.device | str, most: int = MOST
) -> Predictions:
    """What a classifier says of images, in evaluation mode, whatever mode it is in.

    Args:
        module: the classifier, on `device`.
        images: uint8 [N, C, S, S].
        device: where it is computed.
        most: images at a time.

    Returns:
        The predictions.

    Raises:
        CriticError: they are not finite.
    """
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    with _evaluating(module):
        for batch in batches(images, device, most):
            features = module.embed(batch)
            probability = module.of_features(features).double().softmax(1)
            parts.append((features.float().cpu().numpy(), probability.cpu().numpy()))
    width, classes = module.last.in_features, module.last.out_features
    empty = np.empty((0, width), np.float32), np.empty((0, classes))
    found = Predictions(*(np.concatenate(arrays) for arrays in zip(empty, *parts)))
    if not np.isfinite(found.probability).all():
        raise CriticError("the classifier gives probabilities that are not finite: it diverged")
    return found


def embed(
    module: Classifies, images: np.ndarray, device: torch.device | str, most: int = MOST
) -> np.ndarray:
    """The features of images alone, for which classes may be too many to say how likely each is.

    Args:
        module: the classifier, on `device`.
        images: uint8 [N, C, S, S].
        device: where it is computed.
        most: images at a time.

    Returns:
        float32 [N, D].

    Raises:
        CriticError: they are not finite.
    """
    parts = [np.empty((0, module.last.in_features), np.float32)]
    with _evaluating(module):
        for batch in batches(images, device, most):
            parts.append(module.embed(batch).float().cpu().numpy())
    features = np.concatenate(parts)
    if not np.isfinite(features).all():
        raise CriticError("the classifier gives features that are not finite: it diverged")
    return features


def as_floats(images: np.ndarray, device: torch.device | str) -> Tensor:
    """Bytes as floats on a device.

    Args:
        images: uint8 [N, C, S, S], perhaps read-only.
        device: where to.

    Returns:
        In [0, 1], of the same shape.
    """
    return torch.from_numpy(np.array(images)).to(device).float() / 255


def batches(images: np.ndarray, device: torch.device | str, most: int) -> Iterator[Tensor]:
    """Images as floats, at most so many at a time.

    Args:
        images: uint8 [N, C, S, S].
        device: where to.
        most: images at a time.

    Yields:
        In [0, 1], [n, C, S, S], in their order.
    """
    for start in range(0, len(images), most):
        yield as_floats(images[start : start + most], device)


def accuracy(
    found: Predictions, label: np.ndarray, class_names: tuple[str, ...], known: np.ndarray
) -> dict[str, Any]:
    """How well a classifier knows images that it did not learn from.

    Args:
        found: what it says of N images.
        label: their classes, int64 [N].
        class_names: of all classes.
        known: those that there are images of, int64 [K].

    Returns:
        `test_accuracy` in per cent, `test_images`, `chance_accuracy`, `calibration_error`, and
        `worst_class` with its `worst_accuracy`; and `class_accuracy`, a list that no table shows,
        of the known classes.
    """
    right = found.label == label
    total = np.bincount(label, minlength=len(class_names))
    of_class = 100 * np.bincount(label[right], minlength=len(class_names)) / np.maximum(total, 1)
    worst = int(known[of_class[known].argmin()])
    return {
        "test_accuracy": float(100 * right.mean()),
        "test_images": len(label),
        "chance_accuracy": 100 / len(known),
        "calibration_error": calibration_error(found.confidence, right),
        "worst_class": class_names[worst],
        "worst_accuracy": float(of_class[worst]),
        "class_accuracy": of_class[known].tolist(),
    }


def cross_entropy(found: Predictions, label: np.ndarray) -> float:
    """The mean of -log p of the right class.

    Args:
        found: what a classifier says of N images.
        label: their classes, int64 [N].

    Returns:
        In nats.
    """
    right = found.probability[np.arange(len(label)), label]
    return float(-np.log(np.maximum(right, 1e-300)).mean())


@contextmanager
def _evaluating(module: Classifies) -> Iterator[None]:
    """Evaluation mode without gradients; the mode is put back."""
    was_training = module.training
    module.train(False)
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(was_training)
