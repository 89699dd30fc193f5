"""Generalization curves: recognizability against originality.

Source: Boutin et al. 2023 (https://arxiv.org/abs/2301.11722). Drawings that lie further from their
exemplar are recognised less often. The curve says how fast, and how far it goes: of each class the
drawings are sorted by originality and cut into ten bins of equal count, and a bin is one point.

Two curves are compared by the area between them where both are defined, and by how much of people's
range of originality that is. This comparison is our own: the area alone would favour a model that
never strays far, so the two belong together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oneshot.metrics.checks import checked_label

BINS = 10  # as published
# originality, rising, and recognizability in per cent, a value a bin
Curve = Sequence[Sequence[float]] | tuple[np.ndarray, np.ndarray]


def curve(
    originality: np.ndarray, recognized: np.ndarray, label: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray]:
    """The points of the curve, the least original bin first.

    Of a class with n drawings, the one of rank r (from 0; ties in the order given) falls into bin
    floor(r * bins / n). A point is the mean over classes of the means of their drawings in that
    bin, so that each class counts once.

    >>> original, percent = curve([1.0, 4.0, 2.0, 3.0], [1.0, 0.0, 1.0, 0.5], [0, 0, 0, 0], bins=2)
    >>> original.tolist(), percent.tolist()
    ([1.5, 3.5], [100.0, 25.0])

    Args:
        originality: of each drawing, [N].
        recognized: the probability of each drawing to be recognised, [N], 0 .. 1.
        label: class of each drawing, [N], 0 .. C-1.
        bins: how many points the curve has.

    Returns:
        Originality, and recognizability in per cent: float64 [bins] each.

    Raises:
        ValueError: a class has fewer drawings than there are bins, or a value is not finite.
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
    of_class, count = label[order], np.bincount(label)
    rank = np.arange(len(of_class)) - (np.cumsum(count) - count)[of_class]
    cell = of_class * bins + rank * bins // count[of_class]
    originality, percent = (np.bincount(cell, v[order]) / np.bincount(cell) for v in values)
    return originality.reshape(-1, bins).mean(axis=0), percent.reshape(-1, bins).mean(axis=0)


def fit(
    originality: Sequence[float] | np.ndarray, recognizability: Sequence[float] | np.ndarray
) -> np.ndarray:
    """The quadratic through a curve by least squares.

    Where the points have fewer than three different originalities, it is the flattest about their
    middle of the many that fit as well.

    >>> fit([0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 1.0, 4.0]).round(9).tolist()  # (x - 1)^2
    [1.0, -2.0, 1.0]

    Args:
        originality: of the points, [n].
        recognizability: of the points, [n].

    Returns:
        float64 [3], highest power first, as `np.polyval` takes it.
    """
    x, y = np.asarray(originality, np.float64), np.asarray(recognizability, np.float64)
    middle, half = (x.max() + x.min()) / 2, (x.max() - x.min()) / 2 or 1.0
    a, b, c = np.linalg.lstsq(np.vander((x - middle) / half, 3), y, rcond=None)[0]
    shift = middle / half  # back to powers of x: a (x / half - shift)^2 + b (x / half - shift) + c
    return np.array([a / half**2, (b - 2 * a * shift) / half, a * shift**2 - b * shift + c])


def overlap(
    one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """The range of originality in which two curves are both defined.

    >>> overlap([0.1, 0.5, 0.9], [0.3, 1.2])
    (0.3, 0.9)

    Args:
        one: originalities of the points of a curve.
        other: those of the other curve.

    Returns:
        Where it begins and ends; the first is not below the second if there is no such range.
    """
    return float(max(np.min(one), np.min(other))), float(min(np.max(one), np.max(other)))


def sections(quadratic: np.ndarray, low: float, high: float) -> np.ndarray:
    """The places between which a quadratic keeps its sign: low, the roots in between, high.

    >>> sections(np.array([1.0, -3.0, 2.0]), 0.0, 1.5).round(9).tolist()  # (x - 1) (x - 2)
    [0.0, 1.0, 1.5]

    Args:
        quadratic: coefficients [3], highest power first.
        low: where the range begins.
        high: where it ends.

    Returns:
        float64 [2 .. 4], rising.
    """
    roots = np.roots(quadratic)
    inside = np.sort(roots[np.isreal(roots)].real)
    return np.concatenate([[low], inside[(inside > low) & (inside < high)], [high]])


def compare(model: Curve, human: Curve) -> tuple[float, float]:
    """The area between a model's curve and people's, and how much of people's range it covers.

    >>> people = [0.0, 1.0, 2.0], [100.0, 90.0, 80.0]
    >>> model = [0.0, 0.5, 1.0], [98.0, 93.0, 88.0]
    >>> area, coverage = compare(model, people)
    >>> round(area, 9), coverage
    (2.0, 0.5)

    Args:
        model: originality, and recognizability in per cent, of the points of the model's curve.
        human: those of people's.

    Returns:
        area: the integral of the absolute difference of the two quadratics over the originality
        that the curves share, in per cent x originality. coverage: the share of people's range of
        originality that this is, 0 .. 1. Without overlap the area is NaN and the coverage 0.
    """
    low, high = overlap(model[0], human[0])
    if not high > low:
        return float("nan"), 0.0
    difference = fit(*human) - fit(*model)
    # in closed form: between two roots the integral is a difference of the antiderivative
    antiderivative = np.polyval(np.polyint(difference), sections(difference, low, high))
    area = np.abs(np.diff(antiderivative)).sum()
    return float(area), float((high - low) / (np.max(human[0]) - np.min(human[0])))
