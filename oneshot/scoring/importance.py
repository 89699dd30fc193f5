"""explain: which pixels of the exemplars a model's drawings rest on, averaged over noise (Boutin et
al. 2024, arXiv 2406.06079).

All models are asked with the same noise, so that differences between their maps are those of the
models, and no map depends on how the work is cut into batches.
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
    """The map of the exemplar of each test class, a mean over `seeds` draws of noise.

    exemplars: image index of each class's exemplar. The noise of a draw depends on its class and
    number alone; batch: most maps at a time (0: as suits device and family). tick: told of each
    batch; may raise. The family is left in evaluation mode, on the device. Raises ValueError
    without seeds, and Diverged if a map holds non-finite pixels.
    """
    if seeds < 1:
        raise ValueError(f"maps need noise at least once, given {seeds} seeds")
    family.to(device).eval()
    images = np.asarray(data.images[exemplars[data.test]])
    names = tuple(data.class_names[c] for c in data.test)
    rows, numbers = np.arange(len(images)).repeat(seeds), np.tile(np.arange(seeds), len(images))
    size = batch or (family.cached_batch if device.type == "cpu" else family.drawing_batch)
    total = np.zeros(images.shape)
    for start in range(0, len(rows), size):
        tick("importance maps", start, len(rows))
        part = slice(start, start + size)
        asked = torch.from_numpy(images[rows[part]]).float()[:, None].to(device)
        found = family.importance(
            asked, _noise(family, data.test[rows[part]], numbers[part]).to(device)
        )
        # item after item, so the sum is the same in any batches
        np.add.at(total, rows[part], found.double().cpu().numpy())
    broken = int((~np.isfinite(total)).any(axis=(1, 2)).sum())
    if broken:
        raise Diverged(f"{broken} of {len(total)} importance maps hold non-finite pixels")
    return Maps((total / seeds).astype(np.float32), images.astype(np.uint8), names)


def _noise(family: ExplainedFamily, classes: np.ndarray, numbers: np.ndarray) -> Tensor:
    """Noise of the draws with these numbers of these classes: float32 [B, *importance_noise_shape],
    the same on every device.
    """
    shape = family.importance_noise_shape
    drawn = [
        rng.generator(SEED, "importance", c, i).standard_normal(shape, np.float32)
        for c, i in zip(classes.tolist(), numbers.tolist())
    ]
    return torch.from_numpy(np.stack(drawn))
