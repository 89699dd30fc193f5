"""grade: the metrics of drawings, on the plane of diversity and recognizability and beyond it.

Each drawing is embedded once by each critic; everything else is closed form. The metrics are those
of Boutin et al. 2022 (arXiv 2205.10370; the plane is its Fig. 3a) and 2023 (arXiv 2301.11722;
originality and generalization curves).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from oneshot.critics.encoder import embed_all
from oneshot.metrics import distance, diversity, generalization, originality, recognizability
from oneshot.types import Drawings

WAYS = 20  # classes among which a drawing is recognised


@dataclass(frozen=True)
class Critics:
    """The frozen networks that score.

    Attributes:
        simclr: its features give diversity and originality.
        protonet: its features give recognizability.
        device: where both are.
    """

    simclr: nn.Module
    protonet: nn.Module
    device: torch.device


@dataclass(frozen=True)
class Human:
    """People on the same data with the same critics: the reference of all models.

    Attributes:
        diversity: of people, in units of SimCLR's features.
        recognizability: of people, in per cent.
        originality: of people, in units of `scale`.
        scale: of originality, from `metrics.originality.normaliser`.
        curve: the generalization curve: originality, and recognizability in per cent, a value a
            bin; [] where a class has fewer drawings than there are bins.
    """

    diversity: float
    recognizability: float
    originality: float
    scale: float
    curve: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Grades:
    """What the critics say of the drawings of one model.

    Attributes:
        totals: the metrics of the model by column name.
        classes: of each test class, lists in class order.
        drawings: of each drawing, arrays in drawing order: "originality", and "recognized", the
            probability to be recognised.
        generalization: columns of the curve: "bin" (1 is the least original), "originality", and
            "recognizability" in per cent; {} where a class has fewer drawings than there are bins.
        human: the reference that was used, or that these drawings are.
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
    features: np.ndarray | None = None,
    ways: int = WAYS,
) -> Grades:
    """Score drawings by the critics.

    Diversity, originality and the generalization curve rest on the first drawings of each class
    alone. A standard deviation is biased low by a share that depends on their number, which must be
    the same for all that is compared. Drawings beyond them sharpen recognizability; their own
    originality is NaN. The curve takes the closed form of recognizability in both protocols, as the
    episodes count the hits of classes, not of drawings.

    Args:
        drawings: sorted by class; of at least `ways` classes, with 2 drawings each or more.
        critics: the networks.
        protocol: of recognizability: "expected" (closed form) or "episodes" (as published).
        human: people's point; None if the drawings themselves are people's, who set the reference.
        diversity_drawings: how many drawings of each class count for diversity and originality.
        features: of all drawings in SimCLR's space, float32 [N, D], if they are at hand.
        ways: among how many classes a drawing is recognised.

    Returns:
        Metrics of the model, of each class and of each drawing.

    Raises:
        ValueError: for fewer classes or drawings than that, for features that are not finite, and
            where people's drawings do not differ, so that nothing can be measured against them.
    """
    label, classes = drawings.label, len(drawings.exemplars)

    # ---- Which drawings count: people's curve leaves out their exemplars (see _without_exemplars)
    first = _number_in_class(label) < diversity_drawings
    on_curve = first if human is not None else _without_exemplars(drawings, diversity_drawings)
    embedded = first | on_curve

    # ---- Features: SimCLR before its projection [n, 256], ProtoNet after its metric layer [N, 128]
    if features is None:
        features = embed_all(critics.simclr, drawings.images, critics.device)
    features = features[embedded]
    sources = embed_all(critics.simclr, drawings.exemplars, critics.device)
    queries = embed_all(critics.protonet, drawings.images, critics.device)
    prototypes = embed_all(critics.protonet, drawings.exemplars, critics.device)

    # ---- Recognizability: 20-way one-shot, of each drawing and class (Boutin et al. 2022)
    recognized = recognizability.expected(queries, label, prototypes, ways)
    percent = recognizability.per_class(recognized, label)
    if protocol == "episodes":
        percent = _by_published_episodes(queries, label, prototypes, drawings.class_names, ways)

    # ---- Diversity: standard deviation within a class, mean over dimensions (Boutin et al. 2022)
    label_first, features_first = label[first], features[first[embedded]]
    spread = diversity.diversity(features_first, label_first, classes)

    # ---- Originality: distance to the exemplar (Boutin et al. 2023), in units of people's spread
    scale = originality.normaliser(features_first) if human is None else human.scale
    original = np.full(len(label), np.nan)
    original[embedded] = originality.originality(features, label[embedded], sources, scale)
    sums = np.bincount(label_first, original[first], classes)
    original_of_class = sums / np.bincount(label_first, minlength=classes)

    totals = {
        "diversity": float(spread.mean()),
        "diversity_se": diversity.diversity_se(features_first, label_first),
        "recognizability": float(percent.mean()),
        "recognizability_se": recognizability.recognizability_se(recognized, label),
        "originality": float(original_of_class.mean()),
        "originality_se": originality.originality_se(original[first], label_first),
    }

    # ---- Generalization curve (Boutin et al. 2023), and how far the model is from people
    curve = _curve(original[on_curve], recognized[on_curve], label[on_curve], classes)
    human = human or _as_people(totals, scale, curve)
    totals |= _against_people(human, totals, curve)
    original[~first] = np.nan
    of_drawings = {"originality": original, "recognized": recognized}
    by_class = {"diversity": spread, "recognizability": percent, "originality": original_of_class}
    of_classes = {name: values.tolist() for name, values in by_class.items()}
    return Grades(totals, of_classes, of_drawings, _curve_table(curve), human)


def _as_people(totals: dict[str, float], scale: float, curve: list[list[float]]) -> Human:
    """The reference that these drawings set; ValueError if they do not differ within classes."""
    if not totals["diversity"] > 0:
        raise ValueError("people's drawings of a class do not differ: they can be no reference")
    return Human(
        totals["diversity"], totals["recognizability"], totals["originality"], scale, curve
    )


def _against_people(
    human: Human, totals: dict[str, float], curve: list[list[float]]
) -> dict[str, float]:
    """People's point, and how far a model's point and curve are from theirs."""
    area, coverage = float("nan"), float("nan")
    if curve and human.curve:
        area, coverage = generalization.compare(curve, human.curve)
    return {
        "human_diversity": human.diversity,
        "human_recognizability": human.recognizability,
        "human_originality": human.originality,
        "diversity_ratio": totals["diversity"] / human.diversity,
        # Boutin et al. 2022, Fig. 5a
        "human_distance": distance.human_distance(
            totals["diversity"], totals["recognizability"], human.diversity, human.recognizability
        ),
        "generalization_area": area,
        "generalization_coverage": coverage,
    }


def _number_in_class(label: np.ndarray) -> np.ndarray:
    """The number of each drawing within its class, from 0; label is sorted."""
    return np.arange(len(label)) - np.searchsorted(label, label)


def _without_exemplars(drawings: Drawings, most: int) -> np.ndarray:
    """Which of people's drawings their curve rests on, bool [N].

    The first `most` of each class that are not its exemplar: with them, exemplars would be half of
    the first bin.
    """
    chosen = np.zeros(len(drawings.label), bool)
    sources = drawings.exemplars[drawings.label]
    others = np.flatnonzero((drawings.images != sources).any(axis=(1, 2)))
    chosen[others[_number_in_class(drawings.label[others]) < most]] = True
    return chosen


def _curve(
    original: np.ndarray, recognized: np.ndarray, label: np.ndarray, classes: int
) -> list[list[float]]:
    """The two columns of the curve; [] where a class has fewer drawings than there are bins."""
    if np.bincount(label, minlength=classes).min() < generalization.BINS:
        return []
    return [column.tolist() for column in generalization.curve(original, recognized, label)]


def _curve_table(curve: list[list[float]]) -> dict[str, list[int] | list[float]]:
    """The curve as columns of a table."""
    if not curve:
        return {}
    bins = list(range(1, generalization.BINS + 1))
    return {"bin": bins, "originality": curve[0], "recognizability": curve[1]}


def _by_published_episodes(
    queries: np.ndarray,
    label: np.ndarray,
    prototypes: np.ndarray,
    names: tuple[str, ...],
    ways: int,
) -> np.ndarray:
    """Per cent of each class in the published episodes.

    These number the classes in the order of their names.
    """
    order = np.array(sorted(range(len(names)), key=names.__getitem__))
    place = np.argsort(order)
    return recognizability.by_episodes(queries, place[label], prototypes[order], ways)[place]
