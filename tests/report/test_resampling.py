"""Student's t, Holm's correction and bootstrap weights: known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oneshot.report.analysis.resampling import (
    class_weights,
    freedom,
    holm,
    seed_weights,
    stretch,
    t_limit,
    t_tail,
)


@pytest.mark.parametrize(
    ("df", "limit"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (10, 2.2281), (30, 2.0423), (120, 1.9799)],
)
def test_t_has_the_limits_of_the_table(df: int, limit: float) -> None:
    assert t_limit(df) == pytest.approx(limit, abs=1e-4)
    assert t_tail(limit, df) == pytest.approx(0.05, abs=1e-5)
    assert t_tail(-limit, df) == t_tail(limit, df)


def test_t_is_the_integral_of_its_density() -> None:
    for df in (1, 2, 3, 4, 7, 20):
        x = np.linspace(0, 1.7, 20_001)
        constant = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2))
        density = constant / math.sqrt(df * math.pi) * (1 + x**2 / df) ** (-(df + 1) / 2)
        assert t_tail(1.7, df) == pytest.approx(1 - 2 * np.trapezoid(density, x), abs=1e-7)
    assert t_tail(1.959964, 10**6) == pytest.approx(0.05, abs=1e-6)
    assert t_tail(0.0, 5) == 1 and t_tail(math.inf, 3) == 0 and math.isnan(t_tail(1.0, 0))


def test_holm_multiplies_by_how_many_are_left_and_never_falls() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    corrected = holm(np.array([0.02, np.nan, 0.03]))
    assert corrected[[0, 2]].tolist() == pytest.approx([0.04, 0.04]) and np.isnan(corrected[1])


def test_freedom_is_that_of_what_varies() -> None:
    assert freedom([(1.0, 3), (0.0, 100)]) == 2
    assert freedom([(0.0, 3), (1.0, 100)]) == 99
    assert freedom([(1.0, 3), (1.0, 100)]) == int(4 / (1 / 2 + 1 / 99))
    assert freedom([(0.0, 1), (0.0, 1)]) == 0 and freedom([(5.0, 1), (1.0, 11)]) == 10


def test_few_seeds_are_stretched_as_student_asks() -> None:
    assert stretch([(1.0, 3), (0.0, 1)]) == pytest.approx(math.sqrt(3 / 2) * 4.3027 / 1.95996, 1e-4)
    assert stretch([(0.0, 1), (1.0, 1000)]) == pytest.approx(1.0, abs=2e-3)
    assert math.isnan(stretch([(1.0, 1), (1.0, 1)]))


def test_weights_are_fixed_and_draw_each_as_often() -> None:
    for weights, count in ((class_weights(50), 50), (seed_weights(4), 4)):
        assert (weights.sum(axis=1) == count).all()
        assert weights.mean(axis=0) == pytest.approx(1, abs=0.15)
    assert (class_weights(50) == class_weights.__wrapped__(50)).all()
