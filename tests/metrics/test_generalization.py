"""Generalization curves: the points against a plain loop, the area against a numerical integral,
both against published curves.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from oneshot.metrics import generalization as gen

# Read off the figure of Boutin et al. 2023 (Quick, Draw!): originality and recognizability of the
# ten bins.
PEOPLE = np.array(
    [
        [0.342, 0.432, 0.482, 0.526, 0.566, 0.610, 0.661, 0.719, 0.795, 0.970],
        [99.4, 98.9, 98.5, 98.0, 97.9, 97.6, 97.1, 96.7, 96.0, 94.4],
    ]
)
GAMMA_1 = np.array(
    [
        [0.299, 0.370, 0.414, 0.451, 0.487, 0.524, 0.564, 0.613, 0.682, 0.842],
        [99.5, 99.1, 98.8, 98.4, 98.0, 97.6, 97.0, 96.0, 94.6, 91.5],
    ]
)


def drawn(counts: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Originality with ties, recognition and labels, the classes in disorder."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return rng.integers(0, 9, len(label)) / 8, rng.random(len(label)), label


def along(
    quadratic: tuple[float, float, float], low: float, high: float, count: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Points on a quadratic."""
    x = np.linspace(low, high, count)
    return x, np.polyval(quadratic, x)


# ---------------------------------------------------------------- the points


@pytest.mark.parametrize(
    ("counts", "bins"), [([20, 20, 20], 10), ([10, 13, 27, 31], 10), ([7, 3, 5], 3), ([4], 1)]
)
def test_the_points_equal_a_plain_loop(counts: list[int], bins: int) -> None:
    originality, recognized, label = drawn(counts)
    across, up = np.zeros(bins), np.zeros(bins)
    for c, n in enumerate(counts):
        members: list[list[int]] = [[] for _ in range(bins)]
        # stable, as it must be
        for rank, i in enumerate(
            sorted(np.flatnonzero(label == c).tolist(), key=lambda i: originality[i])
        ):
            members[int(rank * bins / n)].append(i)
        for b, inside in enumerate(members):
            across[b] += sum(originality[i] for i in inside) / len(inside) / len(counts)
            up[b] += 100 * sum(recognized[i] for i in inside) / len(inside) / len(counts)
    got = gen.curve(originality, recognized, label, bins)
    np.testing.assert_allclose(got, [across, up], rtol=1e-12)
    assert (np.diff(got[0]) >= 0).all()


def test_ties_stay_in_the_order_of_the_drawings() -> None:
    _, up = gen.curve(np.zeros(10), np.arange(10) / 10, np.zeros(10, int))
    np.testing.assert_allclose(up, 10 * np.arange(10))


def test_each_class_counts_once_however_many_drawings_it_has() -> None:
    label = np.repeat([0, 1], [10, 1000])
    across, up = gen.curve(label.astype(float), 1.0 - 0.5 * label, label)
    np.testing.assert_allclose(across, 0.5)
    np.testing.assert_allclose(up, 75.0)


def test_one_bin_is_the_mean_of_the_model() -> None:
    originality, recognized, label = drawn([12, 12, 12])
    across, up = gen.curve(originality, recognized, label, bins=1)
    assert across == pytest.approx([originality.mean()]) and up == pytest.approx(
        [100 * recognized.mean()]
    )


def test_too_few_drawings_and_broken_values_are_refused() -> None:
    originality, recognized, label = drawn([12, 9, 10, 4])
    with pytest.raises(
        ValueError, match=r"at least 10 drawings, but 2 of 4 classes have fewer \(class 1 has 9\)"
    ):
        gen.curve(originality, recognized, label)
    assert len(gen.curve(originality, recognized, label, bins=4)[0]) == 4
    with pytest.raises(ValueError, match="finite"):
        gen.curve(np.where(label == 2, np.nan, originality), recognized, label, bins=4)
    with pytest.raises(ValueError, match="one label per row"):
        gen.curve(originality, recognized, label[:-1], bins=4)


# ---------------------------------------------------------------- the fit and the area


def test_the_fit_is_the_least_squares_quadratic() -> None:
    np.testing.assert_allclose(gen.fit(*PEOPLE), np.polyfit(*PEOPLE, 2), rtol=1e-9)
    np.testing.assert_allclose(
        gen.fit(*along((-17.1, 4.2, 100.0), 0.3, 0.84)), (-17.1, 4.2, 100.0), rtol=1e-9
    )


def test_the_fit_of_fewer_than_three_places_is_flat_or_straight() -> None:
    np.testing.assert_allclose(gen.fit(np.zeros(10), np.arange(91, 101)), [0, 0, 95.5], atol=1e-9)
    assert np.polyval(gen.fit([1.0, 2.0, 2.0], [90.0, 80.0, 82.0]), [1.0, 2.0]) == pytest.approx(
        [90, 81]
    )


def test_people_s_published_quadratic_is_found_within_the_rounding_of_the_points() -> None:
    """Half a unit of the last digit in each value moves a coefficient by at most the sum of the
    absolute weights.
    """
    weights = np.abs(np.linalg.pinv(np.vander(PEOPLE[0], 3))).sum(axis=1)
    # of recognizability, and of originality times the steepest slope
    rounding = weights * (0.05 + 0.0005 * 10)
    assert (np.abs(gen.fit(*PEOPLE) - (-2.3, -5.2, 101.6)) < rounding).all()
    x = np.linspace(0.342, 0.970, 50)
    # as exact as the reading
    assert np.abs(np.polyval(gen.fit(*PEOPLE), x) - np.polyval((-2.3, -5.2, 101.6), x)).max() < 0.2


def test_the_published_points_give_the_known_areas() -> None:
    area, coverage = gen.compare(GAMMA_1, PEOPLE)  # type: ignore[arg-type]
    # 0.05 % of rounding over 0.5: 0.03
    assert area == pytest.approx(0.76, abs=0.03) and coverage == pytest.approx(0.79, abs=0.01)


@pytest.mark.parametrize(
    ("quadratic", "ends", "area", "coverage"),
    # The coefficients are known to 0.05: over this range up to 0.1 %, which is 0.05 of area; ends
    # to 0.005 of 0.63.
    [
        ((-17.1, 4.2, 100.0), (0.295, 0.84), 0.76, 0.79),
        ((-15.2, -15.6, 107.1), (0.40, 1.12), 4.59, 0.91),
    ],
)
def test_the_published_quadratics_give_the_known_areas(quadratic, ends, area, coverage) -> None:
    got = gen.compare(along(quadratic, *ends), along((-2.3, -5.2, 101.6), 0.339, 0.973))
    assert got[0] == pytest.approx(area, abs=0.06) and got[1] == pytest.approx(coverage, abs=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_the_area_equals_a_numerical_integral_however_often_the_curves_cross(seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves = [
        (np.sort(rng.random(10)) * rng.uniform(0.5, 2), rng.normal(90, 3, 10)) for _ in range(2)
    ]
    area, coverage = gen.compare(*curves)
    model, human = (np.polyfit(*curve, 2) for curve in curves)
    low, high = max(c[0][0] for c in curves), min(c[0][-1] for c in curves)
    roots = [r.real for r in np.roots(model - human) if abs(r.imag) < 1e-12 and low < r.real < high]
    expected = quad(
        lambda x: abs(np.polyval(model, x) - np.polyval(human, x)), low, high, points=roots or None
    )[0]
    assert area == pytest.approx(expected, rel=1e-7)
    assert coverage == pytest.approx((high - low) / np.ptp(curves[1][0]))


def test_areas_in_closed_form() -> None:
    flat = along((0.0, 0.0, 90.0), 0.0, 2.0)
    assert gen.compare(along((0.0, 0.0, 87.0), 1.0, 5.0), flat) == pytest.approx((3.0, 0.5))
    # crosses once, two triangles
    assert gen.compare(along((0.0, 3.0, 87.0), 0.0, 2.0), flat) == pytest.approx((3.0, 1.0))
    # crosses twice
    assert gen.compare(along((1.0, -2.0, 90.75), 0.0, 2.0), flat) == pytest.approx((0.5, 1.0))
    assert gen.compare(flat, flat) == (0.0, 1.0)


@pytest.mark.parametrize("ends", [(2.0, 3.0), (2.5, 3.0), (-1.0, -0.5), (1.0, 1.0)])
def test_without_overlap_there_is_no_area(ends: tuple[float, float]) -> None:
    area, coverage = gen.compare(along((0.0, 0.0, 87.0), *ends), along((0.0, 0.0, 90.0), 0.0, 2.0))
    assert np.isnan(area) and coverage == 0
