"""Drawings of families that adapt their weights to a few images of a class before they draw it.

The supports of a class are its exemplar and then others of its images, chosen by the setting
`shot_seed` and nested in the setting `shots`. Each class has weights of its own, so that classes
are drawn in groups whose weights fit into memory. What is drawn of a class depends on no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oneshot import rng
from oneshot.contracts import ShotFamily, Weights
from oneshot.training import shots
from oneshot.types import DataSet

GROUP_BYTES = 2**28  # of the weights of all classes of a group


def drawn(
    model: ShotFamily,
    data: DataSet,
    exemplars: np.ndarray,
    n: int,
    seed: int,
    device: torch.device,
    size: int,
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Draw `n` images of each test class, group of classes after group.

    Args:
        model: a trained family, on the device, in evaluation mode.
        data: the images.
        exemplars: image index of each class's exemplar, int64 [classes].
        n: drawings a class.
        seed: of the noise.
        device: where the model adapts and draws.
        size: most drawings at a time.

    Yields:
        Rows of the drawings, which are sorted by class, in their order; and what was drawn.

    Raises:
        ValueError: a class has fewer images than it is to have supports.
    """
    config, classes = model.config, data.test
    chosen = shots.supports(data, classes, config.shots, config.shot_seed, exemplars)
    each = min(n, size)
    step = min(max(size // each, 1), classes_at_a_time(model))
    for start in range(0, len(classes), step):
        places = np.arange(start, min(start + step, len(classes)))
        images = _images(data, chosen[places], device)
        weights = _adapted(model, images, seed, classes[places])
        for first in range(0, n, each):
            numbers = np.arange(first, min(first + each, n))
            noise = rng.normal_per_drawing(
                seed,
                classes[places].repeat(len(numbers)),
                np.tile(numbers, len(places)),
                model.drawing_noise_shape,
            ).reshape(len(places), len(numbers), *model.drawing_noise_shape)
            asked = images[:, :1].expand(-1, len(numbers), -1, -1, -1)
            output = _sampled(model, weights, asked, torch.from_numpy(noise).to(device))
            yield (places[:, None] * n + numbers).reshape(-1), output.flatten(0, 1)


def classes_at_a_time(model: ShotFamily) -> int:
    """How many classes have weights of their own at a time.

    Args:
        model: while it adapts, every one of its parameters has a copy a class.
    """
    of_class = sum(p.numel() * p.element_size() for p in model.parameters())
    return max(GROUP_BYTES // max(of_class, 1), 1)


def _images(data: DataSet, chosen: np.ndarray, device: torch.device) -> Tensor:
    """The supports of some classes in [0, 1], [G, k, C, S, S]; chosen: their image indices [G, k].

    Tensors that are made in inference mode could not be adapted to.
    """
    with torch.inference_mode(False):
        images = torch.from_numpy(np.asarray(data.images[chosen])).to(device).float()
        return images / 255.0 if data.images.ndim == 4 else images.unsqueeze(2)


def _adapted(model: ShotFamily, images: Tensor, seed: int, classes: np.ndarray) -> Weights:
    """The weights of each class by name, [G, *shape]; images: its supports, [G, k, C, S, S]."""
    nothing = np.zeros_like(classes)
    numbers = rng.normal_per_drawing(seed, classes, nothing, model.adapting_noise_shape, "adapt")
    with torch.inference_mode(False), torch.no_grad():
        return _of_each(model.adapted, images, torch.from_numpy(numbers).to(images.device))


def _sampled(model: ShotFamily, weights: Weights, asked: Tensor, noise: Tensor) -> Tensor:
    """Drawings [G, m, C, S, S] by the weights of each class, of G x m exemplars and noises."""
    sampler = _Sampler(model)

    def one(of_class: Weights, exemplars: Tensor, given: Tensor) -> Tensor:
        named = {f"model.{name}": weight for name, weight in of_class.items()}
        output: Tensor = torch.func.functional_call(sampler, named, (exemplars, given))
        return output

    drawings: Tensor = _of_each(one, weights, asked, noise)
    return drawings


def _of_each(function: Callable[..., Any], *given: Any) -> Any:
    """The function of each class, by vmap; of a single one without, which takes less time."""
    if len(given[-1]) > 1:
        return torch.func.vmap(function)(*given)
    first = [{k: v[0] for k, v in x.items()} if isinstance(x, dict) else x[0] for x in given]
    result = function(*first)
    if isinstance(result, dict):
        return {k: v.unsqueeze(0) for k, v in result.items()}
    return result.unsqueeze(0)


class _Sampler(nn.Module):
    """Lets functional_call run `sample`."""

    def __init__(self, model: ShotFamily):
        super().__init__()
        self.model = model

    def forward(self, exemplars: Tensor, noise: Tensor) -> Tensor:
        return self.model.sample(exemplars, noise)
