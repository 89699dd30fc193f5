"""grade_likelihood: how well a trained set family predicts sets of images of classes it never saw,
in nats per image.

The bound takes one sample of the latents and analytic KLs, as published for these models (arXiv
2110.12279); the log-likelihood takes K samples of all latents of a set together (importance
sampling, arXiv 1509.00519), so it is looser for larger sets. The images of a set and its noise are
the same for every model, and no result depends on how the work is cut into batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import Features, SetFamily
from oneshot.data import digits
from oneshot.scoring.classification import classify
from oneshot.scoring.test_sets import SEED, HeldOut, test_sets
from oneshot.training.loop import Tick
from oneshot.types import DataSet

SET_SIZES = (1, 2, 5, 10, 20)
CPU_BUDGET, GPU_BUDGET = 512, 4096  # images of 28x28 in one forward pass
ATTENTION_SETS = 12
TRANSFER = {"none": (), "mnist": (1,), "digits": (1, 2, 3)}  # how many digits an image shows
SAMPLES = 20  # importance samples that share a noise stream

Columns = dict[str, list]
Grades = tuple[dict[str, float], dict[str, Columns]]


@dataclass(frozen=True, eq=False)
class Bounds:
    """The one-sample bound of n sets, in nats per image: reconstruction [n], kl_c [n, levels of c],
    kl_z [n, levels of z]; float64.
    """

    reconstruction: np.ndarray
    kl_c: np.ndarray
    kl_z: np.ndarray

    @property
    def nelbo(self) -> np.ndarray:
        return self.reconstruction + self.kl_c.sum(1) + self.kl_z.sum(1)


@dataclass(frozen=True)
class Evaluation:
    """One family on one collection of images.

    budget: most images in a forward pass (at least one set). tick: told (what, done, total) after
    each batch; may raise.
    """

    family: SetFamily
    images: HeldOut
    device: torch.device
    tick: Tick
    budget: int

    def noise(self, numbers: np.ndarray, set_size: int) -> Tensor:
        """Noise of the bound of the sets with these numbers: float32 [B, noise_size], the same on
        every device.
        """
        purpose, size = ("elbo", self.images.name, set_size), self.family.noise_size(set_size)
        drawn = [
            rng.generator(SEED, *purpose, i).standard_normal(size, np.float32)
            for i in numbers.tolist()
        ]
        return torch.from_numpy(np.stack(drawn)).to(self.device)

    def bounds(self, sets: np.ndarray) -> Bounds:
        """The bound of each set; int64 [n, S]."""
        n, size = sets.shape
        found = []
        for numbers in _cut(n, self.budget // size):
            terms = self.family.terms(
                self.images.batch(sets[numbers], self.device), self.noise(numbers, size)
            )
            parts = (-terms.log_likelihood.mean(1), terms.kl_c / size, terms.kl_z.mean(1))
            found.append([part.double().cpu().numpy() for part in parts])
            self.tick(f"bound of {self.images.name} in sets of {size}", int(numbers[-1]) + 1, n)
        return Bounds(*(np.concatenate(parts) for parts in zip(*found)))

    def nll(self, sets: np.ndarray, samples: int) -> np.ndarray:
        """-(log of the mean importance weight of `samples` samples) / S of each set: an upper bound
        of -log p(set) / S; float64 [n].

        A set is encoded once. A GPU draws noise of its own.
        """
        n, size = sets.shape
        result = np.empty(n)
        for numbers in _cut(n, self.budget // (size * min(SAMPLES, samples))):
            images = self.images.batch(sets[numbers], self.device)
            total = self._log_weight(images, numbers, samples)
            result[numbers] = ((math.log(samples) - total) / size).cpu().numpy()
            self.tick(
                f"likelihood of {self.images.name} in sets of {size}", int(numbers[-1]) + 1, n
            )
        return result

    def _log_weight(self, images: Tensor, numbers: np.ndarray, samples: int) -> Tensor:
        """Log of the sum of the importance weights of each set, images [B, S, C, H, W] -> float64
        [B]; the sum runs on, none is kept.
        """
        features, size = self.family.encode(images), images.shape[1]
        total = torch.full((len(images),), -torch.inf, dtype=torch.float64, device=self.device)
        for block in range(math.ceil(samples / SAMPLES)):
            noise = self._sample_noise(numbers, size, block)[:, : samples - block * SAMPLES]
            for part in noise.split(max(self.budget // (len(images) * size), 1), 1):
                total = torch.logaddexp(
                    total, self._log_weights(images, part, features).logsumexp(1)
                )
                self.tick("", 0, 0)
        return total

    def _sample_noise(self, numbers: np.ndarray, set_size: int, block: int) -> Tensor:
        """Noise of the samples of one block, drawn on the device: [B, SAMPLES, noise_size]; it
        depends on the numbers of set and block.
        """
        size, drawn = self.family.noise_size(set_size), []
        for i in numbers.tolist():
            seeded = torch.Generator(self.device).manual_seed(
                rng.key(SEED, "samples", self.images.name, set_size, i, block)
            )
            drawn.append(torch.randn(SAMPLES, size, generator=seeded, device=self.device))
        return torch.stack(drawn)

    def _log_weights(self, images: Tensor, noise: Tensor, features: Features) -> Tensor:
        """log p(set, latents) - log q(latents) at k samples of the latents of each set: noise [B,
        k, noise_size] -> float64 [B, k].
        """
        k = noise.shape[1]
        repeated = {resolution: f.repeat_interleave(k, 0) for resolution, f in features.items()}
        terms = self.family.terms(images.repeat_interleave(k, 0), noise.flatten(0, 1), repeated)
        return (terms.log_likelihood.double().sum(1) + terms.log_ratio.double()).view(-1, k)

    def attention(self, sets: np.ndarray) -> Columns:
        """The `attention` table: the weight of each member of each set in each head of each level,
        in the walk that `bounds` takes.
        """
        columns: Columns = {
            name: [] for name in ("set", "class_name", "level", "head", "member", "weight")
        }
        for number in range(len(sets)):
            own = sets[number : number + 1]
            weights = self.family.attention(
                self.images.batch(own, self.device), self.noise(np.array([number]), sets.shape[1])
            )
            class_name = self.images.class_names[self.images.label[own[0, 0]]]
            for level, values in weights.items():
                for (head, member), weight in np.ndenumerate(values[0].double().cpu().numpy()):
                    _append(columns, (number, class_name, level, head, member, float(weight)))
        return columns


def _cut(n: int, size: int) -> list[np.ndarray]:
    """The numbers 0 .. n - 1 in runs of `size`, at least 1."""
    return np.split(np.arange(n), range(max(size, 1), n, max(size, 1)))


def _append(columns: Columns, values: Sequence[Any]) -> None:
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def _extend(columns: Columns, more: Columns) -> None:
    for name, values in more.items():
        columns.setdefault(name, []).extend(values)


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Mean over sets and its standard error (NaN for one set)."""
    return float(values.mean()), (
        float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
    )


@dataclass(frozen=True)
class Sampling:
    """How log-likelihoods are estimated: importance samples a set; of how many sets (0: all); of
    what set size (0: all sizes).
    """

    samples: int
    sets: int = 0
    size: int = 0


def evaluate(
    task: Evaluation, trained_size: int, most: int, sampling: Sampling | None = None
) -> Grades:
    """(row columns at the set size of training, tables `likelihood` and `layers`); no sampling: no
    log-likelihood (NaN).

    Set sizes are SET_SIZES and that of training, as far as a class has the images; `most` as in
    test_sets. Without a set of the size of training there are no row columns and no layers.
    """
    names = (
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
    table: Columns = {name: [] for name in names}
    layers: Columns = {"latent": [], "level": [], "kl": []}
    row: dict[str, float] = {}
    label = task.images.label
    for size in sorted({*SET_SIZES, trained_size}):
        sets = test_sets(label, np.unique(label), size, most)
        if not len(sets):
            continue
        bounds = task.bounds(sets)
        parts = [
            float(values.sum(-1).mean())
            for values in (bounds.reconstruction[:, None], bounds.kl_c, bounds.kl_z)
        ]
        sampled = sampling is not None and sampling.size in (0, size)
        nll = (
            _nll(task, sets, bounds.nelbo, sampling)
            if sampling is not None and sampled
            else (math.nan, math.nan)
        )
        _append(table, (task.images.name, size, len(sets), *_mean(bounds.nelbo), *parts, *nll))
        if size == trained_size:
            row = {
                name: table[name][-1]
                for name in ("nelbo", "reconstruction", "kl_c", "kl_z") + ("nll",) * sampled
            }
            for latent, kl in (("c", bounds.kl_c), ("z", bounds.kl_z)):
                for level, value in enumerate(kl.mean(0).tolist(), 1):
                    _append(layers, (latent, level, value))
    return row, {"likelihood": table, "layers": layers}


def _nll(
    task: Evaluation, sets: np.ndarray, nelbo: np.ndarray, sampling: Sampling
) -> tuple[float, float]:
    """Mean NLL of the sets and its standard error. Where fewer sets are sampled, the mean bound of
    all less the mean gap of those.

    So the hardness of the sets that happen to be sampled cancels.
    """
    few = sets[: sampling.sets] if sampling.sets else sets
    nll = task.nll(few, sampling.samples)
    if len(few) == len(sets):
        return _mean(nll)
    (bound, error), (gap, of_gap) = _mean(nelbo), _mean(nelbo[: len(few)] - nll)
    return bound - gap, math.hypot(error, of_gap)


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
    """(row columns, tables by name) of a trained family, as the score settings of its Config ask;
    nothing where they ask for nothing.

    greys: uint8 [N, H, W] in step with data.images, which a model whose binarisation is
    "stochastic" sees as fixed draws; other models, and where it is None, see data.images. Digits
    are drawn or cut at one half likewise. budget: images in a forward pass (0: as suits device and
    image size). tick: told (what, done, total) after each batch; may raise. The family is left in
    evaluation mode, on the device.
    """
    family.to(device).eval()
    drawn = config.binarisation == "stochastic"
    side = data.images.shape[-1]
    budget = budget or max(
        (CPU_BUDGET if device.type == "cpu" else GPU_BUDGET) * 28**2 // side**2, 1
    )
    row: dict[str, float] = {}
    tables: dict[str, Columns] = {}
    if config.likelihood != "none":
        task = Evaluation(family, HeldOut.of(data, greys if drawn else None), device, tick, budget)
        sampling = (
            Sampling(config.nll_samples, config.nll_sets, config.nll_size)
            if config.likelihood == "nll"
            else None
        )
        row, tables = evaluate(task, config.set_size, config.test_sets, sampling)
        tables["attention"] = task.attention(
            test_sets(task.images.label, data.test, config.set_size, ATTENTION_SETS)
        )
    for count in TRANSFER[config.transfer]:
        task = Evaluation(
            family, HeldOut.of_digits(count, *digits.load(count, side), drawn), device, tick, budget
        )
        found, more = evaluate(task, config.set_size, config.test_sets)
        row |= {"mnist_nelbo": found["nelbo"]} if count == 1 and found else {}
        _extend(tables.setdefault("likelihood", {}), more["likelihood"])
    if config.classify:
        images = HeldOut.of_digits(1, *digits.load(1, side), drawn)
        percent, tables["confusion"] = classify(
            family, images.pixels[:, 0], images.label, device, tick, budget=budget
        )
        row |= {f"classified_{scorer}": value for scorer, value in percent.items()}
    return row, {name: columns for name, columns in tables.items() if any(columns.values())}
