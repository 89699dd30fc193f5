"""grade: drawings in, metrics out. Each drawing is embedded once by each critic; everything else is closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from oneshot.critics.encoder import embed_all
from oneshot.episodes import Drawings
from oneshot.metrics import distance, diversity, originality, recognizability

WAYS = 20


@dataclass(frozen=True)
class Critics:
    """The frozen networks that score: SimCLR sees diversity and originality, ProtoNet recognizability."""

    simclr: nn.Module
    protonet: nn.Module
    device: torch.device


@dataclass(frozen=True)
class Human:
    """People on the same data with the same critics: the reference point, and the scale of originality."""

    diversity: float
    recognizability: float
    originality: float
    scale: float


@dataclass(frozen=True)
class Grades:
    """The metrics of a model (`totals`), of each test class (lists in class order) and of each drawing (arrays in drawing order)."""

    totals: dict[str, float]
    classes: dict[str, list[float]]
    drawings: dict[str, np.ndarray]
    human: Human


def grade(drawings: Drawings, critics: Critics, protocol: str, human: Human | None = None, diversity_drawings: int = 20) -> Grades:
    """Score the drawings. With no `human`, the drawings themselves are people's and set the reference.

    Diversity and originality rest on the first `diversity_drawings` of each class: a standard deviation is biased low by a share that
    depends on their number, which must be the same for all that is compared. Drawings beyond them sharpen recognizability; their own
    originality is NaN. Raises ValueError for fewer than 20 classes, a class with fewer than 2 drawings, or non-finite features.
    """
    label, count = drawings.label, len(drawings.exemplars)
    first = np.arange(len(label)) - np.searchsorted(label, label) < diversity_drawings
    features, sources = (embed_all(critics.simclr, images, critics.device) for images in (drawings.images[first], drawings.exemplars))
    queries, prototypes = (embed_all(critics.protonet, images, critics.device) for images in (drawings.images, drawings.exemplars))
    chance = recognizability.expected(queries, label, prototypes, WAYS)
    percent = recognizability.per_class(chance, label)
    if protocol == "episodes":
        percent = _published_episodes(queries, label, prototypes, drawings.class_names)
    few = label[first]
    spread = diversity.diversity(features, few, count)
    scale = originality.normaliser(features) if human is None else human.scale
    original = originality.originality(features, few, sources, scale)
    original_of_class = np.bincount(few, original, count) / np.bincount(few, minlength=count)
    totals = {
        "diversity": float(spread.mean()),
        "diversity_se": diversity.diversity_se(features, few),
        "recognizability": float(percent.mean()),
        "recognizability_se": recognizability.recognizability_se(chance, label),
        "originality": float(original_of_class.mean()),
        "originality_se": float(original.std(ddof=1) / np.sqrt(len(original))),
    }
    if human is None:
        human = Human(totals["diversity"], totals["recognizability"], totals["originality"], scale)
    totals |= {
        "human_diversity": human.diversity,
        "human_recognizability": human.recognizability,
        "human_originality": human.originality,
        "human_distance": distance.human_distance(totals["diversity"], totals["recognizability"], human.diversity, human.recognizability),
    }
    classes = {"diversity": spread.tolist(), "recognizability": percent.tolist(), "originality": original_of_class.tolist()}
    original_of_drawing = np.full(len(label), np.nan)
    original_of_drawing[first] = original
    return Grades(totals, classes, {"originality": original_of_drawing, "recognized": chance}, human)


def _published_episodes(queries: np.ndarray, label: np.ndarray, prototypes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Per cent of each class in the fixed episodes of seed 44, which number the classes in the order of their names."""
    order = np.array(sorted(range(len(names)), key=names.__getitem__))
    place = np.argsort(order)
    return recognizability.by_episodes(queries, place[label], prototypes[order], WAYS)[place]
