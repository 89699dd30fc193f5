"""class_bounds: how well a trained family predicts held-out images, class by class.

A class that the split removes from training is compared with those that are kept. The images and
their noise are the same for every model with a latent of the same size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from oneshot import rng
from oneshot.contracts import Labelled, LikelihoodFamily
from oneshot.scoring.test_sets import SEED
from oneshot.training.loop import Tick, unwatched
from oneshot.types import DataSet, Part

TERMS = ("reconstruction", "kl")


@torch.inference_mode()
def class_bounds(
    family: LikelihoodFamily,
    data: DataSet,
    device: torch.device,
    tick: Tick = unwatched,
    batch: int = 0,
) -> tuple[dict[str, float], dict[str, list[Any]]]:
    """The one-sample bound of held-out images of each class, in nats an image.

    The family is left in evaluation mode, on the device.

    Args:
        family: a trained family of labelled images.
        data: its classes are cut into parts; images of TEST are evaluated.
        device: where the family computes.
        tick: is called with ("class likelihoods", done, total) class by class; it may raise.
        batch: most images at a time; 0 for as many as suit the family.

    Returns:
        Columns of the row: `kept_nelbo`, the mean of the classes that were trained on, and
        `removed_nelbo`, that of the others, where there are any. The table `class_nelbo`.

    Raises:
        ValueError: the classes have no parts.
    """
    family.to(device).eval()
    table: dict[str, list[Any]] = {
        n: [] for n in ("class_name", "removed", "images", "nelbo", "nelbo_se", *TERMS)
    }
    means: dict[int, list[float]] = {1: [], 0: []}
    for c, name in enumerate(data.class_names):
        tick("class likelihoods", c, len(data.class_names))
        terms = _terms(family, data, c, device, batch or family.evaluation_batch)
        bound, removed = sum(terms.values()), int(c not in data.train)
        assert isinstance(bound, np.ndarray)
        means[removed].append(float(bound.mean()))
        spread = float(bound.std(ddof=1)) if len(bound) > 1 else float("nan")
        values = (name, removed, len(bound), means[removed][-1], spread / len(bound) ** 0.5)
        for column, value in zip(table, (*values, *(float(terms[n].mean()) for n in TERMS))):
            table[column].append(value)
    columns = {"removed_nelbo": means[1], "kept_nelbo": means[0]}
    return {n: float(np.mean(of)) for n, of in columns.items() if of}, table


def _terms(
    family: LikelihoodFamily, data: DataSet, c: int, device: torch.device, batch: int
) -> dict[str, np.ndarray]:
    """The terms of the bound of each held-out image of a class, float64 [images] each."""
    rows = data.rows_of_part(np.array([c]), Part.TEST)
    shape = (len(rows), *family.noise_shape)
    noise = rng.generator(SEED, "class bounds", c).standard_normal(shape, np.float32)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in TERMS}
    for start in range(0, len(rows), batch):
        some = slice(start, start + batch)
        images = torch.from_numpy(np.asarray(data.images[rows[some]])).to(device).float() / 255
        label = torch.zeros(len(images), len(data.class_names), device=device)
        label[:, c] = 1
        terms = family.elbo(Labelled(images, label), torch.from_numpy(noise[some]).to(device))
        for name in TERMS:
            parts[name].append(terms[name].double().cpu().numpy())
    return {name: np.concatenate(of) for name, of in parts.items()}
