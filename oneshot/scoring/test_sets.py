"""Images to evaluate models of sets on, and the sets they form: the same for every model.

The images are bits, colours, or fixed draws of grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oneshot import rng
from oneshot.types import DataSet

# Of test sets, bits and noise. It is never a point's own seed, so that all points are evaluated on
# the same.
SEED = 0


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Images to evaluate on, as models see them.

    Attributes:
        name: of the images; noise and bits depend on it.
        pixels: uint8 [N, C, H, W], from 0 to `white`.
        white: 1, or 255 of colours.
        label: int64 [N], index into class_names.
        class_names: of all classes, also of those without an image here.
    """

    name: str
    pixels: np.ndarray
    white: int
    label: np.ndarray
    class_names: tuple[str, ...]

    @staticmethod
    def of(data: DataSet, greys: np.ndarray | None) -> HeldOut:
        """The images of the test classes.

        Args:
            data: a data set of bits or colours.
            greys: uint8 [N, H, W] of 0 .. 255, in step with `data.images`; if given, the images are
                fixed draws of these.

        Returns:
            The images, with the name "test".
        """
        rows = data.rows(data.test)
        if greys is None:
            pixels = np.asarray(data.images[rows])
        else:
            pixels = binarised(greys[rows], rows, data.name)
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
        """Images of one or several digits.

        Args:
            count: how many digits an image shows.
            greys: uint8 [N, H, W] of 0 .. 255.
            label: the number that an image shows, int64 [N].
            drawn: whether bits are fixed draws of the greys, or the greys cut at one half.

        Returns:
            The images, with the name "mnist", "mnist2" or "mnist3".
        """
        name = "mnist" if count == 1 else f"mnist{count}"
        if drawn:
            bits = binarised(greys, np.arange(len(greys)), name)
        else:
            bits = (greys > 127).astype(np.uint8)
        class_names = tuple(f"{number:0{count}d}" for number in range(10**count))
        return HeldOut(name, bits[:, None], 1, label, class_names)

    def batch(self, index: np.ndarray, device: torch.device) -> Tensor:
        """The images of these sets.

        Args:
            index: images of each set, int [B, S].
            device: where they go.

        Returns:
            float32 [B, S, C, H, W] in [0, 1].
        """
        return torch.from_numpy(self.pixels[index]).to(device).float() / self.white


def binarised(greys: np.ndarray, index: np.ndarray, purpose: str) -> np.ndarray:
    """One fixed Bernoulli draw of each image: a pixel g is 1 with probability g / 255.

    The draw depends on (purpose, index[i]) alone, so an image is the same in every set and every
    choice of images.

    Args:
        greys: uint8 [n, H, W] of 0 .. 255.
        index: a number of each image, int [n].
        purpose: what the images are for.

    Returns:
        uint8 [n, H, W] of 0 and 1.
    """
    bits = np.empty(greys.shape, np.uint8)
    for i, number in enumerate(index.tolist()):
        uniform = rng.generator(SEED, "bits", purpose, number)
        bits[i] = uniform.integers(0, 255, greys.shape[1:], np.uint8) < greys[i]
    return bits


def disjoint_sets(
    labels: np.ndarray, classes: np.ndarray, set_size: int, most: int = 0, seed: int = SEED
) -> np.ndarray:
    """Disjoint sets of images of one class each.

    Each class is shuffled and cut; what does not fill a set is left out. A class is shuffled alike
    at every size, so larger sets are unions of smaller ones. The sets go round the classes, in
    random order, so that the first `most` of them come from many classes.

    Args:
        labels: class of each image, int [N].
        classes: those that sets are made of, int [n].
        set_size: images a set.
        most: how many sets to return; 0 for all.
        seed: of the shuffles.

    Returns:
        Indices into labels, int64 [sets, set_size].
    """
    cut = []  # (which set of its class, place of the class, images)
    for place, c in enumerate(rng.generator(seed, "test sets").permutation(classes).tolist()):
        rows = rng.generator(seed, "test sets", c).permutation(np.flatnonzero(labels == c))
        for number, start in enumerate(range(0, len(rows) - set_size + 1, set_size)):
            cut.append((number, place, rows[start : start + set_size]))
    cut.sort(key=lambda item: item[:2])
    sets = np.array([rows for _, _, rows in cut], np.int64).reshape(-1, set_size)
    return sets[:most] if most else sets
