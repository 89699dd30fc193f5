"""explain: which pixels of the exemplars a model's drawings rest on, averaged over noise.

After Boutin et al. 2024 (arXiv 2406.06079), who average the maps of a model over noise and compare
them with people's. All models see the same noise, so that differences between their maps are those
of the models, and no map depends on how the work is cut into batches.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import ExplainedFamily
from oneshot.scoring.importance_maps import Maps
from oneshot.scoring.test_sets import SEED
from oneshot.training.loop import Diverged, Tick, unwatched
from oneshot.types import DataSet


@torch.no_grad()  # and not inference mode, so that a family may take gradients
def explain(
    family: ExplainedFamily,
    data: DataSet,
    exemplars: np.ndarray,
    seeds: int,
    device: torch.device,
    tick: Tick = unwatched,
    batch: int = 0,
) -> Maps:
    """The importance map of the exemplar of each test class, a mean over draws of noise.

    The family is left in evaluation mode, on the device.

    Args:
        family: a trained family that has maps.
        data: the images.
        exemplars: image index of each class's exemplar, int64 [classes].
        seeds: how many draws of noise a map is averaged over; a draw depends on its class and
            number alone.
        device: where the maps are computed.
        tick: is called with ("importance maps", done, total) before each batch; it may raise.
        batch: most maps at a time; 0 for as many as suit device and family.

    Returns:
        Maps in the order of the test classes.

    Raises:
        ValueError: there are no seeds.
        Diverged: a map holds non-finite pixels.
    """
    if seeds < 1:
        raise ValueError(f"maps need noise at least once, given {seeds} seeds")
    family.to(device).eval()
    images = np.asarray(data.images[exemplars[data.test]])
    rows, numbers = np.arange(len(images)).repeat(seeds), np.tile(np.arange(seeds), len(images))
    size = batch or (family.cached_batch if device.type == "cpu" else family.drawing_batch)
    total = np.zeros(images.shape)
    for start in range(0, len(rows), size):
        tick("importance maps", start, len(rows))
        part = slice(start, start + size)
        sources = torch.from_numpy(images[rows[part]]).float()[:, None].to(device)
        noise = _noise(family, data.test[rows[part]], numbers[part]).to(device)
        maps = family.importance(sources, noise)
        # item after item, so that the sum is the same in any batches
        np.add.at(total, rows[part], maps.double().cpu().numpy())
    broken = int((~np.isfinite(total)).any(axis=(1, 2)).sum())
    if broken:
        raise Diverged(f"{broken} of {len(total)} importance maps hold non-finite pixels")
    names = tuple(data.class_names[c] for c in data.test)
    return Maps((total / seeds).astype(np.float32), images.astype(np.uint8), names)


def _noise(family: ExplainedFamily, classes: np.ndarray, numbers: np.ndarray) -> Tensor:
    """Standard normal noise, float32 [B, *importance_noise_shape], the same on every device.

    A row depends on its class and number alone.
    """
    shape = family.importance_noise_shape
    drawn = [
        rng.generator(SEED, "importance", c, i).standard_normal(shape, np.float32)
        for c, i in zip(classes.tolist(), numbers.tolist())
    ]
    return torch.from_numpy(np.stack(drawn))
