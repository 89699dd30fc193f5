"""grade_likelihood: how well a trained set family predicts sets of images of unseen classes.

In nats per image, as Giannone and Winther 2022 (arXiv 2110.12279) report them. The images of a set
and its noise are the same for every model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from oneshot.contracts import SetFamily
from oneshot.data import digits
from oneshot.scoring.classification import classify
from oneshot.scoring.set_bounds import Columns, Evaluation, append
from oneshot.scoring.test_sets import HeldOut, disjoint_sets
from oneshot.training.loop import Tick
from oneshot.types import DataSet

SET_SIZES = (1, 2, 5, 10, 20)
CPU_BUDGET, GPU_BUDGET = 512, 4096  # images of 28x28 in one forward pass
ATTENTION_SETS = 12
TRANSFER = {"none": (), "mnist": (1,), "digits": (1, 2, 3)}  # how many digits an image shows
LIKELIHOOD_COLUMNS = (
    "dataset",
    "set_size",
    "sets",
    "nelbo",
    "nelbo_se",
    "reconstruction",
    "kl_c",
    "kl_z",
    "nll",
    "nll_se",
)

Grades = tuple[dict[str, float], dict[str, Columns]]  # columns of the row, tables by name


@dataclass(frozen=True)
class Sampling:
    """How log-likelihoods are estimated.

    Attributes:
        samples: importance samples a set.
        sets: of how many sets; 0 for all.
        size: of what set size; 0 for all sizes.
    """

    samples: int
    sets: int = 0
    size: int = 0


@torch.inference_mode()
def grade_likelihood(
    family: SetFamily,
    config: Any,
    data: DataSet,
    greys: np.ndarray | None,
    device: torch.device,
    tick: Tick,
    budget: int = 0,
) -> Grades:
    """Evaluate a trained family as the score settings of its Config say.

    The family is left in evaluation mode, on the device.

    Args:
        family: a trained family of sets.
        config: its Config; where all score settings are off, there are no results.
        data: the test classes are evaluated.
        greys: uint8 [N, H, W], in step with `data.images`. A model whose binarisation is
            "stochastic" sees them as fixed draws; other models, and all where this is None, see
            `data.images`. Digits are drawn or cut at one half likewise.
        device: where the family computes.
        tick: is called with (what, done, total) after each batch; it may raise.
        budget: images in a forward pass; 0 for as many as suit device and image size.

    Returns:
        Columns of the row, and tables by name.
    """
    family.to(device).eval()
    drawn = config.binarisation == "stochastic"
    side = data.images.shape[-1]
    if not budget:
        at_28 = CPU_BUDGET if device.type == "cpu" else GPU_BUDGET
        budget = max(at_28 * 28**2 // side**2, 1)
    row: dict[str, float] = {}
    tables: dict[str, Columns] = {}

    # ---- The test classes
    if config.likelihood != "none":
        task = Evaluation(family, HeldOut.of(data, greys if drawn else None), device, tick, budget)
        sampling = None
        if config.likelihood == "nll":
            sampling = Sampling(config.nll_samples, config.nll_sets, config.nll_size)
        row, tables = evaluate(task, config.set_size, config.test_sets, sampling)
        sets = disjoint_sets(task.images.label, data.test, config.set_size, ATTENTION_SETS)
        tables["attention"] = task.attention(sets)

    # ---- Digits, which the model never saw
    for count in TRANSFER[config.transfer]:
        images = HeldOut.of_digits(count, *digits.load(count, side), drawn)
        task = Evaluation(family, images, device, tick, budget)
        of_digits, more = evaluate(task, config.set_size, config.test_sets)
        if count == 1 and of_digits:
            row |= {"mnist_nelbo": of_digits["nelbo"]}
        likelihood = tables.setdefault("likelihood", {})
        for name, values in more["likelihood"].items():
            likelihood.setdefault(name, []).extend(values)
    if config.classify:
        images = HeldOut.of_digits(1, *digits.load(1, side), drawn)
        percent, tables["confusion"] = classify(
            family, images.pixels[:, 0], images.label, device, tick, budget=budget
        )
        row |= {f"classified_{scorer}": value for scorer, value in percent.items()}
    return row, {name: columns for name, columns in tables.items() if any(columns.values())}


def evaluate(
    task: Evaluation, trained_size: int, most: int, sampling: Sampling | None = None
) -> Grades:
    """The likelihoods of a collection of images in sets of several sizes.

    Set sizes are SET_SIZES and that of training, as far as a class has the images. Without a set of
    the size of training there are no row columns and no layers.

    Args:
        task: family and images.
        trained_size: images a set in the training.
        most: sets of each size; 0 for all.
        sampling: how log-likelihoods are estimated; None for bounds alone (the others are NaN).

    Returns:
        Row columns at the set size of training, and the tables `likelihood` and `layers`.
    """
    table: Columns = {name: [] for name in LIKELIHOOD_COLUMNS}
    layers: Columns = {"latent": [], "level": [], "kl": []}
    row: dict[str, float] = {}
    label = task.images.label
    for size in sorted({*SET_SIZES, trained_size}):
        sets = disjoint_sets(label, np.unique(label), size, most)
        if not len(sets):
            continue
        bounds = task.bounds(sets)
        nll = (math.nan, math.nan)
        in_row = ["nelbo", "reconstruction", "kl_c", "kl_z"]
        if sampling is not None and sampling.size in (0, size):
            nll = _mean_nll(task, sets, bounds.nelbo, sampling)
            in_row.append("nll")
        reconstruction = float(bounds.reconstruction.mean())
        kl_c, kl_z = float(bounds.kl_c.sum(1).mean()), float(bounds.kl_z.sum(1).mean())
        parts = (reconstruction, kl_c, kl_z)
        append(table, task.images.name, size, len(sets), *_mean(bounds.nelbo), *parts, *nll)
        if size == trained_size:
            row = {name: table[name][-1] for name in in_row}
            for latent, kl in (("c", bounds.kl_c), ("z", bounds.kl_z)):
                for level, value in enumerate(kl.mean(0).tolist(), 1):
                    append(layers, latent, level, value)
    return row, {"likelihood": table, "layers": layers}


def _mean_nll(
    task: Evaluation, sets: np.ndarray, nelbo: np.ndarray, sampling: Sampling
) -> tuple[float, float]:
    """Mean NLL of the sets and its standard error.

    Where fewer sets are sampled, it is the mean bound of all sets less the mean gap of the sampled
    ones between bound and NLL. So the hardness of the sets that happen to be sampled cancels.
    """
    few = sets[: sampling.sets] if sampling.sets else sets
    nll = task.nll(few, sampling.samples)
    if len(few) == len(sets):
        return _mean(nll)
    (bound, bound_se), (gap, gap_se) = _mean(nelbo), _mean(nelbo[: len(few)] - nll)
    return bound - gap, math.hypot(bound_se, gap_se)


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Mean over sets and its standard error (NaN for one set)."""
    if len(values) == 1:
        return float(values.mean()), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
