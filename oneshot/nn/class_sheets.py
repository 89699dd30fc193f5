"""Sheets of a generator that is asked by a class: classes, mixtures of two, noise across classes.

As Beckham et al. (2022), Challenges in leveraging GANs for few-shot data augmentation
(https://arxiv.org/abs/2203.16662), look at their generators.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ROWS = 40  # most classes of a sheet
STEPS = 16  # mixtures of two classes

Draw = Callable[[Tensor, Tensor], Tensor]  # weights [B, classes], noise [B, Z] -> [B, C, H, W]


def class_sheets(draw: Draw, base: Tensor, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """What base and novel classes look like, what lies between two, and what the noise carries.

    The two classes y1 and y2 are the first novel ones, or base ones where there are too few.

    Args:
        draw: the generator, which gives pixels in [0, 1].
        base: which classes are base, bool [classes]; the others are novel.
        images: of each class, held out, [classes, n, C, H, W].
        noise: standard normal, [m, Z]; a column each.

    Returns:
        Images, each [rows, m, C, H, W]. "generated_base" and "generated_novel": a row a class, of
        the first 40 of each; one without classes is left out. "class_interp": mixtures
        a y1 + (1 - a) y2, from a = 0, that is y2, in the top row to a = 1, that is y1, in the last.
        "interp_xover": rows x1, x2, blank, G(y1, z1), G(y1, z2), G(y1, 0), G(y2, z1), G(y2, z2),
        where x1 is the same in all columns, y2 the next class in each, and z2 the noise z1 of the
        column before.
    """
    every = torch.eye(len(base)).to(noise)
    of_base, of_novel = (mask.nonzero()[:, 0].tolist() for mask in (base, ~base))
    sheets = {}
    for name, classes in (("base", of_base), ("novel", of_novel)):
        if classes:
            sheets[f"generated_{name}"] = _sheet(draw, every[classes[:ROWS], None], noise[None])
    first, *others = of_novel if len(of_novel) > 1 else [*of_novel, *of_base]
    share = torch.linspace(0, 1, STEPS).to(noise)[:, None, None]
    mixed = share * every[first] + (1 - share) * every[others[0]]
    sheets["class_interp"] = _sheet(draw, mixed, noise[None])
    sheets["interp_xover"] = _crossed(draw, every, (first, others), images, noise)
    return sheets


def _crossed(
    draw: Draw, every: Tensor, classes: tuple[int, list[int]], images: Tensor, noise: Tensor
) -> Tensor:
    """The sheet "interp_xover"; classes: y1, and those that y2 runs through."""
    first, others = classes
    columns = len(noise)
    # y2 runs through the classes, and x2, when they are through, through their images
    turns = [divmod(column, len(others)) for column in range(columns)]
    other, number = [others[i] for _, i in turns], [turn % images.shape[1] for turn, _ in turns]
    x1 = images[first, :1].to(noise).expand(columns, -1, -1, -1)
    x2 = images[other, number].to(noise)
    y1, y2 = every[first].expand(columns, -1), every[other]
    z1, z2 = noise, noise.roll(1, 0)
    classes_of_rows, noise_of_rows = [y1, y1, y1, y2, y2], [z1, z2, torch.zeros_like(z1), z1, z2]
    drawn = _sheet(draw, torch.stack(classes_of_rows), torch.stack(noise_of_rows))
    return torch.cat([torch.stack([x1, x2, torch.zeros_like(x1)]), drawn])


def _sheet(draw: Draw, weights: Tensor, noise: Tensor) -> Tensor:
    """Drawings, row after row.

    Args:
        draw: the generator.
        weights: over the classes, [rows, m or 1, classes].
        noise: [rows or 1, m, Z].

    Returns:
        [rows, m, C, H, W].
    """
    rows, columns = len(weights), noise.shape[1]
    weights, noise = weights.expand(-1, columns, -1), noise.expand(rows, -1, -1)
    return torch.stack([draw(w, z) for w, z in zip(weights, noise)])
