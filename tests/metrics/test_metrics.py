"""Every metric against a second, independent implementation, against closed forms, and refusing
what it cannot measure.
"""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import minimize_scalar
from sklearn.neighbors import KNeighborsClassifier

from oneshot.metrics import diversity as div
from oneshot.metrics import recognizability as rec
from oneshot.metrics.distance import human_distance
from oneshot.metrics.images import standardise
from oneshot.metrics.originality import normaliser, originality
from oneshot.metrics.trajectory import fit_trajectory, golden_section


def clusters(
    classes: int, per_class: int, dimensions: int, spread: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gaussian drawings about Gaussian exemplars: (queries, label, prototypes)."""
    rng = np.random.default_rng(seed)
    prototypes = rng.standard_normal((classes, dimensions))
    label = np.repeat(np.arange(classes), per_class)
    return (
        prototypes[label] + spread * rng.standard_normal((len(label), dimensions)),
        label,
        prototypes,
    )


# ---------------------------------------------------------------- standardisation


def test_standardise_stretches_each_image_and_keeps_what_is_strictly_above_one_half():
    image = np.array([[0.25, 0.375], [0.5, 0.75]])  # stretched: 0, 0.25, 0.5, 1
    bits, constant = standardise(np.stack([image, 1 - image]))
    assert bits.dtype == np.uint8 and bits.tolist() == [[[0, 0], [0, 1]], [[1, 1], [0, 0]]]
    assert not constant.any()


def test_standardise_flags_constant_images_and_makes_them_background_at_any_size():
    images = np.stack([np.full((7, 7), value, np.float32) for value in (0.0, 0.3, 1.0)])
    for size in (None, 5, 12):
        bits, constant = standardise(images, size)
        assert constant.all() and not bits.any()


def test_standardise_resizes_as_pillow_does_before_it_stretches():
    rng = np.random.default_rng(1)
    images = rng.random((6, 20, 24)).astype(np.float32) ** 2
    bits, _ = standardise(images, 13)
    for image, result in zip(images, bits):
        small = np.asarray(
            Image.fromarray(image, mode="F").resize((13, 13), Image.Resampling.BILINEAR), np.float64
        )
        again = [
            [int((v - small.min()) / (small.max() - small.min()) > 0.5) for v in row]
            for row in small
        ]
        assert result.tolist() == again


def test_standardise_leaves_binary_images_as_they_are_in_every_type():
    bits = (np.random.default_rng(2).random((5, 9, 9)) > 0.7).astype(np.uint8)
    for given in (bits, bits.astype(bool), bits.astype(np.float32), bits.astype(np.float64)):
        assert np.array_equal(standardise(given, 9)[0], bits)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.array([[[0.0, np.nan], [np.inf, 1.0]]]), "2 of 4 pixels are NaN"),
        (np.array([[[0.0, 1.5], [-0.1, 1.0]]]), "2 of 4 do not"),
        (np.full((1, 2, 2), 255, np.uint8), "divide bytes by 255"),
        (np.zeros((1, 2, 2), np.int64), "given int64"),
        (np.zeros((2, 2)), r"\[N, H, W\]"),
        (np.zeros((1, 2, 3)), "2x3"),
    ],
)
def test_standardise_refuses(images, reason):
    with pytest.raises(ValueError, match=reason):
        standardise(images)


# ---------------------------------------------------------------- diversity


def test_diversity_equals_a_loop_with_the_statistics_module():
    features, label, _ = clusters(4, 6, 5, 0.7)
    keep = np.delete(np.arange(len(label)), [1, 8, 9])  # uneven classes
    features, label = features[keep], label[keep]
    loop = [
        statistics.mean(statistics.stdev(features[label == c, d].tolist()) for d in range(5))
        for c in range(4)
    ]
    assert div.diversity(features, label) == pytest.approx(loop, rel=1e-12)


def test_diversity_knows_nothing_of_order_shift_or_rotation_of_axes_and_scales():
    features, label, _ = clusters(5, 8, 6, 1.0)
    base = div.diversity(features, label)
    order = np.random.default_rng(3).permutation(len(label))
    assert div.diversity(features[order], label[order]) == pytest.approx(base, rel=1e-12)
    assert div.diversity(3 * features[:, ::-1] + 100, label) == pytest.approx(3 * base, rel=1e-9)


def test_diversity_se_is_the_jackknife_of_independent_classes():
    features, label, _ = clusters(3, 5, 4, 1.0)
    variance = 0.0
    for c in range(3):
        rows = features[label == c]
        left_out = [np.delete(rows, i, axis=0).std(axis=0, ddof=1).mean() for i in range(5)]
        variance += 4 * np.var(left_out)
    assert div.diversity_se(features, label) == pytest.approx(math.sqrt(variance) / 3, rel=1e-10)


def test_diversity_se_covers_the_spread_over_repetitions():
    scores, errors = [], []
    for seed in range(200):
        features, label, _ = clusters(10, 12, 3, 1.0, seed)
        scores.append(div.diversity(features, label).mean())
        errors.append(div.diversity_se(features, label))
    # The spread of 200 scores is known to 1 / sqrt(400) = 5 %; 15 % is three of these.
    assert np.mean(errors) == pytest.approx(np.std(scores, ddof=1), rel=0.15)
    assert math.isnan(div.diversity_se(*clusters(3, 2, 4, 1.0)[:2]))


def test_diversity_refuses():
    features, label, _ = clusters(3, 4, 2, 1.0)
    with pytest.raises(
        ValueError, match=r"at least 2 drawings, but 1 of 3 classes .*class 2 has 1"
    ):
        div.diversity(features[:9], label[:9])
    with pytest.raises(ValueError, match="class 1 has 0"):
        div.diversity(features[label != 1], label[label != 1])
    with pytest.raises(ValueError, match="class 3 has 0"):
        div.diversity(features, label, classes=4)
    features[2, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 12 rows"):
        div.diversity(features, label)
    with pytest.raises(ValueError, match="one label per row"):
        div.diversity(features, label[:-1])
    with pytest.raises(ValueError, match="must be integers"):
        div.diversity(np.ones((12, 2)), label.astype(float))


# ---------------------------------------------------------------- recognizability


def test_expected_equals_the_enumeration_of_all_episodes():
    queries, label, prototypes = clusters(6, 4, 3, 1.5)
    p = rec.expected(queries, label, prototypes, ways=3)
    for query, own, value in zip(queries, label, p):
        near = [sum((query - prototype) ** 2) for prototype in prototypes]
        tasks = list(itertools.combinations([c for c in range(6) if c != own], 2))
        right = sum(near[own] < min(near[a] for a in task) for task in tasks)
        assert value == pytest.approx(right / len(tasks), abs=1e-12)
    assert len(set(p.round(6))) > 3


def test_expected_equals_the_enumeration_of_all_orders_when_exemplars_are_equal():
    queries, label, prototypes = clusters(6, 3, 2, 1.5)
    prototypes[[1, 4]] = prototypes[0]
    p = rec.expected(queries, label, prototypes, ways=3)
    for query, own, value in zip(queries, label, p):
        near = [sum((query - prototype) ** 2) for prototype in prototypes]
        tasks = [task for task in itertools.permutations(range(6), 3) if own in task]
        # argmin: the first of the tied
        right = sum(task[int(np.argmin([near[c] for c in task]))] == own for task in tasks)
        assert value == pytest.approx(right / len(tasks), abs=1e-12)


def test_expected_with_all_ways_is_the_nearest_neighbour_classifier():
    queries, label, prototypes = clusters(12, 10, 3, 0.8)
    nearest = KNeighborsClassifier(1).fit(prototypes, np.arange(12)).predict(queries)
    assert np.array_equal(
        rec.expected(queries, label, prototypes, ways=12), (nearest == label).astype(float)
    )


def test_copies_of_the_exemplar_score_no_diversity_and_exactly_100_per_cent():
    _, label, prototypes = clusters(40, 20, 128, 1.0)
    copies = (1e3 * prototypes.astype(np.float32))[label]
    assert (div.diversity(copies, label) == 0).all() and div.diversity_se(copies, label) == 0
    assert (
        rec.per_class(rec.expected(copies, label, 1e3 * prototypes.astype(np.float32)), label)
        == 100
    ).all()
    assert (rec.by_episodes(copies, label, 1e3 * prototypes.astype(np.float32)) == 100).all()


def test_noise_is_recognised_at_chance():
    rng = np.random.default_rng(5)
    prototypes, label = rng.standard_normal((150, 16)), np.repeat(np.arange(150), 20)
    queries = rng.standard_normal((3000, 16))
    p = rec.expected(queries, label, prototypes)
    assert abs(rec.per_class(p, label).mean() - 5.0) < 4 * rec.recognizability_se(p, label)
    assert 0.05 < rec.recognizability_se(p, label) < 0.5


def test_expected_and_episodes_agree_within_the_sampling_error_of_the_episodes():
    queries, label, prototypes = clusters(150, 20, 8, 1.0)
    p = rec.expected(queries, label, prototypes)
    exact, played = rec.per_class(p, label), rec.by_episodes(queries, label, prototypes)
    # Given the drawings, each of 500 queries of a class hits with the probability p of its drawing,
    # 25 times each drawing.
    variance = 25 * np.bincount(label, weights=p * (1 - p)) / 500**2 * 1e4
    z = (played - exact) / np.sqrt(variance)
    assert 30 < exact.mean() < 95
    assert abs(played.mean() - exact.mean()) < 4 * math.sqrt(variance.sum()) / 150
    assert np.abs(z).max() < 4.5 and 0.7 < z.std() < 1.3


def test_episodes_follow_the_published_task_list():
    shown = rec.episodes(150)
    assert shown.shape == (3750, 20) and shown.dtype == np.int64
    assert (np.bincount(shown.ravel()) == 500).all()
    assert all(len(set(row)) == 20 for row in shown.tolist())
    generator, stream, again = torch.Generator().manual_seed(44), itertools.cycle(range(150)), []
    for window in [140] * 535 + [100]:
        labels = list(itertools.islice(stream, window))
        again += [labels[i] for i in torch.randperm(window, generator=generator).tolist()]
    assert shown.ravel().tolist() == again
    assert rec.episodes(115, queries_per_class=100).shape == (575, 20)
    assert not np.array_equal(rec.episodes(150, seed=45), shown)


def test_by_episodes_equals_a_loop_over_episodes():
    queries, label, prototypes = clusters(7, 3, 2, 1.2)
    order = np.random.default_rng(6).permutation(len(label))
    queries, label = queries[order], label[order]
    turn, hits = [0] * 7, [0] * 7
    for task in rec.episodes(7, 4, 8, seed=1):
        for c in task:
            drawings = queries[label == c]
            query = drawings[turn[c] % len(drawings)]
            turn[c] += 1
            hits[c] += task[np.argmin([np.linalg.norm(query - prototypes[d]) for d in task])] == c
    assert rec.by_episodes(queries, label, prototypes, 4, 8, seed=1).tolist() == [
        100 * h / 8 for h in hits
    ]
    assert 10 < np.mean(hits) / 8 * 100 < 95


def test_recognizability_does_not_depend_on_the_order_of_drawings_or_classes():
    queries, label, prototypes = clusters(30, 5, 4, 1.0)
    base = rec.per_class(rec.expected(queries, label, prototypes), label)
    order, names = (
        np.random.default_rng(7).permutation(len(label)),
        np.random.default_rng(8).permutation(30),
    )
    renamed = np.argsort(names)[label]
    moved = rec.per_class(
        rec.expected(queries[order], renamed[order], prototypes[names]), renamed[order]
    )
    assert moved == pytest.approx(base[names], abs=1e-10)


def test_recognizability_se_covers_the_spread_over_repetitions():
    rng, scores, errors = np.random.default_rng(9), [], []
    prototypes, label = rng.standard_normal((25, 4)), np.repeat(np.arange(25), 6)
    for _ in range(200):
        p = rec.expected(prototypes[label] + rng.standard_normal((150, 4)), label, prototypes)
        scores.append(rec.per_class(p, label).mean())
        errors.append(rec.recognizability_se(p, label))
    assert np.mean(errors) == pytest.approx(np.std(scores, ddof=1), rel=0.15)
    assert math.isnan(rec.recognizability_se(np.ones(3), np.arange(3)))


def test_recognizability_refuses():
    queries, label, prototypes = clusters(25, 2, 3, 1.0)
    with pytest.raises(ValueError, match="at least 20 classes, given 10"):
        rec.expected(queries[:20], label[:20], prototypes[:10])
    with pytest.raises(ValueError, match="class 24 has 0"):
        rec.expected(queries[:-2], label[:-2], prototypes)
    with pytest.raises(ValueError, match=r"0 \.\. 24, given 0 \.\. 25"):
        rec.by_episodes(queries, np.minimum(label + 1, 25) * (label > 0), prototypes)
    with pytest.raises(ValueError, match=r"\[C, 3\]"):
        rec.expected(queries, label, prototypes[:, :2])
    with pytest.raises(ValueError, match="prototypes must be finite"):
        rec.expected(queries, label, np.where(prototypes == prototypes.max(), np.inf, prototypes))
    with pytest.raises(ValueError, match="at least 20 classes"):
        rec.episodes(19)
    with pytest.raises(ValueError, match="multiple of 3"):
        rec.episodes(7, 3, 4)


# ---------------------------------------------------------------- originality, distance, trajectory


def test_originality_equals_a_loop_and_its_scale_the_statistics_module():
    features, label, prototypes = clusters(3, 4, 5, 0.5)
    scale = statistics.mean(statistics.stdev(row) for row in features.tolist())
    assert normaliser(features) == pytest.approx(scale, rel=1e-12)
    values = originality(features, label, prototypes, scale)
    for row, c, value in zip(features, label, values):
        assert value == pytest.approx(
            math.dist(row / scale, prototypes[c] / scale) / math.sqrt(5), rel=1e-12
        )
    assert (originality(prototypes, np.arange(3), prototypes, scale) == 0).all()
    assert originality(
        7 * features, label, 7 * prototypes, normaliser(7 * features)
    ) == pytest.approx(values)


def test_originality_refuses():
    with pytest.raises(ValueError, match="scale is 0"):
        normaliser(np.ones((4, 3)))
    with pytest.raises(ValueError, match="2 dimensions"):
        normaliser(np.ones((4, 1)))
    with pytest.raises(ValueError, match="positive, given 0"):
        originality(np.ones((2, 3)), np.arange(2), np.ones((2, 3)), 0.0)
    with pytest.raises(ValueError, match=r"\[C, 3\]"):
        originality(np.ones((2, 3)), np.arange(2), np.ones((2, 4)), 1.0)


def test_human_distance_gives_the_published_extremes():
    # Boutin et al. 2022: the human point (1.286, 97.56 %), and the base models as read from the
    # figure.
    assert human_distance(1.286, 97.56, 1.286, 97.56) == 0
    assert human_distance(1.286 + 0.775, 97.56 - 13.5, 1.286, 97.56) == pytest.approx(math.sqrt(2))
    table = human_distance(np.array([2.053, np.nan]), np.array([74.9, 80.0]), 1.286, 97.56)
    assert table[0] == pytest.approx(
        math.dist((2.053 / 0.775, 74.9 / 13.5), (1.286 / 0.775, 97.56 / 13.5))
    )
    assert np.isnan(table[1])
    with pytest.raises(ValueError, match="sigmas"):
        human_distance(1.0, 90.0, 1.286, 97.56, sigma_diversity=0.0)
    with pytest.raises(ValueError, match="human point"):
        human_distance(1.0, 90.0, math.nan, 97.56)


def test_golden_section_finds_the_minimum_that_scipy_finds():
    def f(v: float) -> float:
        return math.cosh(v - 0.3) + 0.2 * v

    assert golden_section(f, -1, 2) == pytest.approx(
        minimize_scalar(f, bounds=(-1, 2), method="bounded").x, abs=1e-4
    )


def test_trajectory_recovers_a_polynomial_curve_that_it_can_represent():
    u = np.linspace(0, 1, 9)
    truth = np.stack([4 * u, 2.7 - 0.8 * u + 0.1 * u**2, 36 + 150 * u - 140 * u**2], axis=1)
    fit = fit_trajectory(truth, degree=2)
    assert (
        fit.coefficients.shape == (3, 3)
        and fit.at(0.5).shape == (3,)
        and fit.at(np.ones((2, 4))).shape == (2, 4, 3)
    )
    assert fit.u[0] == 0 and fit.u[-1] == 1 and (np.diff(fit.u) > 0).all()
    assert fit.error == pytest.approx(np.linalg.norm(truth - fit.at(fit.u), axis=1).sum())
    assert fit.error / 9 < 0.05  # the second coordinate spans 0.7, the third 40


def test_trajectory_improves_on_the_centripetal_start_which_is_numpys_polynomial_fit():
    rng = np.random.default_rng(11)
    points = np.stack(
        [np.arange(10.0), np.sin(np.arange(10) / 3), 5 * np.cos(np.arange(10) / 4)], axis=1
    ) + 0.3 * rng.random((10, 3))
    points[:, 0] = np.arange(10)
    chord = [math.dist(a, b) ** 0.5 for a, b in itertools.pairwise(points)]
    u = np.array([0, *itertools.accumulate(chord)]) / sum(chord)
    start = np.stack(
        [np.polynomial.polynomial.polyfit(u, points[:, k], 3) for k in range(3)], axis=1
    )
    error = np.linalg.norm(points - np.polynomial.polynomial.polyval(u, start).T, axis=1).sum()
    fit = fit_trajectory(points, degree=3)
    assert 0 < fit.error < 0.95 * error


def test_trajectory_through_as_many_points_as_coefficients_passes_through_them():
    points = np.array([[0.0, 2.0, 50.0], [1.0, 1.5, 80.0], [2.0, 1.0, 70.0]])
    fit = fit_trajectory(points, degree=2)
    assert fit.error == pytest.approx(0, abs=1e-9) and fit.at(fit.u) == pytest.approx(points)


def test_weights_pin_and_drop_points():
    u = np.linspace(0, 1, 8)
    points = np.stack([u, u**2, np.sin(9 * u)], axis=1)
    pinned = fit_trajectory(points, 2, np.array([1e5, 1, 1, 1, 1, 1, 1, 1e5]))
    assert pinned.at(1.0) == pytest.approx(points[-1], abs=1e-3) and pinned.at(
        0.0
    ) == pytest.approx(points[0], abs=1e-3)
    assert np.linalg.norm(fit_trajectory(points, 2).at(1.0) - points[-1]) > 0.01
    moved = points.copy()
    line = np.stack([u, 2 * u, 3 * u], axis=1)
    moved[:, :] = line
    moved[3, 2] = 40.0
    assert (
        fit_trajectory(moved, 1, np.where(np.arange(8) == 3, 0.0, 1.0)).error
        < fit_trajectory(moved, 1).error / 10
    )


def test_trajectory_refuses():
    points = np.stack([np.arange(4.0)] * 3, axis=1)
    with pytest.raises(ValueError, match="at least 5 points of positive weight, given 4"):
        fit_trajectory(points, degree=4)
    with pytest.raises(ValueError, match="given 3"):
        fit_trajectory(points, 3, np.array([1.0, 1.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match="must rise"):
        fit_trajectory(points[::-1], degree=1)
    with pytest.raises(ValueError, match="must rise"):
        fit_trajectory(np.concatenate([points[:2], points[1:]]), degree=1)
    with pytest.raises(ValueError, match="degree must be at least 1"):
        fit_trajectory(points, degree=0)
    with pytest.raises(ValueError, match=r"\[P, 3\]"):
        fit_trajectory(points[:, :2], degree=1)
    with pytest.raises(ValueError, match="weights"):
        fit_trajectory(points, 1, np.array([1.0, -1.0, 1.0, 1.0]))
