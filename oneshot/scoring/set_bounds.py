"""Bounds of the likelihood of sets of images, in nats per image, and weights of attention.

No result depends on how the work is cut into batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.contracts import Features, SetFamily
from oneshot.scoring.test_sets import SEED, HeldOut
from oneshot.training.loop import Tick

SAMPLES = 20  # importance samples that share a noise stream

Columns = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class Bounds:
    """The bound of n sets with one sample of the latents, in nats per image; float64.

    Attributes:
        reconstruction: -log p(x | c, z), [n].
        kl_c: KL(q(c_l | set) || p(c_l)) of each level of the context, [n, levels of c].
        kl_z: KL(q(z_l | x, c) || p(z_l | c)) of each level, mean over images, [n, levels of z].
    """

    reconstruction: np.ndarray
    kl_c: np.ndarray
    kl_z: np.ndarray

    @property
    def nelbo(self) -> np.ndarray:
        """The negative ELBO of each set, -log p(x | c, z) + KL_c + KL_z: [n]."""
        return self.reconstruction + self.kl_c.sum(1) + self.kl_z.sum(1)


@dataclass(frozen=True)
class Evaluation:
    """One family on one collection of images.

    Attributes:
        family: a trained family of sets, on the device, in evaluation mode.
        images: those that sets are made of.
        device: where the family computes.
        tick: is called with (what, done, total) after each batch; it may raise.
        budget: most images in a forward pass, but at least one set.
    """

    family: SetFamily
    images: HeldOut
    device: torch.device
    tick: Tick
    budget: int

    def bounds(self, sets: np.ndarray) -> Bounds:
        """The bound of each set, with one sample of the latents and analytic KLs.

        As published for these models (Giannone and Winther 2022, arXiv 2110.12279).

        Args:
            sets: images of each set, int64 [n, S].

        Returns:
            The parts of the bound of each set, in nats per image.
        """
        n, size = sets.shape
        parts: list[list[np.ndarray]] = []
        for numbers in _cut(n, self.budget // size):
            noise = self.noise(numbers, size)
            terms = self.family.terms(self.images.batch(sets[numbers], self.device), noise)
            # a set's KL_c is shared by its images; the others are means over images
            of_batch = (-terms.log_likelihood.mean(1), terms.kl_c / size, terms.kl_z.mean(1))
            parts.append([part.double().cpu().numpy() for part in of_batch])
            self.tick(f"bound of {self.images.name} in sets of {size}", int(numbers[-1]) + 1, n)
        return Bounds(*(np.concatenate(batches) for batches in zip(*parts)))

    def nll(self, sets: np.ndarray, samples: int) -> np.ndarray:
        """Importance-weighted estimates of -log p(set) / S (IWAE, arXiv 1509.00519).

        With w_k = p(set, latents_k) / q(latents_k | set), the estimate is -log(1/K sum_k w_k) / S,
        an upper bound in expectation. All latents of a set are sampled together, so it is looser
        for larger sets. A set is encoded once. A GPU draws noise of its own.

        Args:
            sets: images of each set, int64 [n, S].
            samples: K, of the latents of each set.

        Returns:
            float64 [n], in nats per image.
        """
        n, size = sets.shape
        result = np.empty(n)
        for numbers in _cut(n, self.budget // (size * min(SAMPLES, samples))):
            images = self.images.batch(sets[numbers], self.device)
            log_sum = self._log_sum_of_weights(images, numbers, samples)
            result[numbers] = ((math.log(samples) - log_sum) / size).cpu().numpy()
            what = f"likelihood of {self.images.name} in sets of {size}"
            self.tick(what, int(numbers[-1]) + 1, n)
        return result

    def attention(self, sets: np.ndarray) -> Columns:
        """The weight of each member of each set in each head of each level of learned pooling.

        They are those of the walk that `bounds` takes.

        Args:
            sets: images of each set, int64 [n, S].

        Returns:
            The table `attention`.
        """
        names = ("set", "class_name", "level", "head", "member", "weight")
        table: Columns = {name: [] for name in names}
        for number in range(len(sets)):
            own = sets[number : number + 1]
            noise = self.noise(np.array([number]), sets.shape[1])
            weights = self.family.attention(self.images.batch(own, self.device), noise)
            class_name = self.images.class_names[self.images.label[own[0, 0]]]
            for level, of_level in weights.items():
                for (head, member), weight in np.ndenumerate(of_level[0].double().cpu().numpy()):
                    append(table, number, class_name, level, head, member, float(weight))
        return table

    def noise(self, numbers: np.ndarray, set_size: int) -> Tensor:
        """Noise of the bound of some sets, the same on every device.

        Args:
            numbers: of the sets, int [B].
            set_size: images a set.

        Returns:
            Standard normal, float32 [B, noise_size]; a row depends on its number alone.
        """
        purpose, size = ("elbo", self.images.name, set_size), self.family.noise_size(set_size)
        drawn = [
            rng.generator(SEED, *purpose, i).standard_normal(size, np.float32)
            for i in numbers.tolist()
        ]
        return torch.from_numpy(np.stack(drawn)).to(self.device)

    def _log_sum_of_weights(self, images: Tensor, numbers: np.ndarray, samples: int) -> Tensor:
        """log sum_k w_k of each set, images [B, S, C, H, W] -> float64 [B]; no weight is kept."""
        features, size = self.family.encode(images), images.shape[1]
        log_sum = torch.full((len(images),), -torch.inf, dtype=torch.float64, device=self.device)
        for block in range(math.ceil(samples / SAMPLES)):
            noise = self._sample_noise(numbers, size, block)[:, : samples - block * SAMPLES]
            for part in noise.split(max(self.budget // (len(images) * size), 1), 1):
                log_w = self._log_weights(images, part, features)
                log_sum = torch.logaddexp(log_sum, log_w.logsumexp(1))
                self.tick("", 0, 0)  # asks whether to stop, and reports nothing
        return log_sum

    def _log_weights(self, images: Tensor, noise: Tensor, features: Features) -> Tensor:
        """log w_k = log p(set, latents_k) - log q(latents_k | set).

        noise: [B, k, noise_size], k samples of the latents of each set -> float64 [B, k].
        """
        k = noise.shape[1]
        repeated = {resolution: f.repeat_interleave(k, 0) for resolution, f in features.items()}
        terms = self.family.terms(images.repeat_interleave(k, 0), noise.flatten(0, 1), repeated)
        # log p(x | latents) + log p(latents) - log q(latents | set)
        return (terms.log_likelihood.double().sum(1) + terms.log_ratio.double()).view(-1, k)

    def _sample_noise(self, numbers: np.ndarray, set_size: int, block: int) -> Tensor:
        """Noise of the samples of one block, drawn on the device: [B, SAMPLES, noise_size].

        It depends on the numbers of set and block alone.
        """
        size, drawn = self.family.noise_size(set_size), []
        for i in numbers.tolist():
            seed = rng.key(SEED, "samples", self.images.name, set_size, i, block)
            generator = torch.Generator(self.device).manual_seed(seed)
            drawn.append(torch.randn(SAMPLES, size, generator=generator, device=self.device))
        return torch.stack(drawn)


def append(table: Columns, *values: Any) -> None:
    """Append a line to a table.

    Args:
        table: lists by column.
        values: one for each column, in its order.
    """
    for column, value in zip(table.values(), values, strict=True):
        column.append(value)


def _cut(n: int, size: int) -> list[np.ndarray]:
    """The numbers 0 .. n - 1 in runs of `size`, at least 1."""
    return np.split(np.arange(n), range(max(size, 1), n, max(size, 1)))
