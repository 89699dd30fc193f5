"""Images to evaluate models of sets on, the same for every model: bits, colours or fixed draws of
greys, and the sets they form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.types import DataSet

SEED = 0  # of test sets, bits and noise: never a point's own, so that all points are asked the same


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Images to evaluate on, as models see them: `pixels` uint8 [N, C, H, W], from 0 to `white`;
    `label` int64 [N] into class_names.
    """

    name: str
    pixels: np.ndarray
    white: int
    label: np.ndarray
    class_names: tuple[str, ...]

    @staticmethod
    def of(data: DataSet, greys: np.ndarray | None) -> HeldOut:
        """The test classes of `data`: as fixed draws of its `greys` (uint8 [N, H, W]), else its
        images, which are bits or colours.
        """
        rows = data.rows(data.test)
        pixels = (
            np.asarray(data.images[rows])
            if greys is None
            else binarised(greys[rows], rows, data.name)
        )
        colour = pixels.ndim == 4
        return HeldOut(
            "test",
            pixels if colour else pixels[:, None],
            255 if colour else 1,
            data.label[rows],
            data.class_names,
        )

    @staticmethod
    def of_digits(count: int, greys: np.ndarray, label: np.ndarray, drawn: bool = True) -> HeldOut:
        """Images of `count` digits, uint8 [N, H, W] of 0 .. 255, as fixed draws, or cut at one
        half; label: the number they show.
        """
        name = "mnist" if count == 1 else f"mnist{count}"
        bits = (
            binarised(greys, np.arange(len(greys)), name)
            if drawn
            else (greys > 127).astype(np.uint8)
        )
        return HeldOut(
            name,
            bits[:, None],
            1,
            label,
            tuple(f"{number:0{count}d}" for number in range(10**count)),
        )

    def batch(self, index: np.ndarray, device: torch.device) -> Tensor:
        """The images of these sets, int [B, S] -> float32 [B, S, C, H, W] in [0, 1]."""
        return torch.from_numpy(self.pixels[index]).to(device).float() / self.white


def binarised(greys: np.ndarray, index: np.ndarray, purpose: str) -> np.ndarray:
    """One fixed Bernoulli draw of each image: uint8 [n, H, W] of 0 .. 255 -> 0 and 1, a pixel g is
    1 with probability g / 255.

    The draw depends on (purpose, index[i]) alone, so an image is the same in every set and every
    choice of images.
    """
    bits = np.empty(greys.shape, np.uint8)
    for i, number in enumerate(index.tolist()):
        bits[i] = (
            rng.generator(SEED, "bits", purpose, number).integers(0, 255, greys.shape[1:], np.uint8)
            < greys[i]
        )
    return bits


def test_sets(
    labels: np.ndarray, classes: np.ndarray, set_size: int, most: int = 0, seed: int = SEED
) -> np.ndarray:
    """Disjoint sets of images of one class: indices into labels, int64 [sets, set_size].

    Each class is shuffled and cut; what does not fill a set is left out. A class is shuffled alike
    at every size, so larger sets are unions of smaller ones. The sets go round the classes, in
    random order, so that the first `most` of them (0: all) come from many classes.
    """
    found = []
    for place, c in enumerate(rng.generator(seed, "test sets").permutation(classes).tolist()):
        rows = rng.generator(seed, "test sets", c).permutation(np.flatnonzero(labels == c))
        found += [
            (turn, place, rows[start : start + set_size])
            for turn, start in enumerate(range(0, len(rows) - set_size + 1, set_size))
        ]
    found.sort(key=lambda item: item[:2])
    sets = np.array([rows for _, _, rows in found], np.int64).reshape(-1, set_size)
    return sets[:most] if most else sets
