"""Drawings of novel classes, of which a model was taught a few examples: how good, and what for."""

from __future__ import annotations

import numpy as np

from oneshot.data.few_shot import FewShotParts, few_shot_parts
from oneshot.metrics.frechet import frechet_distance
from oneshot.metrics.neighbours import nearest
from oneshot.metrics.vendi import vendi
from oneshot.scoring import panel
from oneshot.scoring.augmentation import Examples, Learner, Task, worth
from oneshot.scoring.base_classifier import BaseClassifier
from oneshot.scoring.work import Columns, Tables, Work
from oneshot.types import DataSet, Drawings

VERSION = 1
NEEDS = ("few_shot",)

MOST = 5000  # drawings that are compared with real images, as published


def grade(work: Work) -> tuple[Columns, Tables]:
    """Compare drawings with real images, and teach a classifier with them.

    Args:
        work: a point on data whose classes are base or novel, drawn for every class.

    Returns:
        Columns of the row; a metric is missing where there are fewer images than it needs.
    """
    judge, data, settings = work.base_classifier, work.data, work.point.settings
    assert judge is not None
    parts = few_shot_parts(data, *(settings[n] for n in ("shots", "shot_seed", "pool")))
    label = drawn_classes(work.drawings, data)
    images = np.moveaxis(work.drawings.images, -1, 1)
    wanted = settings["generated_per_class"]
    most = max(_each(data.test), wanted)
    drawn, shots = _embedded(judge, parts, images, label, np.isin(label, data.test), most)
    test = _real(judge, parts.test)
    compared = panel.first(drawn.label, _each(data.test))
    columns = _of_novel(_some(drawn, compared), shots, test) if len(drawn.label) else {}
    compared = np.isin(label, data.train) & panel.first(label, _each(data.train))
    columns |= _of_base(judge, images[compared])
    task = Task(*(settings[name] for name in ("unfreeze", "mixup", "head_steps")))
    given = _some(drawn, panel.first(drawn.label, wanted))
    learner = Learner(judge.network, task, judge.device)
    columns |= worth(learner, shots, given, test, work.point.seed)
    return {**columns, "generated_images": len(given.label)}, {}


def drawn_classes(drawings: Drawings, data: DataSet) -> np.ndarray:
    """The class of the data set that each drawing was asked for.

    Args:
        drawings: with the names of their classes.
        data: with the names of all classes.

    Returns:
        Class ids, sorted, int64 [N].

    Raises:
        ValueError: a drawing was asked for no class of the data.
    """
    of_name = {name: c for c, name in enumerate(data.class_names)}
    unknown = [name for name in drawings.class_names if name not in of_name]
    if unknown:
        raise ValueError(
            f"drawings of {unknown[0]!r}, which is no class of {data.name}: few-shot scores need a"
            " family that is asked by a class"
        )
    return np.array([of_name[name] for name in drawings.class_names], np.int64)[drawings.label]


def _each(classes: np.ndarray) -> int:
    """How many drawings of each class are compared with real images."""
    return max(MOST // len(classes), 1)


def _embedded(
    judge: BaseClassifier,
    parts: FewShotParts,
    images: np.ndarray,
    label: np.ndarray,
    novel: np.ndarray,
    most: int,
) -> tuple[Examples, Examples]:
    """The first drawings of each novel class, and the shots, with features.

    They are embedded together, so that copies have the very features of what they copy.
    """
    rows = np.flatnonzero(novel & panel.first(label, most))
    shots = parts.supports.reshape(-1)
    real = np.asarray(judge.data.images[shots])
    of_shots, of_drawn = np.split(judge.embed(np.concatenate([real, images[rows]])), [len(shots)])
    return (
        Examples(images[rows], label[rows], of_drawn),
        Examples(real, judge.data.label[shots], of_shots),
    )


def _real(judge: BaseClassifier, rows: np.ndarray) -> Examples:
    """Images of the data set with their features."""
    data = judge.data
    return Examples(np.asarray(data.images[rows]), data.label[rows], judge.features(rows))


def _some(examples: Examples, chosen: np.ndarray) -> Examples:
    """Those of some examples that are chosen, bool [N]."""
    features = None if examples.features is None else examples.features[chosen]
    return Examples(examples.images[chosen], examples.label[chosen], features)


def _of_novel(drawn: Examples, shots: Examples, test: Examples) -> Columns:
    """The panel of drawings of novel classes, and how near they are to their shots."""
    features, real = (np.asarray(of.features, np.float64) for of in (drawn, test))
    columns: Columns = {**panel.of_two_sets(features, real), "vendi": vendi(features)}
    if (usual := _to_own(test, shots)) > 0:
        columns["nearest_shot"] = _to_own(drawn, shots) / usual
    return columns


def _to_own(examples: Examples, shots: Examples) -> float:
    """The mean distance of images to the nearest shot of their own class."""
    features, own = (np.asarray(of.features, np.float64) for of in (examples, shots))
    away = [
        nearest(features[examples.label == c], own[shots.label == c])
        for c in np.unique(examples.label)
    ]
    return float(np.concatenate(away).mean())


def _of_base(judge: BaseClassifier, images: np.ndarray) -> Columns:
    """How far drawings of base classes are from real images of these, if they are enough to say."""
    real = judge.base_rows
    if min(len(images), len(real)) <= judge.dimensions:
        return {}
    drawn = judge.embed(images).astype(np.float64)
    return {"fid_base": frechet_distance(judge.features(real).astype(np.float64), drawn)}
