"""The toy GAN: published sizes and start, losses by closed forms, classes, stacks and a plateau."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from oneshot import data as datasets
from oneshot.contracts import Labelled
from oneshot.models.toy_gan import VARIANTS, Config, ToyGan, binary, multi_class
from oneshot.store.store import Store
from oneshot.training.checkpoint import Checkpoint, Training
from oneshot.training.labelled_batches import LabelledBatches
from oneshot.training.loop import Stopped, fit

CPU = torch.device("cpu")
KEPT = torch.tensor([1, 1, 1, 0, 1, 1, 1, 1], dtype=torch.bool)


def model(variant: str = "tiny", seed: int = 0, **changed: Any) -> ToyGan:
    torch.manual_seed(seed)
    return ToyGan(Config(**{**(VARIANTS[variant] if variant else {}), **changed}), 50)


def batch(family: ToyGan, n: int = 64) -> tuple[Labelled, Tensor]:
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, 7, (n,), generator=generator)
    label += label >= 3  # class 3 is left out
    points = torch.randn(n, 2, generator=generator)
    one_hot = nn.functional.one_hot(label, 8).float()
    return Labelled(points, one_hot), torch.randn(n, *family.noise_shape, generator=generator)


def losses(family: ToyGan, turn: int, items: Labelled, noise: Tensor) -> dict[str, Tensor]:
    found = family.players()[turn].loss(items, noise, family.hyper(0))
    return {name: value.detach() for name, value in found.items()}


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("condition", "generator", "discriminator"),
    [("none", 8642, 9097), ("class", 9154, 9089), ("angle", 8770, 8705)],
)
def test_networks_have_the_published_sizes_and_start_from_glorot_s_weights(
    condition: str, generator: int, discriminator: int
) -> None:
    family = model("", condition=condition)
    assert (count(family.generator), count(family.discriminator)) == (generator, discriminator)
    layers = [layer for layer in family.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 8
    for layer in layers:
        limit = math.sqrt(6 / sum(layer.weight.shape))
        assert 0.8 * limit < layer.weight.abs().max() <= limit and not layer.bias.any()
    assert family.asks == ("nothing" if condition == "none" else "class")
    steps = family.config.epochs * family.config.epoch_steps
    assert (steps, family.config.batch_size) == (3000, 400)
    players = family.players()
    assert [p.name for p in players] == ["discriminator", "generator"]
    assert [p.learning_rate for p in players] == [9e-3, 3e-3]
    assert all(p.betas == (0.5, 0.999) and p.every == 1 for p in players)


def test_minibatch_discrimination_is_the_sum_over_a_batch_of_its_own() -> None:
    family = model("tiny_minibatch").train()
    layer = family.discriminator.minibatch
    assert layer is not None
    h = torch.randn(6, 8)
    m = (h @ layer.kernels.weight.T).view(6, 5, 3).tolist()
    for i in range(6):
        for kernel in range(5):
            terms = [
                math.exp(-sum(abs(a - b) for a, b in zip(m[i][kernel], other[kernel])))
                for other in m
            ]
            assert layer(h)[i, kernel].item() == pytest.approx(sum(terms), rel=1e-5)
    points, code = torch.randn(12, 2), torch.zeros(12, 0)
    both = family.discriminator(points, code, batches=2)[0]
    alone = [family.discriminator(points[rows], code[rows])[0] for rows in (slice(6), slice(6, 12))]
    torch.testing.assert_close(both, torch.cat(alone))
    assert not torch.allclose(both, family.discriminator(points, code)[0])
    assert torch.equal(layer.eval()(h), torch.ones(6, 5))


def test_the_creative_terms_of_an_undecided_head_are_ln_k_and_the_entropy_of_1_over_k() -> None:
    zeros, every = torch.zeros(3, 8), torch.ones(8)
    torch.testing.assert_close(
        multi_class(zeros, every), torch.full((3,), 2.0794), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(multi_class(zeros, KEPT.float()), torch.full((3,), math.log(8)))
    # the least that seven classes allow: all of the weight on them, evenly
    sure = torch.where(KEPT, 0.0, -60.0).expand(3, 8)
    torch.testing.assert_close(multi_class(sure, KEPT.float()), torch.full((3,), math.log(7)))
    even = torch.full((3, 8), math.log((1 / 8) / (7 / 8)))
    entropy = -(1 / 8 * math.log(1 / 8) + 7 / 8 * math.log(7 / 8))
    torch.testing.assert_close(binary(even, every), torch.full((3,), 8 * entropy))


def test_the_gradient_of_mce_is_softmax_less_one_over_k() -> None:
    logits = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for spread in (torch.ones(8), KEPT.float()):
        (gradient,) = torch.autograd.grad(multi_class(logits, spread).sum(), logits)
        torch.testing.assert_close(gradient, logits.softmax(1).detach() - spread / spread.sum())


@pytest.mark.parametrize("creativity", ["none", "mce", "can"])
@pytest.mark.parametrize("of", ["kept", "all"])
@pytest.mark.parametrize("on_fake", [False, True])
def test_losses_are_those_of_a_plain_second_implementation(
    creativity: str, of: str, on_fake: bool
) -> None:
    family = model(
        creativity=creativity,
        creative_classes=of,
        class_on_fake=on_fake,
        lambda_d=0.3,
        lambda_g=0.7,
    )
    family.set_trained_classes(KEPT)
    items, noise = batch(family)
    with torch.no_grad():
        drawn = family.generator(noise[:, :2])
        none = torch.zeros(len(drawn), 0)
        real_logit, real_classes = family.discriminator(items.images, none)
        logit, classes = family.discriminator(drawn, none)
    label = items.label.argmax(1)
    one, zero = torch.ones_like(logit), torch.zeros_like(logit)
    expected = binary_cross_entropy_with_logits(real_logit, one, reduction="none")
    expected += binary_cross_entropy_with_logits(logit, zero, reduction="none")
    of_class = cross_entropy(real_classes, label, reduction="none")
    if on_fake:
        share = 0.5 * (1 + torch.erf(noise[:, 2] / math.sqrt(2)))
        of_class += cross_entropy(classes, (8 * share).long(), reduction="none")
    found = losses(family, 0, items, noise)
    torch.testing.assert_close(found["adversarial"], expected)
    torch.testing.assert_close(found["classification"], of_class)
    torch.testing.assert_close(found["loss"], expected + 0.3 * of_class)

    which = KEPT if of == "kept" else torch.ones(8, dtype=torch.bool)
    target = which / which.sum()
    creative = zero
    if creativity == "mce":
        creative = cross_entropy(classes, target.expand_as(classes), reduction="none")
    if creativity == "can":
        each = binary_cross_entropy_with_logits(
            classes, target.expand_as(classes), reduction="none"
        )
        creative = (each * which).sum(1)
    taken = binary_cross_entropy_with_logits(logit, one, reduction="none")
    torch.testing.assert_close(losses(family, 1, items, noise)["loss"], taken + 0.7 * creative)


@pytest.mark.parametrize("labels", ["kept", "all"])
def test_a_condition_reaches_both_networks_and_labels_of_drawn_points_are_as_asked(
    labels: str,
) -> None:
    family = model("tiny_class", fake_labels=labels)
    items, noise = batch(family, 4000)
    asked: list[Tensor] = []
    hook = family.generator.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    with torch.no_grad():
        losses(family, 0, items, noise)
        losses(family, 1, items, noise)
    hook.remove()
    assert torch.equal(*asked) and torch.equal(asked[0][:, :2], noise[:, :2])
    drawn = asked[0][:, 2:].mean(0)
    if labels == "kept":
        assert torch.equal(asked[0][:, 2:], items.label)
    else:
        assert drawn.min() > 0.1 and drawn.max() < 0.15, "an eighth each, also of the removed class"
    with torch.no_grad():
        logit, _ = family.discriminator(items.images, items.label)
        other, _ = family.discriminator(items.images, items.label.roll(1, 1))
    assert not torch.allclose(logit, other)


def test_codes_of_classes_may_be_mixed_and_angles_lie_clockwise_from_the_top() -> None:
    family = model("tiny_angle")
    expected = [(0, 1), (0.5**0.5, 0.5**0.5), (1, 0), (0.5**0.5, -(0.5**0.5)), (0, -1)]
    torch.testing.assert_close(family.codes[:5], torch.tensor(expected), atol=1e-6, rtol=0)
    one_hot, noise = torch.eye(8), torch.zeros(1, 2)
    mixed = 0.5 * (one_hot[2] + one_hot[4])[None]
    with torch.no_grad():
        by_hand = family.generator(torch.tensor([[0.0, 0.0, 0.5, -0.5]]))
        torch.testing.assert_close(family.sample(mixed, noise), by_hand)


def test_settings_that_mean_nothing_together_are_named() -> None:
    config = Config(condition="class", creativity="mce", class_on_fake=True)
    problems = config.problems(50, 1, 3000)
    assert len(problems) == 2 and all("condition = 'class'" in text for text in problems)
    assert not Config(creativity="mce", class_on_fake=True).problems(50, 1, 3000)


def train(
    folder: Path, models: list[ToyGan], split: str = "without_3", stop_after: int = 0
) -> list[Training]:
    source = LabelledBatches.of(datasets.load("gaussians", split, 50), models[0].config, CPU)
    for one in models:
        one.set_trained_classes(source.trained_classes)
    seen: list[int] = []
    checkpoints = [Checkpoint(Store(folder), f"{k}.pt", 1e9) for k in range(len(models))]
    ended = fit(
        models,
        source,
        7,
        checkpoints,
        lambda *_: seen.append(1),
        lambda: bool(stop_after) and len(seen) >= stop_after,
    )
    assert all(isinstance(one, Training) for one in ended)
    return [one for one in ended if isinstance(one, Training)]


def test_settings_of_losses_train_as_one_stack_and_end_where_each_ends_alone(
    tmp_path: Path,
) -> None:
    settings: list[dict[str, Any]] = [
        dict(creativity="none", lambda_d=0.2),
        dict(creativity="mce", lambda_g=1.0, generator_rate=1e-3),
        dict(creativity="can", class_on_fake=True),
    ]
    tiny = dict(epochs=1, epoch_steps=5, batch_size=32)
    together = train(tmp_path / "all", [model("", **tiny, **one) for one in settings])
    for k, one in enumerate(settings):
        (alone,) = train(tmp_path / str(k), [model("", **tiny, **one)])
        for name, value in alone.curve.items():
            np.testing.assert_allclose(together[k].curve[name], value, rtol=1e-4, err_msg=name)
        for name, weights in alone.end.items():
            torch.testing.assert_close(together[k].end[name], weights, rtol=1e-2, atol=1e-3)
        assert torch.equal(alone.end["kept"].bool(), KEPT)


def test_a_resumed_training_is_the_unbroken_one(tmp_path: Path) -> None:
    changed = dict(epochs=3, epoch_steps=5)
    (whole,) = train(tmp_path / "whole", [model("tiny_minibatch", **changed)])
    with pytest.raises(Stopped):
        train(tmp_path / "broken", [model("tiny_minibatch", **changed)], stop_after=1)
    (resumed,) = train(tmp_path / "broken", [model("tiny_minibatch", seed=9, **changed)])
    assert resumed.curve == whole.curve and resumed.epochs_done == 3
    assert all(torch.equal(value, resumed.end[name]) for name, value in whole.end.items())


def test_a_class_with_shots_is_one_of_those_trained_on(tmp_path: Path) -> None:
    data = datasets.load("gaussians", "without_3", 50)
    for shots in (0, 5):
        source = LabelledBatches.of(data, Config(shots=shots), CPU)
        assert torch.equal(source.trained_classes, KEPT if shots == 0 else torch.ones(8).bool())


@pytest.mark.slow
def test_random_labels_on_drawn_points_keep_the_discriminator_s_loss_at_its_plateau(
    tmp_path: Path,
) -> None:
    """Where drawn points lie as real ones, the best head gives the right class 1/2 + 1/16.

    2 ln 2 + lambda_d (CE of real 0.5754 + CE of drawn 2.4979) = 2.00 at lambda_d 0.2; the mean over
    the last third of a training of 600 steps.
    """
    right, wrong = 0.5 + 0.5 / 8, 0.5 / 8
    of_classes = -math.log(right) - (math.log(right) + 7 * math.log(wrong)) / 8
    plateau = 2 * math.log(2) + 0.2 * of_classes
    assert plateau == pytest.approx(2.001, abs=1e-3)
    changed = dict(class_on_fake=True, lambda_d=0.2, lambda_g=0.0, epochs=30, epoch_steps=20)
    (ended,) = train(tmp_path, [model("", batch_size=128, **changed)], "without_1")
    assert np.mean(ended.curve["train_loss"][20:]) == pytest.approx(plateau, abs=0.12)
