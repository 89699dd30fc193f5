"""Generalization curves: recognizability against originality (Boutin et al. 2023,
https://arxiv.org/abs/2301.11722).

Drawings that lie further from their exemplar are recognised less often. The curve says how fast,
and how far it goes: of each class the drawings are sorted by originality and cut into ten bins of
equal count, and a bin is one point. Two curves are compared by the area between them where both are
defined, and by how much of people's range of originality that is: the area alone would favour a
model that never strays far, so the two belong together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oneshot.metrics.checks import checked_label

BINS = 10
# originality, rising, and recognizability in per cent, a value a bin
Curve = Sequence[Sequence[float]] | tuple[np.ndarray, np.ndarray]


def curve(
    originality: np.ndarray, recognized: np.ndarray, label: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray]:
    """The points of the curve: (originality, recognizability in per cent), each float64 [bins], the
    least original bin first.

    originality: [N], of each drawing. recognized: [N], its probability to be recognised. label:
    [N], its class, 0 .. C-1. Of a class with n drawings, the one of rank r (from 0; ties in the
    order given) falls into bin floor(r * bins / n). A point is the mean over classes of the means
    of their drawings in that bin, so that each class counts once. Raises ValueError if a class has
    fewer drawings than there are bins or a value is not finite.
    """
    values = np.stack(
        [np.asarray(originality, np.float64), 100.0 * np.asarray(recognized, np.float64)]
    )
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(
            "originality and recognition must be finite and one number a drawing, given shape"
            f" {values.shape[1:]}"
        )
    label = checked_label(label, values.shape[1], least=bins)
    order = np.lexsort((values[0], label))  # stable: ties stay in the order given
    of, count = label[order], np.bincount(label)
    rank = np.arange(len(of)) - (np.cumsum(count) - count)[of]
    cell = of * bins + rank * bins // count[of]
    originality, percent = (np.bincount(cell, v[order]) / np.bincount(cell) for v in values)
    return originality.reshape(-1, bins).mean(axis=0), percent.reshape(-1, bins).mean(axis=0)


def fit(
    originality: Sequence[float] | np.ndarray, recognizability: Sequence[float] | np.ndarray
) -> np.ndarray:
    """The quadratic through a curve by least squares: float64 [3], highest power first, as
    `np.polyval` takes it.

    Where the points have fewer than three different originalities, of the many that fit as well the
    flattest about their middle.
    """
    x, y = np.asarray(originality, np.float64), np.asarray(recognizability, np.float64)
    middle, half = (x.max() + x.min()) / 2, (x.max() - x.min()) / 2 or 1.0
    a, b, c = np.linalg.lstsq(np.vander((x - middle) / half, 3), y, rcond=None)[0]
    shift = middle / half  # back to powers of x: a (x / half - shift)^2 + b (x / half - shift) + c
    return np.array([a / half**2, (b - 2 * a * shift) / half, a * shift**2 - b * shift + c])


def overlap(
    one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """Where two curves with these originalities are both defined: from, to. The first is not below
    the second where they nowhere are.
    """
    return float(max(np.min(one), np.min(other))), float(min(np.max(one), np.max(other)))


def sections(quadratic: np.ndarray, low: float, high: float) -> np.ndarray:
    """The places low, the roots in between, high: from each to the next the quadratic keeps its
    sign.
    """
    roots = np.roots(quadratic)
    inside = np.sort(roots[np.isreal(roots)].real)
    return np.concatenate([[low], inside[(inside > low) & (inside < high)], [high]])


def compare(model: Curve, human: Curve) -> tuple[float, float]:
    """(area, coverage) of a model's curve against people's.

    area: the integral of the absolute difference of the two quadratics over the originality that
    the curves share, in closed form and in per cent x originality. coverage: the share of people's
    range of originality that this is, 0 .. 1. Without overlap the area is NaN and the coverage 0.
    """
    low, high = overlap(model[0], human[0])
    if not high > low:
        return float("nan"), 0.0
    difference = fit(*human) - fit(*model)
    area = np.abs(
        np.diff(np.polyval(np.polyint(difference), sections(difference, low, high)))
    ).sum()
    return float(area), float((high - low) / (np.max(human[0]) - np.min(human[0])))
