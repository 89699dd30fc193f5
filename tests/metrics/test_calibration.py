"""The calibration error against closed forms and a second implementation."""

from __future__ import annotations

import numpy as np
import pytest

from oneshot.metrics.calibration import calibration_error


def by_loop(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """The error bin by bin: a bin reaches from above its lower edge to its upper one."""
    total = 0.0
    for k in range(bins):
        inside = [
            i
            for i, c in enumerate(confidence)
            if k / bins < c <= (k + 1) / bins or (k == 0 and c == 0)
        ]
        if inside:
            gap = np.mean([confidence[i] for i in inside]) - np.mean([right[i] for i in inside])
            total += len(inside) / len(confidence) * abs(gap)
    return total


@pytest.mark.parametrize("bins", [1, 4, 16])
def test_it_equals_the_definition(bins: int) -> None:
    rng = np.random.default_rng(bins)
    confidence, right = rng.random(300).round(3), rng.random(300) < 0.7
    assert calibration_error(confidence, right, bins) == pytest.approx(
        by_loop(confidence, right, bins), abs=1e-12
    )


def test_closed_forms() -> None:
    certain = np.ones(8)
    assert calibration_error(certain, certain) == 0
    assert calibration_error(certain, np.zeros(8)) == 1
    assert calibration_error(certain, np.array([1, 0] * 4)) == pytest.approx(0.5)
    # two bins that err in opposite directions do not make up for each other
    confidence, right = np.array([0.25, 0.25, 0.75, 0.75]), np.array([1, 0, 0, 1])
    assert calibration_error(confidence, right, 2) == pytest.approx(0.25)
    assert calibration_error(confidence, right, 1) == pytest.approx(0)
    assert calibration_error(np.zeros(3), np.zeros(3)) == 0


def test_a_calibrated_classifier_has_nearly_none() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 200_000)
    assert calibration_error(confidence, rng.random(200_000) < confidence) < 0.005


@pytest.mark.parametrize(
    ("confidence", "right"), [([], []), ([0.5], [1, 0]), ([1.5], [1]), ([np.nan], [1])]
)
def test_what_is_no_confidence_is_refused(confidence: list[float], right: list[int]) -> None:
    with pytest.raises(ValueError, match=r"need N of both|must lie in \[0, 1\]"):
        calibration_error(np.array(confidence), np.array(right))
