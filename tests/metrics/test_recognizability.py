"""Recognizability against enumerations of episodes and a nearest neighbour classifier."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from gaussian_drawings import clusters
from sklearn.neighbors import KNeighborsClassifier

from oneshot.metrics import diversity as div
from oneshot.metrics import recognizability as rec


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
