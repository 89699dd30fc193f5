"""Made data: stroke images with classes, for benchmarks where no data set is there, and how images
of 105x105 pixels are prepared.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from oneshot.types import DataSet

RAW = 105  # pixels, the side of Omniglot's images
DRAWINGS = 20  # of each class, as many as Omniglot has
STROKE_POINTS = 160  # along a curve: closer than a pixel


@dataclass(frozen=True)
class Images:
    """Grey images in memory, black on white, uint8 [N, 1, 105, 105], sorted by class; exemplar:
    image index of each class's exemplar.
    """

    grey: np.ndarray
    label: np.ndarray
    exemplar: np.ndarray


def data_set(images: Images, size: int = 50, test: int = 0) -> DataSet:
    """The same images in our form, prepared once; the last `test` classes are the test classes, the
    ones before them the train classes.
    """
    parts = [
        prepare(images.grey[i : i + 1000, 0], size).to(torch.uint8).numpy()
        for i in range(0, len(images.grey), 1000)
    ]
    classes = np.arange(len(images.exemplar))
    names, cut = tuple(f"class {c:04d}" for c in classes), len(classes) - test
    return DataSet(
        "made",
        "last",
        "made",
        np.concatenate(parts),
        images.label,
        names,
        classes[:cut],
        classes[:0],
        classes[cut:],
    )


def strokes(classes: int, drawings: int = DRAWINGS, seed: int = 0) -> Images:
    """Stroke images in place of Omniglot: each class has two to four curves, and each drawing bends
    them a little; always the same.

    The exemplar of a class is its first drawing.
    """
    rng = np.random.default_rng(seed)
    grey = np.full((classes * drawings, 1, RAW, RAW), 255, np.uint8)
    along = np.linspace(0, 1, STROKE_POINTS)[:, None, None]
    # [3, points, 1]
    bezier = np.stack([(1 - along) ** 2, 2 * along * (1 - along), along**2])[..., 0]
    for c in range(classes):
        anchors = rng.uniform(0.12, 0.88, (1, 3, int(rng.integers(2, 5)), 2))
        bent = anchors + rng.normal(0, 0.03, (drawings, *anchors.shape[1:]))
        points = np.einsum("apo,dasx->dspx", bezier, bent).reshape(drawings, -1, 2)
        _stamp(grey[c * drawings : (c + 1) * drawings, 0], np.rint(points * RAW).astype(int))
    return Images(grey, np.arange(classes).repeat(drawings), np.arange(classes) * drawings)


def _stamp(pages: np.ndarray, points: np.ndarray) -> None:
    """Blacken 3x3 pixels around each point; pages: uint8 [N, H, W], points: int [N, P, 2]. What
    falls beside a page moves to its edge.
    """
    page = np.arange(len(pages))[:, None]
    for dx, dy in itertools.product((-1, 0, 1), repeat=2):
        x, y = (np.clip(points[..., i] + d, 0, RAW - 1) for i, d in enumerate((dx, dy)))
        pages[page, y, x] = 0


def prepare(grey: np.ndarray, size: int) -> Tensor:
    """Decode, shrink with an antialiased bilinear filter, scale from minimum and maximum, invert,
    binarise: [..., 105, 105] -> float32.
    """
    image = torch.from_numpy(grey).reshape(-1, 1, *grey.shape[-2:])
    image = (
        F.interpolate(
            image, size=(size, size), mode="bilinear", antialias=True, align_corners=False
        ).float()
        / 255
    )
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    ink = 1 - (image - low) / (high - low)
    ink = ink / ink.amax((1, 2, 3), keepdim=True)
    return (ink > 0.5).float().reshape(*grey.shape[:-2], size, size)
