"""Grey drawings as a classifier of all classes sees them: hits of a class that was left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from oneshot.metrics import removed
from oneshot.metrics.removed import SURE, VERY_SURE
from oneshot.scoring.classifier import Classifier
from oneshot.scoring.work import Columns, Tables, Work
from oneshot.training.shots import supports

VERSION = 1
NEEDS = ("classifier",)


def grade(work: Work) -> tuple[Columns, Tables]:
    """Show the drawings to the classifier, beside real images that neither it nor a model saw.

    Args:
        work: a point of greys.

    Returns:
        Columns of the row, and the table `predicted`. What is said of a class that was left out is
        missing where the split leaves none out, or where too few drawings are taken for it.
    """
    judge = work.classifier
    assert judge is not None
    found, left_out = work.predictions, work.data.test
    kept = np.setdiff1d(np.arange(len(work.data.class_names)), left_out)
    of_kept = judge.real.probability[np.isin(judge.real_label, kept)]
    drawn, drawn_sure = (removed.shares(found.probability, c) for c in (SURE, VERY_SURE))
    real, real_sure = (removed.shares(of_kept, c) for c in (SURE, VERY_SURE))
    columns: Columns = {
        "class_entropy": removed.entropy(found.probability),
        "classes_covered": removed.covered(drawn, kept),
    }
    asked = _asked(work)
    if len(left_out):
        tried = found.probability if asked is None else found.probability[np.isin(asked, left_out)]
        columns |= {
            "hits_missing": float(removed.shares(tried, SURE)[left_out].sum()),
            "hits_missing_90": float(removed.shares(tried, VERY_SURE)[left_out].sum()),
            "false_hits": float(real[left_out].sum()),
            "false_hits_90": float(real_sure[left_out].sum()),
            **_variety(work, judge, left_out),
        }
    if asked is not None:
        chosen = np.isin(asked, kept)
        columns["asked_accuracy"] = float((found.label == asked)[chosen].mean())
    table: dict[str, Any] = {
        "class_name": list(work.data.class_names),
        "left_out": np.isin(np.arange(len(drawn)), left_out).astype(int).tolist(),
        "share": drawn.tolist(),
        "share_90": drawn_sure.tolist(),
        "real_share": real.tolist(),
        "real_share_90": real_sure.tolist(),
        "real_images": [len(of_kept)] * len(drawn),
    }
    return columns, {"predicted": table}


def _asked(work: Work) -> np.ndarray | None:
    """The class that each drawing was asked for, int64 [N]; None where none was."""
    names = {name: c for c, name in enumerate(work.data.class_names)}
    if not set(work.drawings.class_names) <= set(names):
        return None  # drawn for no class, which has no name
    return np.array([names[n] for n in work.drawings.class_names])[work.drawings.label]


def _variety(work: Work, judge: Classifier, left_out: np.ndarray) -> Columns:
    """Whether what is drawn of a class that was left out varies, or copies its shots.

    A mean over the classes of which enough is drawn.
    """
    found, settings = work.predictions, work.point.settings
    chosen = supports(work.data, left_out, settings.get("shots", 0), settings.get("shot_seed", 0))
    hit = np.where(found.confidence >= SURE, found.label, -1)
    ratios: dict[str, list[float]] = {"removed_diversity": [], "removed_to_shots": []}
    for c, shots in zip(left_out, chosen):
        drawn, real = found.features[hit == c], judge.real.features[judge.real_label == c]
        of_shots = judge.predict(work.data.images[shots]).features
        ratios["removed_diversity"].append(removed.diversity_ratio(drawn, real))
        ratios["removed_to_shots"].append(removed.to_shots_ratio(drawn, real, of_shots))
    return {
        name: float(np.nanmean(values))
        for name, values in ratios.items()
        if not np.isnan(values).all()
    }
