"""grade: drawings in, metrics out. Each drawing is embedded once by each critic; everything else is
closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from oneshot.critics.encoder import embed_all
from oneshot.metrics import distance, diversity, generalization, originality, recognizability
from oneshot.types import Drawings

WAYS = 20


@dataclass(frozen=True)
class Critics:
    """The frozen networks that score: SimCLR sees diversity and originality, ProtoNet
    recognizability.
    """

    simclr: nn.Module
    protonet: nn.Module
    device: torch.device


@dataclass(frozen=True)
class Human:
    """People on the same data with the same critics: the reference point, the scale of originality,
    and the generalization curve.

    curve: originality and recognizability in per cent of each bin, two columns; none where a class
    has fewer drawings than bins.
    """

    diversity: float
    recognizability: float
    originality: float
    scale: float
    curve: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Grades:
    """The metrics of a model (`totals`), of each test class (lists in class order) and of each
    drawing (arrays in drawing order).

    generalization: columns of the curve, "bin" (1 is the least original), "originality" and
    "recognizability" in per cent; none where a class has fewer drawings than bins.
    """

    totals: dict[str, float]
    classes: dict[str, list[float]]
    drawings: dict[str, np.ndarray]
    generalization: dict[str, list[int] | list[float]]
    human: Human


def grade(
    drawings: Drawings,
    critics: Critics,
    protocol: str,
    human: Human | None = None,
    diversity_drawings: int = 20,
) -> Grades:
    """Score the drawings. With no `human`, the drawings themselves are people's and set the
    reference.

    Diversity, originality and the generalization curve rest on the first `diversity_drawings` of
    each class: a standard deviation is biased low by a share that depends on their number, which
    must be the same for all that is compared. Drawings beyond them sharpen recognizability; their
    own originality is NaN. People's curve leaves their exemplars out, which would be half of its
    first bin, and takes the next drawings for them. It is the closed form of recognizability in
    both protocols, as the episodes count the hits of classes, not of drawings. Raises ValueError
    for fewer than 20 classes, a class with fewer than 2 drawings, or non-finite features.
    """
    label, count = drawings.label, len(drawings.exemplars)
    first = _turn(label) < diversity_drawings
    curved = first if human is not None else _but_exemplars(drawings, diversity_drawings)
    seen = first | curved
    features, sources = (
        embed_all(critics.simclr, images, critics.device)
        for images in (drawings.images[seen], drawings.exemplars)
    )
    queries, prototypes = (
        embed_all(critics.protonet, images, critics.device)
        for images in (drawings.images, drawings.exemplars)
    )
    chance = recognizability.expected(queries, label, prototypes, WAYS)
    percent = recognizability.per_class(chance, label)
    if protocol == "episodes":
        percent = _published_episodes(queries, label, prototypes, drawings.class_names)
    few, their = label[first], features[first[seen]]
    spread = diversity.diversity(their, few, count)
    scale = originality.normaliser(their) if human is None else human.scale
    original = np.full(len(label), np.nan)
    original[seen] = originality.originality(features, label[seen], sources, scale)
    original_of_class = np.bincount(few, original[first], count) / np.bincount(few, minlength=count)
    totals = {
        "diversity": float(spread.mean()),
        "diversity_se": diversity.diversity_se(their, few),
        "recognizability": float(percent.mean()),
        "recognizability_se": recognizability.recognizability_se(chance, label),
        "originality": float(original_of_class.mean()),
        "originality_se": float(original[first].std(ddof=1) / np.sqrt(len(few))),
    }
    curve = _curve(original[curved], chance[curved], label[curved], count)
    if human is None:
        human = Human(
            totals["diversity"], totals["recognizability"], totals["originality"], scale, curve
        )
    totals |= _beside(human, totals, curve)
    classes = {
        "diversity": spread.tolist(),
        "recognizability": percent.tolist(),
        "originality": original_of_class.tolist(),
    }
    original[~first] = np.nan
    return Grades(
        totals, classes, {"originality": original, "recognized": chance}, _columns(curve), human
    )


def _beside(human: Human, totals: dict[str, float], curve: list[list[float]]) -> dict[str, float]:
    """People's point, and how far a model's point and curve are from theirs."""
    area, coverage = (
        generalization.compare(curve, human.curve)
        if curve and human.curve
        else (float("nan"), float("nan"))
    )
    return {
        "human_diversity": human.diversity,
        "human_recognizability": human.recognizability,
        "human_originality": human.originality,
        "human_distance": distance.human_distance(
            totals["diversity"], totals["recognizability"], human.diversity, human.recognizability
        ),
        "generalization_area": area,
        "generalization_coverage": coverage,
    }


def _turn(label: np.ndarray) -> np.ndarray:
    """The number of each drawing within its class, from 0; label is sorted."""
    return np.arange(len(label)) - np.searchsorted(label, label)


def _but_exemplars(drawings: Drawings, most: int) -> np.ndarray:
    """Which of people's drawings their curve rests on, bool [N]: the first `most` of each class
    that are not its exemplar.
    """
    chosen = np.zeros(len(drawings.label), bool)
    others = np.flatnonzero(
        (drawings.images != drawings.exemplars[drawings.label]).any(axis=(1, 2))
    )
    chosen[others[_turn(drawings.label[others]) < most]] = True
    return chosen


def _curve(
    original: np.ndarray, chance: np.ndarray, label: np.ndarray, classes: int
) -> list[list[float]]:
    """The two columns of the generalization curve; none where a class has fewer drawings than
    bins.
    """
    if np.bincount(label, minlength=classes).min() < generalization.BINS:
        return []
    return [column.tolist() for column in generalization.curve(original, chance, label)]


def _columns(curve: list[list[float]]) -> dict[str, list[int] | list[float]]:
    """The curve as columns of a table."""
    return (
        {
            "bin": list(range(1, generalization.BINS + 1)),
            "originality": curve[0],
            "recognizability": curve[1],
        }
        if curve
        else {}
    )


def _published_episodes(
    queries: np.ndarray, label: np.ndarray, prototypes: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
    """Per cent of each class in the fixed episodes of seed 44, which number the classes in the
    order of their names.
    """
    order = np.array(sorted(range(len(names)), key=names.__getitem__))
    place = np.argsort(order)
    return recognizability.by_episodes(queries, place[label], prototypes[order], WAYS)[place]
