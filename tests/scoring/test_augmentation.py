"""What drawings are worth: logistic regression by hand, copies that leave the network as it is."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from made_few_shot import CLASSES, SIDE, clusters
from torch.nn import functional as F

from oneshot import rng
from oneshot.critics.base_classifier import Config, ResNet, train
from oneshot.data.few_shot import few_shot_parts
from oneshot.scoring import augmentation
from oneshot.scoring.augmentation import BATCH, Examples, Learner, Task, worth

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> ResNet:
    config = Config(epochs=6, batch_size=32, width=4, learning_rate=2e-3)
    return train(config, clusters(), None, 0, CPU, lambda *_: None)[0]


def examples(rows: np.ndarray) -> Examples:
    data = clusters()
    return Examples(data.images[rows], data.label[rows])


def shots_pool_test(shots: int = 1) -> tuple[Examples, Examples, Examples]:
    parts = few_shot_parts(clusters(), shots, 0, "disjoint")
    return tuple(examples(r) for r in (parts.supports.reshape(-1), parts.pool, parts.test))  # type: ignore[return-value]


def by_hand(
    features: np.ndarray, label: np.ndarray, start: np.ndarray, steps: int, seed: int
) -> np.ndarray:
    """Multinomial logistic regression by Adam, in double precision; the bias is the last column."""
    inputs = np.concatenate([features, np.ones((len(features), 1))], 1).astype(np.float64)
    weight, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    step = 0
    for turn in itertools.count():
        order = rng.generator(seed, "augmentation", "order", turn).permutation(len(label))
        for first in range(0, len(label), 32):
            if step == steps:
                return weight
            x, y = inputs[order[first : first + 32]], label[order[first : first + 32]]
            odds = np.exp(x @ weight.T)
            probability = odds / odds.sum(1, keepdims=True)
            probability[np.arange(len(y)), y] -= 1
            gradient = probability.T @ x / len(y)
            step += 1
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            away = np.sqrt(square / (1 - 0.999**step)) + 1e-8
            weight = weight - 2e-4 * mean / (1 - 0.9**step) / away
    raise AssertionError


def test_with_frozen_features_it_is_logistic_regression() -> None:
    torch.manual_seed(0)
    network = ResNet(SIDE, classes=5, width=1)
    random = np.random.default_rng(0)
    features = random.normal(size=(75, 8)).astype(np.float32)
    given = Examples(np.zeros((75, 1, SIDE, SIDE), np.uint8), random.integers(5, size=75), features)
    learner = Learner(network, Task(head_steps=200), CPU)
    (head,) = learner.tuned(learner.seen(given), given.label, seed=3)
    start = torch.cat([network.last.weight, network.last.bias[:, None]], 1).detach().double()
    wanted = by_hand(features, given.label, start.numpy(), 200, 3)
    found = torch.cat([head.weight, head.bias[:, None]], 1).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.abs(found - start.numpy()).max() > 0.01
    other = by_hand(features, given.label, start.numpy(), 200, 4)
    assert np.abs(found - other).max() > 1e-3, "the order of the batches counts"


@pytest.mark.parametrize("unfreeze", ["head", "last_stage"])
def test_the_part_that_is_tuned_is_a_copy(unfreeze: str, network: ResNet) -> None:
    before = copy.deepcopy(network.state_dict())
    learner = Learner(network, Task(unfreeze, 0.0, 5), CPU)
    images = torch.rand(7, 1, SIDE, SIDE)
    with torch.no_grad():
        logits = learner.trainable()(learner.frozen(images))
        torch.testing.assert_close(logits, network.logits(images))
    shots = shots_pool_test(5)[0]
    part = learner.tuned(learner.seen(shots), shots.label, 0)
    with torch.no_grad():
        assert not torch.allclose(part(learner.frozen(images)), logits)
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    fresh, tuned = learner.trainable().state_dict(), part.state_dict()
    moved = {name for name in fresh if not torch.equal(fresh[name], tuned[name])}
    assert {name.rpartition(".")[2] for name in moved} <= {"weight", "bias"}, "running statistics"
    assert len(moved) == (2 if unfreeze == "head" else 17)


@pytest.mark.parametrize("unfreeze", ["head", "last_stage"])
def test_what_is_too_much_to_keep_is_computed_by_batch(
    unfreeze: str, network: ResNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, shots = Learner(network, Task(unfreeze, 0.0, 20), CPU), shots_pool_test(9)[0]
    kept = learner.seen(shots)
    assert kept.dtype == torch.float32
    monkeypatch.setattr(augmentation, "MOST_KEPT", 0)
    as_bytes = learner.seen(shots)
    assert as_bytes.dtype == torch.uint8
    one, other = (learner.tuned(seen, shots.label, 0).state_dict() for seen in (kept, as_bytes))
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=2e-4, rtol=1e-3)


def test_mixing_is_of_images_and_of_their_labels(network: ResNet) -> None:
    learner, shots = Learner(network, Task(mixup=0.4), CPU), shots_pool_test(4)[0]
    seen, label = learner.seen(shots), torch.from_numpy(shots.label)
    part = learner.trainable()
    found = learner._loss(part, seen, label, 7, 3)
    random = rng.generator(7, "augmentation", "mixup", 3)
    share = random.beta(0.4, 0.4)
    other = random.permutation(len(label))
    images = torch.from_numpy(shots.images) / 255
    logits = network.logits(share * images + (1 - share) * images[other])
    chance = logits.log_softmax(1)
    every = torch.arange(len(label))
    wanted = -(share * chance[every, label] + (1 - share) * chance[every, label[other]]).mean()
    torch.testing.assert_close(found, wanted)
    plain = F.cross_entropy(network.logits(images), label)
    assert abs(float((found - plain).detach())) > 1e-3


def test_steps_are_passes_in_random_order() -> None:
    steps = list(augmentation._order(70, 7, 5))
    assert [len(rows) for rows in steps] == [32, 32, 6, 32, 32, 6, 32] and BATCH == 32
    for start in (0, 3):
        assert sorted(np.concatenate(steps[start : start + 3])) == list(range(70))
    assert not np.array_equal(steps[0], steps[3])
    again, other = (list(augmentation._order(70, 7, seed)) for seed in (5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(steps, again))
    assert not np.array_equal(steps[0], other[0])
    assert list(augmentation._order(3, 0, 5)) == []


@pytest.mark.parametrize("task", [Task(head_steps=50), Task("last_stage", 0.3, 5)])
def test_no_drawings_have_no_gain(task: Task, network: ResNet) -> None:
    shots, pool, test = shots_pool_test()
    nothing = Examples(pool.images[:0], pool.label[:0])
    found = worth(Learner(network, task, CPU), shots, nothing, test, 44)
    assert found["classified_gain"] == 0
    assert found["classified_supports"] == found["classified_augmented"]
    again = worth(Learner(network, task, CPU), shots, nothing, test, 44)
    assert again == found


@pytest.mark.parametrize("unfreeze", ["head", "last_stage"])
def test_real_images_of_the_classes_are_a_gain(
    unfreeze: str, network: ResNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shot tells of one cluster of three; the pool tells of all."""
    shots, pool, test = shots_pool_test()
    monkeypatch.setattr(augmentation, "LEARNING_RATE", {"head": 2e-3, "last_stage": 2e-4}[unfreeze])
    steps = {"head": 800, "last_stage": 200}[unfreeze]
    found = worth(Learner(network, Task(unfreeze, 0.0, steps), CPU), shots, pool, test, 44)
    assert found["classified_gain"] > 15
    assert found["classified_augmented"] > 60
    difference = found["classified_augmented"] - found["classified_supports"]
    assert found["classified_gain"] == pytest.approx(difference)


def test_features_at_hand_change_nothing(network: ResNet) -> None:
    learner, (shots, pool, test) = Learner(network, Task(head_steps=100), CPU), shots_pool_test()

    def with_features(one: Examples) -> Examples:
        with torch.no_grad():
            features = network.embed(torch.from_numpy(one.images) / 255).numpy()
        return Examples(one.images, one.label, features)

    bare = worth(learner, shots, pool, test, 1)
    known = worth(learner, *map(with_features, (shots, pool, test)), 1)
    assert known == pytest.approx(bare, abs=3)  # an image of 36 may lie between two classes


def test_accuracy_is_the_share_of_all_classes_largest_logits(network: ResNet) -> None:
    data = clusters()
    rows = np.arange(0, len(data.label), 3)
    learner = Learner(network, Task(), CPU)
    (found,) = learner.accuracies([learner.trainable()], examples(rows))
    with torch.no_grad():
        logits = network.logits(torch.from_numpy(data.images[rows]) / 255)
    assert logits.shape == (len(rows), CLASSES)
    assert found == pytest.approx(100 * (logits.argmax(1).numpy() == data.label[rows]).mean())
